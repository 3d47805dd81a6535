"""ARCHITECTURE.md names files that there are, and every room."""
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TEXT = (REPOSITORY / 'ARCHITECTURE.md').read_text(encoding='utf-8')


def test_every_file_that_is_named_is_there():
    named = set(re.findall(r'[\w/]+\.py\b', TEXT))
    there = [f'/{path.relative_to(REPOSITORY)}' for path in REPOSITORY.rglob('*.py')
             if '.venv' not in path.relative_to(REPOSITORY).parts[0]]
    assert len(named) > 40
    assert sorted(name for name in named if not any(path.endswith(f'/{name}') for path in there)) == []


def test_every_room_is_named():
    rooms = {str(path.parent.relative_to(REPOSITORY / 'robot_vision_dl'))
             for path in (REPOSITORY / 'robot_vision_dl').rglob('__init__.py')} - {'.', 'ros/interfaces'}
    assert sorted(room for room in rooms if not re.search(rf'(?<![\w])`?({room}|{room.split("/")[-1]})/', TEXT)) == []
