"""Bags through models: the same decisions however they are run, and the same bytes each time."""
import csv

import numpy as np
import pytest
from bag_samples import write_ros1
from evaluation_samples import STEP_NS, T0_NS, labelled_bag, small_model
from labelled_samples import pattern

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.errors import BagError, ConfigError, DataError, RobotVisionError
from robot_vision_dl.core.images import cdr
from robot_vision_dl.core.runtime.frame_reader import read_frame
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.text.csv_cells import plain_cell
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.labels.labels import LabelConfig
from robot_vision_dl.evaluation import batch_invariance
from robot_vision_dl.evaluation.evaluator import evaluate, model_names
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.output import METRICS, OWN_FILES


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(small_model(tmp_path_factory.mktemp('models') / 'small'))


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bags')
    return [str(labelled_bag(folder / f'bag_{n}', 60, n, start_ns=T0_NS + n * 100 * STEP_NS, jpeg=n == 1))
            for n in range(3)]


def options(**run):
    return EvaluationOptions(with_values(ClassifierConfig(), {'device': 'cpu', 'decision.abstain_cost': 0.3}),
                             run=RunOptions(**{'draws': 200, **run}))


def decisions(found):
    return [(int(row['index']), int(row['outcome']), int(row['fused_predicted'])) for table in found.tables.values()
            for row in table.rows]


def test_the_pipeline_of_the_live_node_frame_by_frame_decides_the_same(model, bags):
    found = evaluate(bags[:1], [model], options(batch=16))
    pipeline = Pipeline.load(with_values(found.options.deployment, {'model': model}))
    expected = []
    with BagReader(bags[0]) as reader:
        for index, message in enumerate(reader.image_messages()):
            frame = read_frame('camera', cdr.decode_image(message.cdr), message.receive_ns, ClassifierConfig().image)
            result, = pipeline.process([frame])
            expected.append((index, ('accepted', 'uncertain', 'unknown').index(result.decision.outcome.value),
                             result.decision.class_index))
    assert decisions(found) == expected
    assert len({outcome for _, outcome, _ in expected}) == 3


@pytest.mark.parametrize('batch', [1, 3, 8, 64])
def test_batches_decide_the_same(model, bags, batch):
    assert decisions(evaluate(bags, [model], options(batch=batch))) == decisions(
        evaluate(bags, [model], options(batch=5)))


def test_twice_gives_the_same_bytes_and_so_do_two_processes(model, bags, tmp_path):
    evaluate(bags, [model], options()).save(tmp_path / 'a')
    evaluate(bags, [model], options()).save(tmp_path / 'b')
    evaluate(bags, [model], options(), workers=2).save(tmp_path / 'c')
    metrics = (tmp_path / 'a' / METRICS).read_bytes()
    assert {path.name for path in (tmp_path / 'a').iterdir()} == OWN_FILES
    for other in 'bc':
        assert (tmp_path / other / METRICS).read_bytes() == metrics
        assert (tmp_path / other / 'frames.csv').read_bytes() == (tmp_path / 'a' / 'frames.csv').read_bytes()


def test_rate_and_region_of_the_deployment_hold_here_too(model, bags):
    settings = {'device': 'cpu', 'max_rate_hz': 5.0, 'regions_of_interest': '30x20+2+3'}
    half = evaluate(bags[:1], [model], EvaluationOptions(with_values(ClassifierConfig(), settings)))
    table, = half.tables.values()
    assert list(table.rows['index']) == list(range(0, 60, 2))
    region = ClassifierConfig(regions_of_interest='30x20+2+3').regions['camera']
    pipeline = Pipeline.load(with_values(ClassifierConfig(), {'device': 'cpu', 'model': model}))
    with BagReader(bags[0]) as reader:
        message = next(iter(reader.image_messages()))
    frame = read_frame('camera', cdr.decode_image(message.cdr), message.receive_ns, ClassifierConfig().image, region)
    assert pipeline.process([frame])[0].assessment.probabilities.max() == pytest.approx(
        table.rows['confidence'][0], abs=1e-5)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same(model, bags, tmp_path):
    distributed = pytest.importorskip('dask.distributed', reason='Dask is not installed')
    evaluate(bags, [model], options()).save(tmp_path / 'alone')
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        evaluate(bags, [model], options(), cluster=cluster.scheduler_address).save(tmp_path / 'cluster')
    assert (tmp_path / 'cluster' / METRICS).read_bytes() == (tmp_path / 'alone' / METRICS).read_bytes()


