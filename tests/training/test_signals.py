"""Signals: the first is remembered, the second obeyed, and everything is as before afterwards."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

from dukd_basicsr.training.signals import StopSignal, leave_signals_to_the_parent


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered(number):
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert not stop.ask_all()
        os.kill(os.getpid(), number)
        assert stop.ask_all()
        assert stop.received == number.name
    assert signal.getsignal(number) is before


def test_the_second_signal_ends_at_once():
    with StopSignal():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_ends_long_work_that_is_repeated_later():
    reached = []
    with StopSignal() as stop:
        with stop.interrupt():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append('inside')
        reached.append('after')
    assert reached == ['after']
    with StopSignal() as stop:
        with stop.interrupt(False):
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append('inside')
        assert stop.received == 'SIGTERM'
    assert reached == ['after', 'inside']


def test_another_thread_leaves_signals_alone():
    def enter():
        with StopSignal() as stop:
            found.append((signal.getsignal(signal.SIGINT), stop.ask_all()))

    found, before = [], signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [(before, False)]


def _work(ready):
    leave_signals_to_the_parent()
    ready.set()
    threading.Event().wait()


def test_a_worker_leaves_signals_to_its_parent_and_obeys_it():
    context = multiprocessing.get_context('fork')
    ready = context.Event()
    worker = context.Process(target=_work, args=(ready,), daemon=True)
    worker.start()
    assert ready.wait(60)
    for number in (signal.SIGTERM, signal.SIGINT):  # of another process, as pkill, systemd or a terminal send it
        subprocess.run([sys.executable, '-c', f'import os; os.kill({worker.pid}, {int(number)})'], check=True)
    worker.join(0.5)
    assert worker.is_alive()
    worker.terminate()  # of the parent
    worker.join(60)
    assert worker.exitcode == 0
