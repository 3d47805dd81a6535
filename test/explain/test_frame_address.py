"""Neighbours can be explained in their turn, and each thing is shown once."""
import shlex
from pathlib import Path

import numpy as np
from evaluation_samples import labelled_bag, small_model

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.data.labels.labels import LabelledFrame
from robot_vision_dl.evaluation.predict import labelled_store
from robot_vision_dl.explain.frame_address import FrameAddresses, things
from robot_vision_dl.explain.neighbours import TrainingFrames
from robot_vision_dl.explain.scatter import scatter
from robot_vision_dl.explain.sources import picture_at


def test_address_of_each_frame_shows_that_frame(tmp_path, user_cache):
    small_model(tmp_path / 'small')
    bundle = load_bundle(tmp_path / 'small')
    store = labelled_store(bundle, [str(labelled_bag(tmp_path / 'a drive'))])
    frames, addresses = TrainingFrames(bundle, store), FrameAddresses()
    for place in (0, 7, len(store) - 1):
        address = addresses.of(store.frames[place])
        assert address.short.startswith('a drive@')
        [argument] = shlex.split(address.whole)
        picture = picture_at(argument).picture
        assert place in frames.same_as(picture)
        [near] = frames.around([picture])
        assert address in near.itself and address not in [one.where for one in near.by_features]
        assert len(near.by_features) == min(6, len(set(things(store.frames))))


def test_things():
    def frame(label, track=None, topic='/camera', recording='one'):
        return LabelledFrame(recording, topic, 0, label, track, 0, 0, 'path')
    labels = [frame('cup'), frame('mug', topic='/rear'), frame('cup'), frame('mug'), frame('cup')]
    assert things(labels) == (0, 1, 0, 2, 3)
    assert things([frame('cup', 'a'), frame('cup', 'b'), frame('cup', 'a'), frame('cup', 'a', recording='two')]) == (
        0, 1, 0, 2)
    assert things([frame('cup', topic='')] * 2) == (0, 1)


def test_address_of_a_picture(tmp_path):
    file = tmp_path / 'a b.png'
    address = FrameAddresses().of(LabelledFrame('folder', '', 0, 'cup', None, 0, 0, str(file)))
    assert address.short == 'a b.png' and [Path(one) for one in shlex.split(address.whole)] == [file]


def test_classes_near_the_picture_have_colours():
    places = np.array([[place, 0] for place in range(60)], np.float32)
    plot = scatter(places, [f'c{place:02}' for place in range(60)], [(30.1, 0)])
    assert [name for name, _ in plot.legend] == [f'c{place}' for place in range(27, 34)] and plot.others == 53
    assert len({colour for _, colour in plot.legend}) == 7
    assert scatter(places[:3], ['a', 'b', 'a'], []).others == 0
