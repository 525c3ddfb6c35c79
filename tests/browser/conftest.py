"""The browser, JupyterLab in it, and the folder where what was seen is kept."""

import os
import shutil
from pathlib import Path

import pytest

from tests.browser import jupyterlab
from tools import notebooks

PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def installed_browser():
    """Chromium or Chrome, wherever it is installed; the variable VAE_HELPERS_BROWSER names another one."""
    named = (
        [os.environ["VAE_HELPERS_BROWSER"]] if "VAE_HELPERS_BROWSER" in os.environ else [*notebooks.BROWSERS, *PLACES]
    )
    return next((found for name in named if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    path = installed_browser()
    if path is None:
        pytest.fail("there is no Chromium or Chrome; install one, or name its program in VAE_HELPERS_BROWSER")
    with sync_api.sync_playwright() as p:
        running = p.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    with jupyterlab.started(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def screenshots():
    """The folder of pictures: build/browser, or what VAE_HELPERS_SCREENSHOTS names."""
    folder = Path(os.environ.get("VAE_HELPERS_SCREENSHOTS", notebooks.NOTEBOOKS.parent / "build" / "browser"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def report(screenshots):
    """A function that notes how fast a control answered; the notes are in answers.txt, beside the pictures."""
    path = screenshots / "answers.txt"
    path.write_text(f"{'milliseconds, medians':51} {'seen':>8} {'CPU':>8}\n", "utf-8")

    def note(where, control, seen, spent):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{where:35} {control:15} {1000 * seen:8.0f} {1000 * spent:8.0f}\n")

    return note
