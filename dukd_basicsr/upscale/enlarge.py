"""One image of any channels through a network of one or three."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from dukd_basicsr.networks.tiling import Progress, Tiler
from dukd_basicsr.resize import imresize
from dukd_basicsr.upscale.images import Picture

_TO_YCBCR = torch.tensor([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
"""From RGB to Y, Cb, Cr, both in [0, 1], without the offsets: ITU-R BT.601, as BasicSR's `rgb2ycbcr`."""
_OFFSETS = torch.tensor([16, 128, 128]).view(1, 3, 1, 1) / 255


@dataclass(frozen=True)
class Enlarger:
    """A network for pictures of any kind.

    Args:
        tiler (Tiler): Asks the network, of 1 or 3 channels.
        scale (int): Of the network.
    """

    tiler: Tiler
    scale: int

    def __call__(self, picture: Picture, progress: Progress) -> Picture:
        """The enlarged image, of the same kind: clamped and rounded, grey for grey, 16 bits for 16 bits.

        Alpha is enlarged by MATLAB's bicubic. It says where an image ends, not what it shows: no network has been
        trained on it, and one that sharpens would ring along the edges of a mask and leave holes in what is opaque.

        Colours that cannot be seen are those of the nearest pixel that can: what files have there, often black, would
        bleed into the edges.

        Raises:
            RuntimeError: Of the network, or its answer is not finite.
        """
        colours = self._enlarge_colours(_to_tensor(_fill_hidden(picture)), progress)
        if not colours.isfinite().all():
            raise RuntimeError('its answer has values that are no numbers')
        alpha = None if picture.alpha is None else imresize(_to_tensor(picture.alpha[..., None]), self.scale)
        kind = picture.pixels.dtype
        mask = None if alpha is None else _to_array(alpha, kind)[..., 0]
        return Picture(_to_array(colours, kind), mask, picture.profile, picture.notes)

    def enlarge_bicubic(self, picture: Picture) -> np.ndarray:
        """The colours as MATLAB's bicubic enlarges them, of the picture's own type: what a network is compared with."""
        return _to_array(imresize(_to_tensor(_fill_hidden(picture)), self.scale), picture.pixels.dtype)

    def _enlarge_colours(self, image: Tensor, progress: Progress) -> Tensor:
        """(1, 1 or 3, H, W) in [0, 1] to as many channels.

        A network of three channels sees grey three times, and the mean of what it makes of it is taken. One of one
        channel sees Y of YCbCr, from 16 to 235 as BasicSR's `color: y` trains it; Cb and Cr are enlarged by bicubic.
        """
        grey = image.shape[1] == 1
        if self.tiler.channels == 3:
            output = self.tiler(image.expand(1, 3, *image.shape[-2:]), progress)[0]
            return output.mean(1, keepdim=True) if grey else output
        if grey:
            return (self.tiler((image * 219 + 16) / 255, progress)[0] * 255 - 16) / 219
        ycbcr = torch.einsum('ij,bjhw->bihw', _TO_YCBCR, image) + _OFFSETS
        luma, _ = self.tiler(ycbcr[:, :1], progress)
        large = torch.cat((luma, imresize(ycbcr[:, 1:], self.scale)), 1) - _OFFSETS
        return torch.einsum('ij,bjhw->bihw', torch.linalg.inv(_TO_YCBCR), large)


def _fill_hidden(picture: Picture) -> np.ndarray:
    """The pixels, those without any opacity in the colour of the nearest that has some."""
    hidden = None if picture.alpha is None else picture.alpha == 0
    if hidden is None or hidden.all() or not hidden.any():
        return picture.pixels
    rows, columns = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return picture.pixels[rows, columns]


def _to_tensor(values: np.ndarray) -> Tensor:
    """(H, W, C) integers to (1, C, H, W) in [0, 1]."""
    scaled = values.astype(np.float32) / np.iinfo(values.dtype).max
    return torch.from_numpy(scaled.transpose(2, 0, 1).copy())[None]


def _to_array(image: Tensor, kind: np.dtype) -> np.ndarray:
    """The inverse of `_to_tensor`, clamped and rounded."""
    values = image[0].clamp(0, 1).mul_(np.iinfo(kind).max).round_()
    return np.ascontiguousarray(values.numpy().astype(kind).transpose(1, 2, 0))
