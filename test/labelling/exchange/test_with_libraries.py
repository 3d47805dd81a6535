"""Exports as the libraries of the programs themselves read them; what is not installed is skipped.

``datasets`` comes with the extra ``reference``. Of the others, label-studio-sdk and datumaro bring another build of
OpenCV along and fiftyone a database, so they are in no extra: install them in an environment of their own.
"""
import json
from pathlib import Path

import pytest
from labelled_queue import T0, queue_of, say

from robot_vision_dl.labelling.exchange.exchange import export_labels, import_labels

S = 10**9
TOPIC = '/left/image_raw'
ODD = 'a <b> & "c", d\'é'
STAMP = T0 + 7


@pytest.fixture
def queue(tmp_path):
    folder = queue_of(tmp_path / 'queue', {'hall': Path('/bags/hall')}, [
        ('hall', TOPIC, STAMP, T0 + 2 * S), ('hall', TOPIC, T0 + 2 * S, T0 + 4 * S + 1),
        ('hall', TOPIC, T0 + 5 * S, T0 + 6 * S)])
    say(folder, Path('/bags/hall'), 'cup', STAMP, T0 + 2 * S, TOPIC)
    say(folder, Path('/bags/hall'), ODD, T0 + 2 * S, T0 + 4 * S + 1, TOPIC)
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def test_datasets_reads_the_image_folder(queue, out, tmp_path, monkeypatch):
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    datasets = pytest.importorskip('datasets', reason='datasets is not installed (extra reference)')
    export_labels(queue, out, 'hugging-face', 'all')
    loaded = datasets.load_dataset('imagefolder', data_dir=str(out), split='train', cache_dir=str(tmp_path / 'cache'))
    assert len(loaded) == 9 and loaded[0]['image'].size == (64, 48)
    assert loaded.features['start_ns'].dtype == 'int64'
    rows = {(row['label'], row['recording'], row['topic'], row['start_ns'], row['end_ns']) for row in loaded}
    assert rows == {('cup', 'hall', TOPIC, STAMP, T0 + 2 * S), (ODD, 'hall', TOPIC, T0 + 2 * S, T0 + 4 * S + 1),
                    (None, 'hall', TOPIC, T0 + 5 * S, T0 + 6 * S)}
    # As it is edited there and saved again.
    changed = loaded.map(lambda row: {'label': 'mug' if row['label'] == 'cup' else row['label']},
                         cache_file_name=str(tmp_path / 'changed.arrow'))
    with open(out / 'metadata.jsonl', encoding='utf-8') as file:
        files = [json.loads(line)['file_name'] for line in file]
    changed.remove_columns('image').add_column('file_name', files).to_json(str(tmp_path / 'changed.jsonl'))
    done = import_labels(queue, tmp_path / 'changed.jsonl').merged
    assert (done.changed, done.same, done.new, done.strangers) == (1, 1, 0, [])


def test_label_studio_takes_interface_and_tasks(queue, out, tmp_path):
    reason = 'label-studio-sdk is not installed'
    interface = pytest.importorskip('label_studio_sdk.label_interface', reason=reason).LabelInterface
    converter = pytest.importorskip('label_studio_sdk.converter', reason=reason).Converter
    export_labels(queue, out, 'label-studio', 'all')
    config = interface((out / 'config.xml').read_text(encoding='utf-8'))
    config.validate()
    assert config.get_control('label').labels == ['cup', 'mug', 'unknown', 'ignore', 'unsure', ODD]
    tasks = json.loads((out / 'tasks.json').read_text(encoding='utf-8'))
    assert len(tasks) == 9
    for task in tasks:
        assert config.validate_task({'data': task['data']})
        assert all(config.validate_annotation(one) for one in task['annotations'])
        assert task['predictions'] and all(config.validate_prediction(one) for one in task['predictions'])
    ready = [{**task, 'id': number, 'annotations': [
        {**one, 'id': 1, 'was_cancelled': False} for one in task['annotations']]} for number, task in enumerate(tasks)]
    (tmp_path / 'export').mkdir()
    (tmp_path / 'export' / 'tasks.json').write_text(json.dumps(ready))
    converter(str(out / 'config.xml'), str(tmp_path), download_resources=False).convert_to_json_min(
        str(tmp_path / 'export'), str(tmp_path / 'min'))
    small = json.loads((tmp_path / 'min' / 'result.json').read_text())
    assert {(one['label'], one['start_ns']) for one in small if 'label' in one} == {
        ('cup', str(STAMP)), (ODD, str(T0 + 2 * S))}


