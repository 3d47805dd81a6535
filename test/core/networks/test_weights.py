"""Checkpoints as people's programs save them, and what is no file of weights at all."""
import os
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.errors import BagError, BundleError
from robot_vision_dl.core.files.lfs_pointer import is_lfs_pointer
from robot_vision_dl.core.networks.network import build_network, network_from_weights
from robot_vision_dl.core.networks.state_file import read_state_file
from robot_vision_dl.data.bags.storage import Storage

POINTER = ('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e'
           '2ca24d17e2393\nsize 12345678\n')


class SomeDict(dict):
    """As Lightning and others save settings."""


class Trap:
    """Whoever unpickles it by its own code runs something on a folder."""

    def __init__(self, run, path):
        self.run, self.path = run, path

    def __reduce__(self):
        return self.run, (str(self.path),)


@pytest.fixture(scope='module')
def states():
    torch.manual_seed(0)
    return {name: getattr(torchvision.models, name)(num_classes=3).state_dict()
            for name in ('shufflenet_v2_x0_5', 'squeezenet1_1')}


@pytest.mark.parametrize('wrap', (
    lambda state: {f'module.{key}': value for key, value in state.items()},
    lambda state: {f'_orig_mod.{key}': value for key, value in state.items()},
    lambda state: {f'module._orig_mod.{key}': value for key, value in state.items()},
    lambda state: {'state_dict': {f'net.{key}': value for key, value in state.items()}, 'epoch': 3},
    lambda state: {'state_dict': {**{f'model.backbone.{key}': value for key, value in state.items()},
                                  'loss.weight': torch.ones(3)}},
    lambda state: {'model': {f'network._orig_mod.{key}': value for key, value in state.items()}},
    lambda state: {f'student.{key}': value for key, value in state.items()} | {'teacher_scale': torch.ones(1)},
    lambda state: {key.replace('.0.', '._orig_mod.0.', 1): value for key, value in state.items()},
    lambda state: {'encoder.backbone.model._orig_mod.' + key: value for key, value in state.items()},
    lambda state: {'state_dict_ema': state, 'state_dict': {key: value * 0 for key, value in state.items()}},
    lambda state: {'ema': {'module': state, 'updates': 7}, 'model': {key: value * 0 for key, value in state.items()}},
    lambda state: {'ema': 0.99, 'model_state_dict': {f'module.{key}': value for key, value in state.items()}},
    lambda state: {'weights': state, 'classes': ['a', 'b', 'c']},
    lambda state: {'student': {'net': state}, 'epoch': 3, 'optimizer': {'state': {0: {'step': torch.ones(())}}}},
    lambda state: {**state, 'epoch': 3},
    lambda state: {key: value for key, value in state.items() if not key.endswith('num_batches_tracked')},
    lambda state: {'state_dict': state, 'args': Namespace(folder=Path('x')), 'hparams': SomeDict(lr=0.1)},
    lambda state: state), ids=range(18))
@pytest.mark.parametrize('name', ('shufflenet_v2_x0_5', 'squeezenet1_1'))
def test_prefixes_are_taken_off(name, wrap, states, tmp_path):
    torch.save(states[name], tmp_path / 'plain.pth')
    torch.save(wrap(states[name]), tmp_path / 'w.pth')
    plain, found = (build_network(name, weights=tmp_path / file) for file in ('plain.pth', 'w.pth'))
    assert found.architecture == plain.architecture
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), found.state_dict().values()))


@pytest.mark.parametrize('layers', ([nn.Dropout(), nn.Linear(1024, 3)], [nn.Linear(1024, 3)],
                                    [nn.Flatten(), nn.Dropout(), nn.Linear(1024, 3)]))
def test_a_last_layer_in_a_sequential_is_that_layer(layers, tmp_path):
    network = torchvision.models.shufflenet_v2_x0_5()
    network.fc = nn.Sequential(*layers)
    state = {f'model.{key}': value for key, value in network.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'w.pth')
    found = build_network('shufflenet_v2_x0_5', weights=tmp_path / 'w.pth')
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(found(pixels).logits, network.eval()(pixels))


def test_a_last_layer_of_several_is_told(tmp_path):
    network = torchvision.models.shufflenet_v2_x0_5()
    network.fc = nn.Sequential(nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 3))
    torch.save(network.state_dict(), tmp_path / 'w.pth')
    with pytest.raises(BundleError, match='the last layer of this shufflenet_v2_x0_5, fc, is made of several: '
                                          'fc.0.weight, fc.2.weight; only one linear layer can be read'):
        build_network('shufflenet_v2_x0_5', weights=tmp_path / 'w.pth')


def test_what_does_not_fit_says_how_much_of_it_is_there(states, tmp_path):
    state = {key: value for key, value in states['shufflenet_v2_x0_5'].items() if not key.startswith(('fc.', 'conv5.'))}
    torch.save(state, tmp_path / 'w.pth')
    with pytest.raises(BundleError, match=r'there is no fc.weight, and of its .* tensors .* are there; .* missing'):
        build_network('shufflenet_v2_x0_5', weights=tmp_path / 'w.pth')
    torch.save({f'\x1b[2J{"x" * 5000}.{key}': value for key, value in state.items()}, tmp_path / 'w.pth')
    with pytest.raises(BundleError, match='there is no fc.weight') as caught:
        build_network('shufflenet_v2_x0_5', weights=tmp_path / 'w.pth')
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


