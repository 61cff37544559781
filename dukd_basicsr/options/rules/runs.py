"""What must agree between the keys of an options file, beyond the type of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dukd_basicsr.options.report import Report, show
from dukd_basicsr.options.rules.components import check_component
from dukd_basicsr.options.rules.teacher import TYPE as UPCYCLED
from dukd_basicsr.options.schema.fields import read_section
from dukd_basicsr.options.schema.file import Options, OtherDataset, PairedDataset, TrainDataset
from dukd_basicsr.options.schema.optimizers import Optimizer, Rprop, Sgd
from dukd_basicsr.options.schema.real import RealDataset, RealOptions
from dukd_basicsr.options.schema.train import Cosine, CosineRestart, MultiStep, Train
from dukd_basicsr.options.schema.upcycled import UpcycledDataset

STRICT_MODELS = ('SRModel', 'SwinIRModel', 'DistillModel', 'DUKDModel', 'DUKDRealModel')
"""Models of which every key is known; other models have keys that only they know."""
LONGEST_NAME = 200
"""Bytes of a run's name; file systems take 255, to which archives and logs add their times."""
Datasets = dict[str, PairedDataset | OtherDataset]


def check_names(o: Options, report: Report) -> None:
    """Check that the name of the run can be the name of its folder."""
    if isinstance(o.name, str):
        if not o.name.strip() or not o.name.isprintable() or set('/\\') & set(o.name) or o.name in ('.', '..'):
            report.error('name', f'{show(o.name)} cannot be the name of a folder.')
        elif len(o.name.encode(errors='replace')) > LONGEST_NAME:
            report.error('name', f'{show(o.name)} cannot be the name of a folder; write at most {LONGEST_NAME} bytes.')
        elif 'debug' in o.name:
            report.warn('name', f'"{o.name}" contains "debug", so BasicSR logs every iteration and saves every eighth.')


def read_datasets(o: Options, is_train: bool, report: Report) -> Datasets:
    """The datasets by key; reports their keys and which of them a run needs."""
    datasets: Datasets = {}
    section: type[PairedDataset | OtherDataset]
    allowed = ('train', 'val') if is_train else ('test', 'val')
    for name, value in (o.datasets or {}).items():
        key, phase = f'datasets.{name}', str(name).split('_')[0]
        if phase not in allowed:
            use = 'train and val, val_1, ...' if is_train else 'test, test_1, ...'
            report.error(key, f'{"training" if is_train else "a test"} knows the datasets {use}.')
            continue
        paired = not isinstance(value, Mapping) or value.get('type') in ('PairedImageDataset', None)
        if phase == 'train' and isinstance(o, RealOptions):
            section = RealDataset
        elif isinstance(value, Mapping) and value.get('type') == UPCYCLED:
            section = UpcycledDataset
            if phase != 'train':
                report.error(f'{key}.type', f'{UPCYCLED} is for training; write PairedImageDataset.')
        elif paired:
            section = TrainDataset if phase == 'train' else PairedDataset
        else:
            section = OtherDataset
            check_component('dataset', value, key, report, arguments=False)
        datasets[name] = read_section(section, value, key, report)
    if isinstance(o.datasets, dict):
        if is_train and 'train' not in o.datasets:
            report.error('datasets.train', 'missing key: the images to train on.')
        elif not o.datasets:
            report.error('datasets', 'there is no dataset to test on; add test.')
    return datasets


def check_datasets(o: Options, datasets: Datasets, report: Report) -> None:
    """Loader settings that fail or hang later, sources that cannot be what they are said to be."""
    for name, dataset in datasets.items():
        if isinstance(dataset, PairedDataset):
            _check_loader(o, f'datasets.{name}', name == 'train', dataset, report)
            _check_sources(f'datasets.{name}', dataset, report)
    names = [dataset.name for dataset in datasets.values() if not isinstance(dataset, TrainDataset)]
    for name, dataset in datasets.items():
        if names.count(dataset.name) > 1 and dataset.name is not None and name != 'train':
            report.warn(
                f'datasets.{name}.name',
                f'several datasets are named "{dataset.name}"; BasicSR mixes their best results.',
            )


