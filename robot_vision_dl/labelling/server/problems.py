"""What the page is told when something cannot be done."""
from typing import Dict, Optional


class ApiError(Exception):
    """An answer other than 200.

    Attributes:
        status: of HTTP.
        error: what happened, a sentence.
        remedy: what to do.
        code: for the page, where it does something about it.
    """

    def __init__(self, status: int, error: str, remedy: str = '', code: str = '') -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.remedy = remedy
        self.code = code

    @property
    def body(self) -> Dict[str, Optional[str]]:
        """As JSON."""
        return {name: value for name, value in (
            ('error', self.error), ('remedy', self.remedy), ('code', self.code)) if value}
