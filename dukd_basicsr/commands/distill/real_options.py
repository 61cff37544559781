"""The keys of Real-ESRGAN's degradation, as the shipped options file has them."""

from __future__ import annotations

from dukd_basicsr.options.shipped import find_folder

SHIPPED = 'train_dukd_real_rrdb_to_compact_x4.yml'
SCALE = 4
"""The scale whose degradations are shipped."""
_DEGRADATION = ('resize_prob: ', 'gt_size: ')
_KERNELS = ('    blur_kernel_size: ', '    gt_size: ')
_POOL = 20
"""Batches in the pool that pairs are drawn from."""


def read_degradation(gt_size: int, batch: int) -> str:
    """The keys at the top of the file: two degradation processes, the patch and the pool.

    Args:
        gt_size (int): Side of an HR patch.
        batch (int): Samples of a batch.
    """
    return (
        '# options for synthesizing training data, those of Real-ESRGAN\n'
        'gt_usm: false  # true sharpens HR images, as the training of Real-ESRGAN had them\n'
        'zoom_in_degraded: true  # zoom-in crops are degraded too, all but their size\n\n'
        f'{_cut(*_DEGRADATION)}gt_size: {gt_size}\nqueue_size: {_POOL * batch}  # pairs in the pool\n'
    )


def read_kernels() -> str:
    """The keys of `datasets.train` that say how HR images are blurred."""
    return _cut(*_KERNELS)


def _cut(first: str, after: str) -> str:
    """The lines of the shipped file from one that begins with `first` up to one that begins with `after`."""
    lines = (find_folder() / SHIPPED).read_text(encoding='utf-8').splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith(first))
    end = next(number for number, line in enumerate(lines) if number > start and line.startswith(after))
    return ''.join(lines[start:end])
