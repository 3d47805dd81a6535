"""Figures with all that is needed to judge them: n, percentiles, hardware, versions, commit."""
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence

import numpy as np

from ..core.files.whole_files import write_whole

PACKAGES = ('robot_vision_dl', 'torch', 'torchvision', 'numpy', 'opencv-python', 'ros-rclpy')


def percentiles(milliseconds: Iterable[float]) -> Dict[str, float]:
    """n, p50, p95, p99 and max of times in ms; NaN where there are none."""
    values = np.asarray(list(milliseconds), np.float64)
    if not len(values):
        return {'n': 0, 'p50': float('nan'), 'p95': float('nan'), 'p99': float('nan'), 'max': float('nan')}
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return {'n': len(values), 'p50': float(p50), 'p95': float(p95), 'p99': float(p99), 'max': float(values.max())}


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.machine()


def _commit() -> Optional[str]:
    """The commit of the checkout that this file lies in; installed copies have none."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / '.git').exists():
        return None
    done = subprocess.run(['git', 'describe', '--always', '--dirty'], cwd=folder, capture_output=True, text=True)
    return done.stdout.strip() or None


def environment() -> Dict[str, Any]:
    """The machine and the versions that a figure was measured with."""
    import torch
    result = {
        'processor': _processor(),
        'cores': len(os.sched_getaffinity(0)),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        'python': platform.python_version(),
        'commit': _commit(),
    }
    result.update({package: _version(package) for package in PACKAGES if _version(package)})
    return result


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns; numbers to the right, with two decimals."""
    cells: List[List[str]] = [list(headings)]
    for row in rows:
        cells.append([f'{value:.2f}' if isinstance(value, float) else str(value) for value in row])
    widths = [max(len(line[i]) for line in cells) for i in range(len(headings))]
    numeric = [all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(headings))]
    lines = []
    for line in cells:
        lines.append('  '.join(cell.rjust(width) if number else cell.ljust(width)
                               for cell, width, number in zip(line, widths, numeric)).rstrip())
    lines.insert(1, '  '.join('-' * width for width in widths))
    return '\n'.join(lines)


def describe(values: Dict[str, Any]) -> str:
    """The environment in one line."""
    return ', '.join(f'{key} {value}' for key, value in values.items() if value is not None)


def write_json(path: Path, figures: Dict[str, Any]) -> None:
    """Figures and environment as JSON."""
    write_whole(path, json.dumps({**figures, 'environment': environment()}, indent=2) + '\n')
