"""Small data sets and configs that training is tested on."""
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

CLASSES = ('circle', 'cross', 'square')


def draw(label: str, rng: np.random.Generator, side: int = 40) -> np.ndarray:
    """A shape of random size, place and colour before a noisy grey; uint8 (side, side, 3)."""
    picture = np.full((side, side, 3), rng.integers(60, 120), np.uint8)
    colour = [int(value) for value in rng.integers(140, 255, 3)]
    x, y = (int(value) for value in rng.integers(16, side - 16, 2))
    r = int(rng.integers(8, 14))
    if label == 'circle':
        cv2.circle(picture, (x, y), r, colour, -1)
    elif label == 'square':
        cv2.rectangle(picture, (x - r, y - r), (x + r, y + r), colour, -1)
    else:
        cv2.line(picture, (x - r, y - r), (x + r, y + r), colour, 3)
        cv2.line(picture, (x - r, y + r), (x + r, y - r), colour, 3)
    noise = rng.normal(0, 12, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def picture_folders(root: Path, recordings: int = 6, each: int = 10, seed: int = 0, unknown: int = 0) -> Path:
    """``root/recording_<n>/<class>/<k>.png``, and so many of no class in ``unknown/``: stripes."""
    rng = np.random.default_rng(seed)
    for number in range(recordings):
        for label in CLASSES:
            folder = root / f'recording_{number}' / label
            folder.mkdir(parents=True)
            for k in range(each):
                cv2.imwrite(str(folder / f'{k:03d}.png'), draw(label, rng))
        for k in range(unknown):
            folder = root / f'recording_{number}' / 'unknown'
            folder.mkdir(parents=True, exist_ok=True)
            stripes = np.uint8(127 + 120 * np.sin(np.arange(40) * rng.uniform(0.5, 2)))[:, None, None]
            noisy = np.broadcast_to(stripes, (40, 40, 3)) + rng.normal(0, 12, (40, 40, 3))
            cv2.imwrite(str(folder / f'{k:03d}.png'), np.clip(noisy, 0, 255).astype(np.uint8))
    return root


def config_text(pictures: Path, work: Path, epochs: int = 8, **groups: str) -> str:
    """A config of a LeNet-5 from scratch over :func:`picture_folders`; groups are added as they are."""
    values = {
        'data': f'{{bags: ["{pictures}/recording_*"], selection: {{duplicate_distance: -1}}, split: {{train: 0.5, '
                f'early_stop: 0.16, calibration: 0.17, test: 0.17}}, cache: {{folder: "{work}/cache"}}}}',
        'network': '{architecture: lenet5, pretrained: ""}',
        'input': '{resize: 32, crop: 32}',
        'augment': '{rotation_deg: 5.0, erasing: 0.0}',
        'optimizer': '{learning_rate: 5.0e-3}',
        'run': f'{{epochs: {epochs}, batch_size: 16, average_decay: 0.9, device: cpu, threads: 1}}',
        'output': f'{{runs: "{work}/runs", models: "{work}/models", ood: energy}}',
        **groups}
    return 'name: shapes\n' + '\n'.join(f'{name}: {value}' for name, value in values.items()) + '\n'


def command(work: Path, text: str, *options: str, launcher: tuple = (), name: str = 'train'
            ) -> subprocess.Popen:
    """``robot-vision train`` (or ``name``) on a config with this text, on one thread."""
    path = work / 'train.yaml'
    path.write_text(text)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    return subprocess.Popen([sys.executable, *launcher, '-m', 'robot_vision_dl.cli.main', name, str(path), *options],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=work)


def finished(process: subprocess.Popen, code: int = 0) -> str:
    """All that it printed, once it has ended with this code."""
    out, errors = process.communicate(timeout=300)
    assert process.returncode == code, out + errors
    return out + errors
