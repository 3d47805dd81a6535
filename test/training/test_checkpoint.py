"""Files that are whole, and what the history says."""
import math
import os
import resource

import pytest
import torch

from robot_vision_dl.core.errors import OutputError
from robot_vision_dl.training.checkpoint import (
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
    write_atomically,
)
from robot_vision_dl.training.errors import TrainingError
from robot_vision_dl.training.history import EpochRecord, as_rows, best_epoch, from_rows, is_over


def record(epoch: int, nll: float) -> EpochRecord:
    return EpochRecord(epoch, 1.0, nll, 0.5, 0.1, 2.0)


def test_round_trips(tmp_path):
    content = {'a': torch.arange(3), 'b': [1, {'c': 2.5}], 'd': None}
    save_checkpoint(tmp_path / 'x' / 'a.ckpt', content)
    found = load_checkpoint(tmp_path / 'x' / 'a.ckpt')
    assert found['a'].equal(content['a']) and found['b'] == content['b'] and found['d'] is None
    save_weights(tmp_path / 'w.safetensors', {'a': torch.ones(2, 3)}, {'epoch': '4'})
    state, notes = load_weights(tmp_path / 'w.safetensors')
    assert state['a'].equal(torch.ones(2, 3)) and notes == {'epoch': '4'}


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'was_run'),)
    torch.save({'a': Evil()}, tmp_path / 'evil.ckpt')
    with pytest.raises(TrainingError, match='damaged'):
        load_checkpoint(tmp_path / 'evil.ckpt')
    assert not (tmp_path / 'was_run').exists()


def test_every_cut_off_checkpoint_is_told(tmp_path):
    save_checkpoint(tmp_path / 'a.ckpt', {'a': torch.arange(1000)})
    data = (tmp_path / 'a.ckpt').read_bytes()
    for size in range(0, len(data), 97):
        (tmp_path / 'a.ckpt').write_bytes(data[:size])
        with pytest.raises(TrainingError, match='--restart'):
            load_checkpoint(tmp_path / 'a.ckpt')


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_atomically(tmp_path / 'a', b'old')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r'File too large\); the one written before is kept at .*Make room'):
            write_atomically(tmp_path / 'a', b'new' * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / 'a').read_bytes() == b'old' and os.listdir(tmp_path) == ['a']


def test_best_epoch_and_end():
    history = [record(0, 0.9), record(1, 0.5), record(2, 0.5), record(3, 0.7)]
    assert best_epoch(history).epoch == 1 and from_rows(as_rows(history)) == history
    assert not is_over(history, 10, 3) and is_over(history, 10, 2) and is_over(history, 4, 0)
    assert not is_over(history, 5, 0) and not is_over([], 1, 1)
    assert best_epoch([record(0, math.nan), record(1, math.nan)]).epoch == 1
