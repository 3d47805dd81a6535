"""Optimisers by name, and which parameters they move how."""
from typing import Any, Dict, List, Tuple

import torch
from torch import nn

from ..core.networks.network import Network
from .config import OptimizerConfig

_SGD = {'sgd': False, 'nesterov': True}
OPTIMIZERS = ('sgd', 'nesterov', 'adagrad', 'rmsprop', 'adam', 'adamw')


def parameter_groups(network: Network, config: OptimizerConfig) -> List[Dict[str, Any]]:
    """Parameters that are trained, by learning rate and weight decay: of head and backbone, matrices and the rest.

    Biases and the scales of normalisation layers, all of one dimension, are not decayed: that would not make the
    network simpler, only their training slower (Goyal et al. 2017; He et al. 2019).
    """
    groups: Dict[Tuple[float, float], List[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = 1.0 if name.startswith('head.') else config.backbone_factor
        # What is held near its start is not pulled to 0 as well.
        is_held = bool(config.l2_sp) and not name.startswith('head.')
        decay = config.weight_decay if parameter.ndim > 1 and not is_held else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [{'params': parameters, 'lr': config.learning_rate * factor, 'weight_decay': decay}
            for (factor, decay), parameters in groups.items()]


def build_optimizer(network: Network, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimiser that the config asks for, over the parameters of ``network`` that are not frozen."""
    groups = parameter_groups(network, config)
    rate = config.learning_rate
    if config.name in _SGD:
        return torch.optim.SGD(groups, rate, momentum=config.momentum, nesterov=_SGD[config.name])
    if config.name == 'adagrad':
        return torch.optim.Adagrad(groups, rate)
    if config.name == 'rmsprop':
        return torch.optim.RMSprop(groups, rate, momentum=config.momentum)
    kind = torch.optim.Adam if config.name == 'adam' else torch.optim.AdamW
    return kind(groups, rate, betas=(config.momentum, config.second_momentum))
