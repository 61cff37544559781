"""Real-ESRGAN's second-order degradation (arXiv 2107.10833, section 3) on any device, drawn by the step alone.

Import dukd_basicsr.plugin before it, which makes basicsr importable.
"""

from __future__ import annotations

from dukd_basicsr.data.degradation.kernels import Kernels, draw_kernels
from dukd_basicsr.data.degradation.pair_pool import PairPool
from dukd_basicsr.data.degradation.second_order import Degradation
from dukd_basicsr.data.degradation.seeding import degradation_seed, own_draws

__all__ = ['Degradation', 'Kernels', 'PairPool', 'degradation_seed', 'draw_kernels', 'own_draws']
