"""JupyterLab as `make lab` starts it, and what a learner does in it, with the keyboard."""

import ast
import contextlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import nbformat
from jupyter_client.blocking import BlockingKernelClient

from tools import my_course, notebooks

NOT_OURS = ("favicon", "/api/", "/lsp/", "net::ERR")  # in a message of the console: not about a notebook


class Lab:
    """A JupyterLab that runs: its address, the course's folder that it shows, the folder that lists its kernels."""

    def __init__(self, address: str, folder: Path, runtime: Path):
        self.address, self.folder, self.runtime = address, folder, runtime

    def session(self, name):
        return next((s for s in answer(f"{self.address}/api/sessions") or [] if s["path"] == name), None)

    def idle(self, name):
        """Whether the notebook's kernel is idle and connected."""
        kernel = (self.session(name) or {}).get("kernel", {})
        return kernel.get("execution_state") == "idle" and kernel.get("connections", 0) > 0

    def rest(self, name):
        wait_for(lambda: self.idle(name), 120, "the kernel to rest")

    @contextlib.contextmanager
    def opened(self, browser, name):
        """A notebook in a page of its own; its kernel ends with it, so that the memory is free for the next."""
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.set_default_timeout(120_000)  # the machine may have more to do
        try:
            yield Notebook(self, page, name)
        finally:
            page.close()
            if session := self.session(name):
                request = urllib.request.Request(f"{self.address}/api/sessions/{session['id']}", method="DELETE")
                urllib.request.urlopen(request, timeout=60).close()

    def evaluate(self, name, code, result, timeout=600):
        """Run code in the notebook's kernel, unseen by the notebook, and return the value of an expression."""
        client = BlockingKernelClient()
        client.load_connection_file(str(self.runtime / f"kernel-{self.session(name)['kernel']['id']}.json"))
        client.start_channels()
        try:
            message = client.execute(code, silent=True, user_expressions={"result": result})
            while (reply := client.get_shell_msg(timeout=timeout))["parent_header"].get("msg_id") != message:
                pass
        finally:
            client.stop_channels()
        assert reply["content"]["status"] == "ok", reply["content"]
        value = reply["content"]["user_expressions"]["result"]
        assert value["status"] == "ok", value
        return ast.literal_eval(value["data"]["text/plain"])


