"""A user's ONNX file or program becomes a network for a bundle, with the outputs that were named."""
import numpy as np
import pytest
import torch
from graph_samples import CLASSES, FEATURES, SIDE, onnx_model, pictures, program_file, small_net
from torch import nn

from robot_vision_dl.core.backends.graph_import import Wish, import_graph
from robot_vision_dl.core.errors import BundleError, ConfigError

ONNX, PROGRAM = 'onnx', 'torch.export'
NEEDED = {ONNX: ('onnx', 'onnxruntime'), PROGRAM: ()}


def needs(kind):
    for module in NEEDED[kind]:
        pytest.importorskip(module)
    if kind == PROGRAM and torch.__version__ < '2.8':
        pytest.skip('programs need torch 2.8')


def write(path, kind, batch=None, channels_last=False, softmax=False, plain=False):
    """The small network as a file; names of its logits, features and an early tensor."""
    needs(kind)
    if kind == ONNX:
        import onnx
        net = small_net()
        declared = ('probabilities',) if softmax else ('scores',)
        onnx.save(onnx_model(net, batch, channels_last, softmax=softmax, declared=declared), path / 'net.onnx')
        return path / 'net.onnx', ('scores', 'mean', 'early')
    net = small_net(plain=plain, softmax=softmax, channels_last=channels_last)
    return program_file(path / 'net.pt2', net, batch, channels_last), (
        'logits' if not plain else None, 'features' if not plain else 'mean', 'early')


def expected(pixels):
    net = small_net()
    with torch.inference_mode():
        out = net(pixels)
        return out['logits'], out['features'], net.early(pixels).mean((2, 3))


@pytest.mark.parametrize('kind', [ONNX, PROGRAM])
@pytest.mark.parametrize('batch', [None, 1, 2])
@pytest.mark.parametrize('channels_last', [False, True])
def test_it_gives_what_the_network_gives_in_any_batch(tmp_path, kind, batch, channels_last):
    file, (logits, features, stage) = write(tmp_path, kind, batch, channels_last)
    found = import_graph(file, Wish(CLASSES, logits=logits, features=features, stages=(stage,)))
    assert found.crop == (SIDE, SIDE) and found.network.architecture.stages == (stage,)
    for count in (1, 3):
        with torch.inference_mode():
            given = found.network(pictures(count))
        for ours, theirs in zip((given.logits, given.features, *given.stages), expected(pictures(count))):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('kind', [ONNX, PROGRAM])
def test_a_linear_head_is_found_among_the_weights(tmp_path, kind):
    file, (logits, features, _) = write(tmp_path, kind)
    head = import_graph(file, Wish(CLASSES, logits=logits, features=features)).network.head
    assert isinstance(head, nn.Linear)
    torch.testing.assert_close(head.weight, small_net().head.weight, check_stride=False)
    torch.testing.assert_close(head.bias, small_net().head.bias)


def test_maps_are_averaged_and_give_the_same_head(tmp_path):
    file, _ = write(tmp_path, ONNX)
    found = import_graph(file, Wish(CLASSES, features='maps'))
    torch.testing.assert_close(found.network(pictures()).features, expected(pictures())[1], rtol=1e-4, atol=1e-5)
    assert isinstance(found.network.head, nn.Linear) and not found.notes


def test_features_that_the_head_does_not_see_give_no_head(tmp_path):
    file, _ = write(tmp_path, ONNX)
    found = import_graph(file, Wish(CLASSES, features='early'))
    assert not isinstance(found.network.head, nn.Linear) and 'no Laplace approximation' in found.notes[0]


@pytest.mark.parametrize('kind', [ONNX, PROGRAM])
def test_without_features_it_says_what_is_lost_and_what_could_be_named(tmp_path, kind):
    file, _ = write(tmp_path, kind, plain=True)
    found = import_graph(file, Wish(CLASSES))
    assert found.network(pictures()).features.shape == (5, 0)
    note, = found.notes
    assert 'only scores of the logits' in note and f'[1, {FEATURES}]' in note


@pytest.mark.parametrize('kind', [ONNX, PROGRAM])
def test_probabilities_are_refused_with_what_to_name_instead(tmp_path, kind):
    file, _ = write(tmp_path, kind, softmax=True, plain=True)
    with pytest.raises(BundleError, match='gives probabilities.*--logits ' + ('scores' if kind == ONNX else '')):
        import_graph(file, Wish(CLASSES))


def test_float16_is_turned_and_weights_beside_the_file_are_packed_in(tmp_path):
    needs(ONNX)
    import onnx
    onnx.save(onnx_model(small_net(), half=True), tmp_path / 'half.onnx', save_as_external_data=True,
              size_threshold=0, location='half.bin')
    found = import_graph(tmp_path / 'half.onnx', Wish(CLASSES, features='mean'))
    (tmp_path / 'half.bin').unlink()
    given = found.network(pictures())
    assert given.logits.dtype is torch.float32
    torch.testing.assert_close(given.logits, expected(pictures())[0], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize('kind', [ONNX, PROGRAM])
@pytest.mark.parametrize('wish, error, message', [
    (Wish(4, features='none such'), BundleError, "no tensor 'none such'"),
    (Wish(4), BundleError, 'the logits have 3 outputs, but there are names for 4'),
    (Wish(3, channels=1), BundleError, r'takes 3 channels .*--in-channels is 1'),
    (Wish(3, crop=(32, 32)), ConfigError, 'takes pictures of 16 x 16 pixels')])
def test_what_does_not_fit_is_told(tmp_path, kind, wish, error, message):
    file, _ = write(tmp_path, kind)
    with pytest.raises(error, match=message):
        import_graph(file, wish)


def test_pictures_that_influence_each_other_are_noticed(tmp_path):
    needs(PROGRAM)

    class Mixing(nn.Module):
        def forward(self, x):
            return (x - x.mean(0, keepdim=True)).mean((2, 3))
    file = program_file(tmp_path / 'net.pt2', Mixing().eval())
    with pytest.raises(BundleError, match='a batch gives other logits than single pictures'):
        import_graph(file, Wish(CLASSES))


def test_a_network_that_is_blind_is_noticed(tmp_path):
    needs(ONNX)
    import onnx
    model = onnx_model(small_net())
    for tensor in model.graph.initializer:
        if tensor.name == 'late.weight':
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros((FEATURES, 4, 3, 3), np.float32), tensor.name))
    onnx.save(model, tmp_path / 'net.onnx')
    with pytest.raises(BundleError, match='are the same for every picture'):
        import_graph(tmp_path / 'net.onnx', Wish(CLASSES))


def test_several_outputs_must_be_told_apart(tmp_path):
    needs(ONNX)
    import onnx
    onnx.save(onnx_model(small_net(), declared=('scores', 'mean')), tmp_path / 'net.onnx')
    with pytest.raises(BundleError, match=r'has 2 outputs \(scores, mean\); say which are the logits'):
        import_graph(tmp_path / 'net.onnx', Wish(CLASSES))


def test_pictures_that_are_no_floats_are_refused(tmp_path):
    needs(ONNX)
    import onnx
    model = onnx_model(small_net())
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.save(model, tmp_path / 'net.onnx')
    with pytest.raises(BundleError, match='takes UINT8; the pictures come as float32'):
        import_graph(tmp_path / 'net.onnx', Wish(CLASSES))
