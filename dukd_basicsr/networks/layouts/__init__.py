"""Which network a checkpoint holds, read off the names and shapes of its weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.layouts import basicsr_names, edsr_pytorch, swinir
from dukd_basicsr.networks.layouts.layout import Guess, Recognised, fit

__all__ = ['ARCHITECTURES', 'KNOWN', 'Recognised', 'recognise', 'recognise_foreign']

_FOREIGN = (edsr_pytorch.recognise_edsr, edsr_pytorch.recognise_rcan)
_OWN = (
    basicsr_names.recognise_edsr,
    basicsr_names.recognise_rcan,
    basicsr_names.recognise_msrresnet,
    basicsr_names.recognise_rrdbnet,
    basicsr_names.recognise_srvggnet,
    basicsr_names.recognise_ecbsr,
    swinir.recognise_swinir,
)

ARCHITECTURES = ('EDSR', 'RCAN', 'SwinIR', 'RRDBNet', 'SRVGGNetCompact', 'MSRResNet', 'ECBSR')
"""The networks that `recognise` knows, by their BasicSR type."""
KNOWN = (
    f"BasicSR's {', '.join(ARCHITECTURES)} (SwinIR's official files too), EDSR of EDSR-PyTorch, RCAN of EDSR-PyTorch "
    'and of its authors'
)
"""The layouts that `recognise` knows, for messages."""


def recognise(weights: Mapping[str, Tensor]) -> Recognised | None:
    """The network that fits weights without a difference, or None.

    Args:
        weights (Mapping[str, Tensor]): One network's state dict; of BasicSR, EDSR-PyTorch, RCAN or SwinIR.

    Returns:
        Recognised | None: Its `network` builds a network that loads its `weights` strictly: tried, not just inferred.

    Raises:
        UserError: A known layout whose MeanShift convolutions BasicSR's network cannot express; with the reason.
    """
    return recognise_foreign(weights) or _first(_OWN, weights)


def recognise_foreign(weights: Mapping[str, Tensor]) -> Recognised | None:
    """`recognise`, only for layouts whose names are not BasicSR's; cheap where they are."""
    return _first(_FOREIGN, weights)


def _first(guesses: tuple[Guess, ...], weights: Mapping[str, Tensor]) -> Recognised | None:
    for guess in guesses:
        try:
            layout = guess(weights)
            if layout is not None and (fitted := fit(layout)) is not None:
                return fitted
        except UserError:
            raise
        except Exception:  # noqa: S112  a file that shares some names with a layout fails anywhere: not that layout
            continue
    return None
