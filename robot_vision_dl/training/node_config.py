"""What the trainer node is told: which file, which bags."""
import json
import shlex
from dataclasses import dataclass
from typing import List

from ..core.config import check_values, option
from ..core.errors import ConfigError


@dataclass(frozen=True)
class TrainerConfig:
    """Parameters of the trainer node; everything else is in the file that ``config`` names."""

    config: str = option('', 'YAML file with the settings of the run; `robot-vision train --defaults` prints one',
                         at_configure=True)
    bags: str = option('', 'bags instead of those of the file, separated by spaces; quotes as in a shell',
                       at_configure=True)
    settings: str = option('', 'settings instead of those of the file, separated by spaces: "run.epochs=3"',
                           at_configure=True)
    restart: bool = option(False, 'forget an earlier run of this name', at_configure=True)
    overwrite: bool = option(False, 'replace a bundle of this name of another run', at_configure=True)

    def __post_init__(self) -> None:
        check_values(self)
        for name in ('bags', 'settings'):
            self._words(name)

    @property
    def changes(self) -> List[str]:
        """``NAME=VALUE`` texts, as the command takes them."""
        bags = self._words('bags')
        listed = [f'data.bags={json.dumps(bags)}'] if bags else []
        return self._words('settings') + listed

    def _words(self, name: str) -> List[str]:
        text = getattr(self, name)
        try:
            return shlex.split(text)
        except ValueError as error:
            raise ConfigError(f'{name}: {error}, got {text!r}') from error

