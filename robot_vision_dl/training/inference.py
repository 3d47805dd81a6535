"""A trained network over frames as the live node would see them."""
from typing import NamedTuple, Sequence

import numpy as np
import torch

from ..core.networks.network import Network
from ..core.networks.preprocess import Preprocessing
from ..data.cache import FrameStore
from ..data.dataset import EvalTransform, FrameDataset


class Outputs(NamedTuple):
    """Of n frames.

    Attributes:
        logits: float32 (n, C).
        features: float32 (n, F).
        targets: int64 (n,), -1 for none of the classes.
        indices: int64 (n,), in the store.
    """

    logits: np.ndarray
    features: np.ndarray
    targets: np.ndarray
    indices: np.ndarray


@torch.inference_mode()
def outputs_of(network: Network, preprocessing: Preprocessing, store: FrameStore, indices: Sequence[int],
               class_names: Sequence[str], device: torch.device, batch_size: int = 32) -> Outputs:
    """Logits and features of frames, preprocessed as the live node does it, in float32."""
    dataset = FrameDataset(store, indices, class_names, EvalTransform(preprocessing))
    network = network.eval().to(device=device, memory_format=torch.channels_last)
    logits = np.empty((len(dataset), network.architecture.num_classes), np.float32)
    features = np.empty((len(dataset), network.num_features), np.float32)
    for begin in range(0, len(dataset), batch_size):
        end = min(begin + batch_size, len(dataset))
        pictures = torch.stack([dataset[place].picture for place in range(begin, end)])
        prediction = network(pictures.contiguous(memory_format=torch.channels_last).to(device))
        logits[begin:end] = prediction.logits.float().cpu().numpy()
        features[begin:end] = prediction.features.float().cpu().numpy()
    return Outputs(logits, features, dataset.targets, dataset.indices)


def targets_of(store: FrameStore, indices: Sequence[int], class_names: Sequence[str]) -> np.ndarray:
    """Class indices of frames; int64 (n,)."""
    numbers = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers[store.frames[index].label] for index in indices], np.int64)
