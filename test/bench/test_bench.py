"""The benchmarks run, and their accounts add up; no time is asserted."""
import json
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import small_bundle  # noqa: E402

from robot_vision_dl.cli.main import main  # noqa: E402


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
def test_live_runs_the_node_with_other_parameters_beside(tmp_path, model, ros_domain):
    figures, text = bench(tmp_path, 'live', '--model', model, '--size', '64x48', '--seconds', '1', '--backend', 'torch',
                          '--with', f'record_doubts.folder:={tmp_path / "doubts"}', 'record_doubts.random_share:=1.0',
                          'record_doubts.min_free_mb:=0.0')
    assert list(figures['contenders']) == ['robot_vision_dl', 'robot_vision_dl with']
    assert 'with: record_doubts.folder:=' in text
    assert len(list((tmp_path / 'doubts').glob('doubts_*/metadata.yaml'))) == 1


@pytest.mark.slow
def test_live_tells_what_somebody_who_watches_costs(tmp_path, model, ros_domain):
    figures, text = bench(tmp_path, 'live', '--model', model, '--size', '64x48', '--seconds', '2', '--backend', 'torch',
                          '--watch', 'winner')
    alone, watched = figures['contenders']['evidence winner'], figures['contenders']['evidence winner, watched']
    assert 'overlays_seen' not in alone and watched['overlays_seen'] > 0
    values = [one['cameras']['camera1']['diagnostics'] for one in (alone, watched)]
    assert 'evidence_ms_mean' not in values[0] and float(values[1]['evidence_ms_mean']) > 0
    assert 'p99 : first' in text


def test_live_accounts_for_every_object(tmp_path, model, ros_domain):
    figures, text = bench(tmp_path, 'live', '--model', model, '--size', '320x240', '--cameras', '2', '--objects', '40',
                          '--detector-delay', '120', '--rate', '10', '--seconds', '2', '--backend', 'torch')
    ours = figures['contenders']['robot_vision_dl']
    assert ours['batches'] == [8] * 8  # 32 of 40 are looked at
    answered = 0
    for camera in ours['cameras'].values():
        for account in (camera, camera['arrays']):
            assert account['sent'] == 20 and account['unexplained'] == 0
            assert account['sent'] == account['decided'] + sum(account['dropped'].values()) + account[
                'lost_in_transport']
        assert set(camera['objects']) == {'decided', 'not_its_turn'}
        assert sum(camera['objects'].values()) == 40 * camera['arrays']['decided']
        assert camera['objects']['decided'] == 32 * camera['arrays']['decided']
        answered += camera['arrays']['decided']
    assert ours['objects_unexplained'] == 0 and ours['answered_ms']['n'] == answered > 0
    assert ours['detector_ms']['p50'] >= 120
    assert ours['latency_ms']['p50'] > ours['answered_ms']['p50'] > ours['answer_left_ms']['p50'] > 0
    assert 'not_its_turn' in text and 'its boxes are sent' in text


@pytest.mark.parametrize('arguments, told', [
    (('--vs', 'pictures'), 'give --objects N'),
    (('--vs', 'naive', '--objects', '8'), 'leave --objects out'),
    (('--vs', 'pictures', '--objects', '60', '--cameras', '3'), '96 objects are looked at together'),
    (('--watch', '--vs', 'naive'), 'leave --vs')])
def test_what_live_cannot_compare_is_refused(arguments, told, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['robot-vision', 'bench', 'live'])  # only what is asked for is imported
    assert main(['bench', 'live', *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.slow
def test_objects_beside_as_many_whole_pictures(tmp_path, model, ros_domain):
    figures, text = bench(tmp_path, 'live', '--model', model, '--size', '160x120', '--objects', '3', '--rate', '10',
                          '--seconds', '2', '--vs', 'pictures')
    ours, pictures = figures['contenders'].values()
    assert ours['batches'] == [2, 1] and pictures['batches'] == [3] and len(pictures['cameras']) == 3
    assert 'robot_vision_dl, 3 cameras' in text


@pytest.mark.slow
def test_naive_node_decides_too(tmp_path, ros_domain):
    figures, _ = bench(tmp_path, 'live', '--vs', 'naive', '--seconds', '2')
    assert set(figures['contenders']) == {'robot_vision_dl', 'naive', 'naive, default DDS'}
    assert figures['contenders']['naive']['latency_ms']['n'] > 0


def test_nothing_to_measure_is_said():
    done = subprocess.run([sys.executable, '-m', 'robot_vision_dl.cli.main', 'bench'], capture_output=True, text=True)
    assert done.returncode == 2 and 'MEASUREMENT' in done.stderr
