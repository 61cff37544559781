"""BasicSR's log line of a training step: the time that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basicsr.utils import MessageLogger


def init_message_logger(self: MessageLogger, opt: dict[str, Any], start_iter: int = 1, tb_logger: Any = None) -> None:
    """`MessageLogger.__init__`: count the iterations that are left to the last one, not to the last but one.

    Defect: basicsr/utils/logger.py:94 multiplies by `max_iters - current_iter - 1`, so by -1 at the end.
    Symptom: "eta: -1 day, 23:59:59" in the last line of a run, and one iteration too few in all others.
    Threads: none upstream.
    Here: `max_iters`, which stock reads there only, is one more.

    Args:
        self (MessageLogger): The logger.
        opt (dict): The run's options.
        start_iter (int): The iteration that the run starts from.
        tb_logger (SummaryWriter | None): TensorBoard's.
    """
    from dukd_basicsr.compat.rebind import stock

    stock(init_message_logger)(self, opt, start_iter, tb_logger)
    self.max_iters += 1
