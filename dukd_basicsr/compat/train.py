"""BasicSR's training loop, so that a run can be stopped anywhere and goes on as if it had not been."""

from __future__ import annotations

import logging
import os
from argparse import Namespace
from os import path as osp
from pathlib import Path
from typing import Any

from dukd_basicsr.commands import user_modules as own_modules


def train_pipeline(root_path: str) -> None:
    """Train as the command line says: BasicSR's own pipeline, in its own order, with its own log lines and folders.

    Defects of basicsr/train.py: :128-129, 154-157 a resumed run starts its epoch anew, with other random numbers;
    :70-100 `--auto_resume` without a state archives the run; :154-200 no signal is handled; :154 the loop runs past
    total_iter, so that the last validation is labelled one iteration late, and ends at once, as if it had trained,
    where no batch can be filled; :205 no training state is left at the end; a loss that is not finite goes unnoticed.
    Symptoms: another result after every interruption; a pre-empted job loses up to save_checkpoint_freq iterations.
    Threads: XPixelGroup/BasicSR#679, kynthesis/StarSRGAN#7.
    Here: the order of samples and all random numbers of a step are functions of (manual_seed, epoch, iteration), the
    position in the epoch is part of the state, a signal saves and stops, and what is validated is saved before.

    Args:
        root_path (str): The folder of `experiments/`.

    Raises:
        UserError: The options, the data or the resumed run do not allow a first iteration.
        RunStopped: SIGINT or SIGTERM; everything is saved.
        RunError: A checkpoint cannot be written, or no step has a finite loss any more.
    """
    import basicsr.train as stock
    from basicsr.models import build_model

    from dukd_basicsr.training.loop import Run

    opt, args = stock.parse_options(root_path, is_train=True)
    opt['root_path'] = root_path
    _set_determinism(opt)
    state = stock.load_resume_state(opt)
    _make_folders(opt, state is not None)
    stock.copy_opt_file(args.opt, opt['path']['experiments_root'])
    log_file = osp.join(opt['path']['log'], f'train_{opt["name"]}_{stock.get_time_str()}.log')
    logger = stock.get_root_logger(logger_name='basicsr', log_level=logging.INFO, log_file=log_file)
    logger.info(stock.get_env_info())
    logger.info(stock.dict2str(opt))
    tb_logger = stock.init_tb_loggers(opt)
    loaders = stock.create_train_val_dataloader(opt, logger)
    model = build_model(opt)
    run = Run(opt, model, loaders, tb_logger, logger)
    if state:
        model.resume_training(state)
        run.go_to(state)
        logger.info('Resuming training from epoch: %s, iter: %s.', run.epoch, run.iteration)
    run.train(_how_to_resume(args))
    if tb_logger:
        tb_logger.close()


def _set_determinism(opt: dict[str, Any]) -> None:
    import torch

    deterministic = opt['train'].get('deterministic', False)
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)


def _make_folders(opt: dict[str, Any], resumed: bool) -> None:
    """Stock's, which archives an older run of that name; with --auto_resume nothing is moved."""
    import basicsr.train as stock

    tensorboard = osp.join(opt['root_path'], 'tb_logger', opt['name'])
    wanted = opt['logger'].get('use_tb_logger') and 'debug' not in opt['name'] and opt['rank'] == 0
    if resumed or opt['auto_resume']:
        for name in ('experiments_root', 'models', 'training_states', 'visualization'):
            Path(opt['path'][name]).mkdir(parents=True, exist_ok=True)
        return
    stock.make_exp_dirs(opt)
    if wanted:
        stock.mkdir_and_rename(tensorboard)


def _how_to_resume(args: Namespace) -> str:
    launcher = '' if args.launcher == 'none' else f' --launcher {args.launcher}'
    return f'basicsr train{own_modules.flags()} -opt {args.opt}{launcher} --auto_resume'