@contextlib.contextmanager
def started(home):
    """JupyterLab in a process of its own, with a fresh my_course and settings of its own, both in the folder `home`."""
    folder, runtime = home / "my_course", home / "runtime"
    my_course.fill(notebooks.NOTEBOOKS, folder)
    settings = home / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')  # every cell is on the page
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    arguments = [f"--port={port}", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
    arguments += ["--LabApp.expose_app_in_browser=True"]  # for the theme and the side bar
    command = my_course.lab_command(folder, arguments, has_screen=False, as_root=os.geteuid() == 0)
    environment = {
        name: v for name, v in os.environ.items() if name not in ("VAE_HELPERS_PROGRESS", "VAE_HELPERS_STATIC")
    }
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "w")}
    environment |= {"JUPYTER_RUNTIME_DIR": str(runtime)}
    with open(home / "log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            lab = Lab(f"http://127.0.0.1:{port}", folder, runtime)
            wait_for(lambda: answer(f"{lab.address}/api/status") is not None, 120, "JupyterLab to answer")
            yield lab
        finally:
            process.terminate()
            process.wait(120)  # the kernels end with it


def answer(address):
    """The JSON at an address, or None while nothing answers."""
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return json.load(reply)
    except OSError:
        return None


def wait_for(condition, seconds, what, every=0.1):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(every)


class Notebook:
    """A notebook that is open in the browser; `complaints` gathers the errors that the browser's console is told."""

    def __init__(self, lab: Lab, page, name: str):
        self.lab, self.page, self.name, self.complaints = lab, page, name, []
        page.on("pageerror", self.hear)
        page.on("console", self.listen)
        page.goto(f"{lab.address}/lab/tree/{name}?reset")  # no tab of an earlier notebook stays open
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        wait_for(lambda: lab.idle(name), 120, "the kernel")

    def hear(self, error):
        # Opened with ?reset, JupyterLab may take its splash screen away twice: a removeChild in its own core
        if not ("removeChild" in str(error) and "jlab_core" in (error.stack or "")):
            self.complaints.append(f"{error}\n{error.stack}")

    def listen(self, message):
        if message.type == "error" and not any(part in f"{message.text} {message.location}" for part in NOT_OURS):
            self.complaints.append(message.text)

    def run_all(self, seconds=1800):
        """Run all cells from the menu, and wait until the kernel has been idle for a while."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        counts = self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt")
        time.sleep(1)
        wait_for(lambda: not any("*" in t for t in counts.all_inner_texts()), seconds, "the cells", every=2)
        self.lab.rest(self.name)

    def run(self, cell, code):
        """Put code in the place of what a cell holds, run it, and return what is shown below it."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        time.sleep(0.5)
        wait_for(lambda: "*" not in cell.locator(".jp-InputPrompt").inner_text(), 120, "the cell")
        self.lab.rest(self.name)
        return " ".join(cell.locator(".jp-Cell-outputWrapper").inner_text().split())

    def cell(self, text):
        return self.page.locator(".jp-Notebook .jp-CodeCell").filter(has_text=text).first

    def widgets(self):
        """The boxes that `explore` made, as shown under their cells."""
        boxes = self.page.locator(".jp-OutputArea-output .vae-explore")
        wait_for(lambda: boxes.count() == self.page.locator(".widget-image").count() >= 1, 60, "the widgets")
        return [Explored(self, boxes.nth(n)) for n in range(boxes.count())]

    def save(self):
        """Press Ctrl-S and return the notebook as it is on disk."""
        path = self.lab.folder / self.name
        before = path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        wait_for(lambda: path.stat().st_mtime_ns != before, 30, "the notebook to be saved")
        time.sleep(0.5)
        return nbformat.read(path, as_version=4)

    @contextlib.contextmanager
    def looking(self, theme, width):
        """The page in another theme and width; a narrow one without the side bar."""
        height = self.page.viewport_size["height"]
        try:
            self.command("apputils:change-theme", theme=theme)
            self.page.set_viewport_size({"width": width, "height": height})
            wait_for(lambda: self.page.evaluate("document.body.dataset.jpThemeName") == theme, 30, f"the theme {theme}")
            for _ in range(2):  # JupyterLab may open it once more, late
                wait_for(lambda: width > 1000 or self.side_bar_is_closed(), 30, "the side bar to close")
                time.sleep(1)
            yield
        finally:
            self.command("apputils:change-theme", theme="JupyterLab Light")
            self.page.set_viewport_size({"width": 1300, "height": height})

    def side_bar_is_closed(self):
        side = self.page.locator("#jp-left-stack")
        if side.is_visible():
            self.command("application:toggle-left-area")
        return not side.is_visible()

    def command(self, name, **arguments):
        self.page.evaluate("([name, values]) => jupyterapp.commands.execute(name, values)", [name, arguments])

    def wrong(self):
        """Every error that the page shows or the console was told."""
        shown = self.page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error'], .jp-Dialog")
        shown = [*shown.all_inner_texts(), *self.page.locator(".jp-Notebook [role=alert]").all_inner_texts()]
        return [text for text in shown if text.strip()] + self.complaints


SLIDER, NUMBER, CHOICE = ".noUi-handle", ".widget-readout", "select"
TICK, TEXT, BUTTON = "input[type=checkbox]", "input[type=text]", "button.widget-button"
NAMED = {
    SLIDER: "slider",
    NUMBER: "textbox",
    CHOICE: "combobox",
    TICK: "checkbox",
    TEXT: "textbox",
    BUTTON: "button",
}  # their roles
# When a key was last pressed, and when the picture changed first after that.
WATCH = """box => {
  const picture = box.querySelector('.widget-image'), times = box.times = {pressed: 0, changed: 0};
  box.addEventListener('keydown', () => { times.pressed = performance.now(); times.changed = 0 }, true);
  new MutationObserver(() => { times.changed = times.changed || performance.now() })
    .observe(picture, {attributes: true, attributeFilter: ['src']});
}"""


class Explored:
    """What `explore` shows in a notebook: controls and a picture."""

    def __init__(self, notebook: Notebook, box):
        self.notebook, self.page, self.box = notebook, notebook.page, box
        box.evaluate(WATCH)
        wait_for(lambda: box.locator(".widget-image").get_attribute("alt"), 30, "the picture in words")

    def picture(self):
        """The PNG that is shown, as it reached the browser."""
        script = "async image => [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]"
        return bytes(self.box.locator(".widget-image").evaluate(script))

    def controls(self):
        """The controls, in the order of the tab key: (what it is, its place on the page)."""
        fields = self.box.locator(":is(button, input, select, textarea, [tabindex], [contenteditable]):visible")
        found = self.box.locator(", ".join(NAMED))
        assert fields.count() == found.count() >= 1, "there is a control that this test does not know how to use"
        controls = [found.nth(n) for n in range(found.count())]
        return [(next(kind for kind in NAMED if c.evaluate(f"e => e.matches('{kind}')")), c) for c in controls]

    def reach(self, control):
        """Go to a control with the tab key, from the one before it."""
        for _ in range(2):
            if control.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the tab key does not reach {control.evaluate('element => element.outerHTML')}")

    def name(self, control):
        """What a screen reader calls a control."""
        return re.search(r'^- \w+ "(.*?)"', control.aria_snapshot())[1].strip()

    def settle(self):
        self.notebook.lab.rest(self.notebook.name)

    def press(self, *keys):
        """Press keys until the picture has changed, and return how long after the last of them it did, in seconds."""
        before = self.picture()
        for key in keys:
            self.page.keyboard.press(key)
        wait_for(lambda: self.picture() != before, 120, f"the picture to change after {keys}")
        self.settle()
        times = self.box.evaluate("box => box.times")
        return (times["changed"] - times["pressed"]) / 1000

    def type(self, name, number):
        """Type the number of a slider and press Enter."""
        self.box.get_by_role("textbox", name=f"{name}, typed").click()
        for key in ("Control+a", *str(number), "Enter"):
            self.page.keyboard.press(key)
        time.sleep(0.5)
        self.settle()

    def fill(self, name, number):
        """Type the number of a slider, and wait for its picture if it is another one."""
        words = self.box.locator(".widget-image").get_attribute("alt")
        shown = self.box.get_by_role("textbox", name=f"{name}, typed").inner_text()
        self.type(name, number)
        if self.box.get_by_role("textbox", name=f"{name}, typed").inner_text() != shown:
            wait_for(lambda: self.box.locator(".widget-image").get_attribute("alt") != words, 60, "another picture")

    def too_wide(self):
        """The parts of the widget that the page cuts off; a picture is scrolled in its frame."""
        script = """box => {
          const right = box.closest('.jp-OutputArea-output').getBoundingClientRect().right;
          return [...box.querySelectorAll(':not(.widget-image)')]
            .filter(e => e.getBoundingClientRect().right > right + 1)
            .map(e => e.outerHTML.slice(0, 100));
        }"""
        return self.box.evaluate(script)
