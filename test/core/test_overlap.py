"""Passes on a second thread."""
import threading
import time

from robot_vision_dl.core.overlap import Overlap


def test_a_pass_runs_on_another_thread_and_can_be_waited_for():
    overlap, ran = Overlap(), []
    running = overlap.start(lambda: ran.append(threading.current_thread()))
    running.join()
    assert ran and ran[0] is not threading.current_thread()
    overlap.close()
    assert not ran[0].is_alive()


def test_passes_run_one_after_another_without_being_fetched_in_between():
    overlap, order, may_end = Overlap(), [], threading.Event()

    def first():
        order.append('first begins')
        may_end.wait(30)
        order.append('first ends')
    one = overlap.start(first)
    other = overlap.start(lambda: order.append('second'))
    one.wait_begun()
    assert other.began == 0
    may_end.set()
    other.wait_begun()
    other.join()
    assert order == ['first begins', 'first ends', 'second']
    assert other.began >= one.began > 0
    overlap.close()


def test_the_next_batch_is_due_before_the_pass_is_done_and_never_after():
    overlap, release = Overlap(), threading.Event()
    for _ in range(3):
        overlap.start(lambda: time.sleep(0.2)).join()
        overlap.prepared(0.02)
    running = overlap.start(lambda: release.wait(30))
    overlap.sleep_until_due(running)
    elapsed = time.perf_counter() - running.began
    assert not release.is_set() and elapsed >= 0.1  # .2 less 3 times .02
    release.set()
    running.join()
    overlap.sleep_until_due(running)  # one that is done is not waited for
    overlap.close()


def test_what_takes_longer_to_prepare_than_to_pass_is_due_at_once():
    overlap = Overlap()
    overlap.start(lambda: None).join()
    overlap.prepared(5.0)
    release = threading.Event()
    running = overlap.start(lambda: release.wait(30))
    overlap.sleep_until_due(running)
    release.set()
    overlap.close()
