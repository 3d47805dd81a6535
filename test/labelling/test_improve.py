"""``robot-vision improve``: real trainings of seconds, judged on frozen recordings, installed or not."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
from robot_vision_dl.labelling.installation import previous_of
from robot_vision_dl.labelling.model_history import HISTORY, read_history

sys.path.append(str(Path(__file__).parent))
from improve_samples import recordings, settings  # noqa: E402

pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
# Enough for recordings of seconds; the gate on what is of no class is tested where there are enough of them.
GATES = ['--without', 'foreign_accepted', 'worst_recall', '--margin', 'accuracy=.05', 'decided_right=.05',
         'acted_wrong=.1', 'false_unknown=.05', 'nll=.1']


@pytest.fixture(scope='module')
def world(tmp_path_factory) -> Path:
    """A model of few pictures, more of them, and frozen ones."""
    root = tmp_path_factory.mktemp('improve')
    recordings(root / 'few', 4, each=8, seed=1)
    recordings(root / 'more', 8, each=16, seed=2)
    recordings(root / 'frozen', 8, each=8, seed=3)
    (root / 'train.yaml').write_text(settings(root / 'few', root, 6))
    assert main(['train', str(root / 'train.yaml')]) == 0
    return root


@pytest.fixture
def place(world, tmp_path, monkeypatch) -> Path:
    """A working folder with the model of few pictures installed in ``models/shapes``."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world / 'models' / 'shapes', tmp_path / 'models' / 'shapes')
    return tmp_path


def improve(world, *data, options=()):
    return main(['improve', *map(str, data), '--model', 'models/shapes', '--frozen', str(world / 'frozen' / '*'),
                 *GATES, *options])


def test_a_better_model_is_installed_and_the_one_before_is_kept(world, place, capsys):
    before = load_bundle(str(place / 'models/shapes'))
    assert improve(world, world / 'more' / '*') == 0
    said = capsys.readouterr().out
    after = load_bundle(str(place / 'models/shapes'))
    assert after.identity != before.identity and verify_bundle('models/shapes') == []
    assert f'INSTALLED: shapes {after.identity}' in said and re.search(r'accuracy .* better +passed', said)
    assert load_bundle(previous_of(Path('models/shapes'))).identity == before.identity
    # It learned from the old data and the new, starting from the installed weights.
    assert before.identity in after.provenance['start']
    assert {'few_0', 'more_7'} <= set(after.provenance['recordings'].split(', '))
    first, last = read_history(Path('models/shapes'))
    assert (first.what, first.model) == ('trained', before.identity) and len(first.recordings) == 4
    assert (last.what, last.model, last.before) == ('installed', after.identity, before.identity)
    assert last.frozen == tuple(f'frozen_{n}' for n in range(8)) and len(last.recordings) == 12
    gate = next(gate for gate in last.gates if gate['figure'] == 'accuracy')
    assert gate['low'] > 0 and gate['new'] - gate['old'] == pytest.approx(gate['difference'], abs=1e-4)
    report = next(place.glob('runs/improve/*/report/report.html')).read_text()
    assert 'no worse than the margin of' in report and '>new<' in report
    # The same again has nothing to do, and what people are told of the history.
    assert improve(world, world / 'more' / '*') == 0
    assert 'is done already' in capsys.readouterr().out
    assert main(['models', 'history', 'models/shapes']) == 0
    said = capsys.readouterr().out
    assert said.index('compared') < said.index('own test part', said.index('compared'))
    assert 'other versions were tested on other frames' in said
    assert 'trained' in said and f'compared       with {before.identity} on 8 frozen recordings' in said
    # And back.
    assert main(['models', 'rollback', 'models/shapes']) == 0
    assert load_bundle('models/shapes').identity == before.identity
    assert load_bundle(previous_of(Path('models/shapes'))).identity == after.identity
    assert [entry.what for entry in read_history(Path('models/shapes'))] == ['trained', 'installed', 'rolled back']


def test_a_worse_model_is_refused_and_nothing_but_the_history_changes(world, place, capsys):
    """Planted: the classes of the new data are exchanged."""
    for recording in sorted((world / 'more').iterdir()):
        for name, wrong in (('circle', 'cross'), ('cross', 'square'), ('square', 'circle'), ('unknown', 'unknown')):
            shutil.copytree(recording / name, place / 'wrong' / recording.name / wrong)
    before = {path.relative_to(place): path.read_bytes() for path in (place / 'models').rglob('*') if path.is_file()}
    assert improve(world, place / 'wrong' / '*', options=['--old-data', 'none']) == 1
    said = capsys.readouterr()
    assert 'NOT INSTALLED' in said.err and re.search(r'failed: accuracy .* worse than the margin of -0.05', said.err)
    after = {path.relative_to(place): path.read_bytes() for path in (place / 'models').rglob('*') if path.is_file()}
    history = after.pop(Path('models/shapes') / HISTORY).decode().splitlines()
    assert after == before
    assert [json.loads(line)['what'] for line in history] == ['trained', 'refused']
    # The same once more trains nothing, is refused again, and is no second entry.
    assert improve(world, place / 'wrong' / '*', options=['--old-data', 'none', '--allow-undecided']) == 1
    assert 'is done already' in capsys.readouterr().out
    assert len(read_history(Path('models/shapes'))) == 2


