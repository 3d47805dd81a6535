"""``robot-vision evaluate`` and ``compare`` as a user runs them."""
import json
import os
import re

import pytest
from bag_samples import write_ros2
from evaluation_samples import labelled_bag, small_model

from robot_vision_dl.cli.main import main


@pytest.fixture(scope='module')
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp('evaluate')
    labelled_bag(folder / 'bag', 60)
    small_model(folder / 'small')
    small_model(folder / 'other', seed=3)
    return folder


def run(here, *arguments, bag='bag', model='small', out=None):
    out = here / 'out' if out is None else out
    return main(['evaluate', str(here / bag), '--model', str(here / model), '--out', str(out), '--device', 'cpu',
                 *arguments])


def test_it_says_the_verdict_and_leaves_five_files(here, capsys, tmp_path):
    assert run(here, out=tmp_path / 'out') == 0
    text = capsys.readouterr()
    assert re.match(r'small: \w+', text.out)
    assert '60 frame(s) of 1 recording(s), dropped: none' in text.out
    # No progress bar outside of a terminal; a slow machine turns the network into ONNX, and says so.
    assert all(line.startswith('note: ') for line in text.err.splitlines())
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'frames.csv', 'metrics.json', 'report.html', 'speed.json', 'summary.md']
    lines = (tmp_path / 'out' / 'frames.csv').read_text().splitlines()
    assert len(lines) == 61 and lines[0].startswith('model,recording,topic,index,stamp_ns')


def test_what_runs_the_network_is_chosen_as_for_the_node(here, capsys, tmp_path):
    assert run(here, '--backend', 'torch', '--precision', 'bfloat16', out=tmp_path / 'out') == 0
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert metrics['models']['small']['model']['precision'] == 'bfloat16'
    assert metrics['options']['deployment']['backend'] == 'torch'
    assert run(here, '--backend', 'torhc', out=tmp_path / 'no') == 2
    assert 'backend: must be one of torch, onnxruntime, openvino, auto, got' in capsys.readouterr().err


def test_demands_decide_the_exit_code(here, capsys, tmp_path):
    assert run(here, '--fail-under', 'accuracy=0', 'coverage=0', '--fail-over', 'risk=1', out=tmp_path / 'a') == 0
    assert 'small: meets all 3 demands' in capsys.readouterr().out
    assert run(here, '--fail-under', 'nll=9', '--fail-over', 'ece=.001', 'cost=2', out=tmp_path / 'b') == 1
    text = capsys.readouterr()
    assert 'does not meet 2 of 3 demands' in text.out
    assert len(re.findall(r'^FAILED small: (nll|ece) is ', text.err, re.MULTILINE)) == 2
    metrics = json.loads((tmp_path / 'b' / 'metrics.json').read_text())
    assert [gate['passed'] for gate in metrics['gates']] == [False, False, True]


def test_compare_two_evaluations(here, capsys, tmp_path):
    assert run(here, out=tmp_path / 'a') == 0 and run(here, model='other', out=tmp_path / 'b') == 0
    capsys.readouterr()
    assert main(['compare', str(tmp_path / 'a'), str(tmp_path / 'b' / 'metrics.json')]) == 0
    assert 'accuracy' in capsys.readouterr().out
    assert main(['compare', str(tmp_path / 'a'), str(tmp_path / 'a'), '--fail-if-worse', 'accuracy', 'cost']) == 0
    assert capsys.readouterr().out.count('no difference shown') >= 5
    assert main(['compare', str(tmp_path / 'a'), str(tmp_path / 'b'), '--fail-if-worse', 'accurac']) == 2
    assert "did you mean 'accuracy'" in capsys.readouterr().err
    assert main(['compare', str(tmp_path / 'a'), str(tmp_path / 'b'), '--fail-if-worse', 'coverage']) == 2
    assert 'neither better nor worse by itself; name acted_right, acted_wrong' in capsys.readouterr().err


@pytest.mark.parametrize('change,said', [
    (lambda m: m.pop('options'), 'options.draws and options.seed must be numbers'),
    (lambda m: m['options'].update(draws='many'), 'draws'),
    (lambda m: m['options'].update(draws=10**9), 'draws'),
    (lambda m: m.update(models=[1]), 'models must be a mapping'),
    (lambda m: m['models'].update(small=None), r'models.small.groups must have names, and sums with a number for each'),
    (lambda m: m['models']['small'].pop('groups'), 'must have names'),
    (lambda m: m['models']['small']['groups']['names'].pop(), 'must have names'),
    (lambda m: m['models']['small']['groups']['sums'].update(right=['x']), 'must have names'),
    (lambda m: m['models']['small']['groups']['sums'].pop('labelled'), 'must have names')])
