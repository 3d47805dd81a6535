"""Objects of bags through models: each box a frame, followed, labelled by overlap, and decided as by the pipeline."""
import csv
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import STEP_NS, T0_NS, small_model
from labelled_samples import pattern

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.errors import BagError, ConfigError
from robot_vision_dl.core.images import cdr
from robot_vision_dl.core.regions.crop import crop
from robot_vision_dl.core.regions.detection_cdr import decode_detections, encode_detections
from robot_vision_dl.core.regions.detections import Box, Detection, DetectionArray, Hypothesis
from robot_vision_dl.core.runtime.frame_reader import read_frame
from robot_vision_dl.core.runtime.object_pipeline import FrameWithObjects, ObjectPipeline
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import CameraFault, Frame, Header
from robot_vision_dl.core.uncertainty.camera.bounds import default_bounds
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.labels.labels import LabelConfig
from robot_vision_dl.data.labels.messages import DETECTIONS
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.report.verdict import verdict_of
from robot_vision_dl.evaluation.table import CAMERA_FAULTS, NO_LABEL, UNKNOWN_TARGET

FRAMES, SIZE = 24, (200, 320)
OUTCOMES = ('accepted', 'uncertain', 'unknown')
TOPIC = '/camera/image_raw'


def boxes_at(number):
    """Two objects that pass each other, and what the detector takes for a third now and then."""
    return {'cup': Box(60 + 6 * number, 60, 64, 48), 'mug': Box(250 - 6 * number, 120, 64, 48),
            'nothing': Box(160, 170, 50, 40)}


def write_objects(folder, seed=0, start_ns=T0_NS, labels=True):
    """Both objects in every image; the detector misses the mug in every fourth, and errs in every third."""
    with ImageBagWriter(folder) as writer:
        for number in range(FRAMES):
            stamp_ns = start_ns + number * STEP_NS
            image = np.random.default_rng([seed, number]).integers(0, 40, (*SIZE, 3), dtype=np.uint8)
            boxes = boxes_at(number)
            for index, name in enumerate(('cup', 'mug')):
                left, top, right, bottom = (round(side) for side in boxes[name].corners)
                image[top:bottom, left:right] = pattern(1000 * seed + index)
            writer.write_raw(TOPIC, stamp_ns, image)
            found = ['cup', *(['mug'] if number % 4 else []), *(['nothing'] if number % 3 == 0 else [])]
            header = Header(stamp_ns, 'camera')
            truth = [Detection(header, (Hypothesis(name, 1.0),), boxes[name], f'{name} 1') for name in ('cup', 'mug')]
            seen = [Detection(header, (Hypothesis('thing', .5),), replace(boxes[name], x=boxes[name].x + 2))
                    for name in found]
            for topic, content in (('/detections', seen), *([('/ground_truth', truth)] if labels else [])):
                writer.write_cdr(topic, DETECTIONS, stamp_ns,
                                 encode_detections(DetectionArray(header, tuple(content))))
    return folder


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(small_model(tmp_path_factory.mktemp('models') / 'small'))


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bags')
    return [str(write_objects(folder / f'bag_{n}', n, T0_NS + n * 100 * STEP_NS)) for n in range(2)]


def options(labels=('auto',), detections=('/detections',), **run):
    return EvaluationOptions(with_values(ClassifierConfig(), {'device': 'cpu', 'decision.abstain_cost': 0.3}),
                             LabelConfig(labels), run=RunOptions(**{'draws': 200, **run}),
                             detections=detections)


def decisions(found):
    return [(int(row['index']), int(row['object']), int(row['outcome']), int(row['fused_predicted']))
            for table in found.tables.values() for row in table.rows]


def test_each_object_is_decided_as_the_pipeline_does_that_sees_its_crops_one_by_one(model, bags):
    found = evaluate(bags[:1], [model], options(batch=16))
    config = with_values(found.options.deployment, {'model': model, 'camera_faults.enabled': False})
    pipeline = Pipeline.load(config)
    table, = found.tables.values()
    rows = {(int(row['index']), table.tracks[row['track']]): row for row in table.rows}
    count = 0
    with BagReader(bags[0]) as reader:
        for number, message in enumerate(reader.image_messages()):
            whole = read_frame('camera', cdr.decode_image(message.cdr), message.receive_ns, config.image)
            for name in ('cup', 'mug') if number % 4 else ('cup',):
                box = boxes_at(number)[name]
                seen = crop(whole.picture, replace(box, x=box.x + 2), pipeline.bundle.preprocessing).picture
                result, = pipeline.process([Frame(name, whole.header, seen, whole.encoding, whole.received_ns)])
                row = rows[number, f'{name} 1']
                assert OUTCOMES[row['outcome']] == result.decision.outcome.value
                assert row['fused_predicted'] == result.decision.class_index
                assert row['trust'] == pytest.approx(result.decision.confidence, abs=1e-5)
                count += 1
    assert count == FRAMES + FRAMES * 3 // 4 and len(table) == count + FRAMES // 3
    assert len({int(row['outcome']) for row in table.rows}) > 1


