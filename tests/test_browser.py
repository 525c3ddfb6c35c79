"""The course in a real browser: each notebook run in JupyterLab, every control of its widgets used, an exercise solved.

Part of `make soak`; needs Chromium (or Chrome) and playwright. Screenshots are kept in the folder that the environment
variable VAE_HELPERS_SCREENSHOTS names, or else in pytest's own.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from tools import my_course, notebooks
from vae_helpers.lessons.registry import exercises_of

NAMES = sorted(path.name for path in notebooks.NOTEBOOKS.glob("*.ipynb"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SLIDER, CHOICE, BOX_TO_TICK, BUTTON = ".noUi-handle", "select", "input[type=checkbox]", "button.widget-button"
CONTROLS = f"{SLIDER}, {CHOICE}, {BOX_TO_TICK}, {BUTTON}"
READOUT = ".widget-readout"  # the number beside a slider, another way to the same value
pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab as `make lab` starts it, on a fresh my_course: (address, folder)."""
    home = tmp_path_factory.mktemp("lab")
    folder = home / "my_course"
    my_course.fill(notebooks.NOTEBOOKS, folder)
    settings = home / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')  # every cell is on the page
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    arguments = [f"--port={port}", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
    command = my_course.lab_command(folder, arguments, has_screen=False, as_root=os.geteuid() == 0)
    environment = {name: v for name, v in os.environ.items() if name != "VAE_HELPERS_PROGRESS"}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "w")}
    with open(home / "log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: answer(f"{address}/api/status") is not None, 60, "JupyterLab to answer")
            yield address, folder
        finally:
            process.terminate()
            process.wait(120)  # the kernels of all notebooks end with it


@pytest.fixture(scope="module")
def browser():
    """A headless browser that is installed on the machine."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"none of these is on the PATH: {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as p:
        running = p.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def screenshots(tmp_path):
    folder = Path(os.environ.get("VAE_HELPERS_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def answer(address):
    """The JSON at an address, or None while nothing answers."""
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return json.load(reply)
    except OSError:
        return None


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.3)


def idle(address, name):
    """Whether the notebook's kernel is idle and connected."""
    sessions = [s for s in answer(f"{address}/api/sessions") or [] if s["path"] == name]
    kernel = sessions[0]["kernel"] if sessions else {}
    return kernel.get("execution_state") == "idle" and kernel.get("connections", 0) > 0


def run_all(page, address, name):
    """Open a notebook, run all its cells, wait until the kernel has been idle for a while."""
    page.goto(f"{address}/lab/tree/{name}?reset")  # no tab of an earlier notebook stays open
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    wait_for(lambda: idle(address, name), 60, "the kernel")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    counts = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt")
    time.sleep(1)
    wait_for(lambda: not any("*" in t for t in counts.all_inner_texts()), 1200, "the cells")
    wait_for(lambda: idle(address, name), 60, "the kernel to rest")


def save(page, path):
    """Press Ctrl-S and return the notebook as it is on disk."""
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    wait_for(lambda: path.stat().st_mtime_ns != before, 30, "the notebook to be saved")
    time.sleep(0.5)
    return nbformat.read(path, as_version=4)


def shown(box):
    """The PNG that a widget shows, as it reached the browser."""
    script = "async image => [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]"
    return bytes(box.locator(".widget-image").evaluate(script))


def reach(page, control):
    """Go to a control with the tab key, from the one before it."""
    for _ in range(3):  # a slider's number is on the way
        if control.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the tab key does not reach {control.evaluate('element => element.outerHTML')}")


def ways_to_use(control):
    """The keys that take a slider one step on, a choice through all of its entries, a box to tick there and back."""
    if control.evaluate(f"element => element.matches('{SLIDER}')"):
        at_the_end = float(control.get_attribute("aria-valuenow")) >= float(control.get_attribute("aria-valuemax"))
        return [["ArrowLeft" if at_the_end else "ArrowRight"]]
    if control.evaluate(f"element => element.matches('{CHOICE}')"):
        entry, entries = control.evaluate("element => [element.selectedIndex, element.length]")
        arrows = ["ArrowUp"] * entry + ["ArrowDown"] * (entries - 1)
        return [["Space", arrow, "Enter"] for arrow in arrows]  # on a closed list JupyterLab takes the arrows itself
    return [["Space"], ["Space"]]


def saves(box, folder):
    """Press the button that has the focus; a picture file appears that holds what is shown, and nothing moves."""
    before, size = set(folder.glob("*.png")), box.bounding_box()
    box.page.keyboard.press("Space")
    wait_for(lambda: set(folder.glob("*.png")) - before, 30, "a saved picture")
    (path,) = set(folder.glob("*.png")) - before
    wait_for(lambda: box.locator("[role=status]").filter(has_text=path.name).count() == 1, 30, "word of what was saved")
    assert box.bounding_box() == size
    with Image.open(path) as picture:
        pixels = box.locator(".widget-image").evaluate("image => [image.naturalWidth, image.naturalHeight]")
        assert list(picture.size) == pixels
        assert any(low < high for low, high in picture.convert("RGB").getextrema())
    assert path.read_bytes() == shown(box)


def use_every_control(page, box, folder, at_rest, photograph):
    """By the keyboard alone. Each use changes the picture, or saves it, and shows no error."""
    controls = box.locator(CONTROLS)
    fields = box.locator(f":is(button, input, select, textarea, [tabindex], [contenteditable]):not({READOUT})")
    assert fields.count() == controls.count() >= 1, "there is a control that this test does not know how to use"
    controls.first.focus()
    for i in range(controls.count()):
        control = controls.nth(i)
        reach(page, control)
        if control.evaluate(f"element => element.matches('{BUTTON}')"):
            saves(box, folder)
        else:
            for keys in ways_to_use(control):
                before = shown(box)
                for key in keys:
                    page.keyboard.press(key)
                wait_for(lambda b=before: shown(box) != b, 60, f"the picture to change (control {i}, {keys})")
                wait_for(at_rest, 60, "the kernel to rest")
        assert box.locator("[role=alert]").count() == 0
        photograph(box, i)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_its_widgets_work(lab, browser, screenshots, name):
    address, folder = lab
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    run_all(page, address, name)

    boxes = page.locator(".jp-OutputArea-output .widget-vbox:has(> .widget-image)")
    assert boxes.count() == page.locator(".jp-OutputArea-output .widget-image").count() >= 1
    for n in range(boxes.count()):

        def photograph(box, i, n=n):
            box.screenshot(path=screenshots / f"{Path(name).stem}_widget_{n}_{i}.png")

        use_every_control(page, boxes.nth(n), folder, lambda: idle(address, name), photograph)

    saved = save(page, folder / name)
    code = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    errors = [o.get("ename") for cell in code for o in cell.outputs if o.output_type == "error"]
    assert errors == []
    holds, fails = notebooks.claims_of(saved)
    assert holds and not fails
    page.screenshot(path=screenshots / f"{Path(name).stem}.png")
    page.close()


def test_an_exercise_is_missed_hinted_and_solved(lab, browser, screenshots):
    address, folder = lab
    name = NAMES[0]
    task = next(e for e in exercises_of(name[:2]) if e.kind == "value")
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    run_all(page, address, name)

    def type_and_run(code):
        page.locator(".jp-Notebook .jp-Cell").last.click()
        page.keyboard.press("Escape")
        page.keyboard.press("b")
        page.keyboard.press("Enter")
        page.keyboard.type(code)
        page.keyboard.press("Shift+Enter")
        wait_for(lambda: idle(address, name), 30, "the kernel")
        time.sleep(0.7)
        cells = page.locator(".jp-Notebook .jp-CodeCell").filter(has_text=code.split("(")[0])
        return cells.last.inner_text()

    wrong, right = task.wrong[0], task.reference()
    assert wrong.message in " ".join(type_and_run(f'exercise("{task.id}", {wrong.answer!r})').split())
    assert task.hints[0][:40] in " ".join(type_and_run(f'hint("{task.id}")').split())
    assert "solved" in type_and_run(f'exercise("{task.id}", {right!r})')
    assert task.id in type_and_run("progress()")
    record = json.loads((folder / "progress.json").read_text("utf-8"))
    assert task.id in json.dumps(record)
    page.screenshot(path=screenshots / "exercise.png")
    page.close()
