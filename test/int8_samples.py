"""A small float32 bundle that tells colours apart, and labelled pictures for it."""
from pathlib import Path

import cv2
import numpy as np
import torch
from fitted_head import fit_head

from robot_vision_dl.core.bundles.bundle import Bundle, load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.evaluation.predict import run_bundle

NAMES = ('dark', 'light', 'red')
_COLOURS = {'dark': (60, 60, 60), 'light': (180, 180, 180), 'red': (60, 60, 180), 'other': (200, 40, 0)}


def write_pictures(folder: Path, per_class: int, seed: int, names=NAMES) -> Path:
    """Noisy pictures of one colour each under coarse patterns, so that none looks like another to the hash."""
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            coarse = cv2.resize(rng.normal(0, 40, (4, 4, 1)).astype(np.float32), (32, 32))[..., None]
            pixels = np.clip(_COLOURS[name] + coarse + rng.normal(0, 15, (32, 32, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f'{number:03d}.png'), pixels)
    return folder


def colour_bundle(root: Path) -> Bundle:
    """Make ``model``, a ResNet-20 with a head fitted to the pictures in ``train``; ``day1``, ``day2``, ``strange``."""
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', 3)
    for name, count, seed in (('train', 30, 0), ('day1', 60, 1), ('day2', 40, 2)):
        write_pictures(root / name, count, seed)
    write_pictures(root / 'strange', 30, 3, ('other',))
    save_bundle(root / 'plain', network, NAMES, Preprocessing(0, (32, 32)), temperature=1.0)
    seen = run_bundle(load_bundle(root / 'plain'), [str(root / 'train')], cache=str(root / 'cache'))
    fit_head(network, seen, 1e-4)
    return save_bundle(root / 'model', network, NAMES, Preprocessing(0, (32, 32)), abstain_cost=0.3,
                       card='# model\n- Input: x\n\nKeep me.\n')
