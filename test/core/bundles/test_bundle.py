"""Model bundles: what is written is what is read, and whatever is not sound is refused with its file and reason."""
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from robot_vision_dl.core.bundles import bundle_format as fmt
from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
from robot_vision_dl.core.bundles.bundle_search import check_source, list_bundles
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.bundles.torchvision_facts import unique_names
from robot_vision_dl.core.errors import BundleError
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.resources import share_directory
from robot_vision_dl.core.uncertainty.conformal import Conformal
from robot_vision_dl.core.uncertainty.ood.knn import KNearestNeighbours
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration

NAMES = ['mug', 'cup', 'Tasse ü']
PRE = Preprocessing(resize=32, crop=(32, 32))
SHIPPED = share_directory() / 'models' / 'squeezenet1_1_imagenet'


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('bundles') / 'mugs'
    score = KNearestNeighbours.fit(torch.zeros(8, 3), torch.randn(8, 64), k=2)
    save_bundle(folder, build_network('resnet20_cifar', 3), NAMES, PRE, temperature=1.5, conformal=(0.1, 0.7),
                ood=OodCalibration.of(score, 'knn', np.array([0.3, 0.1, 0.2])), abstain_cost=0.25,
                metrics={'top1': 0.9}, provenance={'source': 'a test'}, card='# mugs\n')
    return folder


@pytest.fixture
def bundle(sound, tmp_path):
    return Path(shutil.copytree(sound, tmp_path / 'mugs'))


def edit(folder, change):
    """Change ``bundle.json`` and keep all sums right."""
    path = folder / fmt.DESCRIPTION
    values = json.loads(path.read_text())
    change(values)
    values['files'] = {name: fmt.hash_file(folder / name) for name in values['files']}
    path.write_text(json.dumps(values))


def test_what_is_written_is_what_is_read(sound):
    b = load_bundle(sound)
    assert (b.name, b.class_names, b.preprocessing, b.folder) == ('mugs', tuple(NAMES), PRE, sound)
    assert b.architecture == Architecture('resnet20_cifar', 3)
    assert (b.temperature, b.precision, b.calibrated) == (1.5, 'float32', True)
    assert (b.conformal, b.abstain_cost) == (Conformal('lac', 0.1, (0.7,)), 0.25)
    assert b.metrics == {'top1': 0.9}
    assert b.provenance['source'] == 'a test'
    assert {'created', 'torch', 'python', 'robot_vision_dl'} <= set(b.provenance)
    assert b.ood.method == 'knn'
    assert b.ood.scores.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert b.ood.tensors['bank'].shape == (8, 64)
    assert verify_bundle(sound) == []
    assert (sound / fmt.CARD).read_text() == '# mugs\n'


def test_a_source_is_checked_without_the_import_of_torchvision(bundle):
    """It takes seconds, and nodes check where they have no time; whoever loads finds out what is not there."""
    edit(bundle, _set('architecture', 'name', 'resnet18'))
    code = ('import sys\nfrom robot_vision_dl.core.bundles.bundle_search import check_source\n'
            'check_source(sys.argv[1])\ncheck_source(f"ensemble:{sys.argv[1]}, {sys.argv[1]}")\n'
            'assert "torchvision" not in sys.modules')
    subprocess.run([sys.executable, '-c', code, str(bundle)], check=True, timeout=120, cwd=bundle.parent)
    edit(bundle, _set('architecture', 'name', 'resnet19'))
    check_source(str(bundle))
    with pytest.raises(BundleError, match="no architecture 'resnet19'"):
        load_bundle(bundle)
    edit(bundle, _set('architecture', 'in_channels', 2))
    with pytest.raises(BundleError, match='in_channels must be 1 or 3'):
        check_source(str(bundle))


def test_the_network_comes_back_bit_for_bit_in_evaluation_mode(tmp_path):
    network = build_network('mnasnet0_5', 4)
    b = save_bundle(tmp_path / 'n', network, list('abcd'), Preprocessing())
    loaded = b.load_network()
    assert not loaded.training
    assert {k: v.dtype for k, v in loaded.state_dict().items()} == {k: v.dtype for k, v in network.state_dict().items()}
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in network.state_dict().items())
    assert not b.calibrated
    assert b.ood is None
    half = b.load_network(dtype=torch.float16)
    assert {v.dtype for v in half.parameters()} == {torch.float16}


