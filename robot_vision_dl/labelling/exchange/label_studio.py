"""Label Studio: ``tasks.json``, a task with a choice for each picture, beside ``config.xml`` and ``images/``.

``config.xml`` is the labelling interface of the project. Pictures are found by Label Studio's local file serving, whose
root is the folder that the export is in. Published format: https://labelstud.io/guide/task_format.html
"""
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence
from urllib.parse import quote, unquote

from ...core.errors import ConfigError
from ...core.files.whole_files import write_whole
from ...core.text.json_text import parse_json
from ...core.text.printable import printable
from ...core.text.text_file import read_text
from ...data.folders import shown
from ...data.labels.objects.cvat import quoted
from .pictures import ExportPicture
from .said import MOST_BYTES, Said, check_count, said_facts, said_label

FILE = 'tasks.json'
INTERFACE = 'config.xml'
_SERVED = '/data/local-files/?d='


def places(pictures: Sequence[ExportPicture]) -> List[str]:
    """Where each picture's file is in the export, without a suffix."""
    return [f'images/{one.name}' for one in pictures]


def write(folder: Path, pictures: Sequence[ExportPicture], files: Sequence[str], labels: Sequence[str]) -> None:
    """Write ``tasks.json`` and ``config.xml``."""
    tasks = []
    for one, name in zip(pictures, files):
        task: Dict[str, Any] = {
            'data': {'image': _SERVED + quote(f'{folder.name}/{name}'), **one.facts},
            'annotations': [{'result': [_choice(one.label)]}] if one.label else [],
            'predictions': [{'model_version': 'robot_vision_dl', 'score': round(p, 6), 'result': [_choice(label)]}
                            for label, p in one.proposals[:1] if label in labels]}
        tasks.append(task)
    write_whole(folder / FILE, json.dumps(tasks, ensure_ascii=False, indent=1) + '\n')
    choices = '\n'.join(f'    <Choice value={quoted(label)}/>' for label in labels)
    write_whole(folder / INTERFACE, f'<View>\n  <Image name="image" value="$image"/>\n'
                f'  <Choices name="label" toName="image" choice="single" showInline="true">\n{choices}\n  </Choices>\n'
                '</View>\n')


def read(path: Path) -> Iterator[Said]:
    """All tasks of a file, as it was exported or as Label Studio exports it ("JSON"): the last annotation counts.

    Raises:
        ConfigError: it is no such file.
    """
    if path.is_dir():
        path = path / FILE
    tasks = parse_json(read_text(path, most_bytes=MOST_BYTES, quote=False), shown(path))
    if not isinstance(tasks, list):
        raise ConfigError(f'{shown(path)}: is no list of tasks; export the project as "JSON"')
    check_count(len(tasks), shown(path))
    for number, task in enumerate(tasks, 1):
        where = f'{shown(path)}, task {number}'
        data = task.get('data') if isinstance(task, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get('image'), str):
            raise ConfigError(f'{where}: has no data with an image; export the project as "JSON", not "JSON-MIN"')
        yield Said(unquote(data['image']).rsplit('/', 1)[-1], _label(task, where), said_facts(data), where)


def _choice(label: str) -> Dict[str, Any]:
    return {'from_name': 'label', 'to_name': 'image', 'type': 'choices', 'value': {'choices': [label]}}


def _label(task: Dict[str, Any], where: str) -> str:
    """The choice of the newest annotation that was not cancelled; empty: there is none."""
    annotations = task.get('annotations', [])
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        raise ConfigError(f'{where}: annotations must be a list, got {printable(annotations, 60)!r}')
    made = [one for one in annotations if not one.get('was_cancelled')]
    for one in sorted(made, key=lambda one: str(one.get('updated_at') or ''), reverse=True):
        results = one.get('result')
        for result in results if isinstance(results, list) else ():
            value = result.get('value') if isinstance(result, dict) and result.get('type') == 'choices' else None
            choices = value.get('choices') if isinstance(value, dict) else None
            if isinstance(choices, list) and choices:
                if len(choices) > 1:
                    raise ConfigError(f'{where}: has {len(choices)} choices, and a picture has one label')
                return said_label(choices[0], where)
    return ''
