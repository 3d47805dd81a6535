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


@pytest.mark.parametrize('kind', [ONNX, PROGRAM])
def test_probabilities_of_each_class_by_itself_are_refused(tmp_path, kind):
    """Of a network for several labels at a time, whose outputs are no logits of one decision."""
    needs(kind)
    if kind == ONNX:
        import onnx
        model = onnx_model(small_net(), softmax=True, declared=('probabilities',))
        squash = model.graph.node[-1]
        squash.op_type = 'Sigmoid'
        del squash.attribute[:]
        onnx.save(model, tmp_path / 'net.onnx')
        file = tmp_path / 'net.onnx'
    else:
        file = program_file(tmp_path / 'net.pt2', small_net(plain=True, sigmoid=True))
    with pytest.raises(BundleError, match='what a sigmoid gives.*--logits ' + ('scores' if kind == ONNX else '')):
        import_graph(file, Wish(CLASSES))
    if kind == ONNX:
        assert import_graph(file, Wish(CLASSES, logits='scores')).network(pictures()).logits.shape == (5, CLASSES)


@pytest.mark.parametrize('kind', [ONNX, PROGRAM])
def test_one_number_is_refused_since_a_softmax_of_it_is_always_sure(tmp_path, kind):
    needs(kind)
    net = small_net(plain=True, classes=1)
    if kind == ONNX:
        import onnx
        file = tmp_path / 'net.onnx'
        onnx.save(onnx_model(net), file)
    else:
        file = program_file(tmp_path / 'net.pt2', net)
    with pytest.raises(BundleError, match=r'one number a picture.*torch\.cat\(\[torch\.zeros_like\(z\), z\], 1\)'):
        import_graph(file, Wish(1))


def test_weights_that_are_inputs_as_well_as_in_files_of_years_ago(tmp_path):
    """IR version 3, of the first model zoo and of old exporters: each weight had to be an input, too."""
    needs(ONNX)
    import onnx
    model = onnx_model(small_net())
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.save(model, tmp_path / 'old.onnx')
    found = import_graph(tmp_path / 'old.onnx', Wish(CLASSES, features='mean'))
    torch.testing.assert_close(found.network(pictures()).logits, expected(pictures())[0], rtol=1e-4, atol=1e-4)
    model.ir_version = 99
    onnx.save(model, tmp_path / 'new.onnx')
    with pytest.raises(BundleError, match=r'new\.onnx: the installed onnx .* refuses it \(.*99.*\); update onnx'):
        import_graph(tmp_path / 'new.onnx', Wish(CLASSES, features='mean'))


def test_float16_within_a_file_whose_input_and_output_are_float32(tmp_path):
    """As converters make them, which keep what is seen from outside; an inner tensor is float16 then."""
    needs(ONNX)
    import onnx
    model, helper = onnx_model(small_net(), half=True, declared=('scores_float',)), onnx.helper
    first = model.graph.node[0]
    assert first.op_type == 'Identity'
    first.op_type = 'Cast'
    first.attribute.append(helper.make_attribute('to', onnx.TensorProto.FLOAT16))
    model.graph.node.append(helper.make_node('Cast', ['scores'], ['scores_float'], to=onnx.TensorProto.FLOAT))
    for one in (*model.graph.input, *model.graph.output):
        one.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.save(model, tmp_path / 'mixed.onnx')
    for wish in (Wish(CLASSES, features='mean'), Wish(CLASSES, logits='scores', features='mean', stages=('early',))):
        given = import_graph(tmp_path / 'mixed.onnx', wish).network(pictures())
        assert given.logits.dtype is given.features.dtype is torch.float32
        torch.testing.assert_close(given.logits, expected(pictures())[0], rtol=2e-2, atol=2e-2)
        torch.testing.assert_close(given.features, expected(pictures())[1], rtol=2e-2, atol=2e-2)


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
