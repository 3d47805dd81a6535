"""What tests of labelling share."""
import pytest
from page_driver import browser


@pytest.fixture(scope='module')
def chromium():
    """A headless browser; one for the tests of a file."""
    with browser() as chromium:
        yield chromium