def test_a_close_decision_is_made_frame_by_frame(model, bags, monkeypatch):
    assert evaluate(bags[:1], [model], options()).metrics['models']['small']['exactness']['one_by_one'] == []
    monkeypatch.setattr(batch_invariance, '_GATHERED', 1e7)
    found = evaluate(bags[:1], [model], options())
    assert found.metrics['models']['small']['exactness']['one_by_one'] == ['bag_0']
    assert decisions(found) == decisions(evaluate(bags[:1], [model], options(batch=1)))
    assert evaluate(bags[:1], [model], options(exact=False)).metrics['models']['small']['exactness'] == {
        'noise': None, 'one_by_one': []}


def test_figures_follow_the_labels(model, bags):
    found = evaluate(bags, [model], options())
    frames = found.metrics['models']['small']['frames']
    assert frames == {'decided': 180, 'labelled': 180, 'known': 144, 'unknown': 36, 'unlabelled': 0,
                      'recordings': 3, 'recordings_labelled': 3, 'recordings_damaged': 0,
                      'recordings_failed': 0, 'missing': 0}
    table = found.tables['small']
    right = (table['predicted'] == table['target'])[table.known].mean()
    assert found.metrics['models']['small']['frame']['accuracy'] == pytest.approx(right, rel=1e-5)
    assert found.metrics['models']['small']['tracks']['count'] == 15


def test_without_labels_there_is_what_needs_none(model, tmp_path):
    bag = labelled_bag(tmp_path / 'plain', 20, labels=False)
    found = evaluate([bag], [model], options())
    small = found.metrics['models']['small']
    assert small['frame'] is None and small['intervals'] is None
    assert small['decisions']['accepted'] + small['decisions']['uncertain'] + small['decisions']['unknown'] == 20
    found.save(tmp_path / 'out')
    assert 'cannot be said whether it is right' in (tmp_path / 'out' / 'report.html').read_text()


def test_frames_are_dropped_for_the_reasons_of_the_live_node(model, tmp_path):
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for stamp, picture in ((0, 1), (1, 2), (3, 3), (2, 4), (4, 5)):
            writer.write_raw('/camera/image_raw', T0_NS + stamp * STEP_NS, pattern(picture))
        writer.write_cdr('/camera/image_raw', 'sensor_msgs/msg/Image', T0_NS + 5 * STEP_NS, b'\x00\x01\x00\x00 short')
    found = evaluate([tmp_path / 'bag'], [model], options(batch=4))
    recording, = found.metrics['recordings']
    # The bag is read in the order of its clock, in which the pictures come by their stamps.
    assert recording['frames'] == 6 and recording['decided'] + sum(recording['dropped'].values()) == 6
    assert recording['dropped'].get('truncated', 0) + recording['dropped'].get('malformed', 0) == 1


def test_ros1_bags_are_judged_like_ros2_bags(model, tmp_path):
    found = evaluate([write_ros1(tmp_path / 'old.bag', 7)], [model], options())
    assert found.metrics['recordings'][0]['decided'] == 7


def test_two_models_are_compared_on_the_same_frames(model, bags, tmp_path):
    other = small_model(tmp_path / 'other', seed=3)
    found = evaluate(bags, [model, str(other)], options())
    comparison, = found.metrics['comparisons']
    assert (comparison['first'], comparison['second']) == ('small', 'other')
    first, second = (found.metrics['models'][name]['frame']['accuracy'] for name in ('small', 'other'))
    assert comparison['differences']['accuracy']['value'] == pytest.approx(second - first, abs=1e-5)
    same = small_model(tmp_path / 'same')
    tie = evaluate(bags, [model, str(same)], options()).metrics['comparisons'][0]['differences']
    assert {d['verdict'] for d in tie.values()} == {'tie'}


