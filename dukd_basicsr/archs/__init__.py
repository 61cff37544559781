"""The registered architectures; importing this package registers them with BasicSR."""

from dukd_basicsr.archs.span_arch import SPAN
from dukd_basicsr.archs.spandrel_arch import Spandrel

__all__ = ['SPAN', 'Spandrel']
