"""A bundle's network -> ONNX, in a process of its own, since the exporter leaves half a gigabyte behind.

It imports from where this process does, and not from the working directory, where a file may have the name of a module.
"""
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from ..bundles.bundle import Bundle, load_bundle
from ..errors import ConfigError, RobotVisionError
from ..processes import run_helper
from ..text.printable import printable
from .onnx_model import weights_of


def export_apart(bundle: Bundle) -> bytes:
    """The bundle's network as a serialized ONNX model; takes seconds.

    Raises:
        ConfigError: the exporter is not installed, does not know the network, or ended otherwise.
        KeyboardInterrupt: this process is told to stop.
    """
    with tempfile.TemporaryDirectory(prefix='robot-vision-') as folder:
        path = Path(folder) / 'model.onnx'
        done = run_helper(__name__, str(bundle.folder or bundle.source), weights_of(bundle), str(path),
                          *bundle.architecture.stages)
        if done.returncode == 0 and path.is_file():
            return path.read_bytes()
        last = (done.stderr.strip().splitlines() or [f'it ended with {done.returncode}'])[-1]
        raise ConfigError(printable(last, 600) if done.returncode == 1 else
                          f'{bundle.name}: turning its network into ONNX failed: {printable(last, 600)}')


def main(source: str, weights: str, path: str, *stages: str) -> int:
    """What the process does; an error of ours is its last line and exit code 1.

    Args:
        stages: that the network is to give: a bundle that is being calibrated may read more than its folder says.
    """
    from .onnx_conversion import without_metadata
    try:
        bundle = load_bundle(source)
        if weights_of(bundle) != weights:
            raise ConfigError(f'{bundle.name}: was changed while it was turned into ONNX; start again')
        bundle = replace(bundle, architecture=replace(bundle.architecture, stages=stages))
        Path(path).write_bytes(without_metadata(bundle))
    except RobotVisionError as error:
        print(f'{error}', file=sys.stderr)
        return 1
    return 0
