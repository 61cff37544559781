"""MiPKD: features of both networks mixed at random, and either network going on from the mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from dukd_basicsr.losses.feature_loss import Going, TappedLoss, build_adapter


@LOSS_REGISTRY.register()
class MiPKDLoss(TappedLoss):
    """Multi-granularity mixture of priors (MiPKD, Li et al., ICLR 2025, arXiv 2404.02573).

    At each tap l, with encoders E and decoders D of its own for student and teacher, and I a random mask of 0 and 1:
    mixture: z_l = I * E_T(f_l^T) + (1 - I) * E_S(f_l^S), in one latent space;
    feature prior: ||D_T(z_l) - f_l^T||_1;
    block prior: ||N_l(D_N(z_l)) - T(x)||_1, with N_l the rest of the network N that is drawn, student or teacher;
    auto-encoders: ||D_T(E_T(f_l^T)) - f_l^T||_1 + ||D_S(E_S(f_l^S)) - f_l^S||_1, which train E and D only.
    L = sum over the taps of feature_weight, block_weight and reconstruction_weight times these means.

    The authors have published no code, and we know the paper by its abstract, its public reviews and a summary, which
    agree on: an encoder for each network into one latent space (better than a shared one or none), convolutions (better
    than an MLP), a random mask over channels, height and width (better than one of similarity or a grid), the decoded
    mixture against the teacher's features in L1, a random choice by which network the mixture goes on, the outcome
    against the teacher's image, an auxiliary loss of the auto-encoders, and the weights 1 and 0.1 of the two priors,
    beside ground truth and logits distillation.
    Our reading, where they are silent: one 3x3 convolution for each encoder and decoder; as many latent channels as the
    student has; each element from the teacher with probability 1/2; the network drawn for each tap and step with
    probability 1/2, and its rest without further mixing; a decoder of the student's own for its rest; weight 1 for the
    auto-encoders, whose student half does not train the student; taps after 1/3, 2/3 and all of the bodies.

    Args:
        loss_weight (float): The factor of this term.
        feature_weight (float): Of the feature prior.
        block_weight (float): Of the block prior; 0 leaves it out, and what it costs.
        reconstruction_weight (float): Of the auto-encoders.
        teacher_share (float): Probability of an element of the mixture to be the teacher's, in [0, 1].
        latent (int | None): Channels of the mixture; None for the student's.
    """

    needs = ('label', 'student_from', 'teacher_from')

    def __init__(
        self,
        loss_weight: float = 1.0,
        feature_weight: float = 1.0,
        block_weight: float = 0.1,
        reconstruction_weight: float = 1.0,
        teacher_share: float = 0.5,
        latent: int | None = None,
    ) -> None:
        super().__init__(loss_weight)
        self.weights = feature_weight, block_weight, reconstruction_weight
        self.teacher_share, self.latent = teacher_share, latent
        self.draw(0, 0)

    def connect(self, student: Sequence[int], teacher: Sequence[int], generator: torch.Generator | None = None) -> None:
        """Build a mixer for each tap; see TappedLoss."""
        pairs = zip(student, teacher, strict=True)
        self.adapters = nn.ModuleList(Mixer(s, t, self.latent or s, generator) for s, t in pairs)

    def draw(self, step: int, process: int) -> None:
        """Draw the networks that go on, the same in all processes, and seed the masks, other ones in each."""
        self.step, self.process = step, process
        self.seen = 0
        """Samples of this step so far: a part of a batch gets the masks that its samples have in the whole."""

    def forward(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        *,
        label: Tensor,
        student_from: Going,
        teacher_from: Going,
    ) -> Tensor:
        """The weighted loss.

        Args:
            student (Sequence[Tensor]): (B, C_l, H_l, W_l) for each tap l, with its graph.
            teacher (Sequence[Tensor]): As many, of the same sizes.
            label (Tensor): The teacher's image, (B, C, s * H, s * W).
            student_from (Going): The rest of the student.
            teacher_from (Going): The rest of the teacher.

        Returns:
            Tensor: A scalar.
        """
        feature, block, reconstruction = self.weights
        terms = []
        for place, (adapters, s, t) in enumerate(self.match(student, teacher)):
            mixer = cast('Mixer', adapters)
            mixture = mixer(s, t, self.draw_mask(place, s))
            terms.append(feature * F.l1_loss(mixer.decode_teacher(mixture), t))
            terms.append(reconstruction * mixer.compare_reconstructions(s.detach(), t))
            if block:
                answer = (
                    student_from(place, mixer.decode_student(mixture))
                    if self.is_students_turn(place)
                    else teacher_from(place, mixer.decode_teacher(mixture))
                )
                terms.append(block * F.l1_loss(answer, label.detach()))
        self.seen += len(label)
        return self.loss_weight * torch.stack(terms).sum()

    def is_students_turn(self, place: int) -> bool:
        """Whether it is the student that goes on from the mixture of a tap in this step."""
        return bool(self.step >> place % 63 & 1)  # a seed is 63 bits that are 0 or 1 with the same probability

    def draw_mask(self, place: int, features: Tensor) -> Tensor:
        """Which elements of the mixture of a tap are the teacher's: (B, latent, H, W) of booleans, a draw a sample."""
        size = (self.latent or features.shape[1], *features.shape[-2:])
        generator = torch.Generator(features.device)
        masks = []
        for sample in range(self.seen, self.seen + len(features)):
            generator.manual_seed((self.process + 64 * sample + place) % 2**63)
            masks.append(torch.rand(size, generator=generator, device=features.device) < self.teacher_share)
        return torch.stack(masks)


class Mixer(nn.Module):
    """The encoders and decoders of one tap.

    Args:
        student (int): Channels of the student's map.
        teacher (int): Channels of the teacher's.
        latent (int): Channels of the mixture.
        generator (torch.Generator | None): Draws the weights.
    """

    def __init__(self, student: int, teacher: int, latent: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.encode_student = build_adapter(student, latent, generator, side=3)
        self.encode_teacher = build_adapter(teacher, latent, generator, side=3)
        self.decode_student = build_adapter(latent, student, generator, side=3)
        self.decode_teacher = build_adapter(latent, teacher, generator, side=3)

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        """The mixture (B, latent, H, W) of two maps of that size: the teacher's where the mask says so."""
        return torch.where(mask, self.encode_teacher(teacher), self.encode_student(student))

    def compare_reconstructions(self, student: Tensor, teacher: Tensor) -> Tensor:
        """How far both auto-encoders are from giving back what they are given, as a scalar."""
        return F.l1_loss(self.decode_teacher(self.encode_teacher(teacher)), teacher) + F.l1_loss(
            self.decode_student(self.encode_student(student)), student
        )