def test_a_backbone_with_a_head_beside_it(states, tmp_path):
    state = states['shufflenet_v2_x0_5']
    split = {f'backbone.{key}': value for key, value in state.items() if not key.startswith('fc.')}
    for number, beside in enumerate(('head.', 'model.classifier.')):
        torch.save({'state_dict': {**split, beside + 'weight': state['fc.weight'], beside + 'bias': state['fc.bias'],
                                   'loss.weight': torch.ones(3)}}, tmp_path / f'{number}.pth')
        found = build_network('shufflenet_v2_x0_5', weights=tmp_path / f'{number}.pth')
        assert torch.equal(found.head.weight, state['fc.weight']) and torch.equal(found.head.bias, state['fc.bias'])
    # Our own networks name theirs so, too.
    network = build_network('shufflenet_v2_x0_5', weights=tmp_path / '0.pth')
    torch.save({'state_dict': {f'network.{key}': value for key, value in network.state_dict().items()}},
               tmp_path / 'own.ckpt')
    again = build_network('shufflenet_v2_x0_5', weights=tmp_path / 'own.ckpt')
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values()))


@pytest.mark.parametrize('name', ('shufflenet_v2_x0_5', 'squeezenet1_1'))
def test_weights_without_a_head_get_a_fresh_one_where_classes_are_wanted(name, states, tmp_path):
    head = 'fc.' if name.startswith('shuffle') else 'classifier.'
    torch.save({'model': {f'encoder.{key}': value for key, value in states[name].items() if not key.startswith(head)}},
               tmp_path / 'w.pth')
    whole = build_network(name, 3)
    network, outputs = network_from_weights(whole.architecture, tmp_path / 'w.pth', 4)
    assert (outputs, network.head.out_features, network.architecture.num_classes) == (0, 4, 4)
    assert network.head.weight.any() and network.architecture.head == 'linear'
    with pytest.raises(BundleError, match=rf'w.pth: has no {head}(1.)?weight: these are weights of a {name} without '
                                          r'its last layer; `robot-vision train` gives them a new one'):
        build_network(name, weights=tmp_path / 'w.pth')


def test_no_code_of_a_file_is_run(states, tmp_path):
    made = tmp_path / 'made'
    for run, said in ((shutil.rmtree, r'holds a dict of .*fc.weight \(an object of shutil.rmtree\).*no state dict'),
                      (os.mkdir, r'without running code \(it asks for (posix|nt).mkdir to be run\)')):
        torch.save({'a.weight': torch.ones(2), 'fc.weight': Trap(run, made)}, tmp_path / 'w.pth')
        made.mkdir() if run is shutil.rmtree else made.rmdir()
        with pytest.raises(BundleError, match=f'w.pth: .*{said}'):
            read_state_file(tmp_path / 'w.pth')
        assert made.exists() == (run is shutil.rmtree)
    trap = Trap(shutil.rmtree, tmp_path)
    torch.save({'state_dict': states['squeezenet1_1'], 'callbacks': [trap]}, tmp_path / 'w.pth')
    assert build_network('squeezenet1_1', weights=tmp_path / 'w.pth').architecture.num_classes == 3


@pytest.mark.parametrize('content, said', (
    (nn.Linear(2, 2), r'holds an object of torch.nn.modules.linear.Linear, not a state dict; save it with torch.save'),
    ({'model': nn.Linear(2, 2), 'epoch': 3}, "'model' holds an object of torch.nn.modules.linear.Linear, not a state"),
    ({'epoch': 3, 'name': 'x'}, r'holds a dict of epoch \(an int\), name \(a str\), and no state dict in it; save'),
    ({'gen': {'a.weight': torch.ones(2)}, 'disc': {'b.weight': torch.ones(2)}},
     'holds several state dicts, gen, disc, and which is meant is not known; torch.save that one'),
    ({}, 'holds an empty dict'), ([torch.ones(2)], 'holds a list, not a state dict')))
def test_what_is_no_state_dict_says_what_it_is(content, said, tmp_path):
    torch.save(content, tmp_path / 'w.pth')
    with pytest.raises(BundleError, match=r'w\.pth: ' + said):
        read_state_file(tmp_path / 'w.pth')


def test_a_script_is_told(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(tmp_path / 'w.pt'))
    with pytest.raises(BundleError, match=r'w.pt: not a state dict .*\(it is a TorchScript program\); save it with'):
        read_state_file(tmp_path / 'w.pt')


def test_git_lfs_pointers_are_told(tmp_path):
    for name in ('w.pth', 'w.safetensors', 'bag.mcap', 'bag.db3', 'bag.bag'):
        (tmp_path / name).write_text(POINTER)
        assert is_lfs_pointer(tmp_path / name)
        with pytest.raises((BundleError, BagError), match='is a Git LFS pointer and not the file itself; fetch it with '
                                                          '`git lfs pull`'):
            if name.startswith('w'):
                build_network('shufflenet_v2_x0_5', weights=tmp_path / name)
            else:
                Storage(tmp_path / name)
    for path in (tmp_path, tmp_path / 'none', '/dev/zero', 'a\0b'):
        assert not is_lfs_pointer(path)


def test_a_pointer_within_a_bundle_is_told(tmp_path):
    from evaluation_samples import small_model
    folder = small_model(tmp_path / 'm')
    (folder / 'model.safetensors').write_text(POINTER)
    with pytest.raises(BundleError, match='model.safetensors: is a Git LFS pointer'):
        load_bundle(str(folder))
