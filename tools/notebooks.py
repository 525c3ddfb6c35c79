"""Run, convert and look at the course's notebooks.

    python tools/notebooks.py execute [NOTEBOOK ...]   run from a fresh kernel, write the outputs back
    python tools/notebooks.py changed [NOTEBOOK ...]   the same, of those only that are out of date
    python tools/notebooks.py stale [NOTEBOOK ...]     which are out of date, and why? (runs nothing)
    python tools/notebooks.py diff [REVISION]          what changed since then (HEAD): text, outputs, pictures
    python tools/notebooks.py diff NB NB               how two notebooks differ
    python tools/notebooks.py from-draft DRAFT.py NB   py:percent text -> notebook, executed
    python tools/notebooks.py to-draft NB DRAFT.py     notebook -> py:percent text, to edit it in
    python tools/notebooks.py claims [NOTEBOOK ...]    do the claims hold on every kind of machine?
    python tools/notebooks.py time [NOTEBOOK ...]      measure; write docs/times.json and the Time lines
    python tools/notebooks.py memory [NOTEBOOK ...]    the most memory that a notebook's kernel held
    python tools/notebooks.py figures NB FOLDER        save the figures of a notebook
    python tools/notebooks.py render NB PICTURE.png    the page as a reader sees it (needs Chromium)

Without a notebook named, a command takes all those of notebooks/. Nothing is written unless all of a
notebook ran, without an error, without a word on stderr and with every claim holding.
"""

from __future__ import annotations

import argparse
import atexit
import base64
import functools
import hashlib
import inspect
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, Python looks for `tools` in tools/

from tools import executed, notebook_text  # noqa: E402

NOTEBOOKS = ROOT / "notebooks"
TIMES = ROOT / "docs" / "times.json"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OF_ANY_NUMBER = ("execute", "changed", "stale", "claims", "time", "memory")
COMMANDS = (*OF_ANY_NUMBER, "from-draft", "to-draft", "figures", "render", "diff")
WIDGET = "application/vnd.jupyter.widget-view+json"

# Still pictures instead of widgets, no progress kept, one thread.
QUIET = {"VAE_HELPERS_STATIC": "1", "VAE_HELPERS_PROGRESS": "off", "OMP_NUM_THREADS": "1"}
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
LAPTOP = {**AVX2, "VAE_HELPERS_PRECISION": "float32"}


class Kind(NamedTuple):
    """A kind of machine that this one can stand for."""

    threads: int
    precision: str
    cpu: str  # "AVX2", or "native": with all that the processor has

    @property
    def environment(self) -> dict[str, str]:
        """What makes a kernel, or a test, run as on such a machine."""
        return {
            "OMP_NUM_THREADS": str(self.threads),
            "VAE_HELPERS_THREADS": str(self.threads),
            "VAE_HELPERS_PRECISION": self.precision,
            **(AVX2 if self.cpu == "AVX2" else {}),
            **({"IPYTHONDIR": emulating()} if self.precision != "float32" and not has_bfloat16() else {}),
        }


def has_bfloat16() -> bool:
    """Has this machine a unit for products in bfloat16?"""
    import torch

    from vae_helpers import machine

    return machine().precision == torch.bfloat16


@functools.cache
def emulating() -> str:
    """The IPython folder whose kernels compute such products in float32 (`tools/bfloat16.py`), made once a process."""
    folder = tempfile.TemporaryDirectory(prefix="bfloat16-")
    atexit.register(folder.cleanup)
    startup = Path(folder.name, "profile_default", "startup")
    startup.mkdir(parents=True)
    shutil.copyfile(ROOT / "tools" / "bfloat16.py", startup / "00-bfloat16.py")
    return folder.name


NUMBERS = [("float32", "AVX2"), ("float32", "native"), ("bfloat16", "native")]
KINDS = [Kind(threads, precision, cpu) for threads in (1, 2) for precision, cpu in NUMBERS]