def test_datumaro_reads_and_writes_cvat(queue, out, tmp_path):
    dm = pytest.importorskip('datumaro', reason='datumaro is not installed')
    export_labels(queue, out, 'cvat', 'all')
    dataset = dm.Dataset.import_from(str(out / 'annotations.xml'), 'cvat')
    categories = dataset.categories()[dm.AnnotationType.label]
    found = {item.id: [(categories[one.label].name, one.attributes) for one in item.annotations] for item in dataset}
    assert len(found) == 9 and sum(map(len, found.values())) == 6
    for (label, attributes), in filter(None, found.values()):
        assert label in ('cup', ODD) and attributes['exported'] == label
        assert int(attributes['end_ns']) in (T0 + 2 * S, T0 + 4 * S + 1)
    cup = categories.find('cup')[0]
    for item in dataset:
        for one in item.annotations:
            if one.label == cup:
                one.label = categories.find('mug')[0]
        dataset.put(item)
    dataset.export(str(tmp_path / 'again'), 'cvat', save_media=False)
    file, = (tmp_path / 'again').rglob('*.xml')
    done = import_labels(queue, file).merged
    assert (done.changed, done.same, done.new, done.strangers) == (1, 1, 0, [])


def test_fiftyone_reads_and_writes_its_type(queue, out, tmp_path, monkeypatch):
    monkeypatch.setenv('FIFTYONE_DISABLE_SERVICES', '1')  # its importer and exporter do without the database
    monkeypatch.setenv('FIFTYONE_DO_NOT_TRACK', '1')
    monkeypatch.setenv('HOME', str(tmp_path))
    data = pytest.importorskip('fiftyone.utils.data', reason='fiftyone is not installed')
    export_labels(queue, out, 'fiftyone', 'all')
    importer = data.FiftyOneImageClassificationDatasetImporter(dataset_dir=str(out))
    exporter = data.FiftyOneImageClassificationDatasetExporter(export_dir=str(tmp_path / 'again'),
                                                               include_attributes=True)
    labels = []
    with importer, exporter:
        assert importer.get_dataset_info()['classes'] == ['cup', 'mug', 'unknown', 'ignore', 'unsure', ODD]
        for path, _, label in importer:
            assert Path(path).is_file()
            labels.append(None if label is None else (label.label, label.start_ns, label.exported))
            if label is not None and label.label == 'cup':
                label.label = 'mug'
            exporter.export_sample(path, label)
    assert sorted(filter(None, labels)) == 3 * [(ODD, str(T0 + 2 * S), ODD)] + 3 * [('cup', str(STAMP), 'cup')]
    assert labels.count(None) == 3
    done = import_labels(queue, tmp_path / 'again').merged
    assert (done.changed, done.same, done.new, done.strangers) == (1, 1, 0, [])


def test_mcap_reads_the_events(queue, out):
    reader = pytest.importorskip('mcap.reader')
    factory = pytest.importorskip('mcap_ros2.decoder').DecoderFactory
    export_labels(queue, out, 'foxglove')
    file, = out.rglob('*.mcap')
    assert file.parent.name == 'hall_labels' and (file.parent / 'metadata.yaml').is_file()
    with open(file, 'rb') as stream:
        found = list(reader.make_reader(stream, decoder_factories=[factory()]).iter_decoded_messages())
    assert {schema.name for schema, *_ in found} == {'foxglove_msgs/msg/Event'}
    assert b'builtin_interfaces/Time start_time' in found[0][0].data
    rows = [(message.log_time, *((time.sec * S + time.nanosec) for time in (event.start_time, event.end_time)),
             {one.key: one.value for one in event.metadata}) for _, _, message, event in found]
    facts = {'topic': TOPIC, 'recording': 'hall'}
    assert rows == [(STAMP, STAMP, T0 + 2 * S - 1, {'label': 'cup', **facts}),
                    (T0 + 2 * S, T0 + 2 * S, T0 + 4 * S, {'label': ODD, **facts})]
    again = out.with_name('again')
    export_labels(queue, again, 'foxglove')
    assert next(again.rglob('*.mcap')).read_bytes() == file.read_bytes()
