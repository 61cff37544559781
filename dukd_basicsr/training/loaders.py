"""The loaders of a run: every sample's place and augmentation a function of (seed, epoch, position)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.data.prefetch_dataloader import CUDAPrefetcher
from torch import Tensor

from dukd_basicsr.data.sampling import ResumableSampler, SeededDataset
from dukd_basicsr.errors import UserError
from dukd_basicsr.training.signals import leave_signals_to_the_parent


def create_loaders(opt: dict[str, Any], logger: logging.Logger) -> tuple[Any, ...]:
    """Create the loaders of a run, the training one over a ResumableSampler and a SeededDataset.

    Args:
        opt (dict): What `complete_options` returns.
        logger (logging.Logger): BasicSR's; it is told the same numbers as by BasicSR.

    Returns:
        tuple: Training loader, its sampler, validation loaders, epochs, iterations.

    Raises:
        UserError: The training set does not fill one batch of all processes.
    """
    train: Any = None
    val_loaders = []
    for phase, dataset_opt in opt['datasets'].items():
        dataset = build_dataset(dataset_opt)
        if phase == 'train':
            train = _create_training_loader(opt, dataset_opt, dataset, logger)
        elif phase.split('_')[0] == 'val':
            val_loaders.append(_load(dataset, opt, dataset_opt, sampler=None))
            logger.info('Number of val images/folders in %s: %s', dataset_opt['name'], len(dataset))
        else:
            raise UserError(f'datasets.{phase}: a training has train and val, val_1, ...; rename or remove it.')
    loader, sampler, total_epochs, total_iters = train
    return loader, sampler, val_loaders, total_epochs, total_iters


def _load(dataset: Any, opt: dict[str, Any], dataset_opt: dict[str, Any], sampler: Any) -> Any:
    how = {'num_gpu': opt['num_gpu'], 'dist': opt['dist'], 'seed': opt['manual_seed']}
    return build_dataloader(dataset, dataset_opt, sampler=sampler, **how)


def _create_training_loader(
    opt: dict[str, Any], dataset_opt: dict[str, Any], dataset: Any, logger: logging.Logger
) -> tuple[Any, ...]:
    ratio = dataset_opt.get('dataset_enlarge_ratio', 1)
    sampler = ResumableSampler(dataset, opt['world_size'], opt['rank'], ratio, opt['manual_seed'])
    if dataset_opt.get('num_worker_per_gpu') == 0 and dataset_opt.get('prefetch_mode') == 'cpu':
        # Its thread would draw from the generators that a step has just seeded.
        dataset_opt = {**dataset_opt, 'prefetch_mode': None}
    loader = _load(SeededDataset(dataset), opt, dataset_opt, sampler)
    loader.worker_init_fn = leave_signals_to_the_parent
    if len(loader) == 0:
        raise UserError(
            f'datasets.train: {len(dataset)} images times dataset_enlarge_ratio: {ratio} on {opt["world_size"]} '
            f'processes do not fill a batch of {loader.batch_size}; write a larger dataset_enlarge_ratio or a smaller '
            'batch_size_per_gpu.'
        )
    each_epoch = math.ceil(sampler.total / (dataset_opt['batch_size_per_gpu'] * opt['world_size']))
    total_iters = int(opt['train']['total_iter'])
    total_epochs = math.ceil(total_iters / each_epoch)
    lines = [
        'Training statistics:',
        f'Number of train images: {len(dataset)}',
        f'Dataset enlarge ratio: {ratio}',
        f'Batch size per gpu: {dataset_opt["batch_size_per_gpu"]}',
        f'World size (gpu number): {opt["world_size"]}',
        f'Require iter number per epoch: {each_epoch}',
        f'Total epochs: {total_epochs}; iters: {total_iters}.',
    ]
    logger.info('\n\t'.join(lines))
    return loader, sampler, total_epochs, total_iters


def iterate_batches(loader: Iterable, opt: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through an epoch with the prefetcher that the options name.

    BasicSR makes an iterator, and with it all workers, once more than it uses
    (basicsr/data/prefetch_dataloader.py:77).
    """
    if opt['datasets']['train'].get('prefetch_mode') != 'cuda':
        yield from loader
        return
    prefetcher = CUDAPrefetcher(loader, opt)
    batch = prefetcher.next()
    while batch is not None:
        _use_on_this_stream(batch)
        yield batch
        batch = prefetcher.next()


def _use_on_this_stream(batch: dict[str, Any]) -> None:
    """Say which stream computes on what the prefetcher's own stream has copied.

    Else the memory of a batch that Python has let go of would take the copy of another one while kernels that the
    device has not come to yet still need it.
    """
    for value in batch.values():
        if isinstance(value, Tensor) and value.is_cuda:
            value.record_stream(torch.cuda.current_stream(value.device))