@pytest.mark.parametrize('changes', [{}, {'detections.least_side_px': 45.0},
                                     {'camera_faults.enabled': False, 'detections.trust_ids': False}])
def test_decisions_are_those_of_the_live_node_s_objects(model, bags, changes):
    """Those that the node does not look at are dropped by the reason by which it calls them uncertain."""
    asked = options(batch=16)
    asked = replace(asked, deployment=with_values(asked.deployment, changes))
    config = with_values(asked.deployment, {'model': model, 'detection_topics': ('/detections',), 'max_batch': 1})
    pipeline, objects = Pipeline.load(config), ObjectPipeline(config)
    expected, refused = [], Counter()
    with BagReader(bags[0]) as reader:
        found = {array.header.stamp_ns: array for array in (
            decode_detections(message.cdr) for message in reader.messages(['/detections']))}
        for number, message in enumerate(reader.image_messages()):
            frame = read_frame('camera', cdr.decode_image(message.cdr), message.receive_ns, config.image)
            results, = objects.process(pipeline, [FrameWithObjects(frame, found[frame.header.stamp_ns])])
            refused.update(each.refusal for each in results.objects if each.refusal)
            expected += [(number, OUTCOMES.index(each.decision.outcome.value), each.decision.class_index,
                          each.decision.confidence) for each in results.objects if not each.refusal]
    evaluation = evaluate(bags[:1], [model], asked)
    table, = evaluation.tables.values()
    recording, = evaluation.metrics['recordings']
    assert recording['dropped'] == refused and bool(refused) == ('detections.least_side_px' in changes)
    assert expected and [tuple(row)[:3] for row in expected] == [
        (int(row['index']), int(row['outcome']), int(row['fused_predicted'])) for row in table.rows]
    assert table['trust'] == pytest.approx([row[3] for row in expected], abs=1e-4)
    if refused:
        assert recording['labels']['labelled_but_dropped'] == sum(refused.values())
        model_metrics = evaluation.metrics['models']['small']
        assert model_metrics['frames']['missing'] == 0
        assert model_metrics['frames']['refused'] == sum(refused.values())
        said = ' '.join(point.text for point in verdict_of(model_metrics).points)
        assert (f'{sum(refused.values())} of {sum(refused.values()) + len(table)} objects were too small' in said
                and 'not even coverage' in said)


