"""Validation by all ranks together, with metrics and image files beside the next forward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basicsr.models.sr_model import SRModel
    from torch.utils.data import DataLoader


def nondist_validation(
    self: SRModel, dataloader: DataLoader, current_iter: int | str, tb_logger: Any, save_img: bool
) -> None:
    """`SRModel.nondist_validation`: measure the model on a validation set, log and save.

    Defects: basicsr/models/sr_model.py:136-202 reads, super-resolves, saves and measures one after the other and
    empties CUDA's cache after every image; :177 reads `val.suffix` unchecked; :197 reads `idx` after an empty loop;
    :162-165 compares a set without ground truth with the last training batch.
    Symptoms: the GPU idles while SSIM is computed; `KeyError: 'suffix'` and `UnboundLocalError: ... 'idx'`; `Image
    shapes are different`.
    Threads: icandle/CAMixerSR#33 (idx); xinntao/EDVR#19 (slow).
    Here: `dukd_basicsr.validation`; metrics, log lines and files as stock to the last bit on the CPU. A missing suffix
    is an empty one, an empty set a sentence.

    Args:
        self (SRModel): Or a subclass.
        dataloader (DataLoader): BasicSR's validation loader.
        current_iter (int | str): The iteration, or the name of a test run.
        tb_logger (SummaryWriter | None): Tensorboard's.
        save_img (bool): Whether to write the images.

    Raises:
        UserError: The set has no images.
    """
    from dukd_basicsr.evaluation.validation import Share, validate

    share = getattr(self, 'validation_share', None) or Share()
    validate(self, dataloader, current_iter, tb_logger, save_img, share)


def dist_validation(
    self: SRModel, dataloader: DataLoader, current_iter: int | str, tb_logger: Any, save_img: bool
) -> None:
    """`SRModel.dist_validation`: every rank validates its share, and all know the result.

    Defect: basicsr/models/sr_model.py:132-134 validates on rank 0 while the others go on to the next all-reduce; the
    forward there goes through DDP, which broadcasts buffers that nobody receives.
    Symptom: `Watchdog caught collective operation timeout` when a validation takes 10 minutes; a hang for networks
    with buffers (SwinIR, batch norm) without EMA; ranks with different best metrics.
    Threads: pytorch/pytorch#89716 (a forward on one rank hangs), huggingface/accelerate#3861 (NCCL timeout).
    Here: `nondist_validation` on every rank, also that of a subclass, which calls ours with super() or does it all.

    Args:
        self (SRModel): Reads the options `rank` and `world_size`; the rest as for `nondist_validation`.
        dataloader (DataLoader): Of the whole set, the same on every rank.
        current_iter (int | str): The iteration, or the name of a test run.
        tb_logger (SummaryWriter | None): Tensorboard's, on rank 0.
        save_img (bool): Whether to write the images.

    Raises:
        UserError: The set has no images.
    """
    from dukd_basicsr.evaluation.validation import Share

    self.validation_share = Share(self.opt['rank'], self.opt['world_size'])
    try:
        self.nondist_validation(dataloader, current_iter, tb_logger, save_img)
    finally:
        del self.validation_share
