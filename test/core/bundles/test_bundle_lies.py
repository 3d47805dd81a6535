"""Bundles that lie with right checksums: refused with a reason, quickly and in little memory, or made of numbers."""
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[2] / 'fuzz'
sys.path.insert(0, str(FUZZ))

import corpus_bundles as corpus  # noqa: E402

from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle  # noqa: E402
from robot_vision_dl.core.bundles.bundle_search import find_bundle  # noqa: E402
from robot_vision_dl.core.errors import BundleError  # noqa: E402

MOST_S, MOST_MB = 2.0, 200
CASES = corpus.every_mutation(seed=20)


@pytest.fixture(scope='module')
def good(tmp_path_factory):
    return corpus.good_bundle(tmp_path_factory.mktemp('corpus') / 'good')


@pytest.fixture
def case(good, tmp_path):
    """A function that damages a copy and judges it."""
    def judge(damage):
        folder = tmp_path / 'case'
        shutil.copytree(good, folder)
        damage(folder)
        try:
            return corpus.verdict(folder)
        finally:
            corpus.remove(folder)
    return judge


def test_the_sound_bundle_has_everything_and_is_accepted(good):
    bundle = load_bundle(good)
    assert bundle.vector and bundle.laplace and bundle.ood.method == 'knn' and bundle.fusion.change_slope
    assert corpus.verdict(good) == 'accepted'
    assert verify_bundle(good) == []
    written = json.loads((good / 'bundle.json').read_text())
    assert _keys(written) == _keys(corpus._example())


def _keys(values, depth=0):
    if not isinstance(values, dict) or depth == 3:
        return None
    return {key: None if key in ('metrics', 'provenance') else _keys(value, depth + 1) for key, value in values.items()}


def test_signing_again_changes_nothing_of_a_sound_bundle(good, tmp_path):
    shutil.copytree(good, tmp_path / 'copy')
    corpus.resign(tmp_path / 'copy')
    assert load_bundle(tmp_path / 'copy').class_names == load_bundle(good).class_names


def _judge_all(case, cases):
    failures = []
    for name, damage in cases:
        began = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            case(damage)
        except Exception as error:  # noqa: B902 - of whatever kind, it is a failure
            failures.append(f'{name}: {type(error).__name__}: {str(error)[:200]}')
        seconds = time.perf_counter() - began
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if seconds > MOST_S or grown_mb > MOST_MB:
            failures.append(f'{name}: {seconds:.1f} s, {grown_mb:.0f} MB')
    assert not failures, '\n'.join(failures)


def test_some_of_every_kind_of_lie(case):
    _judge_all(case, CASES[::29])


@pytest.mark.slow
def test_every_lie(case):
    _judge_all(case, CASES)


