"""Model bundles that lie while their checksums are right: refused, or decisions that are made of numbers."""
import functools
import random
import shutil
from pathlib import Path
from typing import List, Tuple

from robot_vision_dl.core.errors import BundleError

from ..corpus_bundles import Damage, every_mutation, good_bundle, remove, resign, verdict
from ..mutate import mutated, text_mutated
from ..target import ACCEPTED, Finding, Target, pack, unpack

_SEEDS = 40  # of the damages' own random parts


@functools.lru_cache(maxsize=_SEEDS)
def _damages(seed: int) -> List[Tuple[str, Damage]]:
    return every_mutation(seed)


class BundleTarget(Target):
    """Half of the cases are damages of the schema's, tensors' and files' own kinds, half are mutated bytes."""

    name = 'bundles'
    documented = (BundleError,)
    cases = 20_000

    def prepare(self, folder: Path) -> None:
        self._good = good_bundle(folder / 'good')
        self._place = folder / 'case'
        self._files = [path for path in sorted(self._good.rglob('*')) if path.is_file()]

    def case(self, rng: random.Random) -> bytes:
        if rng.random() < .5:
            seed = rng.randrange(_SEEDS)
            index = rng.randrange(len(_damages(seed)))
            return pack({'seed': seed, 'damage': index, 'name': _damages(seed)[index][0]}, b'')
        file = rng.choice(self._files)
        change = text_mutated if file.suffix == '.json' and rng.random() < .7 else mutated
        return pack({'file': str(file.relative_to(self._good)), 'signed': rng.random() < .9},
                    change(file.read_bytes(), rng))

    def lay_out(self, data: bytes) -> None:
        about, content = unpack(data)
        remove(self._place)
        shutil.copytree(self._good, self._place)
        if 'damage' in about:
            _damages(about['seed'])[about['damage']][1](self._place)
        else:
            (self._place / about['file']).write_bytes(content)
            if about['signed']:
                resign(self._place)

    def run(self, data: bytes) -> str:
        try:
            found = verdict(self._place)
        except AssertionError as error:
            raise Finding(str(error)[:1000]) from error
        return ACCEPTED if found == 'accepted' else 'refused: BundleError'
