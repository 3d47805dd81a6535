"""Features of the network that training starts from, computed once a run: for baselines and for the head's start."""
import hashlib
import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np
import torch
from torch import nn

from ..core.networks.device import resolve_device
from ..core.networks.network import Network
from ..data.division import Part
from ..evaluation.predict import Predictor
from .baselines import linear_probe
from .checkpoint import write_atomically
from .config import TrainConfig
from .initial_weights import starting_network, starting_weights
from .training_data import TrainingData

FILE = 'features.npz'
_PARTS = (Part.TRAIN, Part.EARLY_STOP, Part.TEST)


class PartFeatures(NamedTuple):
    """Features (n, F) and class indices (n,) of a part of the split."""

    features: np.ndarray
    targets: np.ndarray


def frozen_features(config: TrainConfig, data: TrainingData, folder: Path) -> Dict[Part, PartFeatures]:
    """Of training, early-stop and test frames, not changed at random; kept in the folder of the run."""
    key = hashlib.sha256(json.dumps([
        starting_weights(config.network), config.network.architecture, asdict(data.preprocessing),
        data.store.data_hash, data.split.inputs_hash, data.class_names]).encode()).hexdigest()
    found = _read(folder / FILE, key)
    if found is not None:
        return found
    network = starting_network(config.network, data.class_names, config.input.channels).network
    predictor = Predictor(network, data.preprocessing, resolve_device(config.run.device))
    result = {}
    for part in _PARTS:
        if len(data.indices[part]):
            outputs = predictor.frames(data.store, data.indices[part], data.class_names)
            result[part] = PartFeatures(outputs.features, outputs.targets)
    buffer = io.BytesIO()
    arrays = {f'{part.value}_{name}': value for part, item in result.items() for name, value in item._asdict().items()}
    np.savez(buffer, key=np.array(key), **arrays)
    write_atomically(folder / FILE, buffer.getvalue())
    return result


def _read(path: Path, key: str) -> Optional[Dict[Part, PartFeatures]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays['key']) != key:
                return None
            return {part: PartFeatures(arrays[f'{part.value}_features'], arrays[f'{part.value}_targets'])
                    for part in _PARTS if f'{part.value}_features' in arrays}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def start_head(network: Network, features: Dict[Part, PartFeatures]) -> Tuple[float, float]:
    """Set the linear head to the linear probe on the starting features (Kumar et al. 2022).

    The first steps then do not have to undo the noise that a random head sends through the backbone.

    Returns:
        Accuracy on the training frames and the probe's weight decay.
    """
    if not isinstance(network.head, nn.Linear):
        raise TypeError('only a linear head can be set to a linear probe')
    train = features[Part.TRAIN]
    judged = features.get(Part.EARLY_STOP)
    weight, bias, decay = linear_probe(train.features, train.targets, judged, network.architecture.num_classes)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight))
        network.head.bias.copy_(torch.from_numpy(bias))
    called = (train.features @ weight.T + bias).argmax(axis=1)
    return float(np.mean(called == train.targets)), decay
