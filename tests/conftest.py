"""What tests of several folders share."""

import pytest

from tests.browser import chromium


@pytest.fixture(scope="module")
def browser():
    """A running browser, until the module's last test: Playwright keeps the event loop that the next one would need."""
    with chromium.launched() as running:
        yield running
