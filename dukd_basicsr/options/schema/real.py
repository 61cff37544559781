"""The keys that a DUKDRealModel reads beside those of every model: BasicSR's names for Real-ESRGAN's degradation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dukd_basicsr.options.schema.fields import key
from dukd_basicsr.options.schema.file import IoBackend, Options, TrainDataset

Shape = Literal['iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso']


@dataclass(frozen=True, kw_only=True)
class RealBackend(IoBackend):
    """Where HR images are read from."""

    type: Literal['disk', 'lmdb'] = key('disk for a folder with meta_info, lmdb for folders *.lmdb')


@dataclass(frozen=True, kw_only=True)
class RealDataset(TrainDataset):
    """`datasets.train` of type RealESRGANDataset: HR images and the kernels that they will be blurred with."""

    type: Literal['RealESRGANDataset'] = key('the class of the dataset')  # type: ignore[assignment]
    io_backend: RealBackend = key('where HR images are read from, {type: disk} or {type: lmdb}')
    meta_info: str | None = key('a file that lists the images, one a line; not for lmdb', default=None)
    dataroot_lq: None = key('not here', default=None, instead='LR images are made during training; leave it out')  # type: ignore[assignment]
    meta_info_file: None = key('not here', default=None, instead='RealESRGANDataset calls it meta_info; leave it out')
    color: None = key('not here', default=None, instead='the degradation is of RGB images; leave it out')
    mean: None = key('not here', default=None, instead='images are not normalised; leave it out')
    std: None = key('not here', default=None, instead='images are not normalised; leave it out')
    filename_tmpl: None = key('not here', default=None, instead='there are no LR images; leave it out')  # type: ignore[assignment]
    use_shuffle: bool = key('always: BasicSR does not read it', default=True)

    blur_kernel_size: int = key('21: BasicSR does not read it', default=21, least=21, most=21)
    kernel_list: list[Shape] = key("shapes of the first blur, e.g. ['iso', 'aniso']")
    kernel_prob: list[float] = key('their probabilities, e.g. [0.5, 0.5]', least=0)
    sinc_prob: float = key('of a sinc filter in their place, e.g. 0.1', least=0, most=1)
    blur_sigma: list[float] = key('range of standard deviations in pixels, e.g. [0.2, 3]', above=0)
    betag_range: list[float] = key('shapes of generalised Gaussians, around 1, e.g. [0.5, 4]', above=0)
    betap_range: list[float] = key('shapes of plateaus, e.g. [1, 2]', above=0)

    blur_kernel_size2: int = key('21: BasicSR does not read it', default=21, least=21, most=21)
    kernel_list2: list[Shape] = key("shapes of the second blur, e.g. ['iso', 'aniso']")
    kernel_prob2: list[float] = key('their probabilities, e.g. [0.5, 0.5]', least=0)
    sinc_prob2: float = key('of a sinc filter in their place, e.g. 0.1', least=0, most=1)
    blur_sigma2: list[float] = key('range of standard deviations in pixels, e.g. [0.2, 1.5]', above=0)
    betag_range2: list[float] = key('shapes of generalised Gaussians, around 1, e.g. [0.5, 4]', above=0)
    betap_range2: list[float] = key('shapes of plateaus, e.g. [1, 2]', above=0)

    final_sinc_prob: float = key('of a sinc filter at the end, e.g. 0.8', least=0, most=1)


@dataclass(frozen=True, kw_only=True)
class RealOptions(Options):
    """A whole options file of a DUKDRealModel. Ranges are two numbers, the smaller one first.

    Their limits are where BasicSR's operations fail: the first resize must leave more than 10 of 400 pixels, over which
    kernels mirror, the second at least one, and DiffJPEG divides by zero at a quality of 100.
    """

    gt_usm: bool = key('whether HR images are sharpened, true or false')
    gan_gt_usm: bool = key(
        "whether a discriminator's real images are sharpened where gt_usm is; false in Real-ESRGAN", default=True
    )
    zoom_in_degraded: bool = key('whether zoom-in crops are degraded, all but their size', default=True)
    gt_size: int = key('the side of an HR patch, as in datasets.train', least=1, most=400)
    queue_size: int = key(
        'pairs of the pool that batches are drawn from, a multiple of the batch', default=180, least=1, most=100_000
    )

    resize_prob: list[float] = key('of the first resize: up, down, keep, e.g. [0.2, 0.7, 0.1]', least=0)
    resize_range: list[float] = key('its factors, around 1, e.g. [0.15, 1.5]', least=0.03, most=8)
    gaussian_noise_prob: float = key('of Gaussian noise, else Poisson noise, e.g. 0.5', least=0, most=1)
    noise_range: list[float] = key('standard deviations of 255, e.g. [1, 30]', least=0)
    poisson_scale_range: list[float] = key('strengths of Poisson noise, e.g. [0.05, 3]', least=0)
    gray_noise_prob: float = key('of noise that is alike in all channels, e.g. 0.4', least=0, most=1)
    jpeg_range: list[float] = key('qualities of JPEG, e.g. [30, 95]', least=1, below=100)

    second_blur_prob: float = key('of a second blur, e.g. 0.8', least=0, most=1)
    resize_prob2: list[float] = key('of the second resize: up, down, keep, e.g. [0.3, 0.4, 0.3]', least=0)
    resize_range2: list[float] = key('its factors, around 1, e.g. [0.3, 1.2]', least=0.05, most=8)
    gaussian_noise_prob2: float = key('of Gaussian noise, else Poisson noise, e.g. 0.5', least=0, most=1)
    noise_range2: list[float] = key('standard deviations of 255, e.g. [1, 25]', least=0)
    poisson_scale_range2: list[float] = key('strengths of Poisson noise, e.g. [0.05, 2.5]', least=0)
    gray_noise_prob2: float = key('of noise that is alike in all channels, e.g. 0.4', least=0, most=1)
    jpeg_range2: list[float] = key('qualities of JPEG, e.g. [30, 95]', least=1, below=100)
