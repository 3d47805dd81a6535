"""Workers need /dev/shm; without room there, what to do is said before the kernel ends one of them."""
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.training import loader

sys.path.append(str(Path(__file__).parent))


class Pictures:
    """What a loader asks of a data set, with pictures of 120 kB."""

    extra_share = 0.0

    def __len__(self):
        return 64

    def __getitem__(self, place):
        return SimpleNamespace(picture=torch.zeros(3, 100, 100))

    def set_epoch(self, epoch):
        pass


def make(workers):
    return loader.training_loader(Pictures(), 16, 0, None, workers, 0)


def test_without_workers_none_is_needed(monkeypatch):
    monkeypatch.setattr(loader, 'SHARED_MEMORY', '/no/such/folder')
    assert make(0).num_workers == 0


def test_missing_shared_memory_is_told(monkeypatch):
    monkeypatch.setattr(loader, 'SHARED_MEMORY', '/no/such/folder')
    with pytest.raises(ConfigError, match=r'run.workers is 2, .* /no/such/folder, which cannot be used here \(No such '
                                          r'file or directory\); start the container with --shm-size'):
        make(2)


def test_small_shared_memory_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(loader, 'SHARED_MEMORY', str(tmp_path))
    monkeypatch.setattr(loader.shutil, 'disk_usage', lambda path: SimpleNamespace(free=9_000_000))
    with pytest.raises(ConfigError, match=r'take 10 MB in .*, which has 9 MB free; .* run.workers to 0'):
        make(2)
    assert make(1).num_workers == 1
