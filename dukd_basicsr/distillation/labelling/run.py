"""`basicsr upcycle`: run the teacher of an options file over its training set once, and keep what it says."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import lmdb
import torch
from basicsr.utils.dist_util import init_dist  # ours, once the plugin is imported
from tqdm import tqdm

from dukd_basicsr.data.cache import manifest as stamps
from dukd_basicsr.data.cache.record import BITS, Layout
from dukd_basicsr.data.cache.shards import Shard, read_keys, write_key_files
from dukd_basicsr.data.locks import hold
from dukd_basicsr.data.prefetch import map_in_order
from dukd_basicsr.distillation.labelling.labeller import Labeller
from dukd_basicsr.distillation.labelling.source import Source
from dukd_basicsr.distillation.teacher import TeacherGroup, build_teacher
from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.networks.acceleration import find_dtype, set_tf32
from dukd_basicsr.options.rules.teacher import read_needs


@dataclass(frozen=True)
class Request:
    """What is asked for on the command line."""

    target: Path | None = None
    """The cache; None: beside the LR LMDB, or what dataroot_upcycled names."""
    per_image: int = 4
    """Zoom-in crops of each sub-image."""
    size: int | None = None
    """Side of a crop in pixels; None: the LR patch."""
    precision: str | None = None
    """'fp32', 'bf16' or 'fp16'; None: train.teacher_opt.precision."""
    batch: int | None = None
    """Sub-images in one batch; None: 8 on a GPU, 2 on the CPU."""


def run(opt: Mapping[str, Any], request: Request) -> Path:
    """Write the cache of an options file, or what is missing of it.

    Each process of torchrun writes its own shard. A run that was killed goes on where it stopped, with any number of
    processes; the records do not depend on either.

    Args:
        opt (Mapping): Options that `options.check` and `check_files` have passed.
        request (Request): See there.

    Returns:
        Path: The cache.

    Raises:
        UserError: Something else is at its place; too little space; a teacher that does not fit; damaged images.
        RunError: The disk is full or unwritable, or the GPU's memory too small.
    """
    dataset = opt['datasets']['train']
    gt, lq = (Path(dataset[key]).expanduser() for key in ('dataroot_gt', 'dataroot_lq'))
    target = request.target or Path(dataset.get('dataroot_upcycled') or lq.with_name(f'{lq.stem}_upcycled.lmdb'))
    layout = _plan_layout(opt, request)
    source = Source(gt, lq, opt['scale'])
    _check_sizes(source, layout)
    rank, world, device = _join(opt)
    teacher = build_teacher(opt)
    if isinstance(teacher, TeacherGroup) and teacher.combine == 'random':
        raise UserError(
            'train.teacher_opt.combine: a cache has one label for each input, so random is not possible; '
            'write combine: average, or make a cache for each teacher.'
        )
    stamp = _describe_cache(opt, layout, request, gt, lq)
    _check_place(target, stamp)
    there = read_keys(target)
    # Cut before what is there is left out: a batch has the same images, so the same labels, after a resume too.
    batch = request.batch or (8 if device.type == 'cuda' else 2)
    cut = [[key for key in chunk if key not in there] for chunk in source.cut_chunks(batch)]
    chunks = [chunk for chunk in cut if chunk]
    nbytes = _count_bytes(layout, source, chunks)
    _check_space(target, nbytes)
    _wait()  # nobody writes before all have looked
    for member in teacher.members:
        member.dtype = find_dtype(stamp['precision'], device, 'the precision of the teacher')
    labeller = Labeller(teacher.to(device), layout, stamp['seed'], device)
    with hold(target) if rank == 0 else nullcontext(), _explain_failures(target):
        if rank == 0:
            _announce(target, layout, source, len(there), nbytes)
            if not target.is_dir():
                target.mkdir(parents=True)
                stamps.write(target, stamp)
        _wait()
        own = chunks[rank::world]
        with Shard(target, rank, _count_bytes(layout, source, own)) as shard:
            _label(labeller, source, own, shard, rank)
        _wait()
        if rank == 0:
            write_key_files(target)
            stamps.write(target, stamp | {'complete': True})
    if rank == 0:
        sys.stdout.write(
            f'{target}: complete. For the options file:\n\ndatasets:\n  train:\n'
            f'    type: UpcycledImageDataset\n    dataroot_upcycled: {target.as_posix()}\n'
        )
    return target


def _plan_layout(opt: Mapping[str, Any], request: Request) -> Layout:
    patch = opt['datasets']['train']['gt_size'] // opt['scale']
    size = patch if request.size is None else request.size
    if size < patch:
        raise UserError(f'--size {size} is smaller than the LR patch of {patch} (gt_size / scale): give at least that.')
    for name, value in (('--per_image', request.per_image), ('--batch_size', request.batch)):
        if value is not None and value < 1:
            raise UserError(f'{name} {value} makes nothing: give 1 or more.')
    needs = read_needs(opt)
    if needs.num > request.per_image:
        raise UserError(
            f'--per_image {request.per_image} is fewer than train.dukd_opt.zoom_in.num: {needs.num}; give '
            f'--per_image {needs.num} or more.'
        )
    return Layout(opt['scale'], size, request.per_image, needs.parts)


def _check_sizes(source: Source, layout: Layout) -> None:
    smallest = min(source.shapes, key=lambda key: min(source.shapes[key]))
    side = min(source.shapes[smallest]) * layout.scale
    if layout.size > side:
        raise UserError(
            f'--size {layout.size} is larger than the HR sub-image {smallest} with a side of {side}: give '
            'a smaller one.'
        )


def _join(opt: Mapping[str, Any]) -> tuple[int, int, torch.device]:
    """Rank, processes and device; joins torchrun's other processes."""
    on_cuda = torch.cuda.is_available() and opt['num_gpu'] != 0
    torch.backends.cudnn.benchmark = True
    set_tf32(opt['train'].get('tf32'))
    if int(os.environ.get('WORLD_SIZE', '1')) > 1:
        # Shards are equally long, but a slower machine may let the others wait for it.
        init_dist('pytorch', 'nccl' if on_cuda else 'gloo', timeout=timedelta(days=30))
    device = torch.device('cuda', torch.cuda.current_device()) if on_cuda else torch.device('cpu')
    return int(os.environ.get('RANK', '0')), int(os.environ.get('WORLD_SIZE', '1')), device