def test_half_is_small_on_disk_and_float32_in_memory(tmp_path):
    network = build_network('resnet20_cifar', 3)
    network.backbone.bn1.running_var.fill_(1e6)  # more than float16 can hold
    full = save_bundle(tmp_path / 'full', network, NAMES, PRE)
    half = save_bundle(tmp_path / 'half', network, NAMES, PRE, half=True)
    assert (half.folder / fmt.MODEL).stat().st_size < 0.6 * (full.folder / fmt.MODEL).stat().st_size
    state = half.load_network().state_dict()
    assert state['head.weight'].dtype == torch.float32
    assert torch.equal(state['head.weight'], network.head.weight.half().float())
    assert state['backbone.bn1.running_var'].max() == 1e6


def test_identity_changes_with_any_byte(bundle, sound):
    assert load_bundle(bundle).identity == load_bundle(sound).identity
    edit(bundle, lambda v: v.update(abstain_cost=0.3))
    assert load_bundle(bundle).identity != load_bundle(sound).identity


@pytest.mark.parametrize('name', [fmt.MODEL, fmt.UNCERTAINTY, fmt.CARD])
def test_one_changed_byte_is_found(bundle, name):
    data = bytearray((bundle / name).read_bytes())
    data[-2] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=f'{name}: its SHA-256 is .* the file was changed or damaged'):
        load_bundle(bundle)
    assert len(verify_bundle(bundle)) == 1


@pytest.mark.parametrize('name', [fmt.DESCRIPTION, fmt.MODEL, fmt.UNCERTAINTY, fmt.CARD])
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f'{name}: cannot be read'):
        load_bundle(bundle)


def test_every_damaged_file_is_reported(bundle):
    (bundle / fmt.MODEL).unlink()
    (bundle / fmt.CARD).write_text('other')
    assert len(verify_bundle(bundle)) == 2


def _drop(key):
    return lambda v: v.pop(key)


def _set(*path_and_value):
    def change(values):
        *path, last, value = path_and_value
        for key in path:
            values = values[key]
        values[last] = value
    return change


@pytest.mark.parametrize('change, message', [
    (_set('schema_version', 3), 'schema_version is 3, this version of robot_vision_dl reads 1 and 2'),
    (_set('schema_version', True), 'schema_version is True'),
    (_drop('ood'), "bundle: the key 'ood' is missing"),
    (_set('licence', 'MIT'), "bundle: the key 'licence' is not known"),
    (_set('architecture', 'width', 2), "architecture: the key 'width' is not known"),
    (_set('architecture', 'name', 'resnet21'), "no architecture 'resnet21'; did you mean"),
    (_set('preprocessing', 'std', [0, 1, 1]), 'std must be positive'),
    (_set('preprocessing', {}), "preprocessing: the key 'resize' is missing"),
    (_set('class_names', ['a', 'b']), '2 names, but the network has 3 classes'),
    (_set('class_names', ['a', 'b', 'unknown']), "class_names.2.: 'unknown' is reserved"),
    (_set('class_names', ['Uncertain', 'b', 'c']), "class_names.0.: 'Uncertain' is reserved"),
    (_set('class_names', ['a', 'b', 'a']), "'a' occurs twice"),
    (_set('class_names', ['a', '', 'c']), 'must be a name'),
    (_set('class_names', ['a', 3, 'c']), 'must be a name'),
    (_set('class_names', 'abc'), 'class_names: must be a list'),
    (_set('calibration', 'temperature', 0), 'calibration.temperature: must be a number in'),
    (_set('calibration', 'temperature', '1'), 'calibration.temperature: must be a number in'),
    (_set('calibration', 'precision', 'int4'), "calibration.precision: must be one of float32.*got 'int4'"),
    (_set('calibration', 'precision', 'int8'), 'calibration.precision: int8 is of int8 networks alone'),
    (_set('calibration', 'conformal', 'quantile', 1.5), 'quantile: must be a number in 0..1, got 1.5'),
    (_set('ood', 'method', 'magic'), "bundle.json: ood: no OOD method 'magic'; there are energy"),
    (_set('ood', 'method', 'energy'), r'energy needs the tensors \[\]'),
    (_set('abstain_cost', 2), 'abstain_cost: must be a number in 0..1, got 2'),
    (_set('metrics', []), 'metrics: must be an object'),
])
def test_what_breaks_the_schema_is_refused(bundle, change, message):
    edit(bundle, change)
    with pytest.raises(BundleError, match=message) as error:
        load_bundle(bundle)
    assert str(bundle) in str(error.value)


