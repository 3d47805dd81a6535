"""What a result must beat: the majority class, nearest neighbours and a linear probe on the starting network."""
from typing import Dict, Optional, Sequence, Tuple

import numpy as np
import torch

NEIGHBOURS = 5
_DECAYS = tuple(10.0 ** power for power in range(-6, 0))


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


def linear_probe(train: np.ndarray, targets: np.ndarray, judge: Optional[Tuple[np.ndarray, np.ndarray]],
                 test: Sequence[np.ndarray], classes: int) -> Tuple[Tuple[np.ndarray, ...], float]:
    """Multinomial logistic regression on standardised features, as strongly decayed as suits the early-stop split.

    Args:
        train, targets: (n, F) and (n,).
        judge: features and targets that choose the decay; None: the middle one.
        test: feature arrays to classify.

    Returns:
        Logits (m, C) for each array of ``test``; the decay.
    """
    mean, std = train.mean(axis=0), train.std(axis=0) + 1e-6

    def standard(features: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((features - mean) / std).double()
    x, y = standard(train), torch.from_numpy(targets)
    decays = _DECAYS if judge is not None else _DECAYS[len(_DECAYS) // 2:][:1]
    best = None
    weights = torch.zeros(x.shape[1] + 1, classes, dtype=torch.float64)
    for decay in reversed(decays):  # each begins where the one before, more strongly decayed, ended
        weights = _logistic_regression(x, y, weights, decay)
        loss = 0.0 if judge is None else float(torch.nn.functional.cross_entropy(
            standard(judge[0]) @ weights[1:] + weights[0], torch.from_numpy(judge[1])))
        if best is None or loss < best[0]:
            best = loss, decay, weights
    _, decay, weights = best
    return tuple((standard(features) @ weights[1:] + weights[0]).float().numpy() for features in test), decay


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


def baseline_predictions(train: np.ndarray, train_targets: np.ndarray,
                        judge: Optional[Tuple[np.ndarray, np.ndarray]], test: np.ndarray,
                        classes: int) -> Dict[str, np.ndarray]:
    """Predicted classes of the test features by the name of the baseline."""
    probe, _ = linear_probe(train, train_targets, judge, [test], classes)
    return {
        'majority class': majority(train_targets, len(test)),
        f'{NEIGHBOURS} nearest neighbours on frozen features': nearest_neighbours(train, train_targets, test),
        'linear probe on frozen features': probe[0].argmax(axis=1),
    }
