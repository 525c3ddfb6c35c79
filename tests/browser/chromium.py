"""The browser that the tests look through: Chromium or Chrome, wherever it is installed."""

import contextlib
import os
import shutil

import pytest

from tools.notebooks import BROWSERS

PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def installed():
    """The program's path, or None; the variable VAE_HELPERS_BROWSER names another one."""
    named = [os.environ["VAE_HELPERS_BROWSER"]] if "VAE_HELPERS_BROWSER" in os.environ else [*BROWSERS, *PLACES]
    return next((found for name in named if (found := shutil.which(name))), None)


@contextlib.contextmanager
def launched():
    """A running browser. Where there is none, or no playwright, the test fails: the long tests skip nothing."""
    from playwright.sync_api import sync_playwright

    path = installed()
    if path is None:
        pytest.fail("there is no Chromium or Chrome; install one, or name its program in VAE_HELPERS_BROWSER")
    with sync_playwright() as p:
        running = p.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()
