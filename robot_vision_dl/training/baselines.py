"""What a result must beat: the majority class, nearest neighbours and a linear probe on the starting network."""
from typing import Dict, Optional, Tuple

import numpy as np
import torch

NEIGHBOURS = 5
_LEAST_SPREAD = 0.3  # of a feature, as a share of the root mean square of all
_DECAYS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
MIDDLE_DECAY = 0.01


def majority(train: np.ndarray, count: int) -> np.ndarray:
    """The most frequent class of the training targets, ``count`` times."""
    return np.full(count, np.bincount(train).argmax())


def nearest_neighbours(train: np.ndarray, targets: np.ndarray, test: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """Class of most of the k training features with the largest cosine; of a tie, the nearest one's.

    Args:
        train, targets: (n, F) and (n,).
        test: (m, F).

    Returns:
        int64 (m,).
    """
    near = torch.from_numpy(_unit(test)) @ torch.from_numpy(_unit(train)).T
    places = near.topk(min(k, len(train)), dim=1).indices.numpy()
    votes = targets[places]
    counts = np.stack([np.bincount(row, minlength=targets.max() + 1) for row in votes])
    most = counts.max(axis=1)
    # The nearest neighbour whose class has as many votes as any.
    first = np.argmax(np.take_along_axis(counts, votes, 1) == most[:, None], axis=1)
    return votes[np.arange(len(votes)), first]


def linear_probe(train: np.ndarray, targets: np.ndarray, judge: Optional[Tuple[np.ndarray, np.ndarray]], classes: int,
                 decay: float = MIDDLE_DECAY) -> Tuple[np.ndarray, np.ndarray, float]:
    """Multinomial logistic regression on standardised features, as strongly decayed as suits the early-stop split.

    Args:
        train, targets: (n, F) and (n,).
        judge: features and targets that choose the decay; None: it is ``decay``.
        classes: C.
        decay: where nothing chooses it.

    Returns:
        Weights (C, F) and bias (C,), float32, for features as they come; the decay.
    """
    mean, std = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    # What hardly varies in a few frames may vary more in others: scaled up to a standard deviation of 1 it would
    # outweigh all else there.
    std = np.maximum(std, _LEAST_SPREAD * float(np.sqrt(np.mean(std ** 2))) + 1e-6)

    def standard(features: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((features - mean) / std)
    x, y = standard(train), torch.from_numpy(targets)
    decays = _DECAYS if judge is not None else (decay,)
    best: Optional[Tuple[float, float, np.ndarray]] = None
    weights = torch.zeros(x.shape[1] + 1, classes, dtype=torch.float64)
    for tried in decays:  # each begins where the one before, more strongly decayed, ended
        weights = _logistic_regression(x, y, weights, tried)
        loss = 0.0 if judge is None else float(torch.nn.functional.cross_entropy(
            standard(judge[0]) @ weights[1:] + weights[0], torch.from_numpy(judge[1])))
        if best is None or loss < best[0]:
            best = loss, tried, weights.numpy()
    assert best is not None
    _, chosen, solution = best
    weight = solution[1:].T / std
    return weight.astype(np.float32), (solution[0] - weight @ mean).astype(np.float32), chosen


def _logistic_regression(x: torch.Tensor, y: torch.Tensor, start: torch.Tensor, decay: float) -> torch.Tensor:
    """Weights (1 + F, C), the bias first, that minimise NLL + decay |W|^2."""
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn='strong_wolfe')

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(x @ weights[1:] + weights[0], y) + decay * (weights[1:] ** 2).sum()
        loss.backward()
        return loss
    optimizer.step(closure)
    return weights.detach()


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def baseline_predictions(train: np.ndarray, targets: np.ndarray, judge: Optional[Tuple[np.ndarray, np.ndarray]],
                         test: np.ndarray, classes: int) -> Dict[str, np.ndarray]:
    """Predicted classes of the test features (m, F) by the name of the baseline."""
    weight, bias, _ = linear_probe(train, targets, judge, classes)
    return {
        'majority class': majority(targets, len(test)),
        f'{NEIGHBOURS} nearest neighbours on frozen features': nearest_neighbours(train, targets, test),
        'linear probe on frozen features': (test @ weight.T + bias).argmax(axis=1),
    }
