"""Names in a training file are relative to it, wherever the command is started; both places are named if not."""
import os
from types import SimpleNamespace

import pytest
import torch

from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.training.config import NetworkConfig
from robot_vision_dl.training.config_file import as_file, load_config, parse_config
from robot_vision_dl.training.config_paths import PATHS, anywhere
from robot_vision_dl.training.finalize_bundle import settings_hash
from robot_vision_dl.training.initial_weights import starting_identity, starting_weights
from robot_vision_dl.training.training_data import fingerprint_of

TEXT = """
data: {bags: [bags, "days/*", %s], outliers: [foreign], labels: {sources: [my.csv, "topic:/label", auto]}}
network: {pretrained: weights/first.pth}
"""


@pytest.fixture
def project(tmp_path):
    """A file with all it names in one folder, and another folder."""
    for name in ('there/bags', 'there/foreign', 'there/days/one', 'there/weights', 'elsewhere/sub'):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / 'absolute').mkdir()
    for name in ('there/my.csv', 'there/weights/first.pth'):
        (tmp_path / name).write_text('')
    (tmp_path / 'there' / 'train.yaml').write_text(TEXT % (tmp_path / 'absolute'))
    return tmp_path


@pytest.mark.parametrize('start', ('there', 'elsewhere', 'elsewhere/sub', '.'))
def test_the_same_files_from_every_folder(start, project, monkeypatch):
    monkeypatch.chdir(project / start)
    config = load_config((project / 'there' / 'train.yaml').relative_to(project / start) if start in ('there', '.')
                         else project / 'there' / 'train.yaml')
    found = [os.path.abspath(name) for name in (*config.data.bags, config.data.labels.sources[0],
                                                *config.data.outliers, config.network.pretrained)]
    assert found == [str(project / name) for name in ('there/bags', 'there/days/*', 'absolute', 'there/my.csv',
                                                      'there/foreign', 'there/weights/first.pth')]
    assert config.data.labels.sources[1:] == ('topic:/label', 'auto')
    if start == 'there':
        assert config.data.bags[0] == 'bags'  # what a card shows is not of this machine
    # What is written into another folder means the same when it is read from a third.
    fixed = anywhere(config)
    (project / 'elsewhere' / 'best.yaml').write_text(as_file(fixed))
    monkeypatch.chdir(project / 'absolute')
    assert anywhere(load_config(project / 'elsewhere' / 'best.yaml')) == fixed


@pytest.mark.parametrize('setting, name', (('data.bags', 'bags'), ('data.labels.sources', 'my.csv'),
                                           ('network.pretrained', 'weights/first.pth')))
def test_what_is_not_there_names_both_places(setting, name, project, monkeypatch):
    (project / 'there' / name).rename(project / 'gone')
    monkeypatch.chdir(project / 'elsewhere')
    path = project / 'there' / 'train.yaml'
    with pytest.raises(ConfigError, match=f'{setting}: {name}: {project}/there/{name} is not there .*relative to the '
                                          f'file.*neither is {project}/elsewhere/{name}'):
        load_config(path)
    (project / 'elsewhere' / name).parent.mkdir(exist_ok=True)
    (project / 'gone').rename(project / 'elsewhere' / name)
    with pytest.raises(ConfigError, match=f'{project}/elsewhere/{name} is: write ../elsewhere/{name}'):
        load_config(path)
    monkeypatch.chdir(project / 'there')
    with pytest.raises(ConfigError, match=f'{setting}: {name}: {project}/there/{name} is not there$'):
        load_config(path)
    given = '["x y"]' if setting.startswith('data') else 'x.pth'
    config = load_config(path, [f'{setting}={given}'])  # given at the command: from where it is given
    assert 'x y' in config.data.bags + config.data.labels.sources or config.network.pretrained == 'x.pth'


@pytest.mark.parametrize('start', ('there', 'elsewhere', 'elsewhere/sub', '.'))
def test_a_run_is_the_same_run_from_every_folder(start, project, monkeypatch):
    """Else it could not be gone on with from another one."""
    def identities():
        config = load_config(project / 'there' / 'train.yaml')
        return (starting_identity(config.network), settings_hash(config),
                fingerprint_of(config, SimpleNamespace(store=SimpleNamespace(data_hash='d'), class_names=('a', 'b'),
                                                       outliers=None, frozen=None,
                                                       split=SimpleNamespace(inputs_hash='s'))))
    before = identities()
    monkeypatch.chdir(project / start)
    assert identities() == before
    (project / 'there' / 'weights' / 'first.pth').write_text('other weights')
    assert identities()[0] != before[0] and identities()[2] != before[2]


def test_a_run_starts_from_the_weights_of_a_bundle_and_not_from_its_calibration(tmp_path):
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', 3)
    seen = set()
    for number, (change, cost) in enumerate(((0.0, 0.3), (0.0, 0.4), (1.0, 0.4))):
        with torch.no_grad():
            network.head.bias += change
        save_bundle(tmp_path / str(number), network, ('a', 'b', 'c'), Preprocessing(0, (32, 32)), abstain_cost=cost)
        config = NetworkConfig(architecture='resnet20_cifar', pretrained=str(tmp_path / str(number)))
        seen.add((starting_weights(config), starting_identity(config).partition('(')[2]))
    assert len({identity for _, identity in seen}) == 3 and len({weights for weights, _ in seen}) == 2


@pytest.mark.parametrize('name', ('squeezenet1_1_imagenet', 'DEFAULT', 'IMAGENET1K_V1', ''))
def test_names_of_bundles_and_weights_are_no_paths(name, project):
    (project / 'a.yaml').write_text(f'network: {{pretrained: "{name}"}}')
    assert load_config(project / 'a.yaml').network.pretrained == name


@pytest.mark.parametrize('text', ('data: 3', 'data: {bags: 3}', 'data: {bags: [[x]]}', 'data: {labels: []}', '[]', '3',
                                  'data: {bags: ["a\\0b"]}', 'network: {pretrained: [x]}'))
def test_settings_of_another_form_are_told_by_their_reader(text, project):
    (project / 'a.yaml').write_text(text)
    with pytest.raises(ConfigError, match='a.yaml'):
        load_config(project / 'a.yaml')


def test_every_setting_with_a_path_is_a_setting():
    text = as_file(parse_config('name: a', 'a'))
    assert all(f'{name.split(".")[-1]}:' in text for name in PATHS)