def run(notebook, environment: Mapping[str, str] = QUIET, folder: Path = NOTEBOOKS, timeout: int = 900):
    """Run a notebook in a fresh kernel that starts in `folder` and return it with its outputs.

    Raises:
        SystemExit: a cell raised, took longer than `timeout` seconds or killed the kernel.
    """
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    folder.mkdir(parents=True, exist_ok=True)
    kernel = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    try:
        client.execute(env={**kernel, **QUIET, **environment})
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise SystemExit(f"The notebook stopped: {error}") from None
    return notebook


def run_asking(notebook, question: str, timeout: int = 900):
    """Run a notebook and then, in its kernel, the code `question`: the notebook with its outputs, what that printed."""
    asking = nbformat.from_dict({**notebook, "cells": [*notebook.cells, nbformat.v4.new_code_cell(question)]})
    done = run(asking, timeout=timeout)
    (printed,) = done.cells.pop().outputs
    return done, printed.text


def problems(notebook) -> list[str]:
    """What keeps an executed notebook from being committed, a line each."""
    found = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if cell.execution_count is None:
            found.append(f"cell {number} was not run (is it empty?)")
        for output in cell.outputs:
            if output.get("name") == "stderr":
                found.append(f"cell {number} wrote to stderr: {output.text.strip()[:300]}")
            if WIDGET in output.get("data", {}):
                found.append(f"cell {number} shows a live widget; widgets.explore(...) gives a still picture")
    return found + [f"a claim does not hold: {line}" for line in claims_of(notebook)[1]]


def claims_of(notebook) -> tuple[list[str], list[str]]:
    """The printed claims of an executed notebook: those that hold, those that do not."""
    text = "\n".join(output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output)
    lines = [line.strip() for line in text.splitlines()]
    return (
        [line for line in lines if line.startswith("claim holds:")],
        [line for line in lines if line.startswith("claim DOES NOT HOLD:")],
    )


def normalise(notebook):
    """Give a notebook its committed form: nothing in it depends on when and where it was run."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: set[str] = set()
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": sorted(tags)} if tags else {})
        # From the text, so that an edit changes the identity of the edited cell alone.
        for repeat in itertools.count():
            name = hashlib.sha256(f"{repeat}{cell.cell_type}{cell.source}".encode()).hexdigest()[:8]
            if name not in seen:
                break
        seen.add(name)
        cell.id = name
        if cell.cell_type == "code":
            merged = []
            for output in cell.outputs:
                output.pop("transient", None)
                if merged and output.get("name") == merged[-1].get("name", "no stream"):
                    merged[-1].text += output.text
                else:
                    merged.append(output)
            cell.outputs = merged
    return notebook


def write(notebook, path: Path) -> None:
    """Write a notebook whole or not at all."""
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(nbformat.writes(notebook) + "\n", "utf-8")
    unfinished.replace(path)


def read_times() -> dict:
    """docs/times.json: {"00_start_here": {"reading_minutes": 30, "cpu_seconds": 12, "gpu_seconds": null}}."""
    return json.loads(TIMES.read_text("utf-8")) if TIMES.exists() else {}


def time_line(times: Mapping) -> str:
    """The line of a notebook's first cell that says how long it takes; what is None was not measured."""

    def measured(value, unit):
        return "not measured" if value is None else f"{value} {unit}"

    return (
        f"**Time.** reading {measured(times.get('reading_minutes'), 'min')}"
        f" · run on one CPU thread {measured(times.get('cpu_seconds'), 's')}"
        f" · run on a GPU {measured(times.get('gpu_seconds'), 's')}"
    )


