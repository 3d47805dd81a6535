"""Scenes of coloured squares, and a bundle that tells them apart from what is cut out of such scenes."""
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from camera_samples import any_picture

from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.regions.crop import CROP_MARGIN, crop
from robot_vision_dl.core.regions.detections import Box, Detection, DetectionArray, Hypothesis
from robot_vision_dl.core.types import ColorOrder, Header, Picture
from robot_vision_dl.core.uncertainty.calibrate import FusionTimes, calibrate
from robot_vision_dl.core.uncertainty.ood.base import linear_head

NAMES = ('red', 'green', 'blue')
COLOURS = {'red': (40, 40, 200), 'green': (40, 180, 40), 'blue': (210, 60, 40), 'yellow': (30, 220, 220)}
PRE = Preprocessing(resize=36, crop=(32, 32))
HEIGHT, WIDTH, SIDE = 240, 320, 40


def scene(objects, seed=0, height=HEIGHT, width=WIDTH):
    """uint8 (height, width, 3) BGR: squares of (colour name, x, y[, side]) by their centres, on a rough grey ground."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.normal(120, 25, (12, 16)).astype(np.float32), (width, height))[..., None]
    pixels = np.repeat(ground, 3, axis=2)
    for name, x, y, *side in objects:
        half = (side[0] if side else SIDE) / 2
        top, left = max(0, round(y - half)), max(0, round(x - half))
        bottom, right = max(0, round(y + half)), max(0, round(x + half))
        pixels[top:bottom, left:right] = COLOURS[name]
    return np.clip(pixels + rng.normal(0, 10, pixels.shape), 0, 255).astype(np.uint8)


def detection(x, y, track_id='', side=SIDE, hypotheses=(), **box):
    """What a detector says of a square."""
    return Detection(Header(0, ''), tuple(Hypothesis(*one) for one in hypotheses), Box(x, y, side, side, **box),
                     track_id)


def array(stamp_ns, *detections):
    """A detector's answer."""
    return DetectionArray(Header(stamp_ns, 'camera'), detections)


def crops(count, seed, names=NAMES):
    """(pictures, labels): objects cut out of scenes as a pipeline does."""
    rng, pictures, labels = np.random.default_rng(seed), [], []
    for number in range(count):
        name, x, y = names[number % len(names)], rng.uniform(30, WIDTH - 30), rng.uniform(30, HEIGHT - 30)
        picture = Picture(scene([(name, x, y)], seed=1000 * seed + number), ColorOrder.BGR)
        box = Box(x + rng.normal(0, 2), y + rng.normal(0, 2), SIDE * rng.uniform(.9, 1.1), SIDE * rng.uniform(.9, 1.1))
        pictures.append(crop(picture, box, PRE).picture)
        labels.append(number % len(names))
    return pictures, np.array(labels)


def square_bundle(folder: Path) -> Path:
    """A calibrated bundle of the three colours; yellow it has never seen."""
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', len(NAMES)).eval()
    preprocess = Preprocessor(PRE, 'cpu')

    def outputs(pictures):
        with torch.inference_mode():
            return network(preprocess(pictures))
    pictures, labels = crops(120, 1)
    features = outputs(pictures).features
    head = torch.nn.Linear(features.shape[1], len(NAMES))
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn='strong_wolfe')
    features = features.clone()

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(features), torch.from_numpy(labels))
        (loss + 1e-4 * head.weight.square().sum()).backward()
        return loss
    optimizer.step(closure)
    with torch.no_grad():
        network.head.weight.copy_(head.weight)
        network.head.bias.copy_(head.bias)
    pictures, labels = crops(300, 2)
    found = outputs(pictures)
    calibration = calibrate(found.logits.numpy(), found.features.numpy(), labels, ood='mahalanobis',
                            head=linear_head(network.head))
    calibration = replace(calibration, fusion=FusionTimes(0.3, 5.0), camera=any_picture())
    save_bundle(folder, network, NAMES, PRE, calibration=calibration, provenance={CROP_MARGIN: '0.1'})
    return folder
