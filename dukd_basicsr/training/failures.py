"""What can go wrong while a run is under way, as one sentence with the way out."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from dukd_basicsr.errors import RunError, UserError

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)
_SHARED_MEMORY = re.compile(r'unable to (write|allocate|open|resize).*(shared memory|/torch_)|bus error', re.IGNORECASE)
_LOST_PEER = re.compile(r'connection (closed by peer|reset|was lost)|nccl|gloo|tcpstore|broken pipe', re.IGNORECASE)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_RESUME = 'go on with --auto_resume'


@contextmanager
def report_failures(opt: Mapping[str, Any]) -> Iterator[None]:
    """Turn exceptions of a run that its user can do something about into a RunError; let the others through.

    Args:
        opt (Mapping): The checked options of the run.

    Raises:
        RunError: Out of memory, on the device or for the loader's workers; the disk is full; another process of the run
            has died.
    """
    before, logging.raiseExceptions = logging.raiseExceptions, False  # a full disk: a traceback for every log line
    try:
        yield
    except UserError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise RunError(explain_out_of_memory(opt, str(error))) from None
    except (RuntimeError, OSError) as error:
        sentence = _explain_full_disk(error) or _explain(opt, str(error))
        if sentence is None:
            raise
        raise RunError(sentence) from None
    finally:
        logging.raiseExceptions = before


def _explain_full_disk(error: Exception) -> str | None:
    """What is not a checkpoint and could not be written: an image of a validation, a log."""
    stock = str(error) == 'Failed in writing images.'  # all that basicsr.utils.imwrite knows
    if not stock and getattr(error, 'errno', None) not in _NO_ROOM:
        return None
    what = 'an image of the validation' if stock else getattr(error, 'filename', None) or 'a file'
    reason = f' ({error.strerror})' if isinstance(error, OSError) and error.strerror else ''
    return f'{what} cannot be written{reason}; what was saved before is intact: make room, then {_RESUME}.'


def _explain(opt: Mapping[str, Any], text: str) -> str | None:
    if _SHARED_MEMORY.search(text):
        workers = opt['datasets']['train'].get('num_worker_per_gpu', 0)
        return (
            f"the loader's {workers} workers have no shared memory left (/dev/shm); lower "
            f'datasets.train.num_worker_per_gpu or give the container more (docker run --shm-size 8g); {_RESUME}.'
        )
    if _NO_MEMORY.search(text):
        return explain_out_of_memory(opt, text)
    if torch.distributed.is_available() and torch.distributed.is_initialized() and _LOST_PEER.search(text):
        reason = re.sub(r'^\[\S+\] ', '', _first_line(text)).split('. ')[0]  # without gloo's own source line
        return (
            f'another process of this run has died or is out of reach ({reason}); its own message says why, and what '
            f'was saved is intact: {_RESUME}.'
        )
    return None


def explain_out_of_memory(opt: Mapping[str, Any], text: str) -> str:
    """Say what torch said, and the two options that help most, at half of what they are.

    Args:
        opt (Mapping): The checked options of the run.
        text (str): What torch said.
    """
    train = opt['datasets']['train']
    batch, gt_size = train.get('batch_size_per_gpu', 1), train['gt_size']
    unit = opt['scale'] ** 2  # so that the LR patch can be zoomed out
    side = max(unit, int(gt_size * 0.5**0.5) // unit * unit)
    batches = f'batch_size_per_gpu: {batch // 2} (now {batch}) or ' if batch > 1 else ''
    said = _first_line(text).rstrip('.')
    return (
        f'out of memory: {said}; write datasets.train.{batches}gt_size: {side} (now {gt_size}), and {_RESUME}. What a '
        'batch needs is told by: basicsr train --check.'
    )


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else 'no reason given'