@pytest.mark.parametrize('text, reason', [
    ('{', 'is not JSON that can be read'), ('[]', 'must be a JSON object'), ('{"a": NaN}', 'NaN is not a number'),
    ('{"a": 1, "a": 2}', "the key 'a' occurs twice"), ('\xff', 'it is not UTF-8'),
])
def test_a_description_that_is_no_json_object_is_refused(bundle, text, reason):
    (bundle / fmt.DESCRIPTION).write_bytes(text.encode('latin-1'))
    with pytest.raises(BundleError, match=f'bundle.json.*{reason}'):
        load_bundle(bundle)


def test_files_outside_the_bundle_cannot_be_named(bundle):
    path = bundle / fmt.DESCRIPTION
    values = json.loads(path.read_text())
    values['files']['../other'] = '0' * 64
    path.write_text(json.dumps(values))
    with pytest.raises(BundleError, match=r"files: the key '../other' is not known"):
        load_bundle(bundle)


def test_truncated_weights_with_a_right_sum_are_refused(bundle):
    data = (bundle / fmt.MODEL).read_bytes()
    for size in (0, 5, 1000, len(data) - 1):
        (bundle / fmt.MODEL).write_bytes(data[:size])
        edit(bundle, lambda v: None)
        with pytest.raises(BundleError, match='model.safetensors: is not a whole safetensors file'):
            load_bundle(bundle)


def test_weights_with_another_head_are_refused_when_loading_the_bundle(bundle):
    state = load_file(str(bundle / fmt.MODEL))
    state['head.weight'] = torch.zeros(4, 64)
    save_file(state, str(bundle / fmt.MODEL))
    edit(bundle, lambda v: None)
    with pytest.raises(BundleError, match='the head has 4 outputs, but bundle.json names 3 classes'):
        load_bundle(bundle)


def test_weights_of_another_network_are_refused_when_loading_the_network(bundle):
    state = load_file(str(bundle / fmt.MODEL))
    state['backbone.extra'] = state.pop('backbone.conv1.weight')
    save_file(state, str(bundle / fmt.MODEL))
    edit(bundle, lambda v: None)
    with pytest.raises(BundleError, match='model.safetensors: .* no backbone.conv1.weight; backbone.extra is not part'):
        load_bundle(bundle).load_network()
    assert 'no backbone.conv1.weight' in verify_bundle(bundle)[0]


def test_writing_is_all_or_nothing(tmp_path):
    network = build_network('resnet20_cifar', 3)
    for problem in ({'class_names': ['a', 'a', 'b']}, {'class_names': ['a']}, {'metrics': {'x': float('nan')}},
                    {'metrics': {'x': np.float32(1)}}, {'provenance': {'x': object()}}):
        arguments = {'class_names': NAMES, **problem}
        with pytest.raises(BundleError, match='cannot be written'):
            save_bundle(tmp_path / 'n', network, preprocessing=PRE, **arguments)
        assert list(tmp_path.iterdir()) == []
    first = save_bundle(tmp_path / 'n', network, NAMES, PRE)
    with pytest.raises(BundleError, match='is there already'):
        save_bundle(tmp_path / 'n', network, NAMES, PRE)
    second = save_bundle(tmp_path / 'n', network, NAMES, PRE, abstain_cost=0.1, overwrite=True)
    assert first.identity != second.identity
    assert [path.name for path in tmp_path.iterdir()] == ['n']
    with pytest.raises(BundleError, match='does not exist'):
        save_bundle(tmp_path / 'no' / 'n', network, NAMES, PRE)


