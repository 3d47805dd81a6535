"""What `models show` says of a bundle's figures: short, of what is published, and of which calibration."""
import json
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.cli.model_figures import metric_lines, probabilities_by
from robot_vision_dl.cli.models import describe
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.model_card import CALIBRATED_AGAIN
from robot_vision_dl.core.uncertainty.vector import VectorScaling


@pytest.fixture(scope='module')
def bundle():
    return load_bundle('waste_sorter')


def with_metrics(bundle, metrics, **provenance):
    return replace(bundle, metrics=MappingProxyType(metrics), provenance=MappingProxyType(provenance))


@pytest.mark.parametrize('name', ['waste_sorter', 'squeezenet1_1_imagenet'])
def test_no_raw_values_and_no_long_lines_but_all_of_them_as_json(name, capsys):
    assert main(['models', 'show', name]) == 0
    out = capsys.readouterr().out
    assert not set('{}') & set(out) and max(map(len, out.splitlines())) <= 140
    assert 'NLL (nats)' in out and '--json' in out
    assert main(['models', 'show', name, '--json']) == 0
    whole = json.loads(capsys.readouterr().out)
    bundle = load_bundle(name)
    assert whole['metrics'] == dict(bundle.metrics) and whole['provenance'] == dict(bundle.provenance)


def test_the_table_has_the_figures_of_each_part(bundle):
    baselines = {'linear probe on frozen features': 0.8}  # which a training tells
    lines = metric_lines(replace(bundle, metrics=MappingProxyType({**bundle.metrics, 'baselines': baselines})))
    row = next(line.split() for line in lines if line.split()[:1] == ['accuracy'])
    assert [float(text) for text in row[1:]] == pytest.approx(
        [bundle.metrics['calibration']['top1'], bundle.metrics['test']['accuracy'],
         bundle.metrics['test_plain']['accuracy']], rel=1e-3)
    assert any('linear probe on frozen features 0.' in line for line in lines)


def test_it_says_what_is_published(bundle):
    plain = replace(bundle, laplace=None, vector=None)
    assert probabilities_by(plain) == f'temperature {bundle.temperature:.4f}'
    vector = VectorScaling(np.ones(6, np.float32), np.zeros(6, np.float32))
    for shown in (replace(plain, vector=vector),
                  replace(bundle, vector=vector, laplace=replace(bundle.laplace, gives_probabilities=False))):
        text = '\n'.join(describe(shown))
        assert 'calibrated     vector scaling' in text and 'temperature' not in text
    laplace = replace(bundle.laplace, gives_probabilities=True)
    assert 'Laplace' in probabilities_by(replace(bundle, vector=vector, laplace=laplace))  # as the pipeline has it
    assert probabilities_by(replace(bundle, temperature=None)) is None


def test_test_figures_of_the_calibration_before_are_said_to_be(bundle):
    metrics = {'test': {'pictures': 5, 'accuracy': 0.5, 'nll': 1.0}}
    assert CALIBRATED_AGAIN in '\n'.join(metric_lines(with_metrics(bundle, metrics, calibrated_from='abc')))
    assert CALIBRATED_AGAIN not in '\n'.join(metric_lines(with_metrics(bundle, metrics)))
    assert CALIBRATED_AGAIN not in '\n'.join(metric_lines(with_metrics(bundle, {}, calibrated_from='abc')))


@pytest.mark.parametrize('metrics', [
    {}, {'a': 1}, {'a': [1, 2]}, {'test': None}, {'test': {'nll': 'x', 'accuracy': None}}, {'test': []},
    {'\x1b[31m': {'nll': 1, 'ece': 2}}, {'x' * 500: {'y' * 500: 1}}, {'nll': 10**400, 'ece': float('nan')},
    {f'part {n}': {'nll': n, 'ece': n} for n in range(50)}, {'many': {f'name {n}': n for n in range(1000)}}])
def test_whatever_metrics_a_bundle_has_are_shown_shortly(bundle, metrics):
    text = '\n'.join(describe(with_metrics(bundle, metrics)))
    assert '\x1b' not in text and max(map(len, text.splitlines())) < 260 and len(text.splitlines()) < 50


def test_what_may_run_in_its_place_is_said():
    shown = ' '.join(' '.join(describe(load_bundle('efficientnet_lite0_imagenet'))).split())
    assert 'int8 efficientnet_lite0_imagenet_int8 beside it: with `precision: auto`' in shown
    for name in ('efficientnet_lite0_imagenet_int8', 'squeezenet1_1_imagenet'):
        assert 'beside it' not in ' '.join(describe(load_bundle(name)))
