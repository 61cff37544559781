"""Failures of a run that has begun: one sentence, with the way out."""

import logging

import pytest
import torch

from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.training import failures
from tests.toys import train_options

DEFAULT_CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"


@pytest.fixture
def opt(tmp_path):
    opt = train_options(tmp_path)
    opt['datasets'] = {'train': {'gt_size': 96, 'batch_size_per_gpu': 16, 'num_worker_per_gpu': 8}}
    return opt


def said(opt, error):
    with pytest.raises(RunError) as found, failures.report_failures(opt):
        raise error
    assert found.value.exit_code == 1
    (sentence,) = found.value.messages
    assert '\n' not in sentence
    return sentence


@pytest.mark.parametrize(
    'error', [torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB.\nSee docs'), MemoryError(),
              RuntimeError(DEFAULT_CPU)]
)  # fmt: skip
def test_out_of_memory_tells_two_options_and_how_to_see_what_fits(opt, error):
    words = str(error).splitlines()[0].rstrip('.') if str(error) else 'no reason given'
    assert said(opt, error) == (
        f'out of memory: {words}; write datasets.train.batch_size_per_gpu: 8 (now 16) or gt_size: 64 (now 96), and go '
        'on with --auto_resume. What a batch needs is told by: basicsr train --check.'
    )


def test_a_batch_of_one_can_only_have_a_smaller_patch(opt):
    opt['datasets']['train'] |= {'batch_size_per_gpu': 1, 'gt_size': 40}
    assert 'write datasets.train.gt_size: 28 (now 40), and go' in said(opt, MemoryError())


def test_no_shared_memory_names_the_workers(opt):
    text = 'unable to write to file </torch_12_34_0>: No space left on device (28)'
    assert said(opt, RuntimeError(text)).startswith("the loader's 8 workers have no shared memory left (/dev/shm)")


def test_a_lost_process_is_one_sentence(opt, monkeypatch):
    text = '[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:12345'
    with pytest.raises(RuntimeError, match='Connection closed'), failures.report_failures(opt):
        raise RuntimeError(text)  # one process alone has no peer: that would be something else
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    assert said(opt, RuntimeError(text)).startswith('another process of this run has died or is out of reach')


@pytest.mark.parametrize(
    ('error', 'what'),
    [(OSError(28, 'No space left on device', 'a.log'), 'a.log cannot be written (No space left on device)'),
     (OSError(28, 'No space left on device'), 'a file cannot be written (No space left on device)'),
     (OSError(30, 'Read-only file system', 'tb'), 'tb cannot be written (Read-only file system)'),
     (OSError('Failed in writing images.'), 'an image of the validation cannot be written')]
)  # fmt: skip
def test_a_full_disk_is_one_sentence_whatever_was_being_written(opt, error, what):
    assert said(opt, error) == f'{what}; what was saved before is intact: make room, then go on with --auto_resume.'


def test_log_lines_that_cannot_be_written_bring_no_tracebacks(opt, capsys):
    class Full(logging.Handler):
        def emit(self, record):
            try:
                raise OSError(28, 'No space left on device')
            except OSError:
                self.handleError(record)

    logger = logging.getLogger('full')
    logger.addHandler(Full())
    with failures.report_failures(opt):
        logger.error('lost')
    assert 'Traceback' not in capsys.readouterr().err
    logger.error('lost')
    assert 'Traceback' in capsys.readouterr().err


def test_other_exceptions_go_through(opt):
    with pytest.raises(UserError, match='mine'), failures.report_failures(opt):
        raise UserError('mine')
    with pytest.raises(KeyError), failures.report_failures(opt):
        raise KeyError('x')
    with pytest.raises(RuntimeError, match='size of tensor'), failures.report_failures(opt):
        raise RuntimeError('The size of tensor a must match')
