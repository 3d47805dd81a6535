"""The Python API: pictures of every kind in, the decisions of the pipeline out."""
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import get_type_hints

import cv2
import numpy as np
import pytest
import torch
from evaluation_samples import NAMES, small_model
from labelled_samples import pattern
from PIL import Image

from robot_vision_dl import Classification, Classifier
from robot_vision_dl.classifier import FrameSequence
from robot_vision_dl.core.config import ClassifierConfig, DecisionConfig, FusionConfig
from robot_vision_dl.core.errors import BagError, BundleError, ConfigError, ImageError
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Outcome, Picture

DECISION = DecisionConfig(abstain_cost=0.3)
"""Under which the small model accepts some pictures and not others."""


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp('model') / 'small')


@pytest.fixture(scope='module')
def classifier(model):
    return Classifier(model, device='cpu', threads=1, decision=DECISION)


@pytest.fixture()
def pipeline(model):
    return Pipeline.load(ClassifierConfig(model=str(model), device='cpu', threads=1, decision=DECISION))


@pytest.fixture(scope='module')
def pictures():
    """BGR pictures, of which the model accepts some, and finds others uncertain and unknown."""
    return [pattern(seed) for seed in range(24)]


def test_importing_the_package_alone_imports_nothing_heavy():
    script = ('import sys, robot_vision_dl\n'
              'assert "Classifier" in dir(robot_vision_dl)\n'
              'assert not {"torch", "numpy", "cv2"} & set(sys.modules)\n'
              'from robot_vision_dl import Classifier\n'
              'assert "torch" in sys.modules and "rclpy" not in sys.modules\n')
    subprocess.run([sys.executable, '-c', script], check=True, timeout=120)


def test_a_name_that_is_not_there_is_an_attribute_error():
    import robot_vision_dl
    with pytest.raises(AttributeError, match='Clasifier'):
        robot_vision_dl.Clasifier  # noqa: B018


def test_results_are_those_of_the_pipeline(pipeline, classifier, pictures):
    """Each picture as the first frame of a camera."""
    seen = set()
    for pixels in pictures:
        ours = classifier(pixels, color='bgr')
        pipeline.reset()
        theirs, = pipeline.process([Frame('camera', Header(0, ''), Picture(pixels, ColorOrder.BGR), 'bgr8')])
        assert (ours.label, ours.confidence, ours.why) == (
            theirs.decision.label, theirs.decision.confidence, theirs.decision.reason)
        assert ours.decision is theirs.decision.outcome
        assert ours.accepted == (ours.label in NAMES)
        assert ours.entropy == theirs.assessment.predictive_entropy
        assert ours.ood_p_value == theirs.assessment.ood.p_value
        assert ours.unknown_probability == theirs.unknown_probability
        assert ours.conformal_set == tuple(NAMES[index] for index in theirs.assessment.conformal_set)
        order = np.argsort(-theirs.assessment.probabilities)
        assert ours.top == tuple((NAMES[index], float(theirs.assessment.probabilities[index])) for index in order)
        assert ours.best == (None if ours.decision == 'unknown' else NAMES[theirs.decision.class_index])
        seen.add(ours.decision)
    assert seen == set(Outcome), 'the pictures do not reach every outcome'


def test_a_picture_is_the_same_in_every_form(classifier, pictures, tmp_path):
    bgr = pictures[0]
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), bgr)
    wanted = classifier(bgr, color='bgr')
    alpha = np.full((*bgr.shape[:2], 1), 255, np.uint8)
    forms = [
        classifier(np.ascontiguousarray(bgr[..., ::-1])), classifier(bgr[..., ::-1]),
        classifier(np.concatenate([bgr, alpha], 2), 'bgra'),
        classifier(np.concatenate([bgr[..., ::-1], alpha], 2), color='rgba'),
        classifier(Image.open(path)), classifier(Image.fromarray(bgr[..., ::-1]).convert('RGBA'))]
    assert all(form == wanted for form in forms)
    from_file = classifier(str(path))
    assert (from_file.file, from_file.top) == (path, wanted.top)
    assert classifier(path) == from_file
    grey = np.ascontiguousarray(bgr[..., 0])
    assert classifier(grey) == classifier(grey[..., None], color='mono') == classifier(Image.fromarray(grey))