@pytest.mark.parametrize('name, reason', [
    ('tensor vector.weight: one nan', 'vector.weight: holds NaN or an infinity'),
    ('tensor vector.bias: one inf', 'vector.bias: holds NaN or an infinity'),
    ('tensor ood.bank: one nan', 'ood.bank: holds NaN or an infinity'),
    ('tensor laplace.eigenvalues_a: one inf', 'eigenvalues_a: holds NaN or an infinity'),
    ('tensor head.weight: one nan', 'head.weight: holds NaN or an infinity'),
    ('tensor head.bias: one -inf', 'head.bias: holds NaN or an infinity'),
    ('tensor vector.weight: torch.float16', r'vector.weight: must be a list of float32'),
    ('tensor ood.bank: torch.int64', r'ood.bank: must be a table of float32'),
    ('tensor head.weight: torch.int64', 'head.weight holds torch.int64 instead of torch.float32'),
    ('tensor ood.calibration_scores: a scalar', 'ood.calibration_scores: must be a list'),
    ('tensor ood.calibration_scores: the other way round', 'ood.calibration_scores must be ascending'),
    ('tensor ood.calibration_scores: one nan', 'calibration_scores: holds NaN'),
    ('tensors of uncertainty.safetensors: one too many', r'the tensor extra\\x1b\[2J belongs to nothing'),
    ('value calibration.fusion.change_offset left out', 'change_offset and change_slope belong together'),
    ('value preprocessing.crop.0 = 6', r'crop must be \(height, width\), both at least 1 and at most 2048'),
    ('value preprocessing.crop.1 = 9', 'crop must be'),
    ('value preprocessing.crop.1 = 1', 'crop must be'),
    ('value preprocessing.std.0 = 3', 'std must be positive'),
    ('value architecture.name = 19', 'name must be one of'),
    ('value architecture.name = 14', 'no architecture'),
    ('value class_names.0 = 15', 'has the control character'),
    ('value class_names.0 = 17', 'is reserved'),
    ('value calibration.temperature = 3', 'calibration.temperature: must be a number in'),
    ('text 10000 deep lists', 'nested too deeply|nested more than'),
    ('text a key twice', "the key 'name' occurs twice"),
    ('text many keys twice', "the key 'a' occurs twice|more than"),
    ('text temperature 1e999', 'a number that is too large'),
    ('container model.safetensors: header of 1099511627776 bytes', 'is not a whole safetensors file'),
    ('container uncertainty.safetensors: everything overlaps', 'is not a whole safetensors file'),
    ('container model.safetensors: a Git LFS pointer', 'is not a whole safetensors file'),
    ('place model.safetensors: a pipe', 'is no regular file but a pipe'),
    ('place bundle.json: a pipe', 'is no regular file but a pipe'),
    ('place uncertainty.safetensors: a link to /dev/zero', 'is no regular file but a device'),
    ('place MODEL_CARD.md: a folder', 'is no regular file but a folder'),
    ('place MODEL_CARD.md: a link to itself', 'cannot be read'),
    ('place model.safetensors: 8 TB', 'more than the'),
    ('place of the bundle: a pipe', 'cannot be read'),
    ('place of the bundle: a socket', 'cannot be read'),
    ('place of the bundle: a link to /dev/zero', 'cannot be read'),
])
def test_a_lie_is_refused_with_its_file_and_reason(case, tmp_path, name, reason):
    (damage,) = [one for case_name, one in CASES if case_name == name]
    verdict = case(damage)
    assert verdict.startswith('refused: ')
    assert re.search(reason, verdict), verdict
    assert str(tmp_path) in verdict or 'case' in verdict


def test_a_folder_of_links_to_regular_files_is_a_bundle(good, tmp_path):
    """As ``colcon build --symlink-install`` makes it."""
    for path in good.rglob('*'):
        target = tmp_path / 'linked' / path.relative_to(good)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            target.symlink_to(path)
    assert corpus.verdict(tmp_path / 'linked') == 'accepted'


@pytest.mark.parametrize('name', ['~nosuchuser/m', 'x' * 5000, 'a\0b', '/' + 'y/' * 3000, 'ensemble:' + 'a,' * 10_000,
                                  'torchvision:resnet18@__class__', 'torchvision:' + 'z' * 100_000, '\ud800',
                                  '/dev/zero', '/proc/self/mem', 'ensemble:ensemble:a,b', '.', '..', '', ' '])
def test_no_name_of_a_model_leads_to_another_error(name):
    began = time.perf_counter()
    with pytest.raises(BundleError) as caught:
        load_bundle(name)
    assert len(str(caught.value)) < 1500
    assert time.perf_counter() - began < 10
    try:
        find_bundle(name)
    except BundleError:
        pass


def test_a_bundle_needs_no_more_memory_than_its_files(good, tmp_path):
    """A crop, a header and a name that would take gigabytes, in a process that has not so much."""
    code = f"""
import resource, shutil, sys
sys.path.insert(0, {str(FUZZ)!r})
import corpus_bundles as corpus
from pathlib import Path
used = int(open('/proc/self/statm').read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
wanted = ('value preprocessing.crop.0', 'value preprocessing.crop.1', 'value architecture.input_size',
          'value architecture.num_classes', 'container model.safetensors: header', 'place bundle.json: 8 TB')
for name, damage in corpus.every_mutation(0):
    if name.startswith(wanted):
        folder = Path({str(tmp_path / 'case')!r})
        shutil.copytree({str(good)!r}, folder)
        damage(folder)
        corpus.verdict(folder)
        corpus.remove(folder)
print('done')
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120,
                          env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert done.stdout.endswith('done\n'), done.stderr[-2000:]