def set_time_line(notebook, name: str) -> None:
    """Replace the **Time.** line of a notebook's first cell by what docs/times.json says; runs nothing."""
    lines = notebook.cells[0].source.splitlines()
    places = [number for number, line in enumerate(lines) if line.startswith("**Time.**")]
    if len(places) != 1:
        raise SystemExit(f"{name}: the first cell needs exactly one line that begins with **Time.**")
    lines[places[0]] = time_line(read_times().get(name, {}))
    notebook.cells[0].source = "\n".join(lines)


def execute(notebook, path: Path) -> None:
    """Run a notebook and write it to `path`, or say why not and leave `path` as it was."""
    started = time.monotonic()
    set_time_line(notebook, path.stem)
    notebook, modules = run_asking(notebook, executed.ASKING)
    notebook = normalise(notebook)
    if found := problems(notebook):
        raise SystemExit("\n  ".join([f"{path.name} is not written:", *found]))
    write(notebook, path)
    if path.resolve().parent == NOTEBOOKS.resolve():
        executed.note(path, modules.split())
    print(f"{path.name}: {time.monotonic() - started:.0f} s, {path.stat().st_size / 1e6:.2f} MB", flush=True)


def measure(path: Path) -> None:
    """Time a notebook as on a laptop; keep the seconds in docs/times.json and in its first cell."""
    notebook = nbformat.read(path, as_version=4)
    started = time.monotonic()
    run(notebook, LAPTOP, timeout=1200)
    seconds = round(time.monotonic() - started)
    times = read_times()
    before = times.get(path.stem, {"reading_minutes": None, "gpu_seconds": None})
    times[path.stem] = {**before, "cpu_seconds": seconds}
    TIMES.write_text(json.dumps(dict(sorted(times.items())), indent=2, sort_keys=True) + "\n", "utf-8")
    set_time_line(notebook, path.stem)
    write(normalise(notebook), path)
    print(f"{path.name}: {seconds} s on one thread in float32 with AVX2", flush=True)


def kinds_here() -> list[Kind]:
    """The kinds of machine that this one can stand for.

    Where the processor has nothing beyond AVX2, "native" in float32 would be that once more.
    """
    import torch

    plain = torch.backends.cpu.get_cpu_capability() == "AVX2"
    return [kind for kind in KINDS if not (plain and kind[1:] == ("float32", "native"))]


def check_claims(paths: list[Path]) -> bool:
    """Run notebooks as on every kind of machine that this one can stand for.

    Prints a table and returns whether each run made claims and all of them held.
    """
    print(f"{'notebook':34}{'threads':>8}{'precision':>11}{'CPU':>8}{'hold':>6}{'do not':>8}{'seconds':>9}")
    everything_holds = True
    for path, kind in itertools.product(paths, kinds_here()):
        started = time.monotonic()
        holds, fails = claims_of(run(nbformat.read(path, as_version=4), kind.environment, timeout=1200))
        seconds = time.monotonic() - started
        threads, precision, cpu = kind
        print(f"{path.stem:34}{threads:>8}{precision:>11}{cpu:>8}{len(holds):6}{len(fails):8}{seconds:9.0f}")
        print(*(f"    {line}" for line in fails), sep="\n", end="\n" if fails else "", flush=True)
        everything_holds &= bool(holds) and not fails
    return everything_holds


def peak_bytes() -> int:
    """The most memory that this process has held in RAM so far. Its source runs in a kernel: it imports for itself.

    Linux tells it in VmHWM; getrusage would count what the parent process held before the kernel began.
    """
    import re
    import sys
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1])
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_question() -> str:
    """A cell that prints it."""
    return f"{inspect.getsource(peak_bytes)}\n\nprint(peak_bytes())"


def peak_memory(notebook, timeout: int = 1200) -> int:
    """Run a notebook and return the most bytes that its kernel held in RAM, read when all its cells have run."""
    return int(run_asking(notebook, peak_question(), timeout)[1])


