"""What is killed: the commands that write, each with small inputs, and how whole its output is."""
import hashlib
import json
import shutil
import sqlite3
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence

PICTURES, SIDE = 12, 32


class Workload(NamedTuple):
    """A command that writes.

    Attributes:
        name: of the command.
        argv: its arguments, with ``{i}`` for the folder of inputs and ``{w}`` for that of outputs.
        outputs: what it writes below ``{w}``.
        content: hashes of what must be the same whenever it has finished, by name; reads it as users would, and raises
            for what is not whole.
        before: prepares ``{w}``, if it takes something that is there already.
        stays: what is there before is still whole after a kill, so outputs are always there.
    """

    name: str
    argv: Sequence[str]
    outputs: Sequence[str]
    content: Callable[[Path], Dict[str, str]]
    before: Callable[[Path, Path], None] = lambda inputs, work: None
    stays: bool = False

    def command(self, inputs: Path, work: Path) -> List[str]:
        """The arguments for these folders."""
        return [word.format(i=inputs, w=work) for word in self.argv]


def make_inputs(folder: Path) -> None:
    """Everything that the commands read; in a child, for it uses torch and OpenCV."""
    import cv2
    import numpy as np
    import torch
    from evaluation_samples import labelled_bag, small_model
    from improve_samples import recordings
    from labelled_samples import write_folders
    from training_samples import config_text, picture_folders

    from robot_vision_dl.cli.main import main
    from robot_vision_dl.core.networks.network import build_network
    write_folders(folder / 'pictures', {'cup': PICTURES, 'mug': PICTURES, 'bowl': PICTURES})
    labelled_bag(folder / 'bag', 60, jpeg=True)
    small_model(folder / 'model')
    picture_folders(folder / 'shapes', recordings=6, each=8)
    recordings(folder / 'learn', 6, each=8, unknown=0, seed=1)
    recordings(folder / 'judge', 2, each=6, unknown=0, seed=2)
    # Caches, runs and models are given on the command line: they differ from case to case.
    (folder / 'train.yaml').write_text(config_text(folder / 'shapes', Path('WORK'), epochs=2))
    torch.manual_seed(0)
    names = (('backbone.', 'features.'), ('head.0.', 'classifier.1.'))  # ours, and torchvision's
    torch.save({key.replace(*names[0]).replace(*names[1]): value for key, value in build_network(
        'squeezenet1_1', 3).state_dict().items()}, folder / 'weights.pth')
    (folder / 'classes.txt').write_text('cup\nmug\nbowl\n')
    _write_boxes(folder / 'labelled')
    _label(folder / 'queue', folder / 'bag')
    with redirect_stdout(StringIO()):
        if main(['bag', 'from-images', str(folder / 'labelled'), '--out', str(folder / 'boxes'), '--objects',
                 '--false-alarms', '1']):
            raise RuntimeError('the bag of boxes was not written')
    video = cv2.VideoWriter(str(folder / 'drive.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (SIDE * 2, SIDE))
    for number in range(40):
        video.write(np.full((SIDE, SIDE * 2, 3), 5 * number, np.uint8))
    video.release()


def _write_boxes(folder: Path) -> None:
    """Pictures with YOLO text beside them, two objects in each."""
    import cv2
    from labelled_samples import pattern
    folder.mkdir()
    (folder / 'classes.txt').write_text('cup\nmug\n')
    for number in range(PICTURES):
        cv2.imwrite(str(folder / f'{number:02d}.jpg'), pattern(number))
        (folder / f'{number:02d}.txt').write_text(f'0 .3 {.3 + .02 * number:.2f} .2 .25\n1 .7 .5 .25 .4\n')


def _label(folder: Path, bag: Path) -> None:
    """A queue about a bag, half of it labelled."""
    from labelled_queue import queue_of, say

    from robot_vision_dl.data.bags.reader import BagReader
    with BagReader(bag) as reader:
        topic = next(name for name, one in reader.topics.items() if one.is_image)
        begin, end = reader.start_ns, reader.end_ns + 1
    edges = [begin + place * (end - begin) // 20 for place in range(21)]
    queue_of(folder, {'bag': bag}, [('bag', topic, *span) for span in zip(edges, edges[1:])])
    for number, (start, stop) in enumerate(zip(edges[:10], edges[1:])):
        say(folder, bag, ('cup', 'bowl', 'ignore', 'unsure')[number % 4], start, stop, topic)


def _bag(path: Path) -> Dict[str, str]:
    from robot_vision_dl.data.bags.reader import BagReader
    digest = hashlib.sha256()
    count = 0
    with BagReader(path) as reader:
        stated = sum(topic.count for topic in reader.topics.values())
        for message in reader.messages(list(reader.topics)):
            digest.update(message.cdr)
            count += 1
        problems = list(reader.problems)
    if problems or count != stated or not count:
        raise ValueError(f'{path}: {count} of {stated} messages; {problems}')
    labels = path / 'labels.yaml'
    return {'messages': f'{count} {digest.hexdigest()}', 'labels': _hash(labels) if labels.is_file() else ''}


def _bags(folder: Path) -> Dict[str, str]:
    from robot_vision_dl.data.bags.files import find_bags
    return {f'{found.path.name} {key}': value for found in find_bags(folder)
            for key, value in _bag(found.path).items()}


def _pictures(folder: Path) -> Dict[str, str]:
    from robot_vision_dl.data.picture_folder import folder_pictures
    from robot_vision_dl.data.pictures import read_picture
    found = folder_pictures(folder, lambda note: None)
    for picture in found:
        read_picture(picture.path)
        if picture.stamp_ns is None:
            raise ValueError(f'{picture.path}: is not in the index')
    return {'pictures': str(len(found)), **_files(folder)}


def _bundle(folder: Path) -> Dict[str, str]:
    from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
    bundle = load_bundle(folder.absolute())
    problems = verify_bundle(folder.absolute())
    if problems:
        raise ValueError(f'{folder}: {problems}')
    bundle.load_network()
    return {name: _hash(path) for name, path in _named(folder) if path.suffix == '.safetensors'}


def _run(folder: Path) -> Dict[str, str]:
    from robot_vision_dl.data.cache import INDEX, FrameStore
    from robot_vision_dl.training.checkpoint import BEST, LAST, load_checkpoint, load_weights
    run = folder / 'runs' / 'shapes'
    if (run / LAST).exists():
        load_checkpoint(run / LAST)
        load_weights(run / BEST)
    for cache in folder.glob('cache/*'):
        if (cache / INDEX).exists():
            FrameStore(cache)
    return _bundle(folder / 'models' / 'shapes') if (folder / 'models' / 'shapes').exists() else {}


def _report(folder: Path) -> Dict[str, str]:
    from robot_vision_dl.evaluation.compare import read_metrics
    found: Dict[str, str] = {}
    if (folder / 'report').exists():
        metrics = read_metrics(folder / 'report')
        for name in ('frames.csv', 'report.html', 'summary.md', 'speed.json'):
            if not (folder / 'report' / name).stat().st_size:
                raise ValueError(f'{name} is empty')
        found['metrics'] = hashlib.sha256(json.dumps(metrics['models'], sort_keys=True).encode()).hexdigest()
    if (folder / 'decisions.mcap').exists():
        found.update(_bag(folder / 'decisions.mcap'))
    return found


def _queue(folder: Path) -> Dict[str, str]:
    from robot_vision_dl.labelling.queue_file import MINED, QueueFile
    if not (folder / MINED).exists():
        return {}
    with QueueFile(folder) as queue:
        pictures = sum(queue.picture(one.id, place) is not None for one in queue.intervals()
                       for place in range(len(queue.frames(one.id))))
    return {'pictures': str(pictures), 'mined': _hash(folder / MINED)}


def _named(folder: Path):
    return sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob('*') if path.is_file())


def _files(folder: Path) -> Dict[str, str]:
    return {name: _hash(path) for name, path in _named(folder)}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _copy_model(inputs: Path, work: Path) -> None:
    shutil.copytree(inputs / 'model', work / 'models' / 'm')


def _finished_run(inputs: Path, work: Path) -> None:
    for name in ('runs', 'models', 'cache'):
        shutil.copytree(inputs / 'trained' / name, work / name)


def _improved(work: Path) -> Dict[str, str]:
    from robot_vision_dl.labelling.model_history import read_history
    installed = work / 'installed' / 'shapes'
    found = _bundle(installed)
    history = [entry.what for entry in read_history(installed)]
    previous = installed.with_name('shapes.previous')
    if previous.exists():
        _bundle(previous)
    if history not in (['trained'], ['trained', 'installed']):
        raise ValueError(f'{installed}: its history is {history}')
    return {**found, 'history': str(history)}


def _install_trained(inputs: Path, work: Path) -> None:
    shutil.copytree(inputs / 'trained' / 'models' / 'shapes', work / 'installed' / 'shapes')


def _queue_beside_bag(inputs: Path, work: Path) -> None:
    shutil.copytree(inputs / 'bag', work / 'bag')
    shutil.copytree(inputs / 'queue', work / 'queue')
    (work / 'bag' / 'labels.yaml').write_text(_OWN)
    with closing(sqlite3.connect(work / 'queue' / 'labels.sqlite')) as labels, labels:
        labels.execute('DROP TRIGGER event_stays')
        labels.execute('UPDATE event SET body = REPLACE(body, ?, ?)', (str(inputs / 'bag'), str(work / 'bag')))


def _labels(work: Path) -> Dict[str, str]:
    """What every command reads of the bag; what somebody wrote there is in its place or beside it."""
    from robot_vision_dl.data.bags.reader import BagReader
    from robot_vision_dl.data.labels.sources import labels_of_bag
    with BagReader(work / 'bag') as reader:
        found = labels_of_bag(reader, 'bag').labels.intervals
    kept = work / 'bag' / 'labels.yaml.bak'
    if (kept if kept.exists() else work / 'bag' / 'labels.yaml').read_text() != _OWN:
        raise ValueError('labels of a person are lost')
    return {'labels': hashlib.sha256(repr(found).encode()).hexdigest()}


_OWN = 'times: stamp\n# by hand\nintervals:\n- {start: 1000000000, label: mug}\n'
_TRAIN = ('train', '{i}/train.yaml', '--set', 'data.cache.folder={w}/cache', 'output.runs={w}/runs',
          'output.models={w}/models')
TRAIN = Workload('train', _TRAIN, ('models/shapes', 'runs'), _run)
WORKLOADS = (
    TRAIN,
    Workload('train --restart', (*_TRAIN, '--restart'), ('models/shapes', 'runs'), _run, _finished_run, stays=True),
    Workload('calibrate', ('calibrate', '{w}/models/m', '{i}/pictures'), ('models/m',),
             lambda work: _bundle(work / 'models' / 'm'), _copy_model, stays=True),
    Workload('improve', ('improve', '{i}/learn/*', '--model', '{w}/installed/shapes', '--frozen', '{i}/judge/*',
                         '--old-data', 'none', '--work', '{w}/rounds', '--set', 'data.cache.folder={w}/cache',
                         '--allow-undecided', '--margin', 'accuracy=1', 'worst_recall=1', 'nll=99', 'decided_right=1',
                         'acted_wrong=1', 'foreign_accepted=1', 'false_unknown=1'),
             ('installed/shapes', 'installed/shapes.previous', 'rounds'), _improved, _install_trained, stays=True),
    Workload('models import', ('models', 'import', '{i}/weights.pth', '--architecture', 'squeezenet1_1', '--classes',
                               '{i}/classes.txt', '--resize', '32', '--crop', '32', '--name', 'm', '--into', '{w}',
                               '--calibrate', '{i}/pictures'), ('m',), lambda work: _bundle(work / 'm')),
    Workload('bag synth', ('bag', 'synth', '{i}/pictures', '--out', '{w}/bags', '--recordings', '3', '--size', '32x24',
                           '--seconds-per-track', '0.5'), ('bags',), lambda work: _bags(work / 'bags')),
    Workload('bag from-images', ('bag', 'from-images', '{i}/pictures', '--out', '{w}/bag', '--width', '64'), ('bag',),
             lambda work: _bag(work / 'bag')),
    Workload('bag from-images --objects', ('bag', 'from-images', '{i}/labelled', '--out', '{w}/bag', '--objects',
                                           '--missed', '0.2', '--false-alarms', '1'), ('bag',),
             lambda work: _bag(work / 'bag')),
    Workload('crop', ('crop', '{i}/labelled', '{w}/objects', '--input', '32', '--background', '1'), ('objects',),
             lambda work: _pictures(work / 'objects')),
    Workload('crop --detections', ('crop', '{i}/boxes', '{w}/objects', '--input', '32', '--detections', '/detections'),
             ('objects',), lambda work: _pictures(work / 'objects')),
    Workload('bag from-video', ('bag', 'from-video', '{i}/drive.avi', '--out', '{w}/bag', '--append-black', '2'),
             ('bag',), lambda work: _bag(work / 'bag')),
    Workload('bag extract', ('bag', 'extract', '{i}/bag', '--out', '{w}/pictures', '--format', 'png'), ('pictures',),
             lambda work: _pictures(work / 'pictures')),
    Workload('labels write', ('labels', 'write', '{w}/queue'), ('bag/labels.yaml',), _labels, _queue_beside_bag,
             stays=True),
    Workload('labels export', ('labels', 'export', '{i}/queue', '{w}/out', '--format', 'cvat'), ('out',),
             lambda work: _files(work / 'out')),
    Workload('evaluate --write-bag', ('evaluate', '{i}/bag', '--model', '{i}/model', '--out', '{w}/report',
                                      '--write-bag', '{w}/decisions.mcap', '--copy-topics'),
             ('report', 'decisions.mcap'), _report),
    Workload('mine', ('mine', '{i}/bag', '{i}/boxes', '--model', '{i}/model', '--out', '{w}/queue', '--every', '.2',
                      '--set', 'backend=torch'), ('queue/mined.sqlite',), lambda work: _queue(work / 'queue')),
)