def test_labels_of_other_names_are_translated(tmp_path, bags):
    other = small_model(tmp_path / 'waste', class_names=('becher', 'tasse', 'napf'))
    with pytest.raises(ConfigError, match="label 'cup' is no class of waste.*--map"):
        evaluate(bags[:1], [str(other)], options())
    mapped = EvaluationOptions(options().deployment, label_map={'cup': 'becher', 'mug': 'unknown'}, run=options().run)
    found = evaluate(bags[:1], [str(other)], mapped)
    assert found.metrics['models']['waste']['frames']['known'] == 24


def test_a_problem_names_its_recording_once(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labelled_bag(tmp_path / 'rs', 10)
    found = evaluate(['rs'], [model], options())
    found.outcomes[0].problems = ('rs: /cam is not read', 'rs/x.mcap: damaged', '/cam: 1 of 3 are missing')
    assert found.problems == ['rs: /cam is not read', 'rs/x.mcap: damaged', 'rs: /cam: 1 of 3 are missing']


@pytest.mark.parametrize('labels, said', [
    ('- {start: 5000, end: 6000, label: cup}\n', 'cover not one frame: by the receive clock'),
    ('- {start: 0, end: 6000, label: kettle}\n', "label 'kettle' is no class of small; there are .*mug. Use --map"),
    ('- {start: 0, end: 6000, label: mugs}\n', r"no class of small; did you mean 'mug'\? Use --map"),
])
def test_labels_that_do_not_fit(model, tmp_path, labels, said):
    bag = labelled_bag(tmp_path / 'bag', 10)
    (bag / 'labels.yaml').write_text(labels)
    with pytest.raises(ConfigError, match=said):
        evaluate([bag], [model], options())


def test_a_bag_without_images_says_what_there_is(model, shared_data):
    with pytest.raises(BagError, match=r'no image topic to evaluate; there are /.*\(.*/msg/'):
        evaluate([shared_data / 'bags' / 'ros1_no_images_lz4.bag'], [model], options())


@pytest.mark.parametrize('name', ['ros2_mono8_db3', 'ros1_compressed_aruco.bag',
                                  'ros1_raw_and_png.bag'])
def test_real_bags(model, shared_data, name, tmp_path):
    found = evaluate([shared_data / 'bags' / name], [model], options())
    recording, = found.metrics['recordings']
    assert recording['decided'] > 0
    found.save(tmp_path / 'out')


def test_a_real_bag_of_images_cut_short(model, shared_data):
    with pytest.raises(RobotVisionError, match='not one frame could be decided: 4 truncated; ros2_mixed_mcap /test'):
        evaluate([shared_data / 'bags' / 'ros2_mixed_mcap'], [model], options())


def test_nothing_that_can_be_decided_is_an_error(model, tmp_path):
    with ImageBagWriter(tmp_path / 'bag') as writer:
        writer.write_cdr('/camera/image_raw', 'sensor_msgs/msg/Image', T0_NS, b'\x00\x01\x00\x00 short')
    with pytest.raises(RobotVisionError, match='not one frame could be decided: 1 '):
        evaluate([tmp_path / 'bag'], [model], options())


def test_a_folder_with_other_things_is_not_replaced(model, bags, tmp_path):
    found = evaluate(bags[:1], [model], options())
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.tex').write_text('x')
    with pytest.raises(DataError, match=r'holds other files \(thesis.tex\)'):
        found.save(tmp_path / 'mine')
    found.save(tmp_path / 'out')
    found.save(tmp_path / 'out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['mine', 'out']


def test_a_failure_while_writing_leaves_nothing(model, bags, tmp_path, monkeypatch):
    found = evaluate(bags[:1], [model], options())
    monkeypatch.setattr('robot_vision_dl.evaluation.report.markdown.markdown', lambda metrics: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        found.save(tmp_path / 'out')
    assert list(tmp_path.iterdir()) == []


def test_topics_are_chosen(model, tmp_path):
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for index in range(6):
            writer.write_raw('/left', T0_NS + index * STEP_NS, pattern(index))
            writer.write_raw('/right', T0_NS + index * STEP_NS, pattern(index + 50))
    both = evaluate([tmp_path / 'bag'], [model], options())
    assert both.metrics['recordings'][0]['decided'] == 12
    one = evaluate([tmp_path / 'bag'], [model], EvaluationOptions(options().deployment, topics=('right',)))
    assert one.metrics['recordings'][0]['topics'] == ['/right']
    # A camera's decisions do not depend on who else is in the bag.
    right = both.tables['small'].where(both.tables['small']['topic'] == both.tables['small'].topics.index('/right'))
    np.testing.assert_array_equal(right['outcome'], one.tables['small']['outcome'])
    with pytest.raises(BagError, match="no image topic '/up'"):
        evaluate([tmp_path / 'bag'], [model], EvaluationOptions(labels=LabelConfig(('none',)), topics=('/up',)))


def test_no_name_becomes_a_formula_and_each_comes_back(tmp_path):
    names = ('=1+1', '@mug', '-bowl')
    bag = labelled_bag(tmp_path / '+bag', 36, labels=False)
    (bag / 'labels.csv').write_text('stamp,label,track\n0,=1+1,"=cmd|\'/c calc\'!A1"\n1.2,@mug,-2\n2.4,-bowl,\'3\n')
    found = evaluate([bag], [str(small_model(tmp_path / '=model', class_names=names))], options())
    found.save(tmp_path / 'out')
    with open(tmp_path / 'out' / 'frames.csv', encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36
    for row in rows:
        for column, cell in row.items():
            try:
                float(cell)  # numbers stay numbers
            except ValueError:
                assert cell[:1] not in set('=+-@\t\r'), (column, cell)
    plain = [{column: plain_cell(cell) for column, cell in row.items()} for row in rows]
    assert {row['label'] for row in plain} == set(names) and {row['model'] for row in plain} == {'=model'}
    assert {row['recording'] for row in plain} == {'+bag'}
    assert {row['track'] for row in plain} == {"=cmd|'/c calc'!A1", '-2', "'3"}
    assert {row['predicted'] for row in plain} <= set(names)
    assert {row['decision'] for row in plain} <= {*names, 'uncertain', 'unknown'}


def test_a_class_that_one_model_lacks_is_unknown_to_it_where_that_is_wished(tmp_path):
    few, more = (str(small_model(tmp_path / name, class_names=names)) for name, names in (
        ('few', ('cup', 'bowl')), ('more', ('cup', 'mug', 'bowl'))))
    bag = labelled_bag(tmp_path / 'bag')  # a third each of cup, mug and unknown
    with pytest.raises(ConfigError, match="'mug' is no class of"):
        evaluate([bag], [more, few], EvaluationOptions())
    found = evaluate([bag], [more, few], EvaluationOptions(absent_is_unknown=True), names=('new', 'old'))
    frames = {name: model['frames'] for name, model in found.metrics['models'].items()}
    assert list(frames) == ['new', 'old']
    assert (frames['new']['known'], frames['new']['unknown']) == (48, 12)
    assert (frames['old']['known'], frames['old']['unknown']) == (24, 36)
    # What is a share of known or of foreign frames would be of other frames in each.
    differences = found.metrics['comparisons'][0]['differences'] or {}
    assert not {'accuracy', 'nll', 'acted_right', 'foreign_accepted', 'f1', 'auroc'} & set(differences)
    found.save(tmp_path / 'report')
    typo = EvaluationOptions(absent_is_unknown=True, label_map={'mug': 'jug'})
    with pytest.raises(ConfigError, match="'jug' is no class of"):
        evaluate([bag], [more, few], typo)


def test_models_are_named_as_everywhere():
    assert model_names(['models/a', 'ensemble:models/a, models/b', 'torchvision:resnet18']) == [
        'a', 'a + b', 'torchvision:resnet18']
