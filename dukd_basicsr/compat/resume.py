"""Resuming: on any device, from the right folder, with the teacher left alone."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from dukd_basicsr.compat.rebind import stock
from dukd_basicsr.errors import UserError


def load_resume_state(opt: dict[str, Any]) -> dict[str, Any] | None:
    """The training state to go on from, on the CPU; `model.resume_training` moves it to where the parameters are.

    Defects: basicsr/train.py:85-86 asks CUDA for the current device; :71 looks for `experiments/` under the current
    directory, not under root_path, and :75 dies on names such as `best.state`.
    Symptoms: resuming on CPU ends in `Found no NVIDIA driver on your system`; `--auto_resume` from another directory
    finds nothing, renames the old run to `*_archived_<time>` and starts over; a truncated state ends in
    `PytorchStreamReader failed`.
    Threads: XPixelGroup/BasicSR#107, kynthesis/StarSRGAN#7, neosr-project/neosr#109.
    Here: loaded to the CPU with weights_only, from `path.training_states`; nothing is moved or deleted.

    Args:
        opt (dict): The options as `parse_options` returns them; `path` is changed as by `check_resume`.

    Returns:
        dict | None: Keys epoch, iter, optimizers, schedulers (and what a model adds); None to start from nothing.

    Raises:
        UserError: `path.resume_state` is not there; the file is no readable training state; a network that was saved
            with it is gone.
    """
    folder = Path(opt['path']['training_states'])
    path = _newest_state(folder) if opt['auto_resume'] else None
    if path is None and opt['path'].get('resume_state'):
        path = Path(opt['path']['resume_state'])
        if not path.is_file():
            raise UserError(f'path.resume_state: there is no file {path}; give a file of {folder}, or remove the key '
                            'and add --auto_resume.')  # fmt: skip
    if path is None:
        if opt['auto_resume'] and opt['rank'] == 0:
            sys.stdout.write(f'--auto_resume: no training state in {folder}; training starts from iteration 0.\n')
        return None
    state = _read_state(path)
    opt['path']['resume_state'] = str(path)
    before = dict(opt['path'])
    check_resume(opt, state['iter'])
    for key, value in opt['path'].items():
        if key.startswith('pretrain_network') and value != before.get(key) and not Path(value).is_file():
            raise UserError(f'{path} belongs to {value}, which is not there; resume from another state of its folder.')
    return state


def _newest_state(folder: Path) -> Path | None:
    """The state of the highest iteration; other names (half-written files, copies) are not looked at."""
    states = [path for path in folder.glob('*.state') if re.fullmatch(r'\d+', path.stem) and path.is_file()]
    return max(states, key=lambda path: int(path.stem), default=None)


def _read_state(path: Path) -> dict[str, Any]:
    import torch

    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch.load raises a dozen kinds for a damaged file
        why = str(error).strip().split('\n')[0]
        raise UserError(f'{path} cannot be read as a training state ({type(error).__name__}: {why}); delete it to '
                        'resume from the one before.') from error  # fmt: skip
    if not isinstance(state, dict) or not {'epoch', 'iter', 'optimizers', 'schedulers'} <= state.keys():
        raise UserError(f'{path} is not a training state of BasicSR; give a file of the folder training_states.')
    return state


def check_resume(opt: dict[str, Any], resume_iter: int) -> None:
    """Point every network that the run has saved to its file of that iteration, as stock, and leave the teacher alone.

    Defect: basicsr/utils/misc.py:102-124 takes each `network_*` for one that was trained and saved.
    Symptom: with a teacher, `pretrain_network_t` becomes `.../models/net_t_<iter>.pth` (never saved:
    FileNotFoundError) and `param_key_t: params_ema` becomes `params` (silently other weights).
    Threads: none upstream; the authors' DUKD code cannot resume for this reason.
    Here: stock's function never sees `network_t`, `pretrain_network_t` and `param_key_t`.

    Args:
        opt (dict): Options; `path` is changed.
        resume_iter (int): The iteration of the training state.
    """
    path = opt['path']
    teacher = {key: path.pop(key) for key in ('pretrain_network_t', 'param_key_t') if key in path}
    try:
        stock(check_resume)({key: value for key, value in opt.items() if key != 'network_t'}, resume_iter)
    finally:
        path.update(teacher)
