"""Any network that spandrel recognises, from its file alone: HAT, DAT, Swin2SR, Real-ESRGAN, SPAN and some 40 more."""

from __future__ import annotations

from pathlib import Path

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from dukd_basicsr.errors import UserError, say_where
from dukd_basicsr.networks.padding import SizeRequirement
from dukd_basicsr.networks.weights import refuse_damaged, refuse_no_numbers


@ARCH_REGISTRY.register()
class Spandrel(nn.Module):
    """A pretrained network whose architecture spandrel reads off its checkpoint (github.com/chaiNNer-org/spandrel).

    spandrel unpickles tensors only. Its file is the architecture, so there is nothing to configure and nothing to
    train from scratch: it serves as teacher, or as a row of a benchmark.

    Args:
        path (str | None): The checkpoint; `path.pretrain_network_t` (or `_g`) is put here.

    Raises:
        UserError: spandrel does not know the file, or the network is no super-resolver.
    """

    def __init__(self, path: str | None = None) -> None:
        super().__init__()
        import spandrel  # here: it takes longer than most commands

        if path is None or not Path(path).is_file():
            where = say_where(path or '')
            raise UserError(
                f'type: Spandrel reads the network from its checkpoint, but there is no file {path}{where}.'
            )
        refuse_damaged(Path(path))
        try:
            descriptor = spandrel.ModelLoader('cpu').load_from_file(path)
        except Exception as error:  # a dozen kinds, from unpickling to shapes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f'{path}: spandrel does not recognise a network in it ({reason}).') from None
        if not isinstance(descriptor, spandrel.ImageModelDescriptor) or descriptor.purpose != 'SR':
            raise UserError(
                f'{path}: spandrel finds {descriptor.architecture.name} in it, which does not enlarge images.'
            )
        refuse_no_numbers(descriptor.model.state_dict(), path)
        self.net = descriptor.model
        self.architecture = descriptor.architecture.name
        self.channels = descriptor.input_channels
        needs = descriptor.size_requirements
        self.size_requirement = SizeRequirement(max(needs.multiple_of, 1), max(needs.minimum, 1))

    def forward(self, lq: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to (B, C, s * H, s * W), neither clamped nor rounded."""
        return self.net(lq)
