"""What must agree in the options file of a DUKDRealModel."""

from __future__ import annotations

from collections.abc import Mapping

from dukd_basicsr.options.report import Report
from dukd_basicsr.options.schema.file import Options
from dukd_basicsr.options.schema.real import RealDataset, RealOptions

MODEL = 'DUKDRealModel'
_RADIUS, _SHARP_RADIUS = 10, 25
"""Of the blur kernels and of the sharpening; a filter mirrors the image at its edges, once."""
_RANGES = ('noise_range', 'poisson_scale_range', 'jpeg_range', 'blur_sigma')
_AROUND_1 = ('resize_range', 'betag_range', 'betap_range')


def check_real(o: RealOptions, dataset: object, report: Report) -> None:
    """Check ranges, probabilities and sizes that the degradation needs.

    Args:
        o (RealOptions): The typed options.
        dataset (object): The typed `datasets.train`; not a RealDataset where it is missing.
        report (Report): Collects the errors.
    """
    if not isinstance(dataset, RealDataset):
        return
    _check_ranges('', o, report)
    _check_ranges('datasets.train.', dataset, report)
    _check_probabilities(o, dataset, report)
    _check_sizes(o, dataset, report)
    backend = dataset.io_backend.type if dataset.io_backend else None
    if backend == 'disk' and dataset.meta_info is None:
        report.error(
            'datasets.train.meta_info',
            'missing key: a file that lists the images; make one with: basicsr prepare FOLDER --preset real.',
        )
    dukd = o.train.dukd_opt if o.train else None
    if dukd and dukd.zoom_out and dukd.zoom_out.gt:
        report.warn(
            'train.dukd_opt.zoom_out.gt',
            'true teaches the student to answer with the noise of the LR patch; write zoom_out: {gt: false}.',
        )


def check_pairs(o: Options, report: Report) -> None:
    """Check that a model which takes pairs has a training set that gives them.

    Args:
        o (Options): The typed options, not of a DUKDRealModel.
        report (Report): Collects the errors.
    """
    train = (o.datasets or {}).get('train')
    if isinstance(train, Mapping) and train.get('type') == 'RealESRGANDataset':
        report.error(
            'datasets.train.type',
            f'RealESRGANDataset has no LR images, which {o.model_type} trains on; write model_type: {MODEL}, or type: '
            'PairedImageDataset.',
        )


def _check_ranges(prefix: str, owner: RealOptions | RealDataset, report: Report) -> None:
    """Two numbers each, the smaller one first; what both sides of 1 are drawn from has 1 between them."""
    for name in (*_RANGES, *_AROUND_1):
        for key in (name, f'{name}2'):
            value = getattr(owner, key, None)
            if value is None or None in value:
                continue
            # BasicSR asserts that the two of blur_sigma differ.
            if len(value) != 2 or value[0] > value[1] or (name == 'blur_sigma' and value[0] == value[1]):
                report.error(prefix + key, f'{value} is no range; write two numbers, the smaller one first.')
            elif name in _AROUND_1 and not value[0] <= 1 <= value[1]:
                report.error(prefix + key, f'{value} has no 1 between its numbers; write e.g. [0.5, 1.5].')


def _check_probabilities(o: RealOptions, dataset: RealDataset, report: Report) -> None:
    for suffix in ('', '2'):
        shapes, given = getattr(dataset, f'kernel_list{suffix}'), getattr(dataset, f'kernel_prob{suffix}')
        ways = getattr(o, f'resize_prob{suffix}')
        if shapes is not None and given is not None and len(shapes) != len(given):
            report.error(
                f'datasets.train.kernel_prob{suffix}',
                f'{len(given)} probabilities for {len(shapes)} shapes of kernel_list{suffix}; write one for each.',
            )
        if ways is not None and len(ways) != 3:
            report.error(f'resize_prob{suffix}', f'{ways} has not three numbers: of up, down and keep.')
        for key, numbers in ((f'datasets.train.kernel_prob{suffix}', given), (f'resize_prob{suffix}', ways)):
            if numbers is not None and None not in numbers and not sum(numbers) > 0:
                report.error(key, f'{numbers} has no number above 0.')


def _check_sizes(o: RealOptions, dataset: RealDataset, report: Report) -> None:
    side, batch = o.gt_size, dataset.batch_size_per_gpu
    if side and dataset.gt_size and side != dataset.gt_size:
        report.error('gt_size', f'{side}, but datasets.train.gt_size: {dataset.gt_size}; write the same number twice.')
        return
    if batch and o.queue_size and o.queue_size % batch:
        near = max(1, o.queue_size // batch) * batch
        report.error(
            'queue_size', f'{o.queue_size} is not a multiple of batch_size_per_gpu: {batch}; write e.g. {near}.'
        )
    zoom_in = o.train and o.train.dukd_opt and o.train.dukd_opt.zoom_in
    least = min(o.resize_range) if o.resize_range and None not in o.resize_range else None
    if not side or not least:
        return
    if zoom_in and o.zoom_in_degraded and int(side * least) <= _RADIUS:
        enough = int((_RADIUS + 1) / least) + 1
        report.error(
            'zoom_in_degraded',
            f'a patch of {side} shrinks to {int(side * least)} pixels by resize_range: '
            f'{o.resize_range}, which kernels of 21 cannot blur; write gt_size: {enough} or more, or '
            'zoom_in_degraded: false.',
        )
    elif o.gt_usm and side <= _SHARP_RADIUS:
        report.error('gt_usm', f'a patch of {side} is too small for it; write gt_size: {_SHARP_RADIUS + 1} or more.')
