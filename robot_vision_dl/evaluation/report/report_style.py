"""The style sheet of the report: light and dark, wide and narrow, on paper; and what its colours mean.

A colour has one meaning all over the report: what was acted on rightly or wrongly, what was said to be uncertain or
unknown. Classes have blues and greys of their own. All can be told apart by those who do not see red, green or blue.
"""
from pathlib import Path
from typing import Tuple

MEANINGS: Tuple[Tuple[str, str], ...] = (
    ('right', 'acted on rightly'), ('wrong', 'acted on wrongly'), ('uncertain', 'uncertain'),
    ('unknown', 'called unknown'))
"""(style, what it means)"""
ACTED = ('acted', 'acted on, no label')
STYLE = Path(__file__).with_name('templates').joinpath('style.css').read_text(encoding='utf-8')
"""The style sheet."""
