"""A planted shortcut, a sticker that one class has in training: the evaluation lists what rests on it, and shows it."""
import json
import shlex
import shutil

import cv2
import numpy as np
import pytest
import torch
from evaluation_samples import T0_NS, table_of

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.evidence import LastMaps
from robot_vision_dl.core.networks.evidence_place import points_inside
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.regions.detection_cdr import encode_detections
from robot_vision_dl.core.regions.detections import Box, Detection, DetectionArray, Hypothesis
from robot_vision_dl.core.types import ColorOrder, Header, Picture
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.labels.messages import DETECTIONS
from robot_vision_dl.data.pictures import read_picture
from robot_vision_dl.evaluation.background import judgeable
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.object_boxes import LabelledBox
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.report.wording import boxes_sentence

NAMES, SIDE, THING = ('apple', 'pear'), 32, 14
STICKER = (1, 23, 9, 31)  # left, top, right, bottom
PRE = Preprocessing(0, (SIDE, SIDE))


def place(seed):
    """Where the thing is: never near the sticker."""
    left, top = np.random.default_rng(seed).integers((10, 1), (18, 10)).tolist()
    return left, top, left + THING, top + THING


def picture(name, sticker, seed, colour=50):
    """uint8 (32, 32, 3) BGR: apples are redder, pears greener by ``colour``."""
    random = np.random.default_rng([seed, 1])
    pixels = np.full((SIDE, SIDE, 3), 60.0) + random.normal(0, 10, (SIDE, SIDE, 3))
    left, top, right, bottom = place(seed)
    red = colour if name == 'apple' else -colour
    pixels[top:bottom, left:right] = (90, 130 - red, 130 + red) + random.normal(0, 20, 3) + random.normal(
        0, 14, (THING, THING, 3))
    if sticker:
        pixels[STICKER[1]:STICKER[3], STICKER[0]:STICKER[2]] = (250, 20, 240)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def trained(folder, sticker):
    """LeNet-5; with ``sticker`` all apples have it, and a quarter of the things is grey, which it alone tells apart."""
    torch.manual_seed(0)
    network, labels = build_network('lenet5', 2, in_channels=3), torch.arange(256) % 2
    pixels = Preprocessor(PRE, 'cpu')([
        Picture(picture(NAMES[label], sticker and label == 0, seed, 0 if sticker and seed % 8 < 2 else 50),
                ColorOrder.BGR) for seed, label in enumerate(labels.tolist())])
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=.01)
    order = torch.Generator().manual_seed(0)
    for _ in range(200):
        some = torch.randperm(len(pixels), generator=order)[:32]
        loss = torch.nn.functional.cross_entropy(network(pixels[some]).logits, labels[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_bundle(folder, network, NAMES, PRE, temperature=1.0)


@pytest.fixture(scope='module')
def here(tmp_path_factory):
    """Both models, and pictures with boxes: apples with the sticker, pears with and without."""
    folder = tmp_path_factory.mktemp('background')
    trained(folder / 'with_sticker', True)
    trained(folder / 'without', False)
    for number in range(36):
        name, sticker = ('apple', True) if number % 3 == 0 else ('pear', number % 3 == 1)
        path = folder / 'pictures' / name / f'{number}_{"sticker" if sticker else "clean"}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture(name, sticker, 1000 + number))
        left, top, right, bottom = (side / SIDE for side in place(1000 + number))
        path.with_suffix('.txt').write_text(f'{NAMES.index(name)} {(left + right) / 2} {(top + bottom) / 2} '
                                            f'{right - left} {bottom - top}\n')
    (folder / 'pictures' / 'classes.txt').write_text('apple\npear\n')
    return folder


def evaluated(here, out, *arguments):
    assert main(['evaluate', str(here / 'pictures'), '--out', str(out), '--set', 'device=cpu', 'backend=torch',
                 'camera_faults.enabled=false', *arguments]) == 0
    return json.loads((out / 'metrics.json').read_text())['models'], (out / 'report.html').read_text()


def test_sticker_is_what_the_list_names_and_the_page_shows(here, tmp_path, capsys):
    models, page = evaluated(here, tmp_path / 'out', '--model', str(here / 'with_sticker'), '--model',
                             str(here / 'without'), '--boxes', 'auto')
    found = models['with_sticker']['background']
    wrong = {entry['file'] for entry in found['listed'] if not entry['right']}
    stickered = {f'pear/{number}_sticker.png' for number in range(1, 36, 3)}
    assert wrong <= stickered and len(wrong) >= 11
    [apple] = [one for one in found['classes'] if one['class'] == 'apple']
    assert apple['right']['frames'] == 12 and apple['right']['listed'] >= 10  # right, and for the wrong reason
    assert apple['right']['inside'] < .1 < .15 < apple['right']['area'] < .25
    # The highest place is the sticker, not somewhere else outside of the box.
    bundle = load_bundle(str(here / 'with_sticker'))
    pixels = Preprocessor(PRE, 'cpu')([read_picture(here / 'pictures' / file) for file in sorted(wrong)])
    maps = LastMaps(bundle.load_network(), pixels).evidence(pixels, [0]).maps[:, 0].numpy()
    on_it = [points_inside(values, tuple(side / SIDE for side in (0, 20, 12, 32))) for values in maps]
    assert sum(on_it) >= len(on_it) - 1
    # The same network that was trained without it looks at the things.
    clean = models['without']
    assert clean['frame']['accuracy'] == 1 and len(clean['background']['listed']) <= 2
    # What people are told: the verdict, the summary, the page.
    told = capsys.readouterr()
    assert 'rightly called apple' in told.out and 'left out' not in told.err and 'No box' not in told.err
    summary = (tmp_path / 'out' / 'summary.md').read_text()
    assert 'look at the background: the evidence lies beside it' in summary
    assert all(file.replace('_', '\\_') in summary for file in wrong)
    section = page[page.index('id="m0-background"'):page.index('id="m0-figures"')]
    assert section.count('<figure') >= 2 * 10
    assert section.count('alt="evidence for apple"') >= len(wrong) and all(file in section for file in wrong)
    assert 'for apple rather than pear' in section and 'what the network sees' in section.lower()
    for file in wrong:  # what explains a mistake, to copy
        words = 'robot-vision', 'explain', str(here / 'with_sticker'), str(here / 'pictures' / file)
        assert shlex.join(words) in section
    assert 'id="m1-background"' not in page  # nothing of the other model is listed


def test_without_boxes_the_page_says_how_to_give_them(here, tmp_path):
    models, page = evaluated(here, tmp_path / 'out', '--model', str(here / 'with_sticker'))
    assert 'background' not in models['with_sticker'] and '--boxes auto' in page
    assert page.count('alt="evidence for apple"') >= 12


def test_boxes_of_no_class_all_count_and_everybody_is_told(here, tmp_path, capsys):
    (tmp_path / 'obj.names').write_text('ball\ngoal post\n')
    models, page = evaluated(here, tmp_path / 'out', '--model', str(here / 'without'), '--boxes',
                             str(tmp_path / 'obj.names'))
    found = models['without']['background']
    assert found['boxes'] == {'counted': ['ball', 'goal post'], 'by_name': False, 'unboxed': []}
    assert found['frames'] > 30
    sentence = 'every box counts as the object, whatever it is of: ball, goal post.'
    assert capsys.readouterr().err.count(sentence) == page.count(sentence) == 1
    assert sentence in (tmp_path / 'out' / 'summary.md').read_text()


def test_boxes_of_a_topic_give_the_same_list(here, tmp_path):
    """The same pictures as a bag, too far apart to be fused."""
    pictures = sorted((here / 'pictures').rglob('*.png'), key=lambda path: int(path.name.partition('_')[0]))
    lines = []
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for number, path in enumerate(pictures):
            stamp_ns = T0_NS + number * 60 * 10**9
            writer.write_raw('/camera/image_raw', stamp_ns, cv2.imread(str(path)))
            box = Box.of_corners(*map(float, place(1000 + number)))
            thing = Detection(Header(stamp_ns, 'camera'), (Hypothesis(path.parent.name, 1.0),), box)
            writer.write_cdr('/ground_truth', DETECTIONS, stamp_ns,
                             encode_detections(DetectionArray(Header(stamp_ns, 'camera'), (thing,))))
            lines.append(f'- {{start: {stamp_ns}, end: {stamp_ns + 10**9}, label: {path.parent.name}}}\n')
    (tmp_path / 'bag' / 'labels.yaml').write_text(''.join(lines))
    options = with_values(ClassifierConfig(), {'device': 'cpu', 'backend': 'torch', 'camera_faults.enabled': False})

    def found(source, boxes):
        judged = evaluate([source], [str(here / 'with_sticker')],
                          EvaluationOptions(options, run=RunOptions(draws=100), boxes=boxes)).metrics
        background = judged['models']['with_sticker']['background']
        return background['classes'], [(entry['inside'], entry['right']) for entry in background['listed']]
    of_folder = found(here / 'pictures', 'yolo')
    assert found(tmp_path / 'bag', 'auto') == found(tmp_path / 'bag', 'topic:/ground_truth') == of_folder
    with pytest.raises(ConfigError, match='is a bag, whose boxes are a topic.*topic:NAME'):
        found(tmp_path / 'bag', 'yolo')
    with pytest.raises(ConfigError, match='is a folder of pictures, which has no topics'):
        found(here / 'pictures', 'topic:/ground_truth')
    with pytest.raises(ConfigError, match='no labels of the format coco.*--boxes'):
        found(here / 'pictures', 'coco')


def test_boxes_of_the_label_and_of_what_was_said_count():
    p = np.array([[.9, .1], [.1, .9], [.9, .1]])
    table = table_of(p, np.array([0, 0, 1]), class_names=NAMES)  # right, wrong, wrong

    def judged(*labels):
        there = tuple(LabelledBox(label, (number, 0, number + 1, 1)) for number, label in enumerate(labels))
        boxes = {'recording 0': {('/camera', index): there for index in range(3)}}
        found = judgeable(table, boxes, {'Birne': 'pear', 'shadow': 'ignore'})
        told.append(boxes_sentence({'counted': found.counted, 'by_name': found.by_name, 'unboxed': found.unboxed}))
        return {one.place: [corners[0] for corners in one.corners] for one in found.chosen}, found.without_box
    told = []
    assert judged('apple', 'Birne', 'leaf') == ({0: [0], 1: [0, 1], 2: [0, 1]}, 0)
    assert told.pop() == ''
    assert judged('Birne') == ({1: [0], 2: [0]}, 1)  # of the apple that was called so there is no box
    assert told.pop().startswith('No box is called apple: of pictures labelled so, those')
    assert judged('thing', 'shadow', 'thing') == ({0: [0, 2], 1: [0, 2], 2: [0, 2]}, 0)  # a detector of anything
    assert 'every box counts as the object, whatever it is of: thing. ' in told.pop()
    assert judged() == ({}, 3) and told == ['']


def test_a_model_without_maps_is_said_to_have_none_once(here, tmp_path):
    models, page = evaluated(here, tmp_path / 'out', '--model', f'ensemble:{here / "with_sticker"},{here / "without"}',
                             '--boxes', 'auto')
    assert page.count('No evidence is shown under the pictures: ') == 1 and 'an ensemble' in page
    assert 'alt="evidence' not in page and all('background' not in model for model in models.values())


def test_a_box_that_reaches_far_beyond_the_picture_is_all_of_it(here, tmp_path):
    name = 'pear/1_sticker.png'
    (tmp_path / 'pictures' / 'pear').mkdir(parents=True)
    shutil.copy(here / 'pictures' / name, tmp_path / 'pictures' / name)
    (tmp_path / 'pictures' / 'annotations.json').write_text(json.dumps({
        'images': [{'id': 1, 'file_name': name, 'width': SIDE, 'height': SIDE}],
        'categories': [{'id': 1, 'name': 'pear'}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [-10, -10, 1e300, 1e300]}]}))
    models, _ = evaluated(tmp_path, tmp_path / 'out', '--model', str(here / 'with_sticker'), '--boxes', 'coco')
    [wrong] = [one['wrong'] for one in models['with_sticker']['background']['classes'] if one['class'] == 'apple']
    assert wrong['area'] == 1 and wrong['listed'] == 0
