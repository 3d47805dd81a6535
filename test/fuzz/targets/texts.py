"""Text files that people write: labels, names, parameters, costs, actions, training; and metadata.yaml of a bag."""
import random
from pathlib import Path
from typing import Callable, Dict, Tuple

from bag_samples import write_ros2

from robot_vision_dl.cli.models_import import read_class_names
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.config_yaml import parameter_file
from robot_vision_dl.core.decision.action_gate import load_actions
from robot_vision_dl.core.decision.costs import read_costs
from robot_vision_dl.core.errors import BagError, RobotVisionError
from robot_vision_dl.data.bags.files import find_bags
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.labels.labels import LabelConfig
from robot_vision_dl.data.labels.sources import labels_of_bag
from robot_vision_dl.data.picture_list import listed_pictures
from robot_vision_dl.evaluation.deployment import deployment
from robot_vision_dl.training.config_file import default_file, load_config

from ..mutate import text_mutated
from ..target import ACCEPTED, Finding, Target, pack, unpack

_NAMES = ('cup', 'mug', 'bowl')
_CORPUS: Dict[str, Tuple[str, str]] = {
    'labels': ('labels.yaml', '- {start: 0, end: 0.25, label: cup, track: a}\n- {start: 1700000000.3, end: '
                              '1700000000.5, label: "no", topic: /camera/image_raw}\n- start: 0.5\n  label: unknown\n'),
    'label_table': ('labels.csv', '# by hand\nstamp,label,topic,track\n0,cup,/camera/image_raw,a\n0.2,mug,,\n'
                                  '1700000000.4,bowl,,b\n'),
    'names': ('names.txt', 'cup\nmug\nbowl\n'),
    'pictures': ('pictures.csv', 'a.png,cup\nb.png,mug\nc.png,2\n'),
    'actions': ('actions.yaml', 'safe: {name: stop, linear_x: 0.0, angular_z: 0}\nlabels:\n  cup: grasp\n  mug: {name: '
                                'go, linear_x: 0.2}\n  "8": {name: turn, angular_z: 1e-1}\n'),
    'costs': ('costs.yaml', 'abstain: 0.2\nconfusions:\n  cup: {mug: 3, bowl: 0.5}\n  mug:\n    cup: 1.5\n'),
    'metadata': ('metadata.yaml', ''),
    'parameters': ('params.yaml', '/**:\n  ros__parameters:\n    decision:\n      abstain_cost: 0.2\n    '
                                  'fusion.enabled: false\n'
                                  '/ns:\n  classifier:\n    ros__parameters:\n      max_batch: 3\n'),
    'training': ('train.yaml', ''),
}


class TextTarget(Target):
    """Refused with one clear error, or accepted; what is accepted as a name is a string without control characters."""

    name = 'texts'
    documented = (RobotVisionError,)
    cases = 20_000

    def prepare(self, folder: Path) -> None:
        self._folder = folder
        self._bag = write_ros2(folder / 'bag', 3).parent
        self._reader = BagReader(self._bag)
        texts = {kind: [text.encode()] for kind, (_, text) in _CORPUS.items()}
        texts['metadata'] = [(self._bag / 'metadata.yaml').read_bytes()]
        texts['training'] = [default_file().encode(), b'data:\n  bags: [bags]\nnetwork: {architecture: lenet5}\n'
                                                      b'optimizer:\n  learning_rate: 1e-3\nrun: {epochs: 3}\n']
        texts['parameters'].append(parameter_file(ClassifierConfig, 'classifier').encode())
        self._texts = texts
        self._all = [text for several in texts.values() for text in several]

    def case(self, rng: random.Random) -> bytes:
        kind = rng.choice(list(_CORPUS))
        return pack({'kind': kind}, text_mutated(rng.choice(self._texts[kind]), rng, self._all))

    def run(self, data: bytes) -> str:
        about, content = unpack(data)
        kind = about['kind']
        path = (self._bag if kind == 'metadata' else self._folder) / _CORPUS[kind][0]
        path.write_bytes(content)
        names = self._READERS[kind](self, path)
        for name in names:
            if not isinstance(name, str) or any(ord(c) < 32 or ord(c) == 127 for c in name):
                raise Finding(f'accepted as a name: {name!r:.100}')
        return ACCEPTED

    def _labels(self, path: Path):
        found = labels_of_bag(self._reader, 'bag', LabelConfig(sources=(str(path),)))
        found.labels.at('/camera/image_raw', 1_700_000_000_000_000_000, 1_700_000_000_000_000_000)
        return []

    def _metadata(self, path: Path):
        try:
            for files in find_bags(path.parent):
                with BagReader(files) as reader:
                    for _ in reader.messages():
                        pass
        except BagError as error:
            if len(str(error)) > 2000:
                raise Finding(f'an error of {len(str(error))} characters') from None
        return ()

    _READERS: Dict[str, Callable] = {
        'labels': _labels, 'label_table': _labels,
        'names': lambda self, path: read_class_names(str(path)),
        'pictures': lambda self, path: listed_pictures(path, _NAMES) and (),
        'actions': lambda self, path: list(load_actions(path).by_label),
        'costs': lambda self, path: read_costs(path, _NAMES) and (),
        'metadata': _metadata,
        'parameters': lambda self, path: deployment(str(path)) and (),
        'training': lambda self, path: load_config(path) and (),
    }
