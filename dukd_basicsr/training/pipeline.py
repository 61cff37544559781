"""BasicSR's two pipelines, training and test, in their own order and with their own log lines and folders.

Every check comes before anything is created: a run that cannot be made leaves nothing behind.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from os import path as osp
from pathlib import Path
from typing import Any

import torch

from dukd_basicsr.data.locks import hold
from dukd_basicsr.distillation.teacher import build_teacher
from dukd_basicsr.options.rules.teacher import asks_teacher
from dukd_basicsr.training import run_log
from dukd_basicsr.training.checks import adversary, machine, networks
from dukd_basicsr.training.failures import report_failures
from dukd_basicsr.training.launch import Launch, complete_options
from dukd_basicsr.training.loaders import create_loaders
from dukd_basicsr.training.loop import Run
from dukd_basicsr.training.resume import load_state
from dukd_basicsr.training.signals import stop_early


def train(opt: Mapping[str, Any], launch: Launch) -> None:
    """Check what the options ask of the machine and the networks, then train.

    Args:
        opt (Mapping): Options that `options.check` has passed.
        launch (Launch): The command line.

    Raises:
        UserError: A network that does not fit its weights, its task or the machine; nothing has been created then.
        RunError: The run failed on the way.
        RunStopped: A signal has stopped it; everything is saved.
    """
    with stop_early(launch.command):
        _check_training(opt, launch)
    with ExitStack() as stack:
        stack.enter_context(report_failures(opt))
        with stop_early(launch.command):
            complete = complete_options(opt, launch, is_train=True)
            stack.enter_context(_hold(complete, complete['path']['experiments_root']))
            run = _build_run(complete, launch)
        run.train(launch.command)


def _check_training(opt: Mapping[str, Any], launch: Launch) -> None:
    machine.check_machine(opt, launch, is_train=True)
    machine.check_packages(opt)
    networks.check_losses(opt)
    networks.check_ground_truth(opt)
    student = networks.check_student(opt)
    networks.check_int8(opt, student)
    discriminator = adversary.check_adversary(opt)
    done = machine.check_resumed(opt, launch, student, discriminator)
    teachers = build_teacher(opt).members if opt.get('network_t') is not None and asks_teacher(opt) else []
    for member in teachers:
        networks.check_zoomed_out(member, opt, 'network_t')
    networks.check_features(opt, student, teachers)
    machine.warn_of_full_disk(opt, student, done, launch.root, discriminator)


def _build_run(opt: dict[str, Any], launch: Launch) -> Run:
    """Make the folders, build everything, and go on from a state if there is one."""
    import basicsr.train as stock
    from basicsr.models import build_model

    opt['root_path'] = str(launch.root)
    _set_determinism(opt)
    state = load_state(opt)
    _make_folders(opt, state is not None)
    stock.copy_opt_file(str(launch.file), opt['path']['experiments_root'])
    logger = _open_log('train', opt)
    tb_logger = stock.init_tb_loggers(opt)
    loaders = create_loaders(opt, logger)
    model = build_model(opt)
    run = Run(opt, model, loaders, tb_logger, logger)
    if state:
        model.resume_training(state)
        run.go_to(state)
        logger.info('Resuming training from epoch: %s, iter: %s.', run.epoch, run.iteration)
    return run


def _hold(opt: Mapping[str, Any], folder: str) -> AbstractContextManager[None]:
    """Keep other runs of that name away from a folder; the first process does it for all."""
    return hold(Path(folder)) if opt['rank'] == 0 else nullcontext()


def test(opt: Mapping[str, Any], launch: Launch) -> None:
    """Check the machine and the student, then test it on every data set, as BasicSR's `test_pipeline` does.

    Args and Raises: As for `train`.
    """
    machine.check_machine(opt, launch, is_train=False)
    networks.check_student(opt)
    complete = complete_options(opt, launch, is_train=False)
    with _hold(complete, complete['path']['results_root']):
        _test(complete)


def _test(opt: dict[str, Any]) -> None:
    from basicsr.data import build_dataloader, build_dataset
    from basicsr.models import build_model
    from basicsr.utils import make_exp_dirs

    torch.backends.cudnn.benchmark = True
    make_exp_dirs(opt)
    logger = _open_log('test', opt)
    loaders = []
    for _, dataset_opt in sorted(opt['datasets'].items()):
        dataset = build_dataset(dataset_opt)
        how = {'num_gpu': opt['num_gpu'], 'dist': opt['dist'], 'sampler': None, 'seed': opt['manual_seed']}
        loaders.append(build_dataloader(dataset, dataset_opt, **how))
        logger.info('Number of test images in %s: %s', dataset_opt['name'], len(dataset))
    model = build_model(opt)
    for loader in loaders:
        logger.info('Testing %s...', loader.dataset.opt['name'])
        model.validation(loader, current_iter=opt['name'], tb_logger=None, save_img=opt['val']['save_img'])


def _open_log(kind: str, opt: Mapping[str, Any]) -> logging.Logger:
    """Open BasicSR's logger with a file in the run's folder, and write versions and options into it."""
    import basicsr.train as stock

    file = run_log.find_free(Path(opt['path']['log']), f'{kind}_{opt["name"]}_{stock.get_time_str()}')
    logger = stock.get_root_logger(logger_name='basicsr', log_level=logging.INFO, log_file=str(file))
    logger.info(stock.get_env_info())
    logger.info(stock.dict2str(opt))
    return logger


def _set_determinism(opt: Mapping[str, Any]) -> None:
    deterministic = opt['train'].get('deterministic', False)
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)


def _make_folders(opt: dict[str, Any], resumed: bool) -> None:
    """Make the run's folders by BasicSR, which archives an older run of that name; --auto_resume moves nothing."""
    import basicsr.train as stock

    if resumed or opt['auto_resume']:
        for name in ('experiments_root', 'models', 'training_states', 'visualization'):
            Path(opt['path'][name]).mkdir(parents=True, exist_ok=True)
        return
    stock.make_exp_dirs(opt)
    if opt['logger'].get('use_tb_logger') and 'debug' not in opt['name'] and opt['rank'] == 0:
        stock.mkdir_and_rename(osp.join(opt['root_path'], 'tb_logger', opt['name']))
