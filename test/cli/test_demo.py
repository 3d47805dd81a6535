"""The demo, as a user runs it."""
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import pytest
from PIL import Image

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

COMMAND = [sys.executable, '-m', 'robot_vision_dl.cli.main', 'demo']


def processes_of(domain):
    """Processes that run in a DDS domain, other than this one."""
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                environ = open(f'/proc/{entry}/environ', 'rb').read().split(b'\0')
                command = open(f'/proc/{entry}/cmdline', 'rb').read()
            except OSError:
                continue
            if f'ROS_DOMAIN_ID={domain}'.encode() in environ and b'robot_vision_dl' in command:
                found.append(command)
    return found


def test_demo_shows_all_three_outcomes_and_a_waste_sorter_and_leaves_pictures(tmp_path, ros_domain):
    done = subprocess.run([*COMMAND, '--out', str(tmp_path / 'out'), '--animation'], capture_output=True, text=True,
                          timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('unexplained: 0') == 2
    frames = {act: [json.loads(line) for line in (tmp_path / 'out' / act / 'decisions.jsonl').read_text().splitlines()]
              for act in ('bottles', 'waste')}
    assert {frame['outcome'] for frame in frames['bottles']} == {'accepted', 'uncertain', 'unknown'}
    assert 'water bottle' in {frame['label'] for frame in frames['bottles']}
    accepted = [frame for frame in frames['waste'] if frame['outcome'] == 'accepted']
    assert sum(frame['label'] == frame['truth'] for frame in accepted) > 0.6 * len(accepted) > 60
    overlays = list((tmp_path / 'out' / 'bottles').glob('overlay_*.jpg'))
    assert len(overlays) >= 3
    assert cv2.imread(str(overlays[0])).shape == (360, 640, 3)
    assert (tmp_path / 'out' / 'waste' / 'summary.md').read_text().startswith('# Demo')
    with Image.open(tmp_path / 'out' / 'bottles' / 'animation.webp') as animation:
        assert animation.n_frames > 50 and animation.size == (560, 315)
    assert not processes_of(ros_domain)


def test_ctrl_c_stops_everything(tmp_path, ros_domain):
    demo = subprocess.Popen([*COMMAND, '--out', str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)
    for line in demo.stdout:
        if ' s  ' in line:
            break
    demo.send_signal(signal.SIGINT)
    rest = demo.stdout.read()
    assert demo.wait(60) == 130
    assert 'Traceback' not in rest
    deadline = time.monotonic() + 20
    while processes_of(ros_domain) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_of(ros_domain)


def test_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / 'file').write_text('')
    done = subprocess.run([*COMMAND, '--out', str(tmp_path / 'file' / 'out')], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1
    assert 'cannot be written' in done.stderr and 'Traceback' not in done.stderr


def test_model_that_does_not_exist_is_said(tmp_path, ros_domain):
    done = subprocess.run([*COMMAND, '--out', str(tmp_path), '--model', 'no_such_model'], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 2
    assert "no model bundle 'no_such_model'" in done.stderr and 'Traceback' not in done.stderr
