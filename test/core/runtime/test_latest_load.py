"""Only what was wished for last is loaded to its end, one load at a time."""
import threading

import pytest

from robot_vision_dl.core.runtime.latest_load import LatestLoad


class Loads:
    """Loads that end when the test lets them."""

    def __init__(self):
        self.began, self.most, self._now = [], 0, 0
        self.ended = threading.Semaphore(0)
        self._gates, self._news = {}, threading.Condition()
        self.loader = LatestLoad(self.ended.release)

    def want(self, key, error=None):
        self._gates.setdefault(key, threading.Event())

        def load():
            with self._news:
                self.began.append(key)
                self._now += 1
                self.most = max(self.most, self._now)
                self._news.notify_all()
            assert self._gates[key].wait(30)
            with self._news:
                self._now -= 1
            if error is not None:
                raise error
            return f'the {key}'
        self.loader.want(key, load)

    def wait_for(self, *keys):
        with self._news:
            assert self._news.wait_for(lambda: self.began == list(keys), 30), self.began

    def finish(self, key):
        self._gates[key].set()
        assert self.ended.acquire(timeout=30)


@pytest.fixture
def loads():
    return Loads()


def test_what_is_loaded_is_taken_once(loads):
    loads.want('a')
    loads.wait_for('a')
    assert loads.loader.loading == 'a' and loads.loader.take() is None
    loads.finish('a')
    loaded = loads.loader.take()
    assert (loaded.key, loaded.value, loaded.error) == ('a', 'the a', None)
    assert loads.loader.take() is None and loads.loader.loading is None


def test_a_load_that_is_no_longer_wanted_is_dropped_and_the_newest_wish_follows(loads):
    loads.want('a')
    loads.wait_for('a')
    loads.want('b')
    loads.want('c')
    assert loads.loader.loading == 'a'
    loads.finish('a')
    assert loads.loader.take() is None
    loads.wait_for('a', 'c')
    loads.finish('c')
    assert loads.loader.take().value == 'the c' and loads.most == 1


def test_nothing_is_taken_after_a_drop(loads):
    loads.want('a')
    loads.wait_for('a')
    loads.loader.drop()
    loads.finish('a')
    assert loads.loader.take() is None
    loads.want('b')
    loads.wait_for('a', 'b')
    loads.finish('b')
    loads.loader.drop()  # loaded, and not yet taken
    assert loads.loader.take() is None


@pytest.mark.parametrize('between', ['drop', 'other', 'nothing'])
def test_what_is_wished_for_again_while_it_is_loaded_is_loaded_once(loads, between):
    loads.want('a')
    loads.wait_for('a')
    if between == 'drop':
        loads.loader.drop()
    elif between == 'other':
        loads.want('b')
    loads.want('a')
    loads.finish('a')
    assert loads.loader.take().value == 'the a' and loads.began == ['a']


def test_a_newer_wish_takes_the_place_of_what_was_loaded_and_not_taken(loads):
    loads.want('a')
    loads.finish('a')
    loads.want('b')
    assert loads.loader.take() is None
    loads.finish('b')
    assert loads.loader.take().value == 'the b'


@pytest.mark.parametrize('error', [ValueError('no'), MemoryError(), SystemExit(3)])
def test_an_error_is_taken_like_a_value_and_later_wishes_are_loaded(loads, error):
    loads.want('a', error)
    loads.finish('a')
    assert loads.loader.take().error is error
    loads.want('a')  # the same again: it may succeed now
    loads.finish('a')
    assert loads.loader.take().value == 'the a'


def test_an_error_of_what_is_no_longer_wanted_is_dropped(loads):
    loads.want('a', ValueError('no'))
    loads.wait_for('a')
    loads.want('b')
    loads.finish('a')
    assert loads.loader.take() is None
    loads.finish('b')
    assert loads.loader.take().value == 'the b'