def test_a_pil_image_stands_upright_as_its_file_does(classifier, tmp_path):
    upright = np.zeros((64, 48, 3), np.uint8)
    upright[:20] = 250
    path = tmp_path / 'turned.png'
    image = Image.fromarray(np.rot90(upright))
    exif = image.getexif()
    exif[0x0112] = 6  # turn it clockwise to see it
    image.save(path, exif=exif)
    assert classifier(path).top == classifier(Image.open(path)).top == classifier(upright).top
    assert classifier(upright).top != classifier(np.asarray(image)).top


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'YCbCr', 'HSV', 'La', 'RGBa', 'RGBX',
                                  'PA'])
def test_pil_modes_of_8_bits(classifier, pictures, mode):
    image = Image.fromarray(pictures[0])
    image = image.convert({'LA': 'L', 'La': 'LA'}.get(mode, 'RGB')).convert(mode)
    told = image.convert('LA') if mode == 'La' else image
    assert classifier(image).top == classifier(np.asarray(told.convert('L' if mode == 'L' else 'RGB'))).top


def test_a_list_is_decided_as_its_pictures_alone(classifier, pictures):
    many = pictures * 2  # more than one batch
    together = classifier(many, 'bgr')
    alone = [classifier(one, 'bgr') for one in pictures] * 2
    assert len(together) == len(many)
    for ours, theirs in zip(together, alone):
        assert (ours.label, ours.decision, ours.conformal_set) == (theirs.label, theirs.decision, theirs.conformal_set)
        assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-5)
    assert classifier([]) == []
    assert isinstance(classifier((pictures[0],)), list)


def test_results_are_values(classifier, pictures):
    result = classifier(pictures[0])
    assert isinstance(result, Classification)
    with pytest.raises(FrozenInstanceError):
        result.label = 'cup'
    assert json.loads(json.dumps(result.as_dict()))['decision'] == result.decision.value
    assert result.label in str(result) and result.why in str(result)
    assert result.result.assessment.logits.shape == (3,)
    overlay = result.overlay()
    assert (overlay.dtype, overlay.shape[1:]) == (np.uint8, (640, 3))


def test_a_sequence_fuses_and_keeps_to_itself(classifier, pictures):
    """Two at once, and single pictures between their frames, change nothing."""
    def alone(frames):
        return [result.confidence for result in classifier.stream(frames, 10, color='bgr')]
    one, other = pictures[:8], pictures[8:16]
    wanted = alone(one), alone(other)
    first, second = classifier.sequence(), classifier.sequence()
    found = [], []
    for index in range(8):
        classifier(pictures[20], 'bgr')
        found[0].append(first(one[index], index / 10, 'bgr').confidence)
        found[1].append(second(other[index], index / 10, color='bgr').confidence)
    assert found == wanted
    assert wanted[0] != [classifier(frame, 'bgr').confidence for frame in one], 'nothing was fused'
    first.reset()
    assert first(one[3], 0, 'bgr').confidence == classifier(one[3], 'bgr').confidence


def test_frames_of_a_sequence_are_those_of_a_camera(pipeline, classifier, pictures):
    for index, result in enumerate(classifier.stream(iter(pictures), rate_hz=8, color='bgr')):
        stamp_ns = round(index / 8 * 1e9)
        theirs, = pipeline.process([Frame('camera', Header(stamp_ns, ''), Picture(pictures[index], ColorOrder.BGR),
                                          'bgr8', stamp_ns)])
        assert (result.label, result.confidence, result.why, result.time_s) == (
            theirs.decision.label, theirs.decision.confidence, theirs.decision.reason, index / 8)


def test_what_a_sequence_remembers_goes_with_it(classifier, pictures):
    for _ in range(5):
        for _ in classifier.stream(pictures[:2], 10):
            pass
    gc.collect()
    classifier(pictures[0])
    assert len(classifier._pipeline._beliefs._filters) <= 1
    assert len(classifier._pipeline._beliefs._decisions) <= 1


def test_a_stream_of_a_video(classifier, tmp_path):
    path = tmp_path / 'clip.avi'
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 20, (64, 48))
    for seed in range(10):
        video.write(cv2.resize(pattern(seed), (64, 48)))
    video.release()
    results = list(classifier.stream(path))
    assert [result.time_s for result in results] == pytest.approx(np.arange(10) / 20)
    assert {result.file for result in results} == {path}
    assert len(list(classifier.stream(str(path), rate_hz=5))) in (2, 3)
    with pytest.raises(ImageError, match=r'clip.avi is a video: give it to stream\(\)'):
        classifier(path)
    with pytest.raises(BagError, match='no such file'):
        list(classifier.stream(tmp_path / 'none.mp4'))