def test_a_metrics_file_that_is_not_whole_is_one_clear_line(here, capsys, tmp_path, change, said):
    assert run(here, out=tmp_path / 'a') == 0
    metrics = json.loads((tmp_path / 'a' / 'metrics.json').read_text())
    change(metrics)
    (tmp_path / 'b.json').write_text(json.dumps(metrics))
    capsys.readouterr()
    assert main(['compare', str(tmp_path / 'a'), str(tmp_path / 'b.json')]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and re.search(said, error), error


def test_a_figure_that_cannot_be_told_does_not_pass(here, capsys, tmp_path):
    labelled_bag(here / 'known', 24)  # nothing of none of the classes
    assert run(here, bag='known', out=tmp_path / 'a') == 0
    assert main(['compare', str(tmp_path / 'a'), str(tmp_path / 'a'), '--fail-if-worse', 'risk']) in (0, 1)
    assert main(['compare', str(tmp_path / 'a'), str(tmp_path / 'a'), '--fail-if-worse', 'foreign_accepted']) == 1
    assert 'FAILED: foreign_accepted cannot be told from these recordings' in capsys.readouterr().out


def damage_model(here, tmp_path):
    folder = small_model(tmp_path / 'damaged')
    content = bytearray((folder / 'model.safetensors').read_bytes())
    content[-5] ^= 1
    (folder / 'model.safetensors').write_bytes(bytes(content))
    return {'model': folder}


def other_names(here, tmp_path):
    bag = labelled_bag(tmp_path / 'named', 10)
    (bag / 'labels.yaml').write_text('- {start: 0, label: kettle}\n')
    return {'bag': bag}


def no_cover(here, tmp_path):
    bag = labelled_bag(tmp_path / 'uncovered', 10)
    (bag / 'labels.yaml').write_text('- {start: 100, label: cup}\n')
    return {'bag': bag}


def truncated_bag(here, tmp_path):
    path = write_ros2(tmp_path / 'cut', 5)
    path.write_bytes(path.read_bytes()[:40])
    return {'bag': path}


def text_file(here, tmp_path):
    (tmp_path / 'notes.mcap').write_text('no bag at all')
    return {'bag': tmp_path / 'notes.mcap'}


def out_is_a_file(here, tmp_path):
    (tmp_path / 'file').write_text('x')
    return {'out': tmp_path / 'file' / 'below'}


def out_holds_others(here, tmp_path):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'photo.jpg').write_text('x')
    return {'out': tmp_path / 'full'}


@pytest.mark.parametrize('case, options, said', [
    (damage_model, (), r'model.safetensors: its SHA-256 .* damaged'),
    (other_names, (), r"the label 'kettle' is no class of small; .*--map"),
    (no_cover, (), r'cover not one frame'),
    (truncated_bag, (), r'cut'),
    (text_file, (), r'notes.mcap'),
    (out_is_a_file, (), r'cannot be written'),
    (out_holds_others, (), r'holds other files \(photo.jpg\)'),
    (None, ('--labels', 'nowhere.yaml'), r'nowhere.yaml'),
    (None, ('--labels', 'topic:/none'), r"no label topic '/none'"),
    (None, ('--topics', '/nothing'), r"no image topic '/nothing' in the bags; .*/camera/image"),
    (None, ('--fail-under', 'acuracy=1'), r"did you mean 'accuracy'"),
    (None, ('--set', 'decision.abstain_cots=1'), r"did you mean 'decision.abstain_cost'"),
    (None, ('--set', 'decision.abstain_cost=7'), r'must be at most 1'),
    (None, ('--params-file', 'missing.yaml'), r'missing.yaml'),
    (None, ('--map', 'cup'), r'expected LABEL=CLASS'),
    (None, ('--batch', '0'), r'--batch: must be 1 to 1024, got 0'),
    (None, ('--workers', '0'), r'--workers: must be 1 to 4096, got 0'),
    (None, ('--cluster', 'nonsense'), r'--cluster'),
    (None, ('--live', '--model', 'other'), r'one node, which has one model; got 2\. .*`robot-vision compare`'),
    (None, ('--live', '--rate', '0'), r'--rate: must be 0.001 to 1000, got 0'),
])
def test_bad_input_is_one_clear_line_and_leaves_nothing(here, capsys, tmp_path, case, options, said):
    given = {'bag': here / 'bag', 'model': here / 'small', 'out': tmp_path / 'out'}
    given.update(case(here, tmp_path) if case else {})
    before = sorted(path.name for path in tmp_path.iterdir())
    status = main(['evaluate', str(given['bag']), '--model', str(given['model']), '--out', str(given['out']), *options])
    text = capsys.readouterr()
    assert status == (1 if 'cannot be written' in said else 2), text
    assert text.err.startswith('robot-vision evaluate: ') and text.err.count('\n') == 1, text.err
    assert re.search(said, text.err), text.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_a_folder_that_may_not_be_written(here, capsys, tmp_path):
    (tmp_path / 'locked').mkdir(mode=0o500)
    assert run(here, out=tmp_path / 'locked' / 'out') == 2
    assert 'cannot be written (Permission denied)' in capsys.readouterr().err


