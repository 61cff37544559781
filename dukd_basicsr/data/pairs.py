"""Samples of BasicSR's PairedImageDataset, bit for bit, without converting what is not in the crop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from basicsr.data.transforms import augment, paired_random_crop
from basicsr.utils import FileClient, bgr2ycbcr
from torchvision.transforms.functional import normalize

from dukd_basicsr.data.decoding import decode

if TYPE_CHECKING:
    from basicsr.data.paired_image_dataset import PairedImageDataset


def read_sample(dataset: PairedImageDataset, index: int) -> dict[str, Any]:
    """One sample: read, cropped and augmented with the same draws from Python's `random` as BasicSR's, then converted.

    Args:
        dataset (PairedImageDataset): Its paths, options, mean and std.
        index (int): Of the pair.

    Returns:
        dict: lq and gt, float32 RGB (or Y) tensors of shape (C, H, W) in [0, 1] before mean and std; lq_path, gt_path.

    Raises:
        UnreadableImageError: A missing key or an image that cannot be decoded.
        ValueError: A pair that does not fit its scale, or is smaller than gt_size, as BasicSR says it.
    """
    opt, (gt_path, lq_path) = dataset.opt, (dataset.paths[index][key] for key in ('gt_path', 'lq_path'))
    with _open_pixels(dataset, gt_path, 'gt') as gt, _open_pixels(dataset, lq_path, 'lq') as lq:
        if opt['phase'] == 'train':
            gt, lq = paired_random_crop(gt, lq, opt['gt_size'], opt['scale'], gt_path)
        else:
            gt = gt[: lq.shape[0] * opt['scale'], : lq.shape[1] * opt['scale']]
        crops = [np.array(image, order='C') for image in (gt, lq)]
    if opt['phase'] == 'train':
        crops = augment(crops, opt['use_hflip'], opt['use_rot'])
    tensors = [_to_tensor(crop, opt.get('color') == 'y') for crop in crops]
    if dataset.mean is not None or dataset.std is not None:
        for tensor in tensors:
            normalize(tensor, dataset.mean, dataset.std, inplace=True)
    return {'lq': tensors[1], 'gt': tensors[0], 'lq_path': lq_path, 'gt_path': gt_path}


def _to_tensor(image: np.ndarray, luma: bool) -> torch.Tensor:
    """BGR uint8 of shape (H, W, 3) as RGB, or Y alone, float32 of shape (C, H, W)."""
    if luma:
        return torch.from_numpy(bgr2ycbcr(image.astype(np.float32) / np.float32(255), y_only=True)[None])
    tensor = np.empty((3, *image.shape[:2]), np.float32)
    return torch.from_numpy(np.divide(image[..., ::-1].transpose(2, 0, 1), np.float32(255), out=tensor))


@contextmanager
def _open_pixels(dataset: PairedImageDataset, path: str, side: str) -> Iterator[np.ndarray]:
    """An image as `decode` gives it, for as long as the block lasts."""
    client = _open_client(dataset)
    if client.backend == 'lmdb':
        reader = client.client._client[side]
        with reader.value(path) as value:
            yield decode(value, f'the value of {path} in {reader.path}')
    else:
        yield decode(client.get(path, side), path)


def _open_client(dataset: PairedImageDataset) -> FileClient:
    """The dataset's own file client. Stock takes apart the options for it, which another dataset may share."""
    if dataset.file_client is None:
        options = dict(dataset.io_backend_opt)
        if options['type'] == 'lmdb':
            options |= {'db_paths': [dataset.lq_folder, dataset.gt_folder], 'client_keys': ['lq', 'gt']}
        dataset.file_client = FileClient(options.pop('type'), **options)
    return dataset.file_client
