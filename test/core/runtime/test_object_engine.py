"""Settings of the engine for objects that no pair has to come first for."""
from dataclasses import replace

from node_harness import small_bundle

from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.regions.stamp_pairing import Pairing
from robot_vision_dl.core.runtime.object_engine import ObjectEngine, pairing_of
from robot_vision_dl.core.runtime.object_pipeline import ObjectPipeline
from robot_vision_dl.core.runtime.pipeline import Pipeline


class NoPairs:
    """A source that never had a pair."""

    def __init__(self, config):
        self.pairing = Pairing(config.cameras, pairing_of(config))

    def take(self, limit, wait=True):
        return []

    def close(self):
        pass


def test_how_pictures_and_detections_are_paired_changes_before_there_is_a_pair(tmp_path):
    """With too small a tolerance there never is one, and diagnostics say to raise it."""
    config = ClassifierConfig(model=str(small_bundle(tmp_path / 'model')), device='cpu', detection_topics=('boxes',))
    source = NoPairs(config)
    engine = ObjectEngine(Pipeline.load(config), config, source, ObjectPipeline(config), lambda: 0,
                          lambda *_: None, lambda *_: None)
    engine.configure(replace(config, detections=replace(config.detections, tolerance_s=0.5, deadline_s=7.0)))
    assert (source.pairing.config.tolerance_s, source.pairing.config.deadline_s) == (0.5, 7.0)
