"""Every frame is accounted for."""
import threading
from collections import Counter

from robot_vision_dl.core.runtime.frame_counters import REPLACED, FrameCounters, SequenceGaps


def test_what_was_replaced_was_received():
    counters = FrameCounters(['a', 'b'])
    counters.received('a')
    counters.received('a', replaced=3)
    counters.decided('a')
    counters.dropped('a', 'truncated')
    account = counters.account('a')
    assert (account.received, account.decided, account.dropped) == (5, 1, Counter({REPLACED: 3, 'truncated': 1}))
    assert counters.account('b').received == 0


def test_an_account_is_a_copy():
    counters = FrameCounters(['a'])
    before = counters.account('a')
    counters.dropped('a', 'x')
    assert not before.dropped and counters.account('a').dropped == Counter(x=1)


def test_nothing_is_lost_between_many_threads():
    counters = FrameCounters(['a'])

    def work():
        for _ in range(2000):
            counters.received('a', replaced=1)
            counters.decided('a')
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    account = counters.account('a')
    assert (account.received, account.decided, account.dropped[REPLACED]) == (16000, 8000, 8000)


def test_gaps_in_the_numbers_of_a_publisher_are_messages_that_nobody_took():
    gaps = SequenceGaps()
    assert gaps.missed('p', 100) == 0  # what was before it was not for us
    assert gaps.missed('p', 101) == 0
    assert gaps.missed('p', 105) == 3


def test_publishers_count_on_their_own():
    gaps = SequenceGaps()
    found = [gaps.missed(publisher, number) for publisher, number in
             (('p', 100), ('q', 5), ('p', 101), ('q', 6), ('p', 103), ('q', 7))]
    assert found == [0, 0, 0, 0, 1, 0]


def test_a_publisher_that_began_anew_misses_nothing():
    gaps = SequenceGaps()
    assert [gaps.missed(None, number) for number in (100, 1, 2)] == [0, 0, 0]


def test_what_the_middleware_lost_did_not_arrive():
    gaps = SequenceGaps()
    gaps.missed('p', 1)
    gaps.lost(2)
    assert gaps.missed('p', 6) == 2
    assert gaps.missed('p', 8) == 1  # and counts once


def test_without_numbers_nothing_can_be_said():
    gaps = SequenceGaps()
    assert [gaps.missed(None, None) for _ in range(3)] == [0, 0, 0]


def test_publishers_that_come_and_go_do_not_pile_up():
    gaps = SequenceGaps()
    for publisher in range(1000):
        gaps.missed(publisher, 1)
    assert len(gaps._last) <= 64
