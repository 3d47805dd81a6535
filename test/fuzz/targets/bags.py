"""Bags of three formats, damaged: read to their end, or refused."""
import os
import random
import shutil
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np

from robot_vision_dl.core.errors import BagError, ImageError
from robot_vision_dl.data.bags.reader import BagImage, BagReader

from ..corpus_bags import good_bags, mutated_bag
from ..target import ACCEPTED, Finding, Target, pack, unpack

_OURS = 'own'  # written by this package, with every checksum that mcap has


class BagTarget(Target):
    """One file of a sound bag is damaged. In bags that we wrote, messages that are gone or changed must be told."""

    name = 'bags'
    documented = (BagError,)
    cases = 10_000

    def prepare(self, folder: Path) -> None:
        self._folder = folder
        self._bags: Dict[str, Path] = {bag.name: bag for bag in good_bags(folder / 'good')}
        self._ours = self._messages(self._bags[_OURS])[0]

    def case(self, rng: random.Random) -> bytes:
        name = rng.choice(sorted(self._bags))
        good = self._bags[name]
        _, damaged = mutated_bag(good, self._folder / 'mutated', np.random.default_rng(rng.getrandbits(64)))
        for file in _files(damaged):
            other = good / file.relative_to(damaged) if damaged.is_dir() else good
            content = file.read_bytes()
            if not other.exists() or content != other.read_bytes():
                return pack({'bag': name, 'file': str(file.relative_to(damaged))}, content)
        file = _files(damaged)[0]
        return pack({'bag': name, 'file': str(file.relative_to(damaged))}, file.read_bytes())

    def run(self, data: bytes) -> str:
        about, content = unpack(data)
        good, place = self._bags[about['bag']], self._folder / 'tried'
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        bag = place / good.name
        if good.is_dir():
            shutil.copytree(good, bag, copy_function=os.link)
            (bag / about['file']).unlink(missing_ok=True)
            (bag / about['file']).write_bytes(content)
        else:
            bag.write_bytes(content)
        messages, problems = self._messages(bag)
        if any(len(problem) > 2000 for problem in problems):
            raise Finding(f'a problem told with {max(map(len, problems))} characters')
        if about['bag'] == _OURS and messages != self._ours and not problems:
            raise Finding(f'{len(messages)} messages instead of {len(self._ours)}, or others, and nothing is told')
        return 'damage told' if problems else ACCEPTED

    @staticmethod
    def _messages(bag: Path) -> Tuple[List[tuple], Tuple[str, ...]]:
        found = []
        with BagReader(bag) as reader:
            for message in reader.messages():
                found.append((message.topic, message.receive_ns, bytes(message.cdr)))
                if isinstance(message, BagImage):
                    try:
                        message.decode()
                    except ImageError:
                        pass
            reader.survey()
            return found, reader.problems


def _files(bag: Path) -> List[Path]:
    return sorted(path for path in bag.rglob('*') if path.is_file()) if bag.is_dir() else [bag]
