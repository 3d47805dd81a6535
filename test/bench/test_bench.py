"""The benchmarks run, and their accounts add up; no time is asserted."""
import json
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import small_bundle  # noqa: E402


def bench(tmp_path, *arguments):
    done = subprocess.run([sys.executable, '-m', 'robot_vision_dl.cli.main', 'bench', *arguments, '--json',
                           str(tmp_path / 'figures.json')], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures['environment']['torch'] and figures['environment']['cores'] >= 1
    return figures, done.stdout


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(small_bundle(tmp_path_factory.mktemp('models') / 'small'))


def test_forward(tmp_path, model):
    figures, text = bench(tmp_path, 'forward', '--model', model, '--batch', '1', '3', '--seconds', '0.2')
    assert set(figures['forward']) == {'torch 1', 'torch 3'}
    assert figures['forward']['torch 3']['n'] > 0 and 'frames/s' in text


def test_preprocess(tmp_path, model):
    figures, _ = bench(tmp_path, 'preprocess', '--model', model, '--sizes', '64x48', '--seconds', '0.05')
    assert len(figures['preprocess']) == 6


def test_decode(tmp_path):
    figures, text = bench(tmp_path, 'decode', '--sizes', '64x48', '48x64', '--seconds', '0.05')
    assert set(figures['decode']) == {f'{size} {kind}' for size in ('64x48', '48x64') for kind in (
        'bgr8', 'JPEG 80', 'JPEG 95', 'JPEG progressive', 'PNG')}
    for name, each in figures['decode'].items():
        assert each['whole']['n'] == each['checks']['n'] >= 30, name
        assert name.endswith('bgr8') or 0 < each['checks']['min'] < each['whole']['min'], name
    assert 'OpenCV' in text


def test_resize(tmp_path, model):
    figures, text = bench(tmp_path, 'resize', '--model', model, '--sizes', '64x48', '37x51', '9x7')
    assert {(row['size'], row['order']) for row in figures['resize']} == {
        (size, order) for size in ('64x48', '37x51', '9x7') for order in ('rgb', 'bgr', 'rgba', 'bgra', 'mono')}
    for row in figures['resize']:
        assert row['torchvision largest'] < (1.001 if row['order'] == 'mono' else 0.001)
        assert 0 <= row['pil mean'] <= row['pil largest'] < 1.001
    assert 'levels of 255, on cpu' in text


@pytest.mark.slow
def test_transport(tmp_path, ros_domain):
    figures, _ = bench(tmp_path, 'transport', '--size', '64x48', '--seconds', '1')
    assert set(figures['transport']) == {f'{dds}, {kind}' for dds in ('large images', 'default')
                                         for kind in ('serialized', 'message')}
    assert all(row['arrived'] > 0 for row in figures['transport'].values())


def test_live_accounts_for_every_frame(tmp_path, model, ros_domain):
    figures, _ = bench(tmp_path, 'live', '--model', model, '--size', '64x48', '--cameras', '2', '--seconds', '2')
    cameras = figures['contenders']['robot_vision_dl']['cameras']
    assert set(cameras) == {'camera1', 'camera2'}
    for camera in cameras.values():
        assert camera['sent'] == 60
        assert camera['unexplained'] == 0
        assert camera['sent'] == camera['decided'] + sum(camera['dropped'].values()) + camera['lost_in_transport']
    ours = figures['contenders']['robot_vision_dl']
    assert sum(part['n'] for part in ours['course']) == ours['latency_ms']['n']
    assert ours['bare_forward_at_rate_ms']['n'] > 0


@pytest.mark.slow
def test_naive_node_decides_too(tmp_path, ros_domain):
    figures, _ = bench(tmp_path, 'live', '--vs', 'naive', '--seconds', '2')
    assert set(figures['contenders']) == {'robot_vision_dl', 'naive', 'naive, default DDS'}
    assert figures['contenders']['naive']['latency_ms']['n'] > 0


def test_nothing_to_measure_is_said():
    done = subprocess.run([sys.executable, '-m', 'robot_vision_dl.cli.main', 'bench'], capture_output=True, text=True)
    assert done.returncode == 2 and 'MEASUREMENT' in done.stderr
