"""Losses between the student's output and its ground truth, beside `train.pixel_opt`: what GAN recipes train with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from basicsr.losses.loss_util import get_refined_artifact_map
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn

from dukd_basicsr.distillation.views import weigh_part
from dukd_basicsr.errors import UserError

KEYS = ('perceptual_opt', 'fft_opt', 'ldl_opt')
"""Of `train`."""
_CONFIGS = {'vgg11': 'A', 'vgg13': 'B', 'vgg16': 'D', 'vgg19': 'E'}
"""Torchvision's names of the networks and of their layers."""
_WINDOW = 7
"""Of LDL's map of artifacts, as in BasicSR's RealESRGANModel."""


class GroundTruthTerms(nn.Module):
    """The terms l_percep and l_style, l_fft and l_ldl, as far as the options have them.

    - `perceptual_opt`: features of VGG (Johnson et al., ECCV 2016), and their Gram matrices where it has a
      style_weight: BasicSR's PerceptualLoss.
    - `fft_opt`: spectra, any loss between two images.
    - `ldl_opt`: artifacts, where the student is further from its ground truth than its EMA (Liang et al., CVPR 2022):
      any loss between two images, of which each pixel is weighed by `get_refined_artifact_map`, as BasicSR does.

    Args:
        train_opt (Mapping): `train` of the options.
        parts (int): `train.accumulate`: a value is that of one part of a batch, and the parts add up to the whole.
        untrained (bool): VGG's weights may be random ones where its file is not there, for a run that only measures.

    Raises:
        UserError: VGG's weights are neither there nor to be had.
    """

    def __init__(self, train_opt: Mapping[str, Any], parts: int = 1, untrained: bool = False) -> None:
        super().__init__()
        given = {key: train_opt[key] for key in KEYS if train_opt.get(key)}
        self.parts = parts
        self.losses = nn.ModuleDict()
        for key, loss in given.items():
            context = _random_vgg(loss.get('vgg_type', 'vgg19')) if untrained else nullcontext()
            with context:
                self.losses[key] = _build(key, loss)

    def __bool__(self) -> bool:
        return bool(len(self.losses))

    @property
    def needs_ema(self) -> bool:
        """Whether the answer of the student's EMA is needed."""
        return 'ldl_opt' in self.losses

    def forward(self, output: Tensor, gt: Tensor, ema: Tensor | None = None) -> dict[str, Tensor]:
        """The weighted terms by name; the same names every time.

        Args:
            output (Tensor): The student's, (B, C, H, W) in [0, 1], with its graph.
            gt (Tensor): Of the same shape.
            ema (Tensor | None): The EMA's output of the same shape, where `needs_ema`.
        """
        terms: dict[str, Tensor] = {}
        for key, loss in self.losses.items():
            share = weigh_part(loss, self.parts)
            if key == 'perceptual_opt':
                values = dict(zip(('l_percep', 'l_style'), loss(output, gt), strict=True))
                terms |= {name: value * share for name, value in values.items() if value is not None}
            elif key == 'ldl_opt' and ema is not None:
                weight = get_refined_artifact_map(gt, output, ema, _WINDOW)
                terms['l_ldl'] = loss(weight * output, weight * gt) * share
            elif key == 'fft_opt':
                terms['l_fft'] = loss(output, gt) * share
        return terms


def _build(key: str, loss: Mapping[str, Any]) -> nn.Module:
    arguments = {name: value for name, value in loss.items() if name != 'type'}
    try:
        # Not build_loss: it opens BasicSR's logger, which must not be before a run has its folder.
        made: nn.Module = LOSS_REGISTRY.get(loss['type'])(**arguments)
    except OSError as error:  # torchvision could not fetch them: no network, or no room
        from basicsr.archs.vgg_arch import VGG_PRETRAIN_PATH

        raise UserError(
            f"train.{key}: {loss['type']} needs VGG's weights, which could not be had ({error}); put torchvision's "
            f'{Path(VGG_PRETRAIN_PATH).name} into {Path(VGG_PRETRAIN_PATH).parent}.'
        ) from error
    return made


@contextmanager
def _random_vgg(name: str) -> Iterator[None]:
    """While a perceptual loss is built, random weights stand in for those that BasicSR would fetch."""
    from basicsr.archs.vgg_arch import VGG_PRETRAIN_PATH
    from torchvision.models import vgg

    config, make = _CONFIGS.get(name.removesuffix('_bn')), getattr(vgg, name, None)
    if config is None or Path(VGG_PRETRAIN_PATH).exists():
        yield
        return

    def make_random(**_: object) -> SimpleNamespace:
        return SimpleNamespace(features=vgg.make_layers(vgg.cfgs[config], batch_norm=name.endswith('_bn')))

    setattr(vgg, name, make_random)
    try:
        yield
    finally:
        setattr(vgg, name, make)
