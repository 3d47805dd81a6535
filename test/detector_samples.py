"""A detector of random weights whose scores differ, in a file as people save theirs."""
import re

import torch
import torchvision

MODEL = 'ssdlite320_mobilenet_v3_large'
NAMES = ('ball', 'obstacle', 'human', 'goal post')


def random_network(name=MODEL, classes=5, seed=0, **options):
    """torchvision's own network, whose normalisation fits its random weights, so that pictures make a difference."""
    torch.manual_seed(seed)
    network = torchvision.models.get_model_builder(name)(weights=None, weights_backbone=None, num_classes=classes,
                                                         **options).eval()
    layers = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.train().momentum = None
    with torch.inference_mode():
        network(list(torch.rand(4, 3, 8, 8).repeat_interleave(40, 2).repeat_interleave(40, 3)))
    for layer, momentum in zip(layers, before):
        layer.eval().momentum = momentum
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if re.search('classification_head|cls_score', key) and parameter.ndim > 1:
                parameter.mul_(3)
    return network


def weights_file(path, name=MODEL, **options):
    """A state dict on disk."""
    torch.save(random_network(name, **options).state_dict(), path)
    return path
