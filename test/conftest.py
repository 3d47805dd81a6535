"""What all tests share."""
import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real data, which is not part of the repository; tests that need it skip without it."""
    folder = Path(os.environ.get('RVD_DATA', REPOSITORY.parent / 'shared' / 'data'))
    if not folder.is_dir():
        pytest.skip(f'real data is not here: set RVD_DATA to its folder (looked in {folder})')
    return folder
