"""The loop of a run: steps, log lines, checkpoints and validations at their iterations, and an orderly stop."""

from __future__ import annotations

import datetime
import logging
import time
from pathlib import Path
from typing import Any

from basicsr.utils import AvgTimer, MessageLogger

from dukd_basicsr.data.seeds import seed_global_generators, step_seed
from dukd_basicsr.errors import RunStopped
from dukd_basicsr.training.checkpoints import prune
from dukd_basicsr.training.loaders import iterate_batches
from dukd_basicsr.training.signals import StopSignal


class Run:
    """Where a run stands, and its steps.

    Args:
        opt (dict): The options as `parse_options` leaves them.
        model (BaseModel): The model to train.
        loaders (tuple): What `create_train_val_dataloader` returns.
        tb_logger (SummaryWriter | None): For validations and log lines.
        logger (logging.Logger): BasicSR's.
    """

    def __init__(self, opt: dict[str, Any], model: Any, loaders: tuple, tb_logger: Any, logger: logging.Logger) -> None:
        self.opt, self.model, self.tb_logger, self.logger = opt, model, tb_logger, logger
        self.loader, self.sampler, self.val_loaders, _, self.total = loaders
        self.epoch = self.iteration = self.done = 0
        """`done` counts the samples of the epoch that all processes together have seen."""
        self.saved_at = self.validated_at = 0

    def go_to(self, state: dict[str, Any]) -> None:
        """Go on from a training state; a validation that was due then is made, since states are saved before it."""
        self.epoch, self.iteration = state['epoch'], state['iter']
        self.done = state.get('samples', 0)
        self.saved_at = self.iteration
        if state.get('images', self.sampler.size) != self.sampler.size:
            self.logger.warning(
                'The training set had %s images and has %s now: the run goes on, but not as it would have.',
                state['images'],
                self.sampler.size,
            )
        if self.iteration == self.total or self._is_due(self._validation_frequency()):
            self._validate()

    def train(self, how_to_resume: str) -> None:
        """Train to the end.

        Args:
            how_to_resume (str): The command to name if a signal stops the run.

        Raises:
            RunStopped: A signal has; everything is saved.
            RunError: A checkpoint cannot be written, or no loss is finite any more.
        """
        self.logger.info('Start training from epoch: %s, iter: %s', self.epoch, self.iteration)
        self.log = MessageLogger(self.opt, self.iteration, self.tb_logger)
        self.timers = AvgTimer(), AvgTimer()
        started = time.time()
        try:
            with StopSignal() as stop:
                while self.iteration < self.total:
                    self._epoch(stop, how_to_resume)
        finally:
            if self.tb_logger:
                self.tb_logger.flush()  # its last two minutes are in a thread that ends with the process
        spent = datetime.timedelta(seconds=int(time.time() - started))
        self.logger.info('End of training. Time consumed: %s', spent)
        self.logger.info('Save the latest model.')
        self.model.save(epoch=-1, current_iter=-1)
        if self.validated_at != self.iteration:
            self._validate()
        if self.tb_logger:
            self.tb_logger.close()

    def _epoch(self, stop: StopSignal, how_to_resume: str) -> None:
        self.sampler.set_epoch(self.epoch, self.done)
        for batch in iterate_batches(self.loader, self.opt):
            self.timers[0].record()
            self._step(batch)
            if stop.ask_all() and self.iteration < self.total:
                self._stop(stop, how_to_resume)
            if self._is_due(self._validation_frequency()):
                with stop.interrupt(not self.opt['dist']):  # a validation may take longer than a scheduler waits
                    self._validate()
            if stop.received and not self.opt['dist'] and self.iteration < self.total:
                self._stop(stop, how_to_resume)
            if self.iteration == self.total:
                return
            for timer in self.timers:
                timer.start()
        self.epoch, self.done = self.epoch + 1, 0

    def _step(self, batch: dict[str, Any]) -> None:
        self.iteration += 1
        self.done += self.loader.batch_size * self.opt['world_size']
        model, opt = self.model, self.opt
        seed_global_generators(step_seed(opt['manual_seed'], opt['rank'], self.iteration))
        model.update_learning_rate(self.iteration, warmup_iter=opt['train'].get('warmup_iter', -1))
        model.feed_data(batch)
        model.optimize_parameters(self.iteration)
        if model.guard is not None:
            model.guard.after_step(self.iteration, batch, model.log_dict, Path(opt['path']['experiments_root']))
        self.timers[1].record()
        if self.iteration == 1:
            self.log.reset_start_time()
        if self._is_due(opt['logger']['print_freq']):
            times = {'time': self.timers[1].get_avg_time(), 'data_time': self.timers[0].get_avg_time()}
            position = {'epoch': self.epoch, 'iter': self.iteration, 'lrs': model.get_current_learning_rate()}
            self.log({**position, **times, **model.get_current_log()})
            self._draw_learning_rates()
        if self._is_due(opt['logger']['save_checkpoint_freq']) or self.iteration == self.total:
            self.logger.info('Saving models and training states.')
            self._save()

    def _draw_learning_rates(self) -> None:
        """In TensorBoard, where BasicSR's MessageLogger draws every term but not these."""
        for group, rate in enumerate(self.model.get_current_learning_rate() if self.tb_logger else ()):
            self.tb_logger.add_scalar(f'learning_rate/{group}', rate, self.iteration)

    def _stop(self, stop: StopSignal, how_to_resume: str) -> None:
        self._save()
        stop.ask_all()  # all wait for rank 0's files: torchrun ends the others once one has left
        raise RunStopped(
            f'stopped by {stop.received or "a signal to another process"} after iteration '
            f'{self.iteration}, which is saved; go on with: {how_to_resume}'
        )

    def _is_due(self, frequency: float | None) -> bool:
        return frequency is not None and self.iteration > 0 and self.iteration % frequency == 0

    def _validation_frequency(self) -> float | None:
        return (self.opt.get('val') or {}).get('val_freq')

    def _save(self) -> None:
        if self.saved_at == self.iteration:
            return
        seed = self.opt['manual_seed']
        self.model.position = {'samples': self.done, 'images': self.sampler.size, 'manual_seed': seed}
        self.model.save(self.epoch, self.iteration)
        self.saved_at = self.iteration
        self._prune()

    def _validate(self) -> None:
        if self.opt.get('val') is None:
            return
        for loader in self.val_loaders:
            self.model.validation(loader, self.iteration, self.tb_logger, self.opt['val']['save_img'])
        self.validated_at = self.iteration
        if self.opt['train'].get('keep_checkpoints') and self.iteration in self._best():
            self._save()

    def _best(self) -> set[int]:
        return {record['iter'] for metrics in self.model.best_metric_results.values() for record in metrics.values()}

    def _prune(self) -> None:
        keep, path = self.opt['train'].get('keep_checkpoints'), self.opt['path']
        if keep and self.opt['rank'] == 0:
            prune(Path(path['training_states']), Path(path['models']), keep, self.iteration, self._best())