@pytest.mark.slow
def test_a_new_class_is_learned_and_what_both_know_is_compared(world, place, capsys):
    recordings(place / 'rings', 6, each=12, unknown=0, seed=5, classes=('ring', 'circle', 'cross', 'square'))
    recordings(place / 'judged', 6, each=8, seed=6, classes=('ring', 'circle', 'cross', 'square'))
    code = main(['improve', str(place / 'rings' / '*'), '--model', 'models/shapes', '--frozen',
                 str(place / 'judged' / '*'), *GATES])
    said = capsys.readouterr().out
    assert 'new classes ring: the head is trained anew' in said
    assert re.search(r'ring is new \(48 frozen frames of 6 recordings\): recall [01].\d+ of single frames.*; the old '
                     r'model acted on [01].\d+ of them, wrongly', said)
    after = load_bundle(str(next((place / 'runs/improve').glob('*/models/shapes'))))
    assert after.class_names == ('circle', 'cross', 'square', 'ring')
    last = read_history(Path('models/shapes'))[-1]
    assert last.new_classes == ('ring',) and (last.what == 'installed') == (code == 0)
    metrics = json.loads(next(place.glob('runs/improve/*/report/metrics.json')).read_text())
    assert [metrics['models'][name]['frames']['known'] for name in ('old', 'new')] == [6 * 24, 6 * 32]
    # Of other frames in each, these would be no comparison; of all labelled ones they are.
    assert 'accuracy' not in (metrics['comparisons'][0]['differences'] or {})


@pytest.mark.slow
def test_what_is_frozen_is_not_learned_from_by_path_or_by_content(world, place, capsys):
    shutil.copytree(world / 'frozen' / 'frozen_3', place / 'copies' / 'another_name')
    recordings(place / 'copies', 5, each=16, seed=8)
    code = improve(world, place / 'copies' / '*', world / 'frozen' / 'frozen_0', options=['--set', 'run.epochs=1'])
    said = capsys.readouterr().out
    assert code in (0, 1)
    assert 'not from frozen_0: frozen' in said and 'frozen, not learned from: 1 of the recordings (frozen_0)' in said
    assert re.search(r'another_name: 30 of 30: it looks like a copy of a frozen recording', said)


def test_what_cannot_be_decided_is_told_before_hours_are_spent(world, place, capsys):
    three = [str(world / 'frozen' / f'frozen_{n}') for n in range(3)]
    arguments = ['improve', str(world / 'more' / '*'), '--model', 'models/shapes', '--frozen', *three]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert 'accuracy: 3 frozen recordings have frames of the classes of both, and 6 at least are needed' in said
    assert '--allow-undecided' in said and not (place / 'runs').exists()
    assert main([*arguments, '--dry-run']) == 2  # as the real one
    dry = capsys.readouterr()
    assert 'learn from  about 552 labelled frames of 12 recordings' in dry.out and '6 at least are needed' in dry.out
    assert dry.err == said
    assert main([*arguments[:5], str(world / 'few' / '*'), '--dry-run', '--allow-undecided']) == 0
    said = capsys.readouterr().out
    assert re.search(r'the installed model has learned from few_\d.* \(the same files\)', said)
    assert 'not from few_0, few_1, few_2, few_3: frozen' in said
    assert not (place / 'runs').exists()


def test_frozen_recordings_are_known_by_their_content_and_names_alone_prove_nothing(world, place, capsys):
    recordings(place / 'few', 4, each=8, seed=11)  # other pictures of the same names
    split = json.loads((place / 'models/shapes/card/split.json').read_text())['recordings']
    shutil.copytree(world / 'few' / split['train'][0], place / 'judge' / 'another_name')

    def said(frozen, *options):
        assert main(['improve', str(world / 'more' / '*'), '--model', 'models/shapes', '--frozen', *map(str, frozen),
                     '--allow-undecided', '--dry-run', *options]) == 0
        return capsys.readouterr().out
    assert 's learned from few' not in said([place / 'few' / '*']).split('compare on')[1]
    unsure = said([place / 'few' / '*'], '--old-data', 'none')
    assert f'may have learned from {split["train"][0]}' in unsure and 'give them with --old-data' in unsure
    assert 'has learned from another_name (the same files)' in said([place / 'judge' / '*'])


