"""BasicSR's training loop, so that a run can be stopped anywhere and goes on as if it had not been."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import Any

from dukd_basicsr.compat.rebind import stock
from dukd_basicsr.errors import end_in_sentences


def train_pipeline(root_path: str) -> None:
    """Train as the command line of this process says: `basicsr train` for a `train.py` of one's own.

    Defects of basicsr/train.py: :128-129, 154-157 a resumed run starts its epoch anew, with other random numbers;
    :70-100 `--auto_resume` without a state archives the run; :154-200 no signal is handled; :154 the loop runs past
    total_iter, so that the last validation is labelled one iteration late, and ends at once, as if it had trained,
    where no batch can be filled; :205 no training state is left at the end; a loss that is not finite goes unnoticed;
    a misspelt option is ignored.
    Symptoms: another result after every interruption; a pre-empted job loses up to save_checkpoint_freq iterations.
    Threads: XPixelGroup/BasicSR#679, kynthesis/StarSRGAN#7.
    Here: `training.pipeline`: the options are checked, the order of samples and all random numbers of a step are
    functions of (manual_seed, epoch, iteration), the position in the epoch is part of the state, a signal saves and
    stops, what is validated is saved before. Where nobody catches a UserError it ends the program in a sentence.

    Args:
        root_path (str): The folder of `experiments/`.

    Raises:
        UserError: The options, the data or the resumed run do not allow a first iteration.
        RunStopped: SIGINT or SIGTERM; everything is saved.
        RunError: A checkpoint cannot be written, or no step has a finite loss any more.
    """
    from dukd_basicsr.compat.options import parse_arguments
    from dukd_basicsr.evaluation.metrics import check_perceptual_metrics
    from dukd_basicsr.training import pipeline
    from dukd_basicsr.training.launch import Launch, read_options

    args = parse_arguments(sys.argv[1:])
    program = Path(sys.argv[0]).name
    end_in_sentences(program)
    command = shlex.join(['python', *sys.argv])
    command += '' if args.auto_resume else ' --auto_resume'
    launch = Launch(Path(args.opt), Path(root_path), args.launcher, args.auto_resume, args.debug, command)
    opt = read_options(launch, args.force_yml or [], is_train=True, program=program)
    check_perceptual_metrics((opt.get('val') or {}).get('metrics'))
    pipeline.train(opt, launch)


def load_resume_state(opt: dict[str, Any]) -> dict[str, Any] | None:
    """The training state to go on from, on the CPU; `model.resume_training` moves it to where the parameters are.

    Defects: basicsr/train.py:85-86 asks CUDA for the current device; :71 looks for `experiments/` under the current
    directory, not under root_path, and :75 dies on names such as `best.state` and takes a half-written state.
    Symptoms: resuming on CPU ends in `Found no NVIDIA driver on your system`; `--auto_resume` from another directory
    finds nothing, renames the old run to `*_archived_<time>` and starts over; a truncated state ends in
    `PytorchStreamReader failed`.
    Threads: XPixelGroup/BasicSR#107, kynthesis/StarSRGAN#7, neosr-project/neosr#109, open-mmlab/mmagic#876.
    Here: `training.resume`: loaded to the CPU with weights_only, from `path.training_states`; --auto_resume takes the
    newest complete generation and says which newer ones it passed over; nothing is moved or deleted.

    Args:
        opt (dict): The options as `parse_options` returns them; `path` is changed as by `check_resume`.

    Raises:
        UserError: `path.resume_state` is not there or not complete; there are states, but none that is complete.
    """
    from dukd_basicsr.training.resume import load_state

    return load_state(opt)


def create_train_val_dataloader(opt: dict[str, Any], logger: logging.Logger) -> tuple[Any, ...]:
    """The loaders of a run: training loader, its sampler, validation loaders, epochs, iterations.

    Defect: basicsr/train.py:29-67 with data_sampler.py:32 and data/__init__.py:99-101: the order of samples knows
    nothing of manual_seed, every epoch draws the same crops, and both depend on the number of workers.
    Here: `training.loaders`: the same numbers in the log, the same tuple; a set that cannot fill a batch is an error,
    not a finished run.

    Raises:
        UserError: The training set does not fill one batch of all processes.
    """
    from dukd_basicsr.training.loaders import create_loaders

    return create_loaders(opt, logger)


def check_resume(opt: dict[str, Any], resume_iter: int) -> None:
    """Point every network that the run has saved to its file of that iteration, as stock, and leave the teacher alone.

    Defect: basicsr/utils/misc.py:102-124 takes each `network_*` for one that was trained and saved.
    Symptom: with a teacher, `pretrain_network_t` becomes `.../models/net_t_<iter>.pth` (never saved:
    FileNotFoundError) and `param_key_t: params_ema` becomes `params` (silently other weights).
    Threads: none upstream; the authors' DUKD code cannot resume for this reason.
    Here: stock's function never sees `network_t`, `pretrain_network_t` and `param_key_t`, nor a network that is `~`.

    Args:
        opt (dict): Options; `path` is changed.
        resume_iter (int): The iteration of the training state.
    """
    path = opt['path']
    teacher = {key: path.pop(key) for key in ('pretrain_network_t', 'param_key_t') if key in path}
    try:
        trained = {key: value for key, value in opt.items() if key != 'network_t' and value is not None}
        stock(check_resume)(trained, resume_iter)
    finally:
        path.update(teacher)
