"""Hugging Face ``datasets``: an image folder, ``metadata.jsonl`` beside ``images/``.

``datasets.load_dataset('imagefolder', data_dir=...)`` reads it. Published format:
https://huggingface.co/docs/datasets/image_dataset#imagefolder
"""
import json
from pathlib import Path
from typing import Iterator, List, Sequence

from ...core.errors import ConfigError
from ...core.files.whole_files import whole_file
from ...core.text.json_text import parse_json
from ...core.text.text_file import read_text
from ...data.folders import shown
from .pictures import ExportPicture
from .said import MOST_BYTES, Said, check_count, said_facts, said_label

FILE = 'metadata.jsonl'
_NAMES = ('file_name', 'image_file_name')


def places(pictures: Sequence[ExportPicture]) -> List[str]:
    """Where each picture's file is in the export, without a suffix."""
    return [f'images/{one.name}' for one in pictures]


def write(folder: Path, pictures: Sequence[ExportPicture], files: Sequence[str], labels: Sequence[str]) -> None:
    """Write ``metadata.jsonl``: times are whole numbers, which Arrow holds to the nanosecond."""
    with whole_file(folder / FILE, 'w', encoding='utf-8') as file:
        for one, name in zip(pictures, files):
            row = {'file_name': name, 'label': one.label or None, **one.place._asdict(), 'exported': one.label}
            file.write(json.dumps(row, ensure_ascii=False) + '\n')


def read(path: Path) -> Iterator[Said]:
    """All pictures that a file lists.

    Raises:
        ConfigError: it is no such file.
    """
    if path.is_dir():
        path = path / FILE
    count = 0
    for number, line in enumerate(read_text(path, most_bytes=MOST_BYTES, quote=False).split('\n'), 1):
        if not line.strip():
            continue
        where = f'{shown(path)}, line {number}'
        row = parse_json(line, where)
        name = next((row[key] for key in _NAMES if isinstance(row.get(key), str)), None) if isinstance(
            row, dict) else None
        if name is None:
            raise ConfigError(f'{where}: has no file_name')
        count += 1
        check_count(count, shown(path))
        yield Said(name, said_label(row.get('label'), where), said_facts(row), where)
