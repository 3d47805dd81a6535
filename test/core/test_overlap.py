"""Forward passes on a second thread: in order, one at a time, and known to have begun."""
import threading
import time

from robot_vision_dl.core.overlap import Overlap


def test_passes_run_one_after_another_without_being_fetched_in_between():
    overlap, order, may_end = Overlap(), [], threading.Event()

    def first():
        order.append('first begins')
        may_end.wait(10)
        order.append('first ends')
    one = overlap.start(first)
    other = overlap.start(lambda: order.append('second'))
    one.wait_begun()
    assert order == ['first begins']
    assert other.began == 0
    may_end.set()
    other.wait_begun()
    other.join()
    assert order == ['first begins', 'first ends', 'second']
    assert other.began >= one.began > 0
    overlap.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('network')]


def test_the_next_batch_is_due_before_the_pass_is_done():
    overlap = Overlap()
    for _ in range(5):
        overlap.start(lambda: time.sleep(0.2)).join()
        overlap.prepared(0.01)
    running = overlap.start(lambda: time.sleep(0.2))
    overlap.sleep_until_due(running)
    assert not running.future.done()
    assert time.perf_counter() - running.began > 0.1
    running.join()
    overlap.close()