def _wait() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def _describe_cache(opt: Mapping[str, Any], layout: Layout, request: Request, gt: Path, lq: Path) -> stamps.Stamp:
    train = opt['train']
    return {
        'version': stamps.VERSION,
        'complete': False,
        'scale': layout.scale,
        'size': layout.size,
        'per_image': layout.per_image,
        'parts': list(layout.parts),
        'precision': request.precision or (train.get('teacher_opt') or {}).get('precision', 'fp32'),
        'codec': '-'.join(map(str, BITS)),
        'seed': opt.get('manual_seed') or 0,
        'teacher': stamps.describe_teacher(opt, Path.cwd()),
        'data': stamps.fingerprint_data(gt, lq),
    }


def _check_place(target: Path, stamp: stamps.Stamp) -> None:
    """What is there must be the same cache, or nothing."""
    found = stamps.read(target)
    if found is None:
        if target.is_dir() and any(target.iterdir()):
            raise UserError(f'{target} exists and is no upcycled cache: choose another -o.')
        return
    differs = [key for key in stamp if key != 'complete' and found.get(key) != stamp[key]]
    if differs:
        what = [
            f'another {key}' if key in ('teacher', 'data') else f'{key} {found.get(key)} instead of {stamp[key]}'
            for key in differs
        ]
        raise UserError(f'{target} exists and was made with {", ".join(what)}: delete it, or choose another -o.')


def _count_bytes(layout: Layout, source: Source, chunks: Sequence[Sequence[str]]) -> int:
    """Bytes that records take in an LMDB: whole pages, and their share of the tree."""
    sizes = (layout.nbytes(*source.shapes[key]) for chunk in chunks for key in chunk)
    return sum((size // 4096 + 1) * 4096 + 128 for size in sizes)


def _check_space(target: Path, nbytes: int) -> None:
    there = next(path for path in (target, *target.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < nbytes:
        raise UserError(
            f'{target} needs {_format_size(nbytes)} more and its disk has {_format_size(free)} of free space: free '
            'some, choose another -o, or give a smaller --per_image.'
        )


def _announce(target: Path, layout: Layout, source: Source, there: int, nbytes: int) -> None:
    """Say what will be written and how large it will be; the format has no compression, so that is known."""
    crops = f' ({layout.per_image} crops of {layout.size}x{layout.size})' if 'zoom_in' in layout.parts else ''
    went = f', {there} of them are there already' if there else ''
    sys.stdout.write(
        f'{target}: labels of {", ".join(layout.parts)}{crops} for {len(source.shapes)} sub-images{went}; '
        f'{_format_size(nbytes)} to write.\n'
    )
    sys.stdout.flush()


def _format_size(nbytes: int) -> str:
    return f'{nbytes / 1e9:.2f} GB' if nbytes >= 1e9 else f'{nbytes / 1e6:.1f} MB'


@contextmanager
def _explain_failures(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, lmdb.Error) as error:
        raise RunError(
            f'{target} cannot be written ({error}): free some space and run the same command again; it goes '
            'on where it stopped.'
        ) from error


def _label(labeller: Labeller, source: Source, chunks: Sequence[list[str]], shard: Shard, rank: int) -> None:
    """Read ahead, ask the teacher and write behind, a chunk at a time."""
    quality: list[float] = []
    with tqdm(total=sum(map(len, chunks)), desc='upcycle', unit='image', disable=rank != 0) as bar:

        def ask_teacher() -> Iterator[list[tuple[str, bytes]]]:
            for pairs in map_in_order(source.read_pairs, chunks, workers=1):
                records = labeller.make_records(pairs)
                bar.update(len(pairs))
                if 'lq' in labeller.layout.parts:
                    quality.append(labeller.measure_psnr(pairs[0], records[0][1]))
                    bar.set_postfix_str(f'PSNR of the labels {statistics.fmean(quality):.2f} dB')
                yield records

        for _ in map_in_order(shard.put, ask_teacher(), workers=1):
            pass
