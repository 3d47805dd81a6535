"""Labels to another program's form and back: the same pieces to the nanosecond, and what was changed there."""
import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from labelled_queue import T0, queue_of, say

from robot_vision_dl.core.errors import ConfigError, OutputError
from robot_vision_dl.labelling.events import LABELS, read_events
from robot_vision_dl.labelling.exchange.exchange import export_labels, import_labels
from robot_vision_dl.labelling.exchange.formats import FORMATS
from robot_vision_dl.labelling.outcome import queue_labels
from robot_vision_dl.labelling.queue_file import QueueFile
from robot_vision_dl.labelling.state import fold

S = 10**9
HALL, YARD = 'hall', 'b/<i>yard</i>, 1'  # a name as a folder of bags gives it, and markup
LEFT, RIGHT = '/left/image_raw/compressed', '/right/image_raw'
ODD = 'a <b> & "c", d\'é'


def pieces(queue: Path) -> list:
    with QueueFile(queue) as opened:
        return [(one.recording, one.topic, one.start_ns, one.end_ns, one.label)
                for one in fold(opened, read_events(queue)).labelled(unsure=True)]


@pytest.fixture
def queue(tmp_path):
    """Five intervals of three cameras with all kinds of labels, one cut in two, one without a label."""
    folder = queue_of(tmp_path / 'queue', {HALL: Path('/bags/hall'), YARD: Path('/bags/yard')}, [
        (HALL, LEFT, T0 + 3, T0 + 3 * S + 1), (HALL, LEFT, T0 + 3 * S + 1, T0 + 5 * S),
        (HALL, RIGHT, T0, T0 + 2 * S), (YARD, LEFT, T0 + 1, T0 + S + 7), (YARD, LEFT, T0 + S + 7, T0 + 9 * S)])
    say(folder, Path('/bags/hall'), 'cup', T0 + 3, T0 + S + 11, LEFT)
    say(folder, Path('/bags/hall'), 'cup', T0 + S + 11, T0 + 3 * S + 1, LEFT)
    say(folder, Path('/bags/hall'), 'ignore', T0, T0 + 2 * S, RIGHT)
    say(folder, Path('/bags/yard'), 'unsure', T0 + 1, T0 + S + 7, LEFT, recording=YARD)
    say(folder, Path('/bags/yard'), ODD, T0 + S + 7, T0 + 9 * S, LEFT, recording=YARD)
    return folder


@pytest.fixture(params=FORMATS)
def form(request):
    return request.param


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def fresh(queue: Path) -> Path:
    """The same queue before anybody had labelled."""
    copy = queue.with_name('fresh')
    shutil.copytree(queue, copy)
    for file in copy.glob(f'{LABELS}*'):
        file.unlink()
    return copy


@pytest.mark.parametrize('what, most', [('labelled', 0), ('all', 1)])
def test_the_same_pieces_come_back(queue, out, form, what, most):
    done = export_labels(queue, out, form, what, most)
    assert (done.stretches, done.without) == (5 if what == 'labelled' else 6, 0)
    assert done.pictures == len(list(out.rglob('*.jpg'))) >= done.stretches
    copy = fresh(queue)
    taken = import_labels(copy, out)
    assert pieces(copy) == pieces(queue) and len(pieces(copy)) == 5
    assert taken.form == form and taken.merged.new == 5 and taken.merged.classes == [ODD] and taken.stored == 6
    assert {event.who for event in read_events(copy)} == {f'import:{form}'}
    again = import_labels(copy, out)
    assert again.stored == 0 and again.merged.same == 5 and pieces(copy) == pieces(queue)