def list_stale(paths: list[Path]) -> bool:
    """Print which notebooks have to be executed again, and why; return whether there are any."""
    why = {path.stem: executed.reasons(path) for path in paths}
    stale = {name: found for name, found in why.items() if found}
    for name, found in stale.items():
        print(f"{name}: {', '.join(found)}")
    if stale:
        print(f"{len(stale)} of {len(why)} to be executed again: make notebooks CHANGED=1")
    return bool(stale)


def save_figures(path: Path, folder: Path) -> None:
    """Save each PNG output as FOLDER/cell_012_0.png, numbered by its cell in the notebook."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        pictures = [output.data["image/png"] for output in cell.get("outputs", []) if "data" in output
                    and "image/png" in output.data]  # fmt: skip
        for index, picture in enumerate(pictures):
            target = folder / f"cell_{number:03d}_{index}.png"
            target.write_bytes(base64.b64decode(picture))
            print(target)


def render(path: Path, picture: Path, cells: int = 12) -> None:
    """Photograph a notebook's page in Chromium: PICTURE_01.png, PICTURE_02.png, ... of `cells` cells each.

    Formulas stay in TeX where MathJax cannot be reached.
    """
    from nbconvert import HTMLExporter
    from PIL import Image, ImageChops

    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"render needs one of these on the PATH: {', '.join(BROWSERS)}")
    notebook = nbformat.read(path, as_version=4)
    for page, first in enumerate(range(0, len(notebook.cells), cells), start=1):
        part = nbformat.from_dict({**notebook, "cells": notebook.cells[first : first + cells]})
        target = picture.with_name(f"{picture.stem}_{page:02d}.png").resolve()
        with tempfile.TemporaryDirectory() as folder:
            html = Path(folder, "page.html")
            html.write_text(HTMLExporter().from_notebook_node(part)[0], "utf-8")
            command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            command += ["--disable-background-networking", "--timeout=8000", "--window-size=1000,9000"]
            command += [f"--user-data-dir={folder}/profile", f"--screenshot={target}", html.as_uri()]
            subprocess.run(command, check=True, timeout=120, capture_output=True)
        image = Image.open(target).convert("RGB")
        used = ImageChops.difference(image, Image.new("RGB", image.size, image.getpixel((0, 0)))).getbbox()
        image.crop((0, 0, image.width, min(image.height, (used or (0, 0, 0, 0))[3] + 20))).save(target)
        print(target)


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("paths", nargs="*")
    options = parser.parse_args(arguments)
    command, paths = options.command, [Path(name) for name in options.paths]
    if command == "diff":
        sys.exit(notebook_text.diff(options.paths))
    if command not in OF_ANY_NUMBER and len(paths) != 2:
        parser.error(f"{command} takes two paths")
    if command in OF_ANY_NUMBER:
        paths = paths or sorted(NOTEBOOKS.glob("*.ipynb"))
    for path in paths if command in OF_ANY_NUMBER else paths[:1]:
        if not path.is_file():
            parser.error(f"there is no file {path}")

    if command in ("execute", "changed"):
        for path in paths:
            if command == "execute" or executed.reasons(path):
                execute(nbformat.read(path, as_version=4), path)
    elif command == "stale":
        sys.exit(1 if list_stale(paths) else 0)
    elif command == "time":
        for path in paths:
            measure(path)
    elif command == "claims":
        sys.exit(0 if check_claims(paths) else "Some claims do not hold.")
    elif command == "memory":
        for path in paths:
            peak = peak_memory(nbformat.read(path, as_version=4))
            print(f"{path.stem:34}{peak / 1e9:6.2f} GB", flush=True)
    elif command == "from-draft":
        import jupytext

        execute(jupytext.read(paths[0], fmt="py:percent"), paths[1])
    elif command == "to-draft":
        import jupytext

        jupytext.write(nbformat.read(paths[0], as_version=4), paths[1], fmt="py:percent")
    elif command == "figures":
        save_figures(*paths)
    elif command == "render":
        render(*paths)


if __name__ == "__main__":
    main()
