"""Losses over targets that may be shared between classes (mixup, CutMix, smoothing)."""
import math
from typing import Optional

import torch
from torch import nn


def soft_targets(labels: torch.Tensor, num_classes: int, smoothing: float = 0.0) -> torch.Tensor:
    """(1 - e) t + e/C, float32 (B, C) (Szegedy et al. 2016).

    Args:
        labels: class indices (B,), or shares (B, C) that sum to 1.
        num_classes: C.
        smoothing: e in [0, 1).
    """
    shares = nn.functional.one_hot(labels, num_classes).float() if labels.ndim == 1 else labels.float()
    return shares if smoothing == 0 else shares * (1 - smoothing) + smoothing / num_classes


def uniform_divergence(logits: torch.Tensor) -> torch.Tensor:
    """KL(uniform || p) = -ln C - (1/C) sum ln p_c, mean over pictures; nats, at least 0.

    The cross-entropy to the uniform distribution of outlier exposure (Hendrycks et al. 2019), less its smallest value.

    Args:
        logits: (B, C) of outliers; computed in float32 whatever they are.
    """
    log_p = torch.log_softmax(logits.float(), dim=-1)
    return -log_p.mean() - math.log(logits.shape[-1])


def focal_cross_entropy(logits: torch.Tensor, shares: torch.Tensor, weights: Optional[torch.Tensor] = None,
                        gamma: float = 0.0) -> torch.Tensor:
    """sum w_c t_c (1 - p_c)^gamma (-ln p_c) / sum w_c t_c, sums over classes and pictures; nats.

    gamma 0 is the cross-entropy, averaged as ``torch.nn.CrossEntropyLoss`` averages weighted classes; gamma > 0 makes
    pictures that are right already count less (Lin et al. 2017).

    Args:
        logits: (B, C); computed in float32 whatever they are.
        shares: (B, C), rows sum to 1.
        weights: (C,), or None: all 1.
    """
    log_p = torch.log_softmax(logits.float(), dim=-1)
    mass = shares if weights is None else shares * weights
    terms = -mass * log_p
    if gamma > 0:
        terms = terms * (1 - log_p.exp()).clamp_min(0) ** gamma
    return terms.sum() / mass.sum()