def change(out: Path, form: str, old: str, new: str) -> None:
    """Give all pictures of a label another one, as the program does it."""
    if form == 'folders':
        (out / new).mkdir(exist_ok=True)
        for file in list((out / old).iterdir()):
            shutil.move(file, out / new / file.name)
    elif form == 'cvat':  # a tag of another label has the attributes of that label, which are empty
        text = (out / 'annotations.xml').read_text()
        tag = (f'<tag label="{new}" source="manual">\n' + ''.join(
            f'      <attribute name="{name}"></attribute>\n' for name in ('recording', 'exported')) + '    </tag>')
        (out / 'annotations.xml').write_text(re.sub(f'<tag label="{old}".*?</tag>', tag, text, flags=re.DOTALL))
    elif form == 'label-studio':  # with ids and times, the file's name after an upload, another annotation
        tasks = json.loads((out / 'tasks.json').read_text())
        for number, task in enumerate(tasks):
            task.update(id=number, file_upload='x')
            task['data']['image'] = '/data/upload/1/1a2b3c4d-' + task['data']['image'].rsplit('/', 1)[-1]
            choice = task['annotations'][0]['result'][0] if task['annotations'] else None
            if choice and choice['value']['choices'] == [old]:
                task['annotations'][0]['updated_at'] = '2026-11-26T10:00:00Z'
                task['annotations'] = [
                    {'updated_at': '2026-11-26T12:00:00Z', 'was_cancelled': True, 'result': []},
                    {'updated_at': '2026-11-26T11:00:00Z', 'result': [{**choice, 'value': {'choices': [new]}}]},
                    *task['annotations']]
        (out / 'tasks.json').write_text(json.dumps(tasks))
    elif form == 'fiftyone':  # classes as numbers
        content = json.loads((out / 'labels.json').read_text())
        content['classes'].append(new)
        for target in content['labels'].values():
            if target and target['label'] == old:
                target['label'] = content['classes'].index(new)
        (out / 'labels.json').write_text(json.dumps(content))
    else:
        file = out / 'metadata.jsonl'
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text('\n'.join(json.dumps({**row, 'label': new if row['label'] == old else row['label']})
                                  for row in rows))


def test_what_was_changed_there_is_taken(queue, out, form):
    export_labels(queue, out, form)
    before = pieces(queue)
    change(out, form, 'cup', 'bowl')
    done = import_labels(queue, out)
    assert pieces(queue) == [(*one[:4], 'bowl' if one[4] == 'cup' else one[4]) for one in before]
    assert (done.merged.changed, done.merged.same, done.stored) == (2, 3, 3) and done.merged.classes == ['bowl']
    assert import_labels(queue, out).stored == 0


def test_a_new_class_that_cannot_be_seen_is_refused_and_nothing_stored(queue, out):
    export_labels(queue, out, 'folders')
    before = read_events(queue)
    change(out, 'folders', 'cup', 'cup\u200b')
    with pytest.raises(ConfigError, match=r'folders: the new class .* has the character U\+200B in it'):
        import_labels(queue, out)
    assert read_events(queue) == before


@pytest.mark.parametrize('name', ('Mug', 'MUG'))
def test_a_class_that_differs_in_case_only_is_refused_and_nothing_stored(queue, out, name):
    export_labels(queue, out, 'hugging-face')
    before = read_events(queue)
    change(out, 'hugging-face', 'cup', name)
    with pytest.raises(ConfigError, match=rf"the new class '{name}' and '{name.lower()}' differ in case or spelling"):
        import_labels(queue, out)
    assert read_events(queue) == before


def test_what_was_cleared_in_the_middle_of_a_piece_stays_without_a_label(tmp_path):
    queue = queue_of(tmp_path / 'queue', {HALL: Path('/bags/hall')}, [(HALL, LEFT, T0, T0 + 2 * S)], every_s=0.5)
    say(queue, Path('/bags/hall'), 'cup', T0, T0 + 2 * S, LEFT, kind='label')
    out = tmp_path / 'out'
    export_labels(queue, out, 'folders')
    _, middle, last = sorted((out / 'cup').iterdir())
    (out / 'unlabelled').mkdir(exist_ok=True)
    middle.rename(out / 'unlabelled' / middle.name)
    import_labels(queue, out, clear=True)
    (_, _, start, left, _), (_, _, right, end, _) = pieces(queue)
    assert start == T0 and end == T0 + 2 * S and left < right
    assert [(one.start_ns, one.end_ns) for one in queue_labels(queue)[0].intervals] == [(T0, left), (right, end)]


