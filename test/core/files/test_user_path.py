"""Paths as users give them."""
import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.files.user_path import user_path


def test_an_empty_path_is_not_this_folder():
    assert str(user_path('.')) == '.'
    with pytest.raises(ConfigError, match='a path is missing here; for this folder give .'):
        user_path('')


@pytest.mark.parametrize('arguments', [
    ['predict', 'squeezenet1_1_imagenet', ''], ['evaluate', '', '--model', 'squeezenet1_1_imagenet', '--out', 'x'],
    ['bag', 'info', ''], ['bag', 'from-video', '', '--out', 'x.mcap'], ['bag', 'extract', '', '--out', 'x'],
    ['train', '--bags', '', '--name', 'x'], ['train', ''], ['calibrate', 'squeezenet1_1_imagenet', '', '--into', 'x']])
def test_a_variable_of_the_shell_that_is_not_set_is_told(arguments, capsys, tmp_path, monkeypatch):
    """Nothing may be read from, or written into, the folder that one happens to be in."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert 'a path is missing here' in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {'runs'}  # which train makes first of all