def test_a_step_back_in_time_is_refused_and_a_long_one_begins_anew(classifier, pictures):
    sequence = classifier.sequence()
    sequence(pictures[0], 5.0)
    with pytest.raises(ImageError, match=r'time_s=4.5: the stamp lies 0.500 s before'):
        sequence(pictures[1], 4.5)
    assert sequence(pictures[1], 1.0).confidence == classifier(pictures[1]).confidence
    for bad in (-1.0, float('nan'), 1e12):
        with pytest.raises(ImageError, match='time_s: must be seconds from 0 on'):
            sequence(pictures[0], bad)


@pytest.mark.parametrize('rate', [None, 0, -1, float('inf'), float('nan'), '5', True, [5]])
def test_a_stream_needs_a_rate(classifier, pictures, rate):
    with pytest.raises(ConfigError, match='rate_hz'):
        classifier.stream(pictures, rate)


def test_settings(model, pictures):
    never = Classifier(model, device='cpu', decision={'abstain_cost': 1.0, 'false_unknown_rate': 0.0})
    assert {never(one, 'bgr').decision for one in pictures} == {Outcome.ACCEPTED}
    same = Classifier(str(model), device='cpu', decision=DecisionConfig(abstain_cost=1, false_unknown_rate=0))
    assert same.config == never.config
    assert Classifier.from_config(never.config)(pictures[0]) == never(pictures[0])
    plain = Classifier(model, device='cpu', fusion={'enabled': False}, top_k=1)
    assert plain.config.fusion == FusionConfig(enabled=False)
    fused = [result.top for result in plain.stream(pictures, 10)]
    assert fused == [plain(one).top for one in pictures]
    assert {len(top) for top in fused} == {1}
    assert plain.class_names == NAMES


def test_it_says_what_runs(model):
    torch_alone = Classifier(model, device='cpu', backend='torch')
    assert (torch_alone.device, torch_alone.precision, torch_alone.backend) == ('cpu', 'float32', 'torch')
    assert torch_alone.backend_reason == 'as the parameter backend says'
    assert repr(torch_alone) == f'<Classifier {model.name}: {len(NAMES)} classes, float32 on cpu by torch>'
    runtime = Classifier(model, device='cpu', backend='onnxruntime')
    assert runtime.backend == 'onnxruntime' and repr(runtime).endswith('by onnxruntime>')


def test_a_region_is_looked_at_alone(model, pictures):
    big = np.zeros((100, 120, 3), np.uint8)
    inner = cv2.resize(pictures[3], (40, 30))
    big[20:50, 60:100] = inner
    some = Classifier(model, device='cpu', region='40x30+60+20')
    assert some(big).top == Classifier(model, device='cpu')(inner).top
    with pytest.raises(ImageError, match='40x30.*60.*20 reaches beyond the picture of 50x50'):
        some(big[:50, :50])


@pytest.mark.parametrize('arguments, error, text', [
    ({'model': 'no_such_model'}, BundleError, "no model bundle 'no_such_model'"),
    ({'device': 'toaster'}, Exception, 'toaster'),
    ({'backend': 'abacus'}, ConfigError, 'backend: must be one of torch'),
    ({'decision': {'abstain': 0.2}}, ConfigError, 'abstain: no such setting; there are abstain_cost'),
    ({'fusion': {'change_time_s': 'long'}}, ConfigError, 'fusion.change_time_s: expected a number'),
    ({'region': '10 by 10'}, ConfigError, 'regions_of_interest'),
    ({'top_k': 0}, ConfigError, 'top_k: must be at least 1')])
def test_settings_that_cannot_be(model, arguments, error, text):
    with pytest.raises(error, match=text):
        Classifier(**{'model': model, **arguments})


RGB = np.zeros((40, 50, 3), np.uint8)


