"""How a measurement ends: with all that is needed to judge its figures, hardware, versions and commit."""
import json
from pathlib import Path
from typing import Any, Mapping, Optional

from ..core.files.whole_files import write_whole
from ..core.machine import describe, environment


def conclude(figures: Mapping[str, Any], file: Optional[Path], before: str = '') -> None:
    """Print the line about the machine; write figures and machine as JSON.

    Args:
        figures: what was measured.
        file: where they are written as well; None: nowhere.
        before: what the line begins with.

    Raises:
        OutputError: the file cannot be written.
    """
    machine = environment()
    print(before + describe(machine))
    if file:
        write_whole(file, json.dumps({**figures, 'environment': machine}, indent=2) + '\n')
