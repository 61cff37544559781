"""SwinIR on inputs of another size than it was built for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from basicsr.archs.swinir_arch import SwinTransformerBlock
    from torch import Tensor


def calculate_mask(self: SwinTransformerBlock, x_size: tuple[int, int]) -> Tensor:
    """`SwinTransformerBlock.calculate_mask`: the attention mask of shifted windows.

    Defect: basicsr/archs/swinir_arch.py:306 makes it on the host in every block of every forward, where the
    input's size is not img_size, and waits for its copy to the device.
    Symptom: 60 such waits in one step of the paper's SwinIR pair, whose zoomed-out view has another size.
    Threads: none upstream.
    Here: made once for each size and device.

    Args:
        self (SwinTransformerBlock): Reads its window, its shift and where its weights are.
        x_size (tuple[int, int]): Height and width.
    """
    from dukd_basicsr.compat.rebind import stock
    from dukd_basicsr.networks.window_masks import make_window_mask

    if 'attn_mask' not in self._buffers:  # still being built: every block has a mask of its own in its state
        return stock(calculate_mask)(self, x_size)
    device = self.attn.qkv.weight.device
    return make_window_mask(*x_size, self.window_size, self.shift_size, device)