def test_two_spellings_of_the_same_letters_are_one_class(queue, out):
    export_labels(queue, out, 'hugging-face')
    change(out, 'hugging-face', 'cup', 'caf\u00e9')
    change(out, 'hugging-face', ODD, 'cafe\u0301')
    with pytest.raises(ConfigError, match='differ in case or spelling of the same letters only'):
        import_labels(queue, out)


def test_what_was_labelled_anew_here_stays(queue, out, form):
    export_labels(queue, out, form)
    say(queue, Path('/bags/hall'), 'mug', T0, T0 + 2 * S, RIGHT, kind='label')  # was ignore; not touched there
    say(queue, Path('/bags/hall'), 'mug', T0 + 3, T0 + S + 11, LEFT, kind='label')  # was cup; bowl there
    here = pieces(queue)
    change(out, form, 'cup', 'bowl')
    done = import_labels(queue, out)
    now = pieces(queue)
    assert done.merged.newer == 1 and now[-1] == (HALL, RIGHT, T0, T0 + 2 * S, 'mug')
    if form == 'cvat':  # does not tell what was exported of a tag that is new
        assert [one[4] for one in now[2:4]] == ['bowl', 'bowl']
    else:
        (camera, time_ns, own, other), = done.merged.conflicts
        assert (camera, time_ns, own, other) == ((HALL, LEFT), T0 + 3, 'mug', 'bowl')
        assert now == [*here[:3], (*here[3][:4], 'bowl'), here[4]]


def test_a_label_taken_back_here_stays_away(queue, out, form):
    export_labels(queue, out, form)
    say(queue, Path('/bags/hall'), '', T0, T0 + 2 * S, RIGHT, kind='clear')
    here = pieces(queue)
    assert import_labels(queue, out).merged.newer == 1 and pieces(queue) == here


def test_pictures_of_one_stretch_that_differ_divide_it(queue, out):
    export_labels(queue, out, 'folders')
    last = sorted((out / 'ignore').iterdir())[-1]
    (out / 'cup').mkdir(exist_ok=True)
    shutil.move(last, out / 'cup' / last.name)
    done = import_labels(queue, out)
    stamp = int(last.stem.rsplit('_', 1)[1])
    assert done.merged.divided == 1 and T0 < stamp < T0 + 2 * S
    assert [one[2:] for one in pieces(queue) if one[1] == RIGHT] == [
        (T0, stamp, 'ignore'), (stamp, T0 + 2 * S, 'cup')]


def test_a_missing_label_says_nothing_unless_it_is_asked_for(queue, out):
    export_labels(queue, out, 'folders')
    (out / 'unlabelled').mkdir(exist_ok=True)
    for file in list((out / 'ignore').iterdir()):
        shutil.move(file, out / 'unlabelled' / file.name)
    here = pieces(queue)
    assert import_labels(queue, out).stored == 0 and pieces(queue) == here
    done = import_labels(queue, out, clear=True)
    assert done.merged.cleared == 1 and pieces(queue) == [one for one in here if one[4] != 'ignore']


def test_strangers_and_pictures_with_two_labels_are_counted(queue, out):
    export_labels(queue, out, 'folders', most=1)
    first = sorted((out / 'cup').iterdir())[0]
    (out / 'mug').mkdir()
    shutil.copy(first, out / 'mug' / first.name)
    for name in ('holiday.jpg', 'yard_x_1_2_3.jpg', first.name.replace('hall', 'hull'),
                 f'{first.stem.split("_1")[0]}_9_5_7.jpg', f'{first.stem.split("_1")[0]}_1_5_3.jpg'):
        (out / 'cup' / name).write_bytes(b'')
    copy = fresh(queue)
    done = import_labels(copy, out).merged
    assert (done.torn, len(done.strangers), done.new) == (1, 5, 4)
    assert pieces(copy) == [one for one in pieces(queue) if one[2] != T0 + 3]


