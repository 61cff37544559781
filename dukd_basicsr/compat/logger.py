"""The loggers of a run."""

from __future__ import annotations

import os
from typing import Any


def init_wandb_logger(opt: dict[str, Any]) -> None:
    """`basicsr.utils.logger.init_wandb_logger`, for the account or team of `logger.wandb.entity`.

    Defect: basicsr/utils/logger.py:141 does not pass it on.
    Symptom: runs of a team appear in the account of whoever has started them.
    Threads: none upstream.
    Here: wandb's own variable of the environment, which it reads where its caller names no entity.
    """
    from dukd_basicsr.compat.rebind import stock

    entity = opt['logger']['wandb'].get('entity')
    if entity:
        os.environ['WANDB_ENTITY'] = entity
    stock(init_wandb_logger)(opt)
