"""What the oldest libraries that the package allows do not have is not used."""
import ast
from pathlib import Path

import robot_vision_dl

QUANTILES = ('quantile', 'percentile', 'nanquantile', 'nanpercentile')


def test_no_method_of_quantiles():
    """NumPy has ``method=`` from 1.22 on; Ubuntu 22.04 brings 1.21.5, and setup.py allows it."""
    package = Path(robot_vision_dl.__file__).parent
    found = [f'{path.relative_to(package)}:{node.lineno}' for path in package.rglob('*.py')
             for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in QUANTILES
             and any(keyword.arg in ('method', 'interpolation') for keyword in node.keywords)]
    assert not found


def _numpy_quantile(values, share):
    import numpy as np
    try:
        return np.quantile(values, share, method='higher')
    except TypeError:  # before 1.22
        return np.quantile(values, share, interpolation='higher')


def test_our_quantile_is_numpy_s():
    import numpy as np

    from robot_vision_dl.core.uncertainty.ood.selection import _quantile_above
    random = np.random.default_rng(0)
    for count in (1, 2, 3, 20, 100, 101, 997):
        values = random.normal(size=count)
        for share in (0.0, .01, .5, .95, .99, 1.0):
            assert _quantile_above(values, share) == _numpy_quantile(values, share)