@pytest.mark.parametrize('given, color, error, text', [
    (RGB.astype(np.float32), 'rgb', ImageError, r'got float32 with values from 0 to 0: convert it by \(array \* 255\)'),
    (RGB.astype(int) + 300, 'rgb', ImageError, 'got int64 with values from 300 to 300$'),
    (RGB.astype(int) + 200, 'rgb', ImageError, 'array.astype'),
    (RGB.transpose(2, 0, 1), 'rgb', ImageError, r'got \(3, 40, 50\); channels go last: array.transpose\(1, 2, 0\)'),
    (RGB[None], 'rgb', ImageError, r'give a list: list\(array\)'),
    (RGB, 'bgra', ImageError, "say color='rgb' or 'bgr'"),
    (RGB, 'mono', ImageError, r"expected an array of shape \(H, W\) for color='mono'"),
    (RGB[..., :2], 'rgb', ImageError, r'got \(40, 50, 2\)'),
    (RGB, 'grb', ImageError, "color must be one of rgb, bgr, rgba, bgra, mono; got 'grb'"),
    (RGB[:0], 'rgb', ImageError, 'no pixels'),
    (np.zeros((1, 200, 3), np.uint8), 'rgb', ImageError, 'a strip of 200 x 1'),
    (torch.zeros(3, 40, 50), 'rgb', TypeError, r'got Tensor; .*permute\(1, 2, 0\)'),
    (b'\xff\xd8', 'rgb', TypeError, 'PIL.Image.open'),
    (iter([RGB]), 'rgb', TypeError, r'list\(...\), or use stream'),
    (None, 'rgb', TypeError, 'got NoneType; cv2.imread gives None'),
    (np.full((40, 50, 3), np.nan), 'rgb', ImageError, 'values that are NaN or infinite$'),
    (RGB + np.array([0, 1, np.inf]), 'rgb', ImageError, 'values that are NaN or infinite$'),
    ('/dev/zero', 'rgb', ImageError, '/dev/zero: is a pipe or a device'),
    ('/', 'rgb', ImageError, '/: is a folder; name the pictures in it'),
    (Image.new('I;16', (50, 40)), 'rgb', ImageError, "mode 'I;16' has more than 8 bits"),
    ('/nowhere/a.jpg', 'rgb', ImageError, '/nowhere/a.jpg: cannot be read')])
def test_what_is_no_picture_is_told(classifier, given, color, error, text):
    with pytest.raises(error, match=text):
        classifier(given, color)
    with pytest.raises(error, match=rf'pictures\[0\]: .*{text}'):
        classifier([given], color)


def test_of_a_list_the_one_that_is_no_picture_is_named(classifier):
    with pytest.raises(ImageError, match=r'pictures\[40\]: .*uint8'):
        classifier([RGB] * 40 + [RGB / 2] + [RGB])


def test_a_damaged_file_is_named(classifier, pictures, tmp_path):
    path = tmp_path / 'cut.jpg'
    path.write_bytes(cv2.imencode('.jpg', pictures[0])[1].tobytes()[:-300])
    with pytest.raises(ImageError, match='cut.jpg'):
        classifier(path)
    with pytest.raises(ImageError, match='decoded'):
        classifier(Image.open(path))


