"""Ours against an independent implementation: asserted, and recorded for the table that ends a test run.

``pytest test/core/uncertainty test/evaluation`` prints the largest difference of each method.
"""
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

KEY = 'agreement'


class Agreement:
    """Given to tests by the fixture ``agrees``."""

    def __init__(self, record):
        self._record = record

    def __call__(self, what: str, reference: str, ours: Any, theirs: Any, *, rtol: float = 0.0, atol: float = 0.0
                 ) -> None:
        """Assert that |ours - theirs| <= atol + rtol |theirs|, and record the largest difference."""
        one, other = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol, err_msg=f'{what} against {reference}')
        # A string, since pytest may pass it between processes.
        self._record(KEY, f'{what}|{reference}|{one.size}|{np.abs(one - other).max():.3g}|{np.abs(other).max():.3g}')


@pytest.fixture
def agrees(record_property) -> Agreement:
    """See :class:`Agreement`."""
    return Agreement(record_property)


def summary(terminalreporter) -> None:
    """Print the table, where anything was compared."""
    found: Dict[Tuple[str, str], List[Tuple[int, float, float]]] = {}
    for report in terminalreporter.stats.get('passed', []):
        for key, value in report.user_properties:
            if key == KEY and report.when == 'call':
                what, reference, count, difference, largest = value.split('|')
                found.setdefault((what, reference), []).append((int(count), float(difference), float(largest)))
    if not found:
        return
    terminalreporter.section('largest differences against independent implementations')
    headings = f'{"":<42}{"reference":<30}{"values":>8}{"largest difference":>20}{"of values up to":>17}'
    terminalreporter.write_line(headings)
    for (what, reference), rows in sorted(found.items()):
        terminalreporter.write_line(
            f'{what:<42}{reference:<30}{sum(row[0] for row in rows):>8}{max(row[1] for row in rows):>20.2g}'
            f'{max(row[2] for row in rows):>17.3g}')
