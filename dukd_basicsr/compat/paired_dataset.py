"""BasicSR's PairedImageDataset: the same samples, sooner, in every kind of worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basicsr.data.paired_image_dataset import PairedImageDataset


def read_pair(self: PairedImageDataset, index: int) -> dict[str, Any]:
    """`PairedImageDataset.__getitem__`: one pair.

    Defects: basicsr/data/paired_image_dataset.py:75-79 converts whole images to float before it crops them; :67 takes
    `type` out of options that another dataset may share.
    Symptoms: most of a sample's time goes into pixels that are thrown away; `KeyError: 'type'` or the images of the
    other dataset where two datasets share one `io_backend` (a YAML anchor); a file that cannot be decoded ends in
    `AttributeError: 'NoneType' object has no attribute 'astype'`, without its name.
    Threads: XPixelGroup/BasicSR#214.
    Here: `data.pairs.read_sample`: the same tensors and draws; of an uncompressed BMP only the crop is read.

    Args:
        self (PairedImageDataset): The dataset, in any phase and with any io_backend.
        index (int): Of the pair.

    Returns:
        dict: lq, gt, lq_path, gt_path.

    Raises:
        UnreadableImageError: A missing key or an image that cannot be decoded; a RunError and RuntimeError.
    """
    from dukd_basicsr.data.pairs import read_sample

    return read_sample(self, index)


def reduce_pairs(self: PairedImageDataset) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
    """`PairedImageDataset.__reduce__`: spawned workers import the plugin before they import BasicSR.

    Defect: a spawned worker knows of its dataset only the name of its class, so it imports basicsr alone.
    Symptom: `ModuleNotFoundError: No module named 'torchvision.transforms.functional_tensor'` (or stock behaviour) in
    the workers on Windows and macOS, and under `--launcher pytorch` on CUDA.
    Threads: none upstream.
    Here: a PairedImageDataset, or a class made of it, names `data.sampling.restore` to restore it.
    """
    from dukd_basicsr.data.sampling import reduce_for_workers

    return reduce_for_workers(self)
