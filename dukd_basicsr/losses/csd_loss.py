"""CSD: near the teacher's image and away from the blurred ones, as VGG sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.weights import load_into, read_weights
from dukd_basicsr.resize import imresize

_LAYERS = (1, 6, 11, 20, 29)
"""Of VGG19: relu1_1 to relu5_1."""
_EPS = 1e-7
RANDOM = 'random'
"""In place of a file: weights that nobody has trained, for a run that only measures what another will need."""


@LOSS_REGISTRY.register()
class CSDLoss(nn.Module):
    """Contrastive distillation (CSD, Wang et al., IJCAI 2021, arXiv 2105.11683).

    L = sum_j lambda_j d(phi_j(O_s), phi_j(O_t)) / sum_{k=1..K} d(phi_j(O_s), phi_j(O_n^k)), the mean over samples, with
    d the mean absolute difference, phi_j VGG19's relu1_1 to relu5_1, the student's image O_s, the teacher's O_t and
    K negatives O_n: the LR patches of the next K other samples of the batch, upsampled bicubically. Of a batch of one,
    or of less than K + 1, there are fewer: all others, or the sample's own LR patch. The authors show VGG images of
    0..255 as they are; here they are normalised as it was trained with. Of the paper's self-distillation only this loss
    is here: the teacher is frozen.

    Args:
        vgg (str): File of VGG19's weights, torchvision's vgg19-dcbb9e9d.pth; RANDOM for a dry run.
        loss_weight (float): The factor of this term.
        negatives (int): K.
        layer_weights (Sequence[float]): lambda_1 to lambda_5.

    Raises:
        UserError: The file is missing or not of a VGG19; not five weights.
    """

    needs = ('lq',)

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        vgg: str,
        loss_weight: float = 1.0,
        negatives: int = 10,
        layer_weights: Sequence[float] = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0),
    ) -> None:
        super().__init__()
        if len(layer_weights) != len(_LAYERS):
            raise UserError(
                f'CSDLoss: layer_weights: {len(layer_weights)} numbers for {len(_LAYERS)} layers; write '
                'five, or leave them out.'
            )
        self.loss_weight, self.negatives, self.layer_weights = loss_weight, negatives, tuple(layer_weights)
        self.vgg = random_vgg() if vgg == RANDOM else load_vgg(vgg)
        self.register_buffer('mean', torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer('std', torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def forward(self, output: Tensor, label: Tensor, lq: Tensor) -> Tensor:
        """The weighted loss as a scalar.

        Args:
            output (Tensor): The student's image, (B, C, s * H, s * W) in [0, 1], with its graph; C is 3 or 1.
            label (Tensor): The teacher's, of the same shape.
            lq (Tensor): What both have seen, (B, C, H, W).
        """
        with torch.no_grad():
            positive = self.extract_features(label)
            negative = self.extract_features(imresize(lq, output.shape[-1] // lq.shape[-1]))
        terms = contrast(self.extract_features(output), positive, negative, self.layer_weights, self.negatives)
        return self.loss_weight * terms.mean()

    def extract_features(self, images: Tensor) -> list[Tensor]:
        """The five layers of images (B, C, H, W) in [0, 1]."""
        x, found = (images - self.mean) / self.std, []
        for place, layer in enumerate(self.vgg):
            x = layer(x)
            if place in _LAYERS:
                found.append(x)
        return found


def load_vgg(path: str) -> nn.Sequential:
    """VGG19 up to relu5_1, frozen, with the weights of a file.

    Raises:
        UserError: The file is missing or not of a VGG19.
    """
    with torch.device('meta'):  # no draw from the generator that the student's weights come from
        layers = random_vgg()
    try:
        weights = read_weights(path, None)
    except UserError as error:
        raise UserError(f"CSDLoss: vgg: {error} It is torchvision's vgg19-dcbb9e9d.pth.") from None
    known = {name.removeprefix('features.'): tensor for name, tensor in weights.items()}
    wanted = layers.state_dict()
    layers = layers.to_empty(device='cpu')
    load_into(layers, {name: known[name] for name in wanted if name in known}, f'CSDLoss: vgg: {path}')
    return layers


def random_vgg() -> nn.Sequential:
    """VGG19 up to relu5_1 as torch draws it, frozen."""
    layers: nn.Sequential = make_layers(cfgs['E'])[: _LAYERS[-1] + 1]
    return layers.requires_grad_(False).eval()


def contrast(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    negative: Sequence[Tensor],
    weights: Sequence[float],
    most: int,
) -> Tensor:
    """The contrastive loss of each sample.

    Args:
        student (Sequence[Tensor]): (B, C_j, H_j, W_j) for each layer j.
        teacher (Sequence[Tensor]): The positives, of the same shapes.
        negative (Sequence[Tensor]): Of the samples' upsampled LR patches, of the same shapes.
        weights (Sequence[float]): lambda_j.
        most (int): Negatives of a sample: the next ones in the batch.

    Returns:
        Tensor: (B,).
    """
    batch = student[0].shape[0]
    shifts = range(1, min(most, batch - 1) + 1) if batch > 1 else range(1)
    terms = []
    for weight, s, t, n in zip(weights, student, teacher, negative, strict=True):
        away = torch.stack([_measure_distance(s, n.roll(-shift, 0)) for shift in shifts]).sum(0)
        terms.append(weight * _measure_distance(s, t) / (away + _EPS))
    return torch.stack(terms).sum(0)


def _measure_distance(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().mean((1, 2, 3))