def test_names_are_resolved_and_unknown_ones_explained(tmp_path, monkeypatch):
    assert SHIPPED in list_bundles()
    assert load_bundle('squeezenet1_1_imagenet').folder == SHIPPED
    # A folder that only happens to have this name is no bundle.
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'squeezenet1_1_imagenet').mkdir()
    assert load_bundle('squeezenet1_1_imagenet').folder == SHIPPED
    with pytest.raises(BundleError, match=r"bundle 'squeezenet_imagenet'; did you mean squeezenet1_1_imagenet"):
        load_bundle('squeezenet_imagenet')
    with pytest.raises(BundleError, match='did you mean torchvision:resnet50'):
        load_bundle('resnet50')
    with pytest.raises(BundleError, match=r"'qqq'\. There are .*squeezenet1_1_imagenet.*torchvision:<architecture>"):
        load_bundle('qqq')
    with pytest.raises(BundleError, match=r'bundle.json: cannot be read'):
        load_bundle(tmp_path)


def test_weights_of_torchvision_are_an_uncalibrated_bundle(tmp_path, monkeypatch):
    torchvision = pytest.importorskip('torchvision')
    b = load_bundle('torchvision:squeezenet1_1')
    assert b.class_names[1] == 'goldfish'
    assert len(set(b.class_names)) == 1000
    assert (b.preprocessing, b.calibrated, b.ood, b.folder) == (Preprocessing(), False, None, None)
    # Offline, torchvision's own API takes the weights from its cache.
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path))
    (tmp_path / 'checkpoints').mkdir()
    plain = torchvision.models.squeezenet1_1().eval()
    url = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.url
    file = tmp_path / 'checkpoints' / url.rsplit('/', 1)[-1]
    torch.save(plain.state_dict(), file)
    pixels = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(b.load_network()(pixels).logits, plain(pixels), rtol=1e-4, atol=1e-5)
    file.write_bytes(b'damaged')
    with pytest.raises(BundleError, match='the weights cannot be had.*on another machine and put it at'):
        b.load_network()
    with pytest.raises(BundleError, match="model 'torchvision:resnet51': no architecture 'resnet51'; did you mean"):
        load_bundle('torchvision:resnet51')
    assert load_bundle('torchvision:efficientnet_b0').preprocessing.interpolation == 'bicubic'
    assert load_bundle('torchvision:resnet50@IMAGENET1K_V1').identity == 'torchvision:resnet50@IMAGENET1K_V1'


def test_torchvision_normalisation_of_googlenet_is_folded_into_preprocessing():
    torchvision = pytest.importorskip('torchvision')
    b = load_bundle('torchvision:googlenet')
    pixels = torch.rand(1, 3, 64, 64)
    reference = torchvision.models.googlenet(transform_input=True, init_weights=False)
    seen = reference._transform_input((pixels - torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1))
                                      / torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1))
    ours = (pixels - b.preprocessing.mean[0]) / b.preprocessing.std[0]
    torch.testing.assert_close(ours, seen)


def test_names_that_occur_twice_get_a_meaning_or_a_number():
    assert unique_names(['Cardigan', 'hat', 'cardigan']) == ('Cardigan (dog)', 'hat', 'cardigan (garment)')
    assert unique_names(['a', 'b', 'A']) == ('a (1)', 'b', 'A (2)')


def test_the_shipped_bundle_is_sound_and_knows_a_blank_picture_from_a_known_one():
    b = load_bundle(SHIPPED)
    assert verify_bundle(SHIPPED) == []
    assert b.calibrated
    assert len(b.class_names) == 1000
    assert b.provenance['command'].startswith('robot-vision models import')
    network = b.load_network()
    black = (torch.zeros(1, 3, 224, 224) - torch.tensor(b.preprocessing.mean).reshape(3, 1, 1)) / torch.tensor(
        b.preprocessing.std).reshape(3, 1, 1)
    with torch.inference_mode():
        prediction = network(black)
    score = b.ood.build_score()(prediction.logits, prediction.features)
    assert b.ood.p_value(score) == pytest.approx(1 / 501)


def test_an_int8_bundle_is_sound_where_the_processor_cannot_run_it(monkeypatch):
    assert load_bundle('efficientnet_lite0_imagenet_int8').graph.weight_bits == 8
    monkeypatch.setattr('robot_vision_dl.core.networks.int8.adds_exactly', lambda: False)
    monkeypatch.setattr('robot_vision_dl.core.bundles.bundle.adds_exactly', lambda: False)
    assert verify_bundle('efficientnet_lite0_imagenet_int8') == []
