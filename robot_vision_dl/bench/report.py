"""Figures as a file, with all that is needed to judge them: hardware, versions, commit."""
import json
from pathlib import Path
from typing import Any, Dict

from ..core.files.whole_files import write_whole
from ..core.machine import environment


def write_json(path: Path, figures: Dict[str, Any]) -> None:
    """Figures and environment as JSON."""
    write_whole(path, json.dumps({**figures, 'environment': environment()}, indent=2) + '\n')
