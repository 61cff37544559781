"""Validation as a pipeline: while an image is super-resolved the next is read and the ones before are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from basicsr.utils import imwrite, tensor2img
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from dukd_basicsr.data.prefetch import count_threads, map_in_order, read_ahead
from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluation.metrics import TYPE, score
from dukd_basicsr.evaluation.tensorboard import Board, Image

if TYPE_CHECKING:
    from basicsr.models.sr_model import SRModel

T = TypeVar('T')
Sample = dict[str, Any]
"""As a loader of single images yields it: tensors of (1, C, H, W), and lists of one."""

BATCH_PIXELS = 256 * 256
"""LR pixels that images of one size fill together on CUDA: a batch needs no more memory than one such image."""


@dataclass(frozen=True)
class Share:
    """The images of a validation set that one process takes: every `world_size`-th, from number `rank` on."""

    rank: int = 0
    world_size: int = 1

    def take(self, dataloader: Any) -> DataLoader:
        """A loader of this share only; no process decodes another's images."""
        if self.world_size == 1:
            return dataloader
        return DataLoader(
            dataloader.dataset,
            batch_sampler=list(dataloader.batch_sampler)[self.rank :: self.world_size],
            num_workers=dataloader.num_workers,
            collate_fn=dataloader.collate_fn,
            pin_memory=dataloader.pin_memory,
        )

    def gather(self, values: list[T]) -> list[T]:
        """The values of all shares in the order of the images, on every rank; all ranks must call it together."""
        if self.world_size == 1:
            return values
        shares: list[Any] = [None] * self.world_size
        dist.all_gather_object(shares, values)
        return [shares[i % self.world_size][i // self.world_size] for i in range(sum(map(len, shares)))]


def validate(
    model: SRModel, dataloader: Any, current_iter: int | str, tb_logger: Any, save_img: bool, share: Share
) -> None:
    """Measure a model on a validation set: `metric_results` and `best_metric_results` on every rank, the log on rank 0.

    The sums are made in the order of the images, whoever made these, so that the metrics are those of one process.

    Args:
        model (SRModel): Or a subclass; its `feed_data`, `test` and `get_current_visuals` are used.
        dataloader (DataLoader): Yields 'lq', 'lq_path' and perhaps 'gt', as BasicSR's validation loaders do.
        current_iter (int | str): The iteration, or the name of a test run.
        tb_logger (SummaryWriter | None): Tensorboard's.
        save_img (bool): Whether images are written below `path.visualization`, by the rank that made them.
        share (Share): The images of this process.

    Raises:
        UserError: The set has no images.
    """
    set_name, val_opt = dataloader.dataset.opt['name'], model.opt['val']
    metrics = _place_metrics(val_opt.get('metrics'), model.device)
    if metrics is not None:
        model._initialize_best_metric_results(set_name)
    path_of = partial(_make_path, model.opt, set_name, current_iter) if save_img else None
    board = Board(model, set_name, share.rank)
    finish = partial(_finish, metrics=metrics or {}, path_of=path_of, board=board)
    scores: list[dict[str, float]] = []
    loader = share.take(dataloader)
    hidden = not val_opt.get('pbar', False) or share.rank != 0
    with _unwrap_networks(model, share), tqdm(total=len(loader), unit='image', disable=hidden) as bar:
        for name, values in map_in_order(finish, board.watch(super_resolve_all(model, loader)), count_threads()):
            scores.append(values)
            bar.update()
            bar.set_description(f'Test {name}')
    # Once, so that training does not sit on the blocks of the largest image. After each image, as in stock, it stops
    # the device and buys nothing: the allocator gives cached blocks back by itself before it runs out of memory.
    torch.cuda.empty_cache()
    scores = share.gather(scores)
    if not scores:
        raise UserError(
            f'The validation set {set_name} has no images; put images where its dataroot_lq and dataroot_gt point to, '
            'or remove the set from the options file.'
        )
    board.write(tb_logger, scores, current_iter)
    if metrics is None:
        return
    # Not `sum`, which from Python 3.12 on rounds in another way than stock's additions.
    model.metric_results = {name: reduce(add, (each[name] for each in scores), 0) / len(scores) for name in metrics}
    for metric, value in model.metric_results.items():
        model._update_best_metric_result(set_name, metric, value, current_iter)
    if share.rank == 0:
        model._log_validation_metric_values(current_iter, set_name, tb_logger)


def _place_metrics(metrics: Mapping[str, Any] | None, device: torch.device) -> Mapping[str, Any] | None:
    """Those of pyiqa on the device of the model: threads that measure do not know which GPU is this process's."""
    if metrics is None:
        return None
    return {name: {'device': str(device), **opt} if opt['type'] == TYPE else opt for name, opt in metrics.items()}


def super_resolve_all(model: SRModel, samples: Iterable[Sample]) -> Iterator[Image]:
    """Ask the model for every sample, in order; nothing of a sample stays on the model or its device."""
    for group in group_samples(read_ahead(samples), find_batch_pixels(model)):
        vars(model).pop('gt', None)  # a set without ground truth would be compared with the last training batch
        model.feed_data(merge_samples(group))
        model.test()
        visuals = model.get_current_visuals()
        for name in ('lq', 'output', 'gt'):
            vars(model).pop(name, None)
        for index, sample in enumerate(group):
            of_this = visuals if len(group) == 1 else {key: value[index : index + 1] for key, value in visuals.items()}
            yield Image(sample['lq_path'][0], sample['lq'], of_this['result'], of_this.get('gt'))


def _finish(
    image: Image, metrics: Mapping[str, Mapping[str, Any]], path_of: Callable[[str], Path] | None, board: Board
) -> tuple[str, dict[str, float]]:
    """What happens to an image outside the model: 8 bits, file, metrics, exactly as in stock; then the board's part."""
    sr, name = tensor2img([image.result]), Path(image.path).stem
    gt = None if image.gt is None else tensor2img([image.gt])
    if path_of is not None:
        imwrite(sr, str(path_of(name)))
    return name, score(sr, gt, metrics) | board.finish(image, sr, gt)


def _make_path(opt: Mapping[str, Any], set_name: str, current_iter: int | str, name: str) -> Path:
    folder = Path(opt['path']['visualization'])
    if opt['is_train']:
        return folder / name / f'{name}_{current_iter}.png'
    return folder / set_name / f'{name}_{opt["val"].get("suffix") or opt["name"]}.png'


@contextmanager
def _unwrap_networks(model: SRModel, share: Share) -> Iterator[None]:
    """The model with its networks out of DDP, which broadcasts their buffers in every forward, in eval mode too.

    Ranks with different numbers of images would wait for each other for ever. What DDP would have broadcast is
    broadcast here once, so that a batch norm has the statistics of rank 0 on every rank.
    """
    wrapped = {name: net for name, net in vars(model).items() if isinstance(net, DistributedDataParallel)}
    for net in wrapped.values():
        for buffer in net.buffers() if share.world_size > 1 else ():
            value = buffer.contiguous()
            dist.broadcast(value, src=0)
            buffer.copy_(value)
    try:
        for name, net in wrapped.items():
            setattr(model, name, net.module)
        yield
    finally:
        for name, net in wrapped.items():
            setattr(model, name, net)


def find_batch_pixels(model: SRModel) -> int:
    """LR pixels that a batch may have; 0 for one image at a time.

    On the CPU oneDNN rounds the last bit of a float by the batch size, and photographs gain or lose time by network;
    on CUDA cuDNN may round so too, so deterministic runs go image by image. So do models with methods of their own,
    written for one image.
    """
    deterministic = torch.are_deterministic_algorithms_enabled() or torch.backends.cudnn.deterministic
    if model.device.type != 'cuda' or deterministic:
        return 0
    methods = (getattr(type(model), name) for name in ('feed_data', 'test', 'get_current_visuals'))
    known = all(method.__module__.startswith(('basicsr.', 'dukd_basicsr.')) for method in methods)
    return BATCH_PIXELS if known else 0


def group_samples(samples: Iterable[Sample], pixels: int) -> Iterator[list[Sample]]:
    """Neighbours of equal shapes together, as long as their LR images have at most so many pixels."""
    group: list[Sample] = []
    for sample in samples:
        lq = sample['lq']
        if group and (len(lq) > 1 or _read_shapes(sample) != _read_shapes(group[0])):
            yield group
            group = []
        group.append(sample)
        if (len(group) + 1) * lq[0, 0].numel() > pixels:
            yield group
            group = []
    if group:
        yield group


def _read_shapes(sample: Sample) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in sample.items() if isinstance(value, Tensor)}


def merge_samples(group: list[Sample]) -> Sample:
    """One batch of the tensors; BasicSR's and our `feed_data` read nothing else."""
    if len(group) == 1:
        return group[0]
    return {key: torch.cat([sample[key] for sample in group]) for key in _read_shapes(group[0])}
