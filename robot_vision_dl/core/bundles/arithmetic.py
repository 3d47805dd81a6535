"""At which arithmetic a bundle's network runs where a deployment asks for one."""
from ..config import AUTO, FLOAT32, INT8
from ..errors import ConfigError
from .bundle import Bundle

ONNX_RUNTIME = 'onnxruntime'


def is_int8(bundle: Bundle) -> bool:
    """Whether its network is an int8 one (of an ensemble: all of them)."""
    if bundle.members:
        return all(map(is_int8, bundle.members))
    return bundle.graph is not None and bundle.graph.weight_bits is not None


def runtime_of(bundle: Bundle) -> str:
    """Of an int8 bundle, the backend that it is calibrated with and runs on."""
    return (bundle.graph.runtime if bundle.graph else None) or ONNX_RUNTIME


def runs_at(bundle: Bundle, wanted: str) -> str:
    """What a network runs at; ``int8`` of an int8 bundle, also where ``float32`` is asked for.

    Args:
        wanted: one of :data:`~..config.PRECISIONS`, or ``auto``, which is float32 or int8, as the bundle is.

    Raises:
        ConfigError: it cannot.
    """
    if is_int8(bundle):
        if wanted not in (INT8, FLOAT32, AUTO):
            raise ConfigError(f'precision {wanted}: {bundle.name} is an int8 network and runs at nothing else; set '
                              'precision to int8, or take the bundle that it was made of')
        return INT8
    if wanted == INT8:
        raise ConfigError(f'precision {INT8}: {bundle.name} is not an int8 network; `robot-vision quantise '
                          f'{bundle.source} DATA` makes one of it, beside it, with labelled pictures')
    return FLOAT32 if wanted == AUTO else wanted