def test_a_bag_of_which_half_is_missing_is_judged_and_told(here, capsys, tmp_path):
    path = write_ros2(tmp_path / 'half', 40)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    assert run(here, bag=tmp_path / 'half', out=tmp_path / 'out') == 0
    text = capsys.readouterr()
    assert re.search(r'\d+ frame\(s\) of 1 recording', text.out)
    assert 'half' in text.err
    assert json.loads((tmp_path / 'out' / 'metrics.json').read_text())['recordings'][0]['problems']


def test_settings_come_from_the_file_of_the_deployment(here, tmp_path):
    (tmp_path / 'node.yaml').write_text('/**:\n  ros__parameters:\n    use_sim_time: true\n    decision:\n'
                                        '      abstain_cost: 0.2\n    fusion: {enabled: false}\n')
    assert run(here, '--params-file', str(tmp_path / 'node.yaml'), '--set', 'fusion.reset_gap_s=2',
               out=tmp_path / 'out') == 0
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    deployment = metrics['options']['deployment']
    assert (deployment['decision.abstain_cost'], deployment['fusion.enabled'], deployment['fusion.reset_gap_s']) == (
        0.2, False, 2)
    assert metrics['models']['small']['model']['abstain_cost'] == 0.2


def test_a_deployment_that_would_not_see_the_bag_is_told(here, tmp_path, capsys):
    (tmp_path / 'node.yaml').write_text('/**: {ros__parameters: {image_topics: [/front/image]}}')
    assert run(here, '--params-file', str(tmp_path / 'node.yaml'), out=tmp_path / 'out') == 0
    assert 'would subscribe to /front/image, and in them there is /camera/image_raw;' in capsys.readouterr().err


def test_schema_and_help(capsys):
    assert main(['evaluate', '--schema']) == 0
    assert 'excess_aurc' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(['evaluate', '--help'])
    assert '--fail-under accuracy=.9' in capsys.readouterr().out
    assert main(['evaluate', 'bag']) == 2


@pytest.mark.slow
def test_live_with_every_frame_delivered_decides_as_the_bag_does(here, capsys, tmp_path, ros_domain):
    pytest.importorskip('rclpy', reason='ROS 2 is not here')
    pytest.importorskip('vision_msgs', reason='vision_msgs is not here; robot-vision build-msgs')
    assert run(here, '--live', '--lockstep', '--set', 'decision.abstain_cost=.45', out=tmp_path / 'out') == 0
    text = capsys.readouterr().out
    assert 'live, bag: 60 sent, 60 decided, 0 not; 0 decisions unlike those from the bag' in text
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert metrics['live']['offline'] == metrics['live']['over_dds']
    assert metrics['models']['small']['decisions']['accepted'] > 0
    assert json.loads((tmp_path / 'out' / 'speed.json').read_text())['live_ms']['total']['n'] == 60


@pytest.mark.parametrize('option,holds,fails', [('--fail-under', 'accuracy=0', 'nll=9'),
                                                ('--fail-over', 'risk=1', 'ece=0')])
def test_a_demand_counts_wherever_it_stands(here, capsys, tmp_path, option, holds, fails):
    for number, demands in enumerate(((fails, holds), (holds, fails))):
        options = [word for demand in demands for word in (option, demand)]
        assert run(here, *options, out=tmp_path / str(number)) == 1
        assert f'FAILED small: {fails.partition("=")[0]} is ' in capsys.readouterr().err
