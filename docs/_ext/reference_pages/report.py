"""What an evaluation writes: ``metrics.json``, ``frames.csv``, and the names for demands."""
import re
from typing import Dict, Iterator, List, Tuple

from robot_vision_dl.evaluation.gates import _SHORT
from robot_vision_dl.evaluation.output import COLUMNS
from robot_vision_dl.evaluation.summary import SCHEMA

from .markdown import definition, escaped, table

FRAME_COLUMNS = {
    'model': 'name of the model, as in `metrics.json`',
    'recording': 'name of the recording',
    'topic': 'topic of the image',
    'index': 'place of the frame among those of its topic in the recording, from 0',
    'file': 'the picture of a folder, relative to the folder; empty for a bag',
    'camera_fault': 'what is wrong with the camera, by its picture, which makes the frame `unknown`; empty: nothing',
    'object': 'with `--detections`: number of the object, the same for one that is followed through images',
    'stamp_ns': "stamp of the image's header, nanoseconds; empty for a picture, as the next two are",
    'receive_ns': 'when the bag received it, nanoseconds',
    'time_s': 'seconds from the first decided frame of the recording',
    'label': 'what the labels say: a class, `unknown`, or empty',
    'track': 'the object in view, where the labels name one',
    'outcome': '`accepted`, `uncertain` or `unknown`',
    'decision': 'the class that was accepted, else the outcome',
    'trust': 'confidence of the decision, 0 to 1',
    'predicted': 'the most probable class of this frame alone',
    'confidence': 'its probability, 0 to 1',
    'p_label': 'probability that this frame alone gives to the label',
    'rank': 'place of the label among the classes, 0 the most probable',
    'entropy': 'predictive entropy, in units of ln C: 0 sure, 1 uniform',
    'ood_score': 'score of the OOD method; larger is further out of distribution',
    'ood_p': 'its p-value among the calibration pictures, 0 to 1',
    'set_size': 'classes in the conformal set',
    'set_hit': '1: the label is in the set, 0: it is not',
    'fused_predicted': 'the most probable class of the belief over time',
    'fused_confidence': 'its probability, 0 to 1',
    'fused_p_label': 'probability that the belief gives to the label',
    'fused_rank': 'place of the label in the belief',
}


def entries(schema: str = SCHEMA) -> Iterator[Tuple[int, str, str]]:
    """(depth 0 or 1, name, text) of each entry of the schema's text."""
    found: List[List] = []
    for line in schema.splitlines()[1:]:
        begin = re.match(r'( {2}| {4})(\S+)(?: {2,}(.*))?$', line)
        named = begin and (begin.group(3) is not None)
        pair = re.match(r'  (\w+, \w+)$', line)
        if pair:
            found.append([0, pair.group(1), ''])
        elif named:
            found.append([len(begin.group(1)) // 2 - 1, begin.group(2), begin.group(3)])
        elif line.strip():
            found[-1][2] += ' ' + line.strip()
    return (tuple(entry) for entry in found)


def metrics_json() -> str:
    """The schema, as ``robot-vision evaluate --schema`` prints it, as nested lists."""
    text: List[str] = []
    for depth, name, told in entries():
        term = ', '.join(f'`{part}`' for part in name.split(', '))
        if depth == 0:
            text.append(definition(term, escaped(told) or 'numbers of the format and of the package.'))
        else:
            inner = definition(term, escaped(told)).rstrip().replace('\n', '\n  ')
            text.append(f'\n  {inner}\n')
    return '\n'.join(text)


def gate_names() -> str:
    """Short names for ``--fail-under`` and ``--fail-over``."""
    return table(('name', 'figure of `metrics.json`'),
                 ((f'`{short}`', f'`{path}`') for short, path in sorted(_SHORT.items())))


def frames_csv() -> str:
    """The columns in their order."""
    missing = set(COLUMNS) ^ set(FRAME_COLUMNS)
    if missing:
        raise ValueError(f'docs/_ext/reference_pages/report.py: FRAME_COLUMNS and frames.csv differ: {sorted(missing)}')
    told: Dict[str, str] = FRAME_COLUMNS
    return table(('column', 'content'), ((f'`{name}`', told[name]) for name in COLUMNS))
