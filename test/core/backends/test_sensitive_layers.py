"""The search for layers that lose too much, over divergences that are known."""
import pytest

from robot_vision_dl.core.backends.sensitive_layers import NEGLIGIBLE, Search, find_sensitive

LAYERS = [f'layer{number}' for number in range(16)]


def searched(costs, tries=24, layers=LAYERS):
    """What is found where each layer costs so much and all costs add up; and how often that was asked."""
    asked = []

    def divergence(kept):
        asked.append(tuple(kept))
        return sum(cost for name, cost in costs.items() if name not in kept)
    return find_sensitive(divergence, layers, tries), asked


def test_nothing_to_gain():
    found, asked = searched({'layer3': NEGLIGIBLE / 2})
    assert found == Search((), NEGLIGIBLE / 2, 1) and asked == [()]


def test_one_layer_loses_it_all():
    found, asked = searched({'layer4': 0.5, **dict.fromkeys(LAYERS[5:], 0.01)})
    assert found.kept_float == ('layer4',)
    assert found.divergence == pytest.approx(0.11) and found.tries == len(asked)


def test_all_lose_alike():
    found, _ = searched(dict.fromkeys(LAYERS, 0.01))
    assert found.kept_float == () and found.divergence == pytest.approx(0.16)


def test_two_units_in_the_order_of_the_network():
    found, _ = searched({'layer15': 0.5, 'layer2': 0.4, 'layer3': 0.1})
    assert found.kept_float == ('layer2', 'layer14', 'layer15')


def test_edges_that_cost_more_than_layers_keep_nothing():
    """Each layer alone is better in float32, but both together are worse than nothing."""
    def divergence(kept):
        return {0: 1.0, 1: 0.6}.get(len(kept), 3.0)
    assert find_sensitive(divergence, ['a', 'b'], 24) == Search((), 1.0, 4)


@pytest.mark.parametrize('tries', [0, 1, 3, 8, 9])
def test_the_number_of_tries_is_bounded(tries):
    found, asked = searched({'layer1': 0.5, 'layer7': 0.5}, tries)
    assert found.tries == len(asked) <= tries + 2  # and the first, and the last
    if tries == 0:
        assert found.kept_float == ()