def test_labels_tracks_and_what_the_detector_missed(model, bags):
    found = evaluate(bags, [model], options())
    table, = found.tables.values()
    names = [table.tracks[track] for track in table['track']]
    for row, name in zip(table.rows, names):
        target = {'cup 1': 0, 'mug 1': 1}.get(name, UNKNOWN_TARGET)
        assert row['target'] == target
    # An object is followed under one number through all of its images, and the two never change places.
    followed = {(int(row['recording']), name, int(row['object'])) for row, name in zip(table.rows, names)
                if name.endswith(' 1')}
    assert len(followed) == 4
    camera, = found.metrics['recordings'][0]['objects']
    assert camera['images'] == TOPIC and camera['labels'] == '/ground_truth'
    assert (camera['paired'], camera['labelled'], camera['missed'], camera['false_alarms'], camera['again']) == (
        FRAMES, 2 * FRAMES, FRAMES // 4, FRAMES // 3, 0)
    figures, = found.metrics['models'].values()
    assert figures['frames']['unknown'] == 2 * FRAMES // 3 and figures['frames']['known'] == 2 * FRAMES * 7 // 4
    known = [track for track in figures['groups']['names'] if track.endswith(' 1')]
    assert figures['groups']['by'] == 'track' and len(known) == 4
    assert figures['tracks']['count'] == len(figures['groups']['names'])


@pytest.mark.parametrize('batch, workers', [(1, 1), (3, 2), (64, 1)])
def test_batches_and_processes_decide_the_same(model, bags, batch, workers):
    assert decisions(evaluate(bags, [model], options(batch=batch), workers=workers)) == decisions(
        evaluate(bags, [model], options(batch=5)))


def test_objects_of_two_cameras_have_nothing_in_common(model, bags, tmp_path):
    left, right = '/left/image_raw', '/right/image_raw'
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for camera, bag in ((left, bags[0]), (right, bags[1])):
            with BagReader(bag) as reader:
                for message in reader.messages():
                    name = camera if message.topic == TOPIC else f'{camera}{message.topic}'
                    writer.write_cdr(name, message.msgtype, message.receive_ns, message.cdr)
    asked = options([f'topic:{camera}:={camera}/ground_truth' for camera in (left, right)],
                    [f'{camera}:={camera}/detections' for camera in (left, right)])
    table, = evaluate([str(tmp_path / 'bag')], [model], asked).tables.values()
    for camera, bag in ((left, bags[0]), (right, bags[1])):
        alone, = evaluate([bag], [model], options()).tables.values()
        rows = table.rows[table['topic'] == table.topics.index(camera)]
        for column in ('index', 'object', 'target', 'outcome', 'fused_predicted'):
            assert np.array_equal(rows[column], alone[column]), (camera, column)


def test_the_table_of_objects_is_no_label_of_whole_images(model, bags, tmp_path, capsys):
    evaluate(bags[:1], [model], options()).save(tmp_path / 'out')
    assert main(['evaluate', bags[0], '--model', model, '--labels', str(tmp_path / 'out' / 'frames.csv'), '--out',
                 str(tmp_path / 'again')]) == 2
    assert 'is of one object in an image' in capsys.readouterr().err


def test_two_models_see_each_its_own_crops(model, bags, tmp_path):
    other = str(small_model(tmp_path / 'other', seed=1))
    both = evaluate(bags[:1], [model, other], options())
    for name, table in both.tables.items():
        alone, = evaluate(bags[:1], [model if name == 'small' else other], options()).tables.values()
        for column in ('target', 'fused_predicted', 'outcome', 'object'):
            assert np.array_equal(table[column], alone[column]), (name, column)
        assert table['confidence'] == pytest.approx(alone['confidence'], abs=1e-5)


def test_without_labels_and_with_the_detections_as_their_own(model, tmp_path):
    bag = str(write_objects(tmp_path / 'bag', labels=False))
    table, = evaluate([bag], [model], options()).tables.values()
    assert (table['target'] == NO_LABEL).all() and len(table) == FRAMES * 7 // 4 + FRAMES // 3
    with pytest.raises(ConfigError, match="the label 'thing' is no class of small"):
        evaluate([bag], [model], options(('topic:/detections',)))
    own = replace(options(('topic:/detections',)), label_map={'thing': 'cup'})
    table, = evaluate([bag], [model], own).tables.values()
    assert (table['target'] == 0).all()


def test_boxes_that_nothing_can_be_cut_out_for_are_dropped_by_reason(model, tmp_path):
    nan = float('nan')
    boxes = [Box(100, 100, 40, 40), Box(nan, 1, 2, 3), Box(5000, 100, 40, 40), Box(100, 100, 0, 40),
             Box(100, 100, 30, 30, .5)]
    header = Header(T0_NS, 'camera')
    with ImageBagWriter(tmp_path / 'bag') as writer:
        writer.write_raw(TOPIC, T0_NS, np.full((*SIZE, 3), 99, np.uint8))
        writer.write_cdr('/detections', DETECTIONS, T0_NS, encode_detections(DetectionArray(header, tuple(
            Detection(header, (), box) for box in boxes))))
    found = evaluate([str(tmp_path / 'bag')], [model], options())
    recording, = found.metrics['recordings']
    assert recording['dropped'] == {'box_not_finite': 1, 'box_outside': 1, 'box_without_area': 1}
    assert recording['decided'] == 2 and recording['frames'] == 5 and recording['unread'] == 0


def test_a_fault_of_the_camera_is_told_from_the_whole_picture(model, tmp_path):
    header = Header(T0_NS, 'camera')
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for number, level in enumerate((255, 90)):  # overexposed, and then not
            stamp_ns = T0_NS + number * STEP_NS
            image = np.full((*SIZE, 3), level, np.uint8)
            image[80:120, 80:120] = pattern(1, 40, 40)
            image[150:, 200:] = np.minimum(pattern(2, 50, 120), level)
            writer.write_raw(TOPIC, stamp_ns, image)
            writer.write_cdr('/detections', DETECTIONS, stamp_ns, encode_detections(DetectionArray(
                replace(header, stamp_ns=stamp_ns), (Detection(header, (), Box(100, 100, 40, 40)),))))
    table, = evaluate([str(tmp_path / 'bag')], [model], options()).tables.values()
    assert CAMERA_FAULTS[table['camera_fault'][0]] is CameraFault.OVEREXPOSED and table['camera_fault'][1] == -1
    assert OUTCOMES[table['outcome'][0]] == 'unknown'


def test_a_picture_may_stay_as_long_as_in_the_recordings_of_the_calibration(model, tmp_path):
    """As it may live; of several models that one decides which knows the longest."""
    header = Header(T0_NS, 'camera')
    image = np.random.default_rng(0).integers(0, 40, (*SIZE, 3), dtype=np.uint8)
    image[80:128, 80:144] = pattern(1)
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for number in range(20):
            stamp_ns = T0_NS + number * STEP_NS
            writer.write_raw(TOPIC, stamp_ns, image)
            writer.write_cdr('/detections', DETECTIONS, stamp_ns, encode_detections(DetectionArray(
                replace(header, stamp_ns=stamp_ns), (Detection(header, (), Box(100, 100, 40, 40)),))))
    plain = load_bundle(model)
    still = str(save_bundle(tmp_path / 'still', plain.load_single_network(), plain.class_names, plain.preprocessing,
                            temperature=1.0, camera=replace(default_bounds(repeats_s=10.0), pictures=1)).folder)
    for models, is_frozen in (([model], True), ([still], False), ([model, still], False)):
        for table in evaluate([str(tmp_path / 'bag')], models, options()).tables.values():
            faults = [CAMERA_FAULTS[number] if number >= 0 else None for number in table['camera_fault']]
            assert (faults[-1] is CameraFault.FROZEN) == is_frozen and faults[0] is None


def test_the_command_says_where_everything_went(model, bags, tmp_path, capsys):
    with BagReader(bags[0]) as reader, ImageBagWriter(tmp_path / 'bag') as writer:
        for message in reader.messages():
            late = message.topic == '/detections' and message.receive_ns >= T0_NS + 20 * STEP_NS
            raw = bytearray(message.cdr)
            if late:
                raw[4:12] = bytes(8)  # no stamp
            writer.write_cdr(message.topic, message.msgtype, message.receive_ns, bytes(raw))
    code = main(['evaluate', str(tmp_path / 'bag'), '--model', model, '--detections', '/detections', '--out',
                 str(tmp_path / 'out'), '--device', 'cpu'])
    out = capsys.readouterr().out
    assert code == 0
    assert '20 of 24 images have detections' in out and 'images without: 4 no_detections' in out
    assert 'detections without an image: 4 no_stamp' in out
    assert '40 labelled objects in 20 images: 5 missed by the detector, 7 false alarms (IoU 0.5)' in out
    page = (tmp_path / 'out' / 'report.html').read_text()
    assert 'missed by the detector' in page and '42 objects of a detector, 42 decided' in page
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert metrics['options']['detections'] == ['/detections']
    with open(tmp_path / 'out' / 'frames.csv', encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20 + 15 + 7 and {row['object'] for row in rows if row['track'] == 'cup 1'} == {'0'}


@pytest.mark.parametrize('more, text', [
    (['--detections', '/none'], "no topic '/none' with detections"),
    (['--detections', '/detections', '--labels', 'topic:/camera/image_raw'], 'is of type sensor_msgs/msg/Image'),
    (['--detections', '/detections', '--write-bag', 'x.mcap'], '--write-bag: is of whole pictures'),
    (['--detections', '/detections', '--live'], '--live: is of whole pictures'),
    (['--detections', '/middle:=/detections'], "no image topic '/middle' in the bags"),
])
def test_what_cannot_be_is_refused(model, bags, tmp_path, capsys, more, text):
    assert main(['evaluate', bags[0], '--model', model, '--out', str(tmp_path / 'out'), *more]) == 2
    assert text in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_a_folder_of_pictures_has_no_detections(model, tmp_path, capsys):
    import cv2
    (tmp_path / 'pictures' / 'cup').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'pictures' / 'cup' / 'a.png'), pattern(0))
    assert main(['evaluate', str(tmp_path / 'pictures'), '--model', model, '--out', str(tmp_path / 'out'),
                 '--detections', '/detections']) == 2
    assert '--detections: ' in capsys.readouterr().err
    with pytest.raises(BagError):
        evaluate([str(tmp_path / 'nothing')], [model], options())
