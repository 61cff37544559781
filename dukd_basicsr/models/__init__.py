"""The registered models; importing this package registers them with BasicSR."""

from dukd_basicsr.models.distill_model import DistillModel
from dukd_basicsr.models.dukd_model import DUKDModel
from dukd_basicsr.models.dukd_real_model import DUKDRealModel

__all__ = ['DUKDModel', 'DUKDRealModel', 'DistillModel']