def test_names_are_never_paths(queue, out, tmp_path):
    export_labels(queue, out, 'hugging-face')
    for name in ('../../../etc/passwd', '/etc/passwd', '..\\..\\x.jpg', 'images/\x00.jpg', 'x' * 5000):
        (out / 'metadata.jsonl').write_text(json.dumps({'file_name': name, 'label': 'cup'}) + '\n')
        done = import_labels(fresh(queue), out)
        assert len(done.merged.strangers) == 1 and done.stored == 0
        shutil.rmtree(tmp_path / 'fresh')


def test_no_name_leaves_the_folder_of_an_export(tmp_path, out, form):
    folder = queue_of(tmp_path / 'odd', {'../../up': Path('/bags/a'), '.hidden/..': Path('/bags/b')}, [
        ('../../up', '/../x', T0, T0 + S), ('.hidden/..', '', T0, T0 + S)])
    for name, path, topic in (('../../up', '/bags/a', '/../x'), ('.hidden/..', '/bags/b', '')):
        say(folder, Path(path), '../../cup', T0, T0 + S, topic, recording=name)
    export_labels(folder, out, form)
    assert {path.name for path in tmp_path.iterdir()} == {'odd', 'out'}
    assert len(list(out.rglob('*.jpg'))) == 6 and not any(path.is_symlink() for path in out.rglob('*'))
    copy = fresh(folder)
    import_labels(copy, out)
    assert pieces(copy) == pieces(folder)


@pytest.mark.parametrize('label, text', [
    ('uncertain', 'cannot be labelled'), ('a\nb', 'control character'), ('x' * 300, '200 are allowed')])
