"""How a score of unknowns comes about: its parts add up to it, and its place among the calibration scores is right."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from labelled_samples import pattern

from robot_vision_dl import Classifier
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.networks.preprocess import Preprocessor
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration
from robot_vision_dl.explain.decision_rules import grounds_of
from robot_vision_dl.explain.unknown_score import ScoreReader, score_plot


def test_parts_and_numbers_of_a_decision():
    bundle = load_bundle('waste_sorter')
    classifier = Classifier('waste_sorter', device='cpu', backend='torch')
    picture = Picture(pattern(3, 240, 320), ColorOrder.BGR)
    said = classifier(picture.pixels, 'bgr')
    with torch.inference_mode():
        prediction = bundle.load_network()(Preprocessor(bundle.preprocessing, 'cpu')([picture]))
    found = ScoreReader(bundle, classifier.policy.false_unknown_rate)(said.result.assessment.ood, prediction)
    assert sum(part.term for part in found.parts) == pytest.approx(found.score, rel=1e-3)
    assert [part.words for part in found.parts][-1] == 'logits (energy)'
    n = len(bundle.ood.scores)
    assert found.at_least == int((bundle.ood.scores >= np.float32(found.score)).sum())
    assert (found.at_least + 1) / (n + 1) == pytest.approx(found.p_value) == said.ood_p_value
    assert 'this picture' in score_plot(found) and 'unknown from here' in score_plot(found)

    grounds = grounds_of(bundle, classifier.policy, said)
    raw = torch.softmax(prediction.logits[0], 0).numpy()
    for row in grounds.classes:
        place = bundle.class_names.index(row.name)
        assert row.raw == pytest.approx(raw[place], abs=1e-5)
        assert row.probability == said.result.assessment.probabilities[place]
    rules = {rule.name: rule for rule in grounds.rules}
    tau = float(rules['factor for unusual pictures'].value)
    scaled = torch.softmax(prediction.logits[0] / (bundle.temperature * tau), 0)  # what the two numbers say
    assert [row.probability for row in grounds.classes] == pytest.approx(scaled.sort(descending=True)[0][:5], abs=2e-3)
    assert rules['needed to act'].value == f'{grounds.classes[0].probability:.3f} >= 0.500' or '<' in rules[
        'needed to act'].value


def test_what_makes_unknown_is_where_the_p_value_crosses_the_rate():
    random = np.random.default_rng(0)
    for count in (19, 99, 250):
        ood = OodCalibration('energy', random.normal(0, 1, count).astype(np.float32))
        for rate in (0.0, .01, .0249, .05, .3):
            reader = ScoreReader(SimpleNamespace(ood=ood), rate)
            for score in random.normal(1, 1, 40).astype(np.float32):
                p = float(ood.p_value(score))
                found = reader(SimpleNamespace(score=float(score), p_value=p), None)
                assert (p < rate) == (score > found.needed)
