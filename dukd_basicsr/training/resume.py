"""Which training state a run goes on from: on any device, the newest complete one, chosen once for all processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist
from basicsr.utils.misc import check_resume

from dukd_basicsr.errors import UserError, say_where
from dukd_basicsr.training import checkpoints


def load_state(opt: dict[str, Any]) -> dict[str, Any] | None:
    """Load the training state to go on from, to the CPU; `model.resume_training` moves it to the parameters' device.

    Args:
        opt (dict): What `complete_options` returns; `path` is pointed to the networks of that state, and a manual_seed
            that was drawn becomes the run's again.

    Returns:
        dict | None: Keys epoch, iter, optimizers, schedulers (and what a model adds); None to start from nothing.

    Raises:
        UserError: `path.resume_state` is not there or not complete; there are states, but none that is complete.
    """
    path, passed = _share(_choose(opt) if opt['rank'] == 0 else None, opt)
    if passed and opt['rank'] == 0:
        sys.stdout.write(f'--auto_resume: passed over {", ".join(passed)}.\n')
    if path is None:
        if opt['auto_resume'] and opt['rank'] == 0:
            states = opt['path']['training_states']
            sys.stdout.write(f'--auto_resume: no training state in {states}; training starts from iteration 0.\n')
        return None
    state = _read(path)
    opt['path']['resume_state'] = path
    if opt.pop('manual_seed_drawn', False) and 'manual_seed' in state:
        opt['manual_seed'] = state['manual_seed']
    before = dict(opt['path'])
    opt['path']['models'] = str(_find_models(path))
    check_resume(opt, state['iter'])
    opt['path']['models'] = before['models']
    for key, value in opt['path'].items():
        if key.startswith('pretrain_network') and value != before.get(key) and not Path(value).is_file():
            raise UserError(f'{path} belongs to {value}, which is not there; resume from another state of its folder.')
    return state


def _choose(opt: dict[str, Any]) -> tuple[str | None, list[str]]:
    """Choose a state: its path, and 'file (reason)' of each newer one that was passed over.

    Raises:
        UserError: There are states and none is complete: starting over would hide that.
    """
    given = opt['path'].get('resume_state')
    states, models = Path(opt['path']['training_states']), Path(opt['path']['models'])
    if opt['auto_resume']:
        found, passed = checkpoints.find_newest(states, models)
        if found is not None:
            return str(found.path), passed
        if passed:
            raise UserError(
                f'--auto_resume: no training state in {states} is complete: {", ".join(passed)}; move that run away, '
                'or leave --auto_resume out to archive it and start over.'
            )
    if given and not Path(given).is_file():
        raise UserError(
            f'path.resume_state: there is no file {given}{say_where(given)}; give a file of {states}, or remove the '
            'key and add --auto_resume.'
        )
    return given or None, []


def _share(choice: tuple[str | None, list[str]] | None, opt: dict[str, Any]) -> tuple[str | None, list[str]]:
    """Give rank 0's choice to all ranks."""
    shared = [choice]
    if opt.get('dist'):
        dist.broadcast_object_list(shared, src=0)
    return shared[0] or (None, [])


def _read(path: str) -> dict[str, Any]:
    try:
        return checkpoints.read(Path(path), _find_models(path)).state
    except checkpoints.IncompleteError as error:
        raise UserError(
            f'{path} cannot be resumed from: {error}; name another state of its folder, or remove path.resume_state '
            'and add --auto_resume.'
        ) from None


def _find_models(path: str) -> Path:
    """The networks of a state lie beside its folder, whichever run it is of."""
    return Path(path).parent.parent / 'models'
