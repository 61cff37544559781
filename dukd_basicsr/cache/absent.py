"""What stands where the teacher would, in a run that asks none."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dukd_basicsr.errors import RunError


class AbsentTeacher(nn.Module):
    """A teacher that is not loaded: no term asks one, or a complete cache leaves it nothing to say."""

    members: Sequence[nn.Module] = ()

    def forward(self, lq: Tensor) -> Tensor:
        """Answer nothing.

        Raises:
            RunError: It was asked after all.
        """
        raise RunError('the data have brought no label for a view that needs one, and there is no teacher: with '
                       'datasets.train.type: UpcycledImageDataset, feed the batches of that dataset.')  # fmt: skip