def test_threads_do_not_disturb_each_other(classifier, pictures):
    wanted = [[result.confidence for result in classifier.stream(pictures[start:start + 6], 10)]
              for start in (0, 6, 12, 18)]
    found = {}

    def decide(start):
        found[start] = [result.confidence for result in classifier.stream(pictures[start:start + 6], 10)]
    threads = [threading.Thread(target=decide, args=(start,)) for start in (0, 6, 12, 18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[start] for start in (0, 6, 12, 18)] == wanted


def test_the_threads_of_torch_are_put_back(model, pictures):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        Classifier(model, device='cpu', threads=1)(pictures[0])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_picture_of_the_demo():
    """Of the model that ships, by its name."""
    classifier = Classifier(device='cpu')
    result = classifier(Path(__file__).resolve().parents[1] / 'config' / 'demo' / 'unknown_object.jpg')
    assert classifier.config.model == 'efficientnet_lite0_imagenet' and len(classifier.class_names) == 1000
    # A thing of no class that lies within what the model knows: what it is taken for is told with what it rests on.
    assert result.best == result.top[0].label == 'switch' and len(result.top) == 5
    assert result.ood_p_value > 0.01 and result.result.camera.fault is None


def test_a_pipe_is_not_waited_for(classifier, tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    with pytest.raises(ImageError, match='pipe.jpg: is a pipe or a device; write the picture to a file'):
        classifier(tmp_path / 'pipe.jpg')


def test_a_pil_image_whose_file_was_closed(classifier, pictures, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), pictures[0])
    image = Image.open(tmp_path / 'a.png')
    image.close()
    with pytest.raises(ImageError, match='cannot be decoded: .*closed'):
        classifier(image)


@pytest.mark.parametrize('given, text', [
    (RGB, r'got ndarray of shape \(40, 50, 3\); for a single picture call the classifier'),
    (RGB[..., 0], r'of shape \(40, 50\)'), (Image.new('RGB', (9, 9)), 'got Image'), (None, 'got NoneType'),
    (b'x', 'got bytes')])
def test_one_picture_is_no_stream(classifier, given, text):
    with pytest.raises(TypeError, match=text):
        classifier.stream(given, rate_hz=5)


def test_an_array_of_frames_is_a_stream(classifier):
    assert len(list(classifier.stream(np.stack([RGB] * 3), rate_hz=np.float32(5)))) == 3


@pytest.mark.parametrize('time_s', ['5', True, [1], 5j, -1, float('nan'), 1e300])
def test_what_is_no_time_is_told(classifier, time_s):
    with pytest.raises(ImageError, match='time_s: must be seconds from 0 on, got'):
        classifier.sequence()(RGB, time_s)


def test_numbers_of_numpy_are_numbers(model):
    classifier = Classifier(model, device='cpu', threads=np.int64(1), decision={'abstain_cost': np.float64(0.2)},
                            fusion={'change_time_s': np.float32(2)})
    assert classifier.config.decision.abstain_cost == 0.2 and classifier.config.threads == 1


def test_other_sequences_are_lists(classifier, pictures):
    assert classifier(deque(pictures[:2])) == classifier(pictures[:2])


def test_results_go_to_other_processes_whole(classifier, pictures):
    result = classifier(pictures[0])
    copy = pickle.loads(pickle.dumps(result))
    assert copy == result and copy.result.stage_ms == result.result.stage_ms
    assert np.array_equal(copy.overlay(), result.overlay())


def test_after_a_fork_is_told_and_not_waited_for(model):
    """The threads of torch stay behind: a forked process waited for ever."""
    calls = ['classifier(picture)', 'next(classifier.stream([picture], 5))', 'Classifier(model)']
    script = ('import os, sys\nimport numpy\nfrom robot_vision_dl import Classifier\n'
              'model, picture = sys.argv[1], numpy.zeros((40, 50, 3), numpy.uint8)\n'
              'classifier = Classifier(model, device="cpu", threads=2)\n'
              'classifier(picture)\n'
              'for call in sys.argv[2:]:\n'
              '    if os.fork() == 0:\n'
              '        try:\n'
              '            eval(call)\n'
              '        except Exception as error:\n'
              '            print(type(error).__name__, error, flush=True)\n'
              '        os._exit(0)\n'
              '    os.wait()\n'
              'print(classifier(picture).label)\n')
    done = subprocess.run([sys.executable, '-c', script, str(model), *calls], capture_output=True, text=True,
                          timeout=120)
    *children, parent = done.stdout.splitlines()
    assert len(children) == len(calls) and parent, done
    assert all(said.startswith('DeviceError this process was forked') and 'spawn' in said for said in children), done


def test_type_checkers_know_what_comes_back(tmp_path):
    """Also of lists of one type, and what a library finds that reads the hints while a program runs."""
    pytest.importorskip('mypy')
    program = tmp_path / 'program.py'
    program.write_text("""
from pathlib import Path
from typing import List
import numpy as np
from PIL.Image import Image
from robot_vision_dl import Classification, Classifier
from robot_vision_dl.classifier import PictureLike
def use(c: Classifier, array: np.ndarray, image: Image, paths: List[Path], arrays: List[np.ndarray]) -> None:
    one: List[Classification] = [c('a'), c(array), c(image), c(Path('a'), color='bgr'), *c.stream(paths, rate_hz=5)]
    mixed: List[PictureLike] = ['a', array]
    many: List[List[Classification]] = [c(paths), c(arrays), c(['a', array]), c(mixed), c((image, 'a'))]
    c.sequence()('a', 1.0).top[0].label.upper()
    c(5)  # type: ignore[call-overload]
    print(one, many)
""")
    settings = tmp_path / 'mypy.ini'  # no half a minute for what the hints do not name
    settings.write_text('[mypy]\nstrict = True\n[mypy-torch.*,torchvision.*,cv2.*,rosbags.*,safetensors.*,onnx.*,'
                        'onnxruntime.*,openvino.*]\nfollow_imports = skip\n')
    done = subprocess.run([sys.executable, '-m', 'mypy', '--config-file', str(settings), '--cache-dir', str(tmp_path),
                           str(program)], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout
    for method in (Classifier.__call__, Classifier.__init__, Classifier.stream, FrameSequence.__call__):
        assert get_type_hints(method)
