"""Rows made of probabilities, and small models and bags to judge."""
import ctypes
import os
import signal
from pathlib import Path
from typing import Mapping, Optional, Sequence

import numpy as np
from labelled_samples import pattern

from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.evaluation.table import ROW, FrameTable

T0_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
NAMES = ('cup', 'mug', 'bowl')


def random_probabilities(n: int, classes: int, seed: int = 0, ties: bool = False) -> np.ndarray:
    """(n, C), rows sum to 1; with ``ties`` few values occur."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.7), n)
    if ties:
        p = np.round(p * 4) + 1
        p /= p.sum(axis=1, keepdims=True)
    return p


def table_of(p: np.ndarray, targets: np.ndarray, *, tracks: Optional[Sequence[int]] = None,
             outcome: Optional[np.ndarray] = None, recording: Optional[np.ndarray] = None,
             class_names: Optional[Sequence[str]] = None, step_ns: int = STEP_NS) -> FrameTable:
    """Rows whose fused belief is that of the frame alone; accepted from 0.5 on unless ``outcome`` says otherwise."""
    n, classes = p.shape
    rows = np.zeros(n, ROW)
    rows['recording'] = 0 if recording is None else recording
    rows['track'] = -1 if tracks is None else tracks
    rows['object'] = -1
    rows['index'] = np.arange(n)
    rows['stamp_ns'] = rows['receive_ns'] = T0_NS + np.arange(n) * step_ns
    rows['target'] = targets
    known = targets >= 0
    own = np.where(known, p[np.arange(n), np.maximum(targets, 0)], np.nan)
    better = (p > own[:, None]).sum(axis=1)
    earlier = np.array([(p[i, :max(t, 0)] == own[i]).sum() for i, t in enumerate(targets)], int)
    for prefix in ('', 'fused_'):
        rows[f'{prefix}predicted'] = p.argmax(axis=1)
        rows[f'{prefix}confidence'] = p.max(axis=1)
        rows[f'{prefix}p_target'] = own
        rows[f'{prefix}square'] = (p ** 2).sum(axis=1)
        rows[f'{prefix}rank'] = np.where(known, better + earlier, -1)
    rows['entropy'] = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1) / np.log(max(classes, 2))
    rows['ood_score'] = rows['ood_p'] = np.nan
    rows['set_hit'] = -1
    rows['outcome'] = np.where(p.max(axis=1) >= 0.5, 0, 1) if outcome is None else outcome
    rows['trust'] = p.max(axis=1)
    count = int(np.max(rows['recording'])) + 1 if n else 1
    names = tuple(class_names or (f'class {c}' for c in range(classes)))
    track_names = tuple(f'track {t}' for t in range(int(np.max(rows['track'])) + 1)) if n else ()
    return FrameTable(rows, tuple(f'recording {r}' for r in range(count)), ('/camera',), track_names, names)


def small_model(folder: Path, seed: int = 0, class_names: Sequence[str] = NAMES, calibrated: bool = True,
                card_files: Optional[Mapping[str, bytes]] = None) -> Path:
    """A bundle around an untrained LeNet-5, with a temperature at which it accepts some pictures and not others.

    With seed 0, some are unknown to it.
    """
    import torch
    torch.manual_seed(seed)
    network = build_network('lenet5', len(class_names), in_channels=1)
    scores = np.linspace(-1.5, -1.152 if seed == 0 else 0, 200).astype(np.float32)
    save_bundle(folder, network, class_names, Preprocessing(0, (32, 32), (0.5,), (0.5,)),
                temperature=0.02 if calibrated else None, conformal=(0.1, 0.8) if calibrated else None,
                ood=OodCalibration('energy', scores) if calibrated else None, card_files=card_files or {})
    return folder


def labelled_bag(folder: Path, frames: int = 60, seed: int = 0, labels: bool = True, start_ns: int = T0_NS,
                 jpeg: bool = False) -> Path:
    """Pictures that change every twelve frames, labelled in turn ``cup``, ``mug``, ``unknown``."""
    with ImageBagWriter(folder) as writer:
        for index in range(frames):
            picture = pattern(1000 * seed + index // 12)
            noise = np.random.default_rng(index).integers(0, 12, picture.shape, dtype=np.uint8)
            write = writer.write_jpeg if jpeg else writer.write_raw
            write('/camera/image_raw', start_ns + index * STEP_NS, np.minimum(picture, 240) + noise)
    if labels:
        lines = []
        for number, begin in enumerate(range(0, frames, 12)):
            name = ('cup', 'mug', 'unknown')[number % 3]
            end = start_ns + min(begin + 12, frames) * STEP_NS
            lines.append(f'- {{start: {start_ns + begin * STEP_NS}, end: {end}, label: {name}}}\n')
        (folder / 'labels.yaml').write_text(''.join(lines))
    return folder


class Crash:
    """In the place of a recording's labels: ends the process that asks them, as a fault in a library would."""

    intervals = ()

    def __init__(self, way):
        self.way, self.asked = way, 0

    def span(self, _clock):
        """Of nothing."""

    def at(self, *_):
        """Crash."""
        if self.way == 'memory':
            raise MemoryError
        if self.way == 'fault':
            raise KeyError('a fault of ours')
        if self.way == 'disk':
            raise OSError(28, 'No space left on device', '/tmp/x')
        if self.way == 'segfault':
            ctypes.string_at(0)
        if self.way == 'exit':
            os._exit(3)
        os.kill(os.getpid(), signal.SIGKILL)
