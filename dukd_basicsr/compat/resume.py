"""Resuming: on any device, from the newest complete generation, with the teacher left alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dukd_basicsr.compat.rebind import stock
from dukd_basicsr.errors import UserError

if TYPE_CHECKING:
    from dukd_basicsr.training.checkpoints import Generation


def load_resume_state(opt: dict[str, Any]) -> dict[str, Any] | None:
    """The training state to go on from, on the CPU; `model.resume_training` moves it to where the parameters are.

    Defects: basicsr/train.py:85-86 asks CUDA for the current device; :71 looks for `experiments/` under the current
    directory, not under root_path, and :75 dies on names such as `best.state` and takes a half-written state.
    Symptoms: resuming on CPU ends in `Found no NVIDIA driver on your system`; `--auto_resume` from another directory
    finds nothing, renames the old run to `*_archived_<time>` and starts over; a truncated state ends in
    `PytorchStreamReader failed`.
    Threads: XPixelGroup/BasicSR#107, kynthesis/StarSRGAN#7, neosr-project/neosr#109, open-mmlab/mmagic#876.
    Here: loaded to the CPU with weights_only, from `path.training_states`; --auto_resume takes the newest complete
    generation and says which newer ones it passed over; nothing is moved or deleted. Rank 0 decides for all.

    Args:
        opt (dict): The options as `parse_options` returns them; `path` is changed as by `check_resume`, and a
            manual_seed that was drawn is the run's again.

    Returns:
        dict | None: Keys epoch, iter, optimizers, schedulers (and what a model adds); None to start from nothing.

    Raises:
        UserError: `path.resume_state` is not there or not complete; there are states, but none that is complete.
    """
    path, passed = _shared(_choose(opt) if opt['rank'] == 0 else None, opt)
    if passed and opt['rank'] == 0:
        sys.stdout.write(f'--auto_resume: passed over {", ".join(passed)}.\n')
    if path is None:
        if opt['auto_resume'] and opt['rank'] == 0:
            sys.stdout.write(f'--auto_resume: no training state in {opt["path"]["training_states"]}; training starts '
                             'from iteration 0.\n')  # fmt: skip
        return None
    generation = _read(path, opt)
    opt['path']['resume_state'] = path
    if opt.pop('manual_seed_drawn', False) and 'manual_seed' in generation.state:
        opt['manual_seed'] = generation.state['manual_seed']
    before = dict(opt['path'])
    opt['path']['models'] = str(_models(path))
    check_resume(opt, generation.state['iter'])
    opt['path']['models'] = before['models']
    for key, value in opt['path'].items():
        if key.startswith('pretrain_network') and value != before.get(key) and not Path(value).is_file():
            raise UserError(f'{path} belongs to {value}, which is not there; resume from another state of its folder.')
    return generation.state


def _choose(opt: dict[str, Any]) -> tuple[str | None, list[str]]:
    """The state's path, and what was passed over.

    Raises:
        UserError: There are states and none is complete: starting over would hide that.
    """
    from dukd_basicsr.training import checkpoints as generations

    given = opt['path'].get('resume_state')
    if opt['auto_resume']:
        states, models = Path(opt['path']['training_states']), Path(opt['path']['models'])
        found, passed = generations.newest(states, models)
        if found is not None:
            return str(found.path), passed
        if passed:
            raise UserError(f'--auto_resume: no training state in {states} is complete: {", ".join(passed)}; move that '
                            'run away, or leave --auto_resume out to archive it and start over.')  # fmt: skip
    if given and not Path(given).is_file():
        raise UserError(f'path.resume_state: there is no file {given}; give a file of '
                        f'{opt["path"]["training_states"]}, or remove the key and add --auto_resume.')  # fmt: skip
    return given or None, []


def _shared(choice: tuple[str | None, list[str]] | None, opt: dict[str, Any]) -> tuple[str | None, list[str]]:
    """Rank 0's choice, on all ranks."""
    import torch.distributed as dist

    shared = [choice]
    if opt.get('dist'):
        dist.broadcast_object_list(shared, src=0)
    return shared[0] or (None, [])


def _read(path: str, opt: dict[str, Any]) -> Generation:
    from dukd_basicsr.training import checkpoints as generations

    try:
        return generations.read(Path(path), _models(path))
    except generations.IncompleteError as error:
        raise UserError(f'{path} cannot be resumed from: {error}; name another state of its folder, or remove '
                        'path.resume_state and add --auto_resume.') from None  # fmt: skip


def _models(path: str) -> Path:
    """The networks of a state lie beside its folder, whichever run it is of."""
    return Path(path).parent.parent / 'models'


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
