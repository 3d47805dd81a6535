"""``bench gpu`` without a GPU: one line. Its figures add up with a stand-in for the driver; no time is asserted."""
import json
import subprocess
import sys

import pytest
import torch
from fake_gpu import FakeGpu

from robot_vision_dl.bench import gpu
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.networks.cuda import device_count


def bench(*arguments):
    return subprocess.run([sys.executable, '-m', 'robot_vision_dl.cli.main', 'bench', 'gpu', *arguments],
                          capture_output=True, text=True, timeout=240)


@pytest.mark.skipif(device_count() > 0, reason='there is a GPU')
def test_without_a_gpu_one_line_says_so():
    done = bench()
    assert done.returncode == 2 and not done.stdout
    assert len(done.stderr.splitlines()) == 1 and "device 'cuda'" in done.stderr and 'found here: cpu' in done.stderr


def test_a_cpu_is_not_what_is_measured():
    done = bench('--device', 'cpu')
    assert done.returncode == 2 and 'this measures a GPU' in done.stderr


def test_every_stage_stands_beside_its_floor():
    bundle = load_bundle('waste_sorter')
    network = bundle.load_network()
    found = gpu.measure(bundle, network, FakeGpu(), 'float32', [1, 2], (320, 240), 4, 0.02, lambda device: (5, 6, 7))
    assert set(found['stages']) == {'1', '2'}
    for times in found['stages'].values():
        assert set(times) == {stage.name for stage in gpu.STAGES}
        assert all(one['n'] > 0 and one['p50'] > 0 for one in times.values())
        for stage in gpu.STAGES:
            floor = gpu.floor_of(stage, times)
            assert floor is None if not stage.floors else floor == pytest.approx(
                sum(times[name]['p50'] for name in stage.floors))
    assert found['memory_mb'] == {'allocated': 5, 'reserved': 6, 'free': 7}
    assert list(found['first_frame_ms']) == ['1', '2'] and found['differ'] == 0 and found['self_check'] < 1e-3
    text = gpu.shown('float32', found)
    assert "differ from the CPU's in 0 of 4 frames" in text and 'first frame of each batch size' in text
    json.dumps(found)


def test_frames_that_differ_are_counted():
    bundle = load_bundle('waste_sorter')
    from robot_vision_dl.core.runtime.gpu_path import GpuPath
    from robot_vision_dl.core.runtime.self_check import photographs
    path = GpuPath(bundle, bundle.load_network(), 'float32', 1, driver=FakeGpu())
    with torch.inference_mode():
        path.network.head.bias[3] += 100  # after the check
        pictures = gpu.moved(photographs(), (320, 240), 3)
        assert gpu.differing(path, pictures) == 3


@pytest.mark.skipif(not device_count(), reason='no GPU')
def test_a_real_gpu(tmp_path):
    done = bench('--batch', '1', '2', '--seconds', '0.2', '--frames', '6', '--json', str(tmp_path / 'figures.json'))
    assert done.returncode == 0, done.stderr
    assert set(json.loads((tmp_path / 'figures.json').read_text())['figures']) == {'float32', 'float16'}
