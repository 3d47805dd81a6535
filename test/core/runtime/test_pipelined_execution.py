"""Batches that are fetched and finished on one thread while the network is busy on another."""
import threading
import time

import pytest
import torch

from robot_vision_dl.core.runtime.pipelined_execution import PipelinedExecution


class Batches:
    """So many batches, each a number, with a note of what was done to them and by whom."""

    def __init__(self, count, pass_s=0.0):
        self.waiting, self.pass_s = list(range(1, count)), pass_s
        self.notes, self.threads = [], {}

    def infer(self, number):
        self._note('infer', number)
        time.sleep(self.pass_s)
        self._note('inferred', number)

    def fetch(self):
        number = self.waiting.pop(0) if self.waiting else None
        self._note('fetch', number)
        return number

    def finish(self, number):
        self._note('finish', number)

    def _note(self, what, number):
        self.notes.append((what, number))
        self.threads.setdefault(what, set()).add(threading.current_thread())

    def overlap(self):
        return PipelinedExecution(self.infer, self.fetch, self.finish)


@pytest.mark.parametrize('count', [1, 2, 7])
def test_every_batch_is_finished_once_in_order_after_its_pass(count):
    batches = Batches(count)
    overlap = batches.overlap()
    overlap.run(0)
    overlap.close()
    notes = batches.notes
    for what in ('infer', 'inferred', 'finish'):
        assert [number for note, number in notes if note == what] == list(range(count))
    for number in range(count):
        assert notes.index(('inferred', number)) < notes.index(('finish', number))
    assert [number for note, number in notes if note == 'fetch'] == [*range(1, count), None]


def test_the_network_stays_on_the_calling_thread_and_everything_else_leaves_it():
    batches = Batches(5)
    overlap = batches.overlap()
    for _ in range(2):
        overlap.run(0)
    assert batches.threads['infer'] == {threading.current_thread()}
    assert batches.threads['fetch'] == batches.threads['finish']
    other, = batches.threads['fetch']
    assert other is not threading.current_thread() and other.is_alive()
    overlap.close()
    assert not other.is_alive()


def test_a_batch_is_fetched_and_the_one_before_finished_while_the_network_is_busy():
    fetched, finished, passes = threading.Event(), threading.Event(), []

    def infer(number):
        passes.append((fetched if number == 0 else finished).wait(30))

    def fetch():
        fetched.set()
        return 1 if not passes else None
    overlap = PipelinedExecution(infer, fetch, lambda number: finished.set())
    overlap.run(0)
    overlap.close()
    assert passes == [True, True]


def test_the_next_batch_is_fetched_late_in_a_pass_and_not_after_it():
    ends = []
    batches = Batches(6, pass_s=0.2)
    fetch = batches.fetch

    def timed_fetch():
        ends.append(('fetch', time.perf_counter()))
        time.sleep(0.02)
        return fetch()
    infer = batches.infer

    def timed_infer(number):
        ends.append(('begin', time.perf_counter()))
        infer(number)
    overlap = PipelinedExecution(timed_infer, timed_fetch, batches.finish)
    overlap.run(0)
    overlap.close()
    begins = [moment for what, moment in ends if what == 'begin']
    fetches = [moment for what, moment in ends if what == 'fetch']
    # The first time nothing is known yet; then a pass takes .2 s and a fetch .02, which is begun .06 s before the end.
    assert fetches[0] - begins[0] < 0.1
    for begin, fetched in zip(begins[1:], fetches[1:]):
        assert fetched - begin >= 0.1


def test_what_takes_long_to_fetch_is_fetched_at_once():
    moments = {}
    batches = Batches(4, pass_s=0.2)
    fetch, infer = batches.fetch, batches.infer

    def slow_fetch():
        moments.setdefault('fetch', []).append(time.perf_counter())
        time.sleep(0.1)  # three times this is more than a pass
        return fetch()

    def timed_infer(number):
        moments.setdefault('begin', []).append(time.perf_counter())
        infer(number)
    overlap = PipelinedExecution(timed_infer, slow_fetch, batches.finish)
    overlap.run(0)
    overlap.close()
    assert ('finish', 3) in batches.notes
    for begin, fetched in zip(moments['begin'], moments['fetch']):
        assert fetched - begin < 0.1


def test_the_other_thread_computes_alone_and_without_gradients():
    found = []

    def finish(_):
        found.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
    threads = torch.get_num_threads()
    overlap = PipelinedExecution(lambda _: None, lambda: None, finish)
    overlap.run(0)
    overlap.close()
    assert found == [(1, True)]
    assert torch.get_num_threads() == threads, 'the calling thread keeps its own'


@pytest.mark.parametrize('culprit', ['fetch', 'finish'])
def test_an_error_on_the_other_thread_comes_back_and_nobody_waits_for_ever(culprit):
    batches = Batches(3)

    def fails(*_):
        raise RuntimeError('the middleware is gone')
    setattr(batches, culprit, fails)
    overlap = batches.overlap()
    with pytest.raises(RuntimeError, match='the middleware is gone'):
        overlap.run(0)
    overlap.close()


def test_a_fetch_that_fails_costs_no_batch_that_is_in_work():
    batches = Batches(3)

    def fetch():
        if not batches.waiting:
            raise OSError('no messages can be taken')
        return Batches.fetch(batches)
    batches.fetch = fetch
    overlap = batches.overlap()
    with pytest.raises(OSError, match='no messages can be taken'):
        overlap.run(0)
    overlap.close()
    assert [number for note, number in batches.notes if note == 'finish'] == [0, 1, 2]
