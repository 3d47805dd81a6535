"""All that a deployment needs torch for once, in a process of its own, so that the node itself need not import it.

The network is turned into ONNX, compared with torch and, for ``auto``, measured, and it is tried whether pictures are
resized to the same bits without torch. What it finds out is in the cache afterwards.
"""
from ..bundles.bundle import Bundle, load_bundle
from ..errors import RobotVisionError
from ..processes import run_helper


def prepare_apart(bundle: Bundle, backend: str, threads: int, batch: int) -> bool:
    """Prepare a deployment; takes seconds. Whether it went well: whoever imports torch then finds out why not.

    Args:
        backend: as the deployment has it.
        threads: that share a pass.
        batch: frames in a pass when speed is measured.

    Raises:
        KeyboardInterrupt: this process is told to stop.
    """
    return run_helper(__name__, str(bundle.folder or bundle.source), bundle.identity, backend, str(threads),
                      str(batch)).returncode == 0


def main(source: str, identity: str, backend: str, threads: str, batch: str) -> int:
    """What the process does."""
    import torch

    from ..networks.resize import is_available, is_equal
    from .choice import choose_backend
    from .comparison import add_comparison, comparison_path
    torch.set_num_threads(int(threads))
    try:
        bundle = load_bundle(source)
        if bundle.identity != identity or not is_available() or not is_equal():
            return 1
        network = bundle.load_network().to(memory_format=torch.channels_last)
        chosen = choose_backend(backend, bundle, network, int(batch))
        if chosen.name == 'torch':
            return 0  # which has been measured, so that it need not be asked again
        return int(add_comparison(comparison_path(bundle, int(threads)), chosen.name, chosen.difference) is not None)
    except RobotVisionError:
        return 1
