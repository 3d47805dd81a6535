"""An int8 network beside the float32 one: what is lost, what can be told, and how pictures are divided."""
from types import SimpleNamespace

import numpy as np
import pytest

from robot_vision_dl.core.errors import DataError
from robot_vision_dl.evaluation.beside_float import Told, loss
from robot_vision_dl.evaluation.int8_bundle import divided, refusal


def said(right, labels):
    """Probabilities of two classes that are right where it is said."""
    probabilities = np.full((len(labels), 2), 0.3)
    probabilities[np.arange(len(labels)), np.where(right, labels, 1 - labels)] = 0.7
    return Told(probabilities, np.zeros(0), np.ones(len(labels), bool))


def test_loss_by_hand():
    """Of 100 pictures 6 are lost and 2 won: .04; Agresti and Min: (6 - 2) / 102 and its standard error."""
    labels = np.tile([0, 1], 50)
    first, second = np.ones(100, bool), np.ones(100, bool)
    first[:2], second[2:8] = False, False
    found = loss(said(first, labels), said(second, labels), labels, 0.01)
    apart = 4 / 102
    spread = 1.645 * np.sqrt((9 / 102 - apart**2) / 102)
    assert found.accuracy == pytest.approx(0.04) and found.pictures == 100
    assert (found.lost, found.won) == (6, 2)
    assert found.expected == pytest.approx(8 * (0.7 - 0.3) / 100)  # float32 gives .7 to its class, .3 to the other
    assert (found.at_least, found.at_most) == pytest.approx((apart - spread, apart + spread))


def test_the_bound_holds(monkeypatch):
    """At 95 %, in 95 of 100 draws at least the true loss lies below it."""
    rng, n, lost, won = np.random.default_rng(0), 200, 0.03, 0.02
    labels, held = np.zeros(n, int), 0
    for _ in range(400):
        kind = rng.choice(3, n, p=[lost, won, 1 - lost - won])
        held += loss(said(kind != 1, labels), said(kind != 0, labels), labels, 0.01).at_most >= lost - won
    assert 0.93 <= held / 400 <= 0.99


def test_what_is_refused():
    """What is lost for certain, or by the probabilities of float32; not what chance explains."""
    labels = np.zeros(200, int)

    def beside(wrong, sure):
        """Loss where int8 has so many wrong and float32 gives its class this probability."""
        probabilities = np.tile([sure, 1 - sure], (200, 1))
        return loss(Told(probabilities, np.zeros(0), np.ones(200, bool)), said(np.arange(200) >= wrong, labels),
                    labels, 0.01)
    assert refusal(beside(3, 0.55), 0.01) == ''  # .015, of which it believes .0015: chance
    assert beside(3, 0.55).at_least < 0.01 < beside(3, 0.55).at_most
    assert refusal(beside(3, 0.99), 0.01) == (
        'names classes that are less probable by the float32 network, which costs 0.0147 of accuracy')
    assert refusal(beside(9, 0.51), 0.01).startswith('loses at least 0.0')
    assert refusal(beside(9, 0.51), 0.1) == ''


def test_nothing_differs_in_few_pictures_tells_little():
    labels = np.zeros(50, int)
    one = said(np.ones(50, bool), labels)
    few, many = (loss(one, one, labels, 0.01), loss(*[said(np.ones(5000, bool), np.zeros(5000, int))] * 2,
                                                    np.zeros(5000, int), 0.01))
    assert few.accuracy == many.accuracy == 0 and few.at_most > 0.01 > many.at_most
    assert few.needed > 50


def store(recordings, hashes=None, topic='/camera'):
    frames = [SimpleNamespace(recording=name, topic=topic, label='ab'[number % 2])
              for name, count in recordings.items() for number in range(count)]
    return SimpleNamespace(frames=frames, hashes=np.zeros(len(frames), np.uint64) if hashes is None else hashes)


def test_recordings_stay_whole():
    found = store(dict.fromkeys(('one', 'two', 'three'), 40))
    fitted, judged = divided(found, ('a', 'b'), 0)
    assert sorted([*fitted, *judged]) == list(range(120)) and len(judged) == 40
    assert not {found.frames[place].recording for place in fitted} & {
        found.frames[place].recording for place in judged}


def test_near_duplicates_of_folders_stay_together():
    rng = np.random.default_rng(0)
    hashes = np.repeat(rng.integers(0, 2**63, 60, np.uint64), 2)  # each picture twice
    fitted, judged = divided(store({'folder': 120}, hashes, topic=''), ('a', 'b'), 0)
    assert len(fitted) + len(judged) == 120 and abs(len(judged) - 40) <= 4
    assert not set(hashes[fitted].tolist()) & set(hashes[judged].tolist())


def test_pictures_of_as_many_classes_are_divided():
    """A class of one picture cannot be in both parts; none was to judge on."""
    names = [f'class {number}' for number in range(90)]
    frames = [SimpleNamespace(recording='folder', topic='', label=name) for name in names]
    found = SimpleNamespace(frames=frames, hashes=np.random.default_rng(0).integers(0, 2**63, 90, np.uint64))
    fitted, judged = divided(found, names, 0)
    assert len(judged) == 30 and sorted([*fitted, *judged]) == list(range(90))


def test_too_little_to_divide():
    with pytest.raises(DataError, match='one recording cannot be divided .* --test'):
        divided(store({'one': 100}), ('a', 'b'), 0)
    with pytest.raises(DataError, match=r'\d+ pictures to judge on are fewer than 20'):
        divided(store({'one': 30, 'two': 10}), ('a', 'b'), 0)