def test_a_label_that_cannot_be_one_stores_nothing(queue, out, label, text):
    export_labels(queue, out, 'hugging-face')
    rows = [json.loads(line) for line in (out / 'metadata.jsonl').read_text().splitlines()]
    rows[-1]['label'] = label
    (out / 'metadata.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    copy = fresh(queue)
    with pytest.raises(ConfigError, match=text):
        import_labels(copy, out)
    assert pieces(copy) == []


FILES = [
    ('bomb.xml', '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "cc"><!ENTITY d "&b;&b;">]>'
     '<annotations>&d;</annotations>', 'document type'),
    ('outside.xml', '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations/>', 'document type'),
    ('deep.xml', '<annotations>' + '<a>' * 99, 'nested more than 50'),
    ('other.xml', '<html/>', 'is no file of CVAT'),
    ('track.xml', '<annotations><track/></annotations>', 'tracks of a video'),
    ('nameless.xml', '<annotations><image/></annotations>', '<image> has no name'),
    ('tag.xml', '<annotations><image name="a"><tag/></image></annotations>', '<tag> has no label'),
    ('deep.json', '[' * 100_000, 'nested'),
    ('number.json', '[1]', 'task 1: has no data with an image'),
    ('min.json', '[{"image": "a.jpg", "choice": "cup"}]', 'not "JSON-MIN"'),
    ('two.json', '[{"data": {"image": "a"}, "annotations": [{"result": [{"type": "choices", "value": '
     '{"choices": ["cup", "mug"]}}]}]}]', 'has 2 choices'),
    ('object.json', '{}', 'is no FiftyOneImageClassificationDataset'),
    ('class.json', '{"classes": ["cup"], "labels": {"a": 7}}', 'is of class 7, and the file has 1 classes'),
    ('list.json', '{"classes": null, "labels": {"a": ["cup", "mug"]}}', 'has 2 classifications'),
    ('type.json', '{"classes": null, "labels": {"a": {"label": ["cup"]}}}', 'a label must be text'),
    ('lines.jsonl', '{"file_name": "a.jpg"}\n[]\n', 'line 2: has no file_name'),
    ('broken.jsonl', '{"file_name', 'is not JSON'),
    ('labels.txt', 'cup', 'is no file of labels'),
]


@pytest.mark.parametrize('name, text, message', FILES, ids=[name for name, _, _ in FILES])
def test_files_that_cannot_be_read(queue, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    here = pieces(queue)
    with pytest.raises(ConfigError, match=re.escape(message)):
        import_labels(queue, tmp_path / name)
    assert pieces(queue) == here


def test_a_huge_file_is_refused_unread(queue, tmp_path):
    with open(tmp_path / 'huge.xml', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match='larger than any such file'):
        import_labels(queue, tmp_path / 'huge.xml')


def test_links_in_folders_are_not_followed(queue, out, tmp_path):
    export_labels(queue, out, 'folders', most=1)
    file = sorted((out / 'cup').iterdir())[0]
    (tmp_path / 'elsewhere').mkdir()
    file.rename(tmp_path / 'elsewhere' / file.name)
    (out / 'mug').symlink_to(tmp_path / 'elsewhere')
    copy = fresh(queue)
    import_labels(copy, out)
    assert 'mug' not in {one[4] for one in pieces(copy)}


def test_without_an_index_folders_go_by_the_names_that_classes_have_as_files(queue, out):
    export_labels(queue, out, 'folders')
    (out / 'index.csv').unlink()
    here = pieces(queue)
    done = import_labels(queue, out)
    assert done.stored == 0 and done.merged.classes == [] and pieces(queue) == here
    change(out, 'folders', 'cup', 'bowl-2')  # there is no bowl, so it is a name as any other
    assert import_labels(queue, out).merged.classes == ['bowl-2']


@pytest.mark.parametrize('folder', ['a_b', 'a_b-2'])
def test_a_folder_that_can_be_of_two_classes_is_refused(queue, out, folder):
    say(queue, Path('/bags/hall'), 'a/b', T0, T0 + 2 * S, RIGHT)
    say(queue, Path('/bags/yard'), 'a_b', T0 + 1, T0 + S + 7, LEFT, recording=YARD)
    export_labels(queue, out, 'folders')
    (out / 'index.csv').unlink()
    change(out, 'folders', 'cup', folder)
    here = pieces(queue)
    with pytest.raises(ConfigError, match='can be that of the classes .*a/b.*index.csv of the export back'):
        import_labels(queue, out)
    assert pieces(queue) == here


def test_an_export_replaces_nothing(queue, out, form):
    out.mkdir()
    (out / 'mine').write_text('x')
    with pytest.raises(OutputError, match='is there already'):
        export_labels(queue, out, form)
    assert [path.name for path in out.iterdir()] == ['mine']


def test_the_index_of_folders_says_what_each_is_of(queue, out):
    export_labels(queue, out, 'folders', most=1)
    with open(out / 'index.csv', newline='', encoding='utf-8') as file:
        rows = {row['label']: row for row in csv.DictReader(file)}
    assert set(rows) == {'cup', 'ignore', 'unsure', ODD}
    assert rows['unsure']['file'].startswith('unlabelled/unsure/')
    assert (rows['ignore']['recording'], rows['ignore']['topic']) == (HALL, RIGHT)
    assert (rows['ignore']['start_ns'], rows['ignore']['end_ns']) == (str(T0), str(T0 + 2 * S))


def test_what_has_no_picture_is_counted(queue, out):
    say(queue, Path('/bags/hall'), 'cup', T0 + 100 * S, T0 + 101 * S, LEFT)
    done = export_labels(queue, out, 'cvat')
    assert (done.stretches, done.without) == (5, 1)
