"""Before hours are spent: does the loss begin where it should, and can a few pictures be learned by heart?"""
import copy
import math
from typing import Tuple

import torch
from torch import nn

from ..core.networks.network import Network
from .errors import TrainingError
from .freeze import HEAD, set_trained

PICTURES = 8
_STEPS = 80
_LEARNED = 0.2  # share of ln C that the loss must fall below
_RATE, _HEAD_RATE = 1e-3, 1e-2  # of Adam: enough for any network, far from the limit of the fragile ones


def check_start(network: Network, pictures: torch.Tensor, targets: torch.Tensor, *, has_fresh_head: bool,
                is_random: bool) -> float:
    """The loss of the untrained network, which should be near ln C: no class is preferred yet.

    Args:
        pictures, targets: (B, channels, H, W) and (B,), of several classes.
        has_fresh_head: otherwise the head knows the classes already, and only a much larger loss is wrong.
        is_random: the backbone is random, too, so the statistics of its BatchNorm layers mean nothing yet, and those of
            the pictures are used.

    Returns:
        Cross-entropy in nats.

    Raises:
        TrainingError: it is more than twice ln C, not a number, or far below.
    """
    network = copy.deepcopy(network).train(is_random)
    network.dropout.eval()
    with torch.no_grad():
        loss = float(nn.functional.cross_entropy(network(pictures).logits.float(), targets))
    chance = math.log(network.architecture.num_classes)
    if not math.isfinite(loss) or loss > 2 * chance + 0.5 or (has_fresh_head and loss < 0.3 * chance):
        raise TrainingError(f'sanity check: the untrained network has a loss of {loss:.3f}, which should be near ln '
                            f'{network.architecture.num_classes} = {chance:.3f}. Check input.normalise and the weights '
                            '(network.pretrained); run.sanity_check: false goes on all the same')
    return loss


def check_memorises(network: Network, pictures: torch.Tensor, targets: torch.Tensor, train_from: str, *,
                    is_random: bool) -> Tuple[int, float]:
    """Learn a few pictures by heart with a copy of the network.

    Args:
        train_from: as in the config.
        is_random: as for :func:`check_start`.

    Returns:
        Steps that it took, and the loss after them.

    Raises:
        TrainingError: it cannot be done, so labels, pictures or frozen layers are not as they should be.
    """
    network = copy.deepcopy(network)
    # Eight pictures say less than the statistics of the weights.
    set_trained(network, train_from, head_only=False, keeps_statistics=not is_random)
    network.dropout.p = 0.0
    head = [p for p in network.head.parameters() if p.requires_grad]
    rest = [p for p in network.backbone.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam([{'params': head, 'lr': _HEAD_RATE if train_from == HEAD else _RATE},
                                  *([{'params': rest, 'lr': _RATE}] if rest else [])])
    goal = _LEARNED * math.log(network.architecture.num_classes)
    loss = math.inf
    for step in range(_STEPS):
        error = nn.functional.cross_entropy(network(pictures).logits.float(), targets)
        loss = float(error.detach())
        if loss < goal:
            return step, loss
        if not math.isfinite(loss):
            break
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    raise TrainingError(f'sanity check: {len(pictures)} pictures could not be learned by heart: after {_STEPS} steps '
                        f'the loss is {loss:.3f}, it should be below {goal:.3f}. Look at augmented.png: are the same '
                        'pictures labelled differently, or all alike? Is too much frozen (network.train_from)? '
                        'run.sanity_check: false goes on all the same')