def _check_loader(o: Options, key: str, is_train: bool, dataset: PairedDataset, report: Report) -> None:
    workers = dataset.num_worker_per_gpu if is_train else 0
    if dataset.persistent_workers and workers == 0:
        text = 'needs num_worker_per_gpu of at least 1' if is_train else 'validation has no workers'
        report.error(f'{key}.persistent_workers', f'{text}; write persistent_workers: false.')
    if is_train and dataset.prefetch_mode == 'cuda':
        if o.num_gpu == 0:
            report.error(f'{key}.prefetch_mode', 'cuda needs a GPU, but num_gpu: 0; write prefetch_mode: ~.')
        elif not dataset.pin_memory:
            report.error(f'{key}.prefetch_mode', 'cuda needs pin_memory: true beside it.')
    if is_train and dataset.gt_size and o.scale and dataset.gt_size % o.scale:
        near = max(1, dataset.gt_size // o.scale) * o.scale
        report.error(f'{key}.gt_size', f'{dataset.gt_size} is not a multiple of scale: {o.scale}; write e.g. {near}.')


def _check_sources(key: str, dataset: PairedDataset, report: Report) -> None:
    roots = {'dataroot_gt': dataset.dataroot_gt, 'dataroot_lq': dataset.dataroot_lq}
    if dataset.dataroot_gt is not None and dataset.dataroot_gt == dataset.dataroot_lq:
        report.error(f'{key}.dataroot_lq', f'{dataset.dataroot_lq} is dataroot_gt too; LR and HR images differ.')
    template = dataset.filename_tmpl
    if template is not None and ('{}' not in template or set('{}') & set(template.replace('{}', ''))):
        report.error(
            f'{key}.filename_tmpl', f"{show(template)} needs {{}} where the name of the HR image stands, e.g. '{{}}x4'."
        )
    backend = dataset.io_backend.type if dataset.io_backend else None
    for name, root in roots.items():
        is_lmdb = str(root).rstrip('/').endswith('.lmdb')
        if root is not None and backend == 'lmdb' and not str(root).endswith('.lmdb'):
            report.error(f'{key}.{name}', f'{root} does not end in .lmdb, as io_backend.type: lmdb needs it.')
        elif root is not None and backend == 'disk' and is_lmdb:
            report.error(f'{key}.{name}', f'{root} is an LMDB; write io_backend: {{type: lmdb}}.')


def check_training(o: Options, report: Report) -> None:
    """What a training run needs, and schedules that end elsewhere than it does."""
    for name, use in (('train', 'how to train'), ('logger', 'how to log')):
        if getattr(o, name) is None:
            report.error(name, f'missing key: {use}.')
    if o.val is not None and o.val.val_freq is None:
        report.error('val.val_freq', 'missing key: iterations between validations.')
    if o.logger and o.logger.wandb and o.logger.wandb.project and o.logger.use_tb_logger is False:
        report.error('logger.wandb.project', 'wandb needs logger.use_tb_logger: true.')
    if o.train:
        for name in ('optim_g', 'optim_d'):
            check_optimizer(getattr(o.train, name), f'train.{name}', report)
        _check_scheduler(o.train, report)


def check_optimizer(optimizer: Optimizer | None, key: str, report: Report) -> None:
    """What must agree between the arguments of an optimizer.

    Args:
        optimizer (Optimizer | None): The typed section.
        key (str): Its dotted key.
        report (Report): Collects the errors.
    """
    for name, example in (('betas', '[0.9, 0.99]'), ('etas', '[0.5, 1.2]'), ('step_sizes', '[1.0e-6, 50]')):
        pair = getattr(optimizer, name, None)
        if pair is not None and len(pair) != 2:
            report.error(f'{key}.{name}', f'{pair} has not two numbers; write e.g. {example}.')
    if isinstance(optimizer, Sgd) and optimizer.nesterov and (not optimizer.momentum or optimizer.dampening):
        report.error(f'{key}.nesterov', 'it needs a momentum, and no dampening; write momentum: 0.9.')
    etas = optimizer.etas if isinstance(optimizer, Rprop) else None
    if etas and None not in etas and not min(etas) < 1 < max(etas):
        report.error(f'{key}.etas', f'{etas} has no 1 between its numbers; write e.g. [0.5, 1.2].')


def _check_scheduler(train: Train, report: Report) -> None:
    scheduler, total = train.scheduler, train.total_iter or 0
    weights = getattr(scheduler, 'restart_weights', None) or ()
    if isinstance(scheduler, MultiStep):
        if scheduler.restarts and len(scheduler.restarts) != len(weights):
            report.error('train.scheduler.restart_weights', 'it needs as many numbers as restarts.')
        for milestone in scheduler.milestones or ():
            if milestone is not None and milestone > total > 0:
                report.warn('train.scheduler.milestones', f'{milestone} is beyond total_iter: {total}.')
    elif isinstance(scheduler, Cosine) and scheduler.T_max is not None and scheduler.T_max < total:
        report.warn(
            'train.scheduler.T_max', f'{scheduler.T_max:g} is before total_iter: {total:g}; the rate rises again then.'
        )
    elif isinstance(scheduler, CosineRestart) and scheduler.periods and None not in scheduler.periods:
        if len(scheduler.periods) != len(weights):
            report.error('train.scheduler.restart_weights', 'it needs as many numbers as periods.')
        if sum(scheduler.periods) < total:
            report.error('train.scheduler.periods', f'their sum {sum(scheduler.periods)} is below total_iter: {total}.')


def check_test(o: Options, report: Report) -> None:
    """Check that a test has what it needs."""
    if o.val is None:
        report.error('val', 'missing key: how to test, e.g. {save_img: false, metrics: ...}.')
    if o.path and o.path.pretrain_network_g is None and report.strict:
        report.error('path.pretrain_network_g', 'missing key: a test needs the weights to test.')


def check_val(o: Options, raw: Mapping[str, Any], is_train: bool, report: Report) -> None:
    """Metrics: registered, with known arguments, cut as published numbers are."""
    if o.val is None:
        return
    raw_val = raw.get('val') or {}
    if o.val.save_img and not is_train and isinstance(raw_val, Mapping) and 'suffix' not in raw_val:
        report.error('val.suffix', 'missing key: save_img needs it; write suffix: ~ for the name of the run.')
    for name, metric, given in _iterate_metrics(o, raw_val):
        key = f'val.metrics.{name}'
        check_component('metric', given, key, report, supplied=('img', 'img2'), known=('better',))
        border = metric.crop_border
        if report.strict and o.scale and border is not None and border != o.scale:
            report.warn(f'{key}.crop_border', f'{border} is not scale: {o.scale}; published numbers cut the scale.')


def _iterate_metrics(o: Options, raw_val: Mapping[str, Any]) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    for name, metric in ((o.val and o.val.metrics) or {}).items():
        given = raw_val['metrics'][name]
        if isinstance(given, Mapping):
            yield name, metric, given
