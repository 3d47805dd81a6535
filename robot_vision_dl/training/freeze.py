"""Which layers are trained when."""
from typing import List

from torch import nn

from ..core.errors import ConfigError
from ..core.networks.network import Network
from ..core.networks.split_network import layer_names
from ..core.suggestions import did_you_mean

ALL, HEAD = 'all', 'head'
AFTER = 'after:'
"""Before the name of a layer: it stays as it is, too, and what comes after it is trained."""
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def frozen_parameters(network: Network, train_from: str) -> List[nn.Parameter]:
    """Parameters that are never trained: those of the backbone before what ``train_from`` names.

    Args:
        train_from: ``all``, ``head``, one of :func:`layer_names`, which is the first that is trained, or ``after:`` and
            one of them, which is the last that is not.

    Raises:
        ConfigError: there is no such layer.
    """
    named = list(network.backbone.named_parameters())
    if train_from == ALL:
        return []
    if train_from == HEAD:
        return [parameter for _, parameter in named]
    is_after = train_from.startswith(AFTER)
    layer = train_from[len(AFTER):] if is_after else train_from
    own = [place for place, (name, _) in enumerate(named) if name.startswith(layer + '.')]
    if not own:
        top = [name for name in layer_names(network) if name.count('.') <= 1]
        raise ConfigError(f'network.train_from: {network.architecture.name} has no layer {layer!r}; '
                          f'{did_you_mean(layer, [ALL, HEAD, *top])}')
    return [parameter for _, parameter in named[:own[-1] + 1 if is_after else own[0]]]


def set_trained(network: Network, train_from: str, head_only: bool, keeps_statistics: bool = False) -> None:
    """Freeze and unfreeze, and put the network into training mode where it is trained.

    Layers whose parameters are all frozen stay in evaluation mode with all that they contain, so that BatchNorm keeps
    the statistics that the frozen weights were trained with, and so does what has no parameters (dropout, say) before
    all that is trained; with only the head in training, all of the backbone does.

    Args:
        keeps_statistics: see :func:`keep_statistics`.
    """
    frozen = {id(parameter) for parameter in frozen_parameters(network, HEAD if head_only else train_from)}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) not in frozen)
    network.train()
    before = True  # the first parameter that is trained
    for module in network.backbone.modules():
        parameters = list(module.parameters())
        before &= all(id(one) in frozen for one in module.parameters(recurse=False))
        if (parameters and all(id(p) in frozen for p in parameters)) or (not parameters and (head_only or before)):
            module.eval()
    if keeps_statistics:
        keep_statistics(network)


def keep_statistics(network: nn.Module) -> None:
    """BatchNorm goes on with the mean and variance that the weights came with; its scale and offset are trained.

    Of small batches they are noisy, and their average is not what the weights were trained with.
    """
    for module in network.modules():
        if isinstance(module, BATCH_NORMS):
            module.eval()


def first_trained(network: Network) -> str:
    """Dotted name of the first layer of the backbone that is trained; empty: nothing before it is frozen.

    Within chains and lists of layers the layers are looked at one by one.
    """
    part: nn.Module = network.backbone
    path: List[str] = []
    is_frozen_before = False
    while True:
        found = None
        for name, child in part.named_children():
            parameters = list(child.parameters())
            if any(parameter.requires_grad for parameter in parameters):
                found = name, child
                break
            is_frozen_before |= bool(parameters)
        if found is None:
            break
        path.append(found[0])
        if not isinstance(found[1], (nn.Sequential, nn.ModuleList)):
            break
        part = found[1]
    return '.'.join(path) if is_frozen_before and path else ''
