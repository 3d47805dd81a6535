"""Pictures and files that belong to a bundle's card."""
import json

import pytest
import torch

from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.errors import BundleError
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing

FILES = {'curves.png': b'png', 'split.json': b'{}', 'train.yaml': b'a: 1', 'mistakes.jpg': b'jpg'}


@pytest.fixture
def bundle(tmp_path):
    torch.manual_seed(0)
    return save_bundle(tmp_path / 'b', build_network('lenet5', 2), ['a', 'b'], Preprocessing(32, (32, 32)),
                       card_files=FILES)


def test_card_files_are_kept_listed_and_verified(bundle):
    for name, data in FILES.items():
        assert (bundle.folder / 'card' / name).read_bytes() == data
    assert verify_bundle(bundle.folder) == []
    (bundle.folder / 'card' / 'curves.png').write_bytes(b'other')
    with pytest.raises(BundleError, match='card/curves.png: its SHA-256'):
        load_bundle(bundle.folder)
    (bundle.folder / 'card' / 'curves.png').unlink()
    with pytest.raises(BundleError, match='card/curves.png: cannot be read'):
        load_bundle(bundle.folder)


def test_identity_follows_from_the_card_files(bundle, tmp_path):
    torch.manual_seed(0)
    other = save_bundle(tmp_path / 'c', build_network('lenet5', 2), ['a', 'b'], Preprocessing(32, (32, 32)), name='b',
                        card_files={**FILES, 'curves.png': b'changed'}, provenance=dict(bundle.provenance))
    assert other.identity != bundle.identity


@pytest.mark.parametrize('name', ['../outside.png', 'card/../../x.png', '/etc/x.png', 'card/.hidden.png', 'card/a.sh',
                                  'card/sub/a.png', 'other.png'])
def test_names_that_lead_elsewhere_are_refused(bundle, name):
    path = bundle.folder / 'bundle.json'
    values = json.loads(path.read_text())
    values['files'][name] = '0' * 64
    path.write_text(json.dumps(values))
    with pytest.raises(BundleError, match='is not known'):
        load_bundle(bundle.folder)


def test_a_card_file_of_another_kind_is_not_written(tmp_path):
    with pytest.raises(BundleError, match="'card/run.sh' is not known"):
        save_bundle(tmp_path / 'b', build_network('lenet5', 2), ['a', 'b'], Preprocessing(32, (32, 32)),
                    card_files={'run.sh': b'echo'})
    assert not (tmp_path / 'b').exists()