def test_scarce_classes_and_what_few_recordings_can_tell_are_said_before_training(world, place, capsys):
    recordings(place / 'rings', 1, each=9, unknown=0, seed=5, classes=('ring',))
    assert main(['improve', str(place / 'rings' / '*'), '--model', 'models/shapes', '--frozen',
                 str(world / 'frozen' / '*'), *GATES, '--dry-run']) == 0
    said = capsys.readouterr().out
    scarce = [line for line in said.splitlines() if line.startswith('scarce')]
    assert any('ring: about 9 labelled frames of 1 recording: ' in line and '5 are needed' in line
               and 'frames of one recording are alike' in line for line in scarce)
    assert not any('of one recording are alike' in line for line in scarce if 'ring' not in line)
    assert 'can tell    a new model that is just as good passes every other time' in said
    assert 'accuracy 0.06' in said and '(8 recordings)' in said  # .05 sqrt(8) / t(7) = .0598


@pytest.mark.parametrize('change, options, text', [
    ('old data', (), 'what the installed model learned from is not there; say where it lies now with --old-data'),
    ('long warm-up', (), 'schedule.warmup_epochs: must be less than run.epochs'),
    ('long warm-up', ('--set', 'schedule.warmup_epochs=0.5', '--old-data', '/gone'), '/gone: what the installed model'),
    ('strange label', (), "frozen label 'sqare' is a class of neither .*did you mean 'square'.*--map"),
    ('other case', (), "labels 'square' and 'Square' differ in case or spelling of the same letters only.*name them"),
    ('lost class', ('--old-data', 'none'), 'no frame to learn from is labelled square, so that the new model would'),
    ('', ('--margin', 'acuracy=.1'), "no such gate; did you mean 'accuracy'"),
    ('', ('--margin', 'accuracy=-1'), 'expected FIGURE=X with X from 0 on'),
    ('', ('--model', 'torchvision:resnet18'), 'is no folder of a bundle'),
])
def test_what_cannot_be_used_is_told(world, place, capsys, change, options, text):
    data, frozen = world / 'more' / '*', world / 'frozen' / '*'
    if change in ('old data', 'long warm-up'):
        card = place / 'models/shapes/card/settings.yaml'
        bundle = json.loads((place / 'models/shapes/bundle.json').read_text())
        card.write_text(card.read_text().replace('/few/', '/gone/') if change == 'old data' else re.sub(
            'warmup_epochs: .*', 'warmup_epochs: 99', card.read_text()))
        from robot_vision_dl.core.bundles.bundle_files import hash_file
        bundle['files']['card/settings.yaml'] = hash_file(card)
        (place / 'models/shapes/bundle.json').write_text(json.dumps(bundle))
    if change == 'strange label':
        shutil.copytree(world / 'frozen', place / 'frozen')
        (place / 'frozen/frozen_2/square').rename(place / 'frozen/frozen_2/sqare')
        frozen = place / 'frozen' / '*'
    if change == 'other case':
        shutil.copytree(world / 'more', place / 'more')
        first = sorted((place / 'more').iterdir())[0]
        (first / 'square').rename(first / 'Square')
        data = place / 'more' / '*'
    if change == 'lost class':
        shutil.copytree(world / 'more', place / 'more', ignore=shutil.ignore_patterns('square'))
        data = place / 'more' / '*'
    assert main(['improve', str(data), '--model', 'models/shapes', '--frozen', str(frozen), *GATES, *options]) == 2
    assert re.search(text, capsys.readouterr().err)


@pytest.mark.slow
def test_killed_again_and_again_it_goes_on_and_installs_what_one_run_would(world, place):
    """Killed by what has been reached, from reading to comparing; the installed model is the old one until the end."""
    command = [sys.executable, '-m', 'robot_vision_dl.cli.main', 'improve', str(world / 'more' / '*'), '--model',
               'models/shapes', '--frozen', str(world / 'frozen' / '*'), *GATES]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    before = load_bundle('models/shapes')
    said = ''
    for until in ('split by recording', 'epoch   2/6', 'epoch   5/6', 'calibrated on', 'comparing old and new'):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=place,
                                   env=environment)
        said = ''
        for line in process.stdout:
            said += line
            if until in line:
                process.kill()
                break
        assert process.wait() == -9, said
        process.stdout.close()
        assert load_bundle('models/shapes').identity == before.identity and verify_bundle('models/shapes') == []
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'is done already' in done.stdout  # the training
    assert [entry.what for entry in read_history(Path('models/shapes'))] == ['trained', 'installed']
    assert len(list((place / 'runs/improve').iterdir())) == 1
    # To the same weights as without being killed.
    whole = place / 'whole'
    shutil.copytree(world / 'models' / 'shapes', whole / 'models' / 'shapes')
    assert subprocess.run(command, capture_output=True, cwd=whole, env=environment).returncode == 0
    weights = [(path / 'models/shapes/model.safetensors').read_bytes() for path in (place, whole)]
    assert weights[0] == weights[1]
