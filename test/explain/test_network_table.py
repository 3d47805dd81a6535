"""Layers, weights, multiply-adds and receptive fields, against counters and figures that others wrote."""
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.architectures import replace_module
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.explain.network_table import as_text, network_table


def pixels_for(name: str) -> torch.Tensor:
    channels, side = {'lenet5': (1, 32), 'resnet20_cifar': (3, 32)}.get(name, (3, 96))
    return torch.zeros(1, channels, side, side)


@pytest.mark.parametrize('name', [
    'lenet5', 'resnet20_cifar', 'squeezenet1_1', 'efficientnet_lite0', 'resnet18', 'alexnet'])
def test_weights_and_multiply_adds(name, agrees):
    pixels = pixels_for(name)
    network = build_network(name, 10, in_channels=pixels.shape[1])
    table = network_table(network, pixels)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(pixels)
    agrees('multiply-adds of a network', 'torch FlopCounterMode', 2 * table.multiply_adds, counter.get_total_flops())
    assert table.parameters == sum(one.numel() for one in network.parameters())
    if name != 'lenet5':  # whose pooling has weights, in a multiplication
        assert sum(row.parameters for row in table.rows) == table.parameters


# Araujo, Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", table 1.
@pytest.mark.parametrize('name, side', [('alexnet', 195), ('vgg16', 212)])
def test_receptive_fields_are_the_published_ones(name, side):
    table = network_table(build_network(name, 10), torch.zeros(1, 3, 64, 64) if name == 'vgg16' else pixels_for(name))
    last = [row for row in table.rows if row.kind in ('convolution', 'pooling')][-1]
    assert last.receptive_field == (side, side) and last.step == (32, 32)


class Branches(nn.Module):
    """Two paths that meet, with a dilation and a stride in one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.narrow = nn.Conv2d(4, 4, 1)
        self.flat = nn.Conv2d(8, 2, (1, 5), padding=(0, 2))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        first = self.first(pixels)
        return self.flat(torch.cat([torch.relu(self.wide(first)), self.narrow(first)], 1))


def test_receptive_field_is_what_a_position_depends_on():
    """With weights that are all one, the gradient of one position is not zero just where it depends on the input."""
    network = Branches().eval()
    for one in network.parameters():
        nn.init.ones_(one)
    pixels = torch.rand(1, 1, 65, 65)
    row = network_table(network, pixels).rows[-1]
    pixels.requires_grad_()
    output = network(pixels)
    output[0, 0, 16, 16].backward()
    rows, columns = torch.nonzero(pixels.grad[0, 0], as_tuple=True)
    assert row.receptive_field == (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1)
    assert row.step == (2, 2) and row.output == (2, 33, 33)


@pytest.mark.parametrize('name, module', [
    ('resnet18', 'layer3'), ('squeezenet1_1', '12'), ('efficientnet_lite0', 'blocks.3')])
def test_receptive_fields_are_where_the_gradient_is(name, module, agrees):
    """With positive weights and means for maxima, one output depends on just those pixels with a gradient."""
    network = build_network(name, 10)
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, .5 / layer.weight[0].numel())  # half a mean: no ReLU6 is at its end
        elif isinstance(layer, nn.MaxPool2d):
            replace_module(network, path, nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode))
    pixels = torch.rand(1, 3, 224, 224)
    field = network_table(network, pixels).field_of(f'backbone.{module}')
    kept = []
    handle = network.backbone.get_submodule(module).register_forward_hook(lambda _, inputs, output: kept.append(output))
    network(pixels.requires_grad_())
    handle.remove()
    for row, column in ((0, 5), (5, 6)):  # the first reaches into the padding
        pixels.grad = None
        kept[0][0, :, row, column].sum().backward(retain_graph=True)
        rows, columns = torch.nonzero(pixels.grad[0].abs().sum(0), as_tuple=True)
        found = [int(one) for one in (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)]
        inside = [min(max(one, 0), 224) for one in field.of_place(row, column)]
        agrees('receptive field: top, left, bottom, right', 'gradient', inside, found)
    assert 60 < field.size[0] < 224


def test_positions_that_are_mixed_have_no_receptive_field():
    table = network_table(build_network('mobilenet_v3_small', 10), pixels_for('mobilenet_v3_small'))
    assert table.rows[0].receptive_field == (3, 3) and table.rows[-1].receptive_field is None


def test_what_cannot_be_followed_is_refused():
    class Undecided(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels if pixels.sum() > 0 else -pixels

    with pytest.raises(ConfigError, match='cannot be counted'):
        network_table(Undecided(), torch.zeros(1, 1, 4, 4))


def test_text():
    lines = as_text(network_table(build_network('lenet5', 10, in_channels=1), pixels_for('lenet5')))
    assert lines[0].split() == ['layer', 'kind', 'output', 'weights', 'multiply-adds', 'receptive', 'field']
    assert 'backbone.c3' in lines[3] and '14 x 14' in lines[3] and '2,416' in lines[3]
