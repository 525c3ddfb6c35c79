"""Runs one submitted notebook in a kernel of its own; grade_folder.py starts this file as a process of its own.

    python -P run_submission.py NOTEBOOK REPORT CELL_SECONDS

REPORT is one line of JSON for each thing that happened, so that it tells the story up to the moment at which
this process is killed. Nothing of vae_helpers is imported here: the kernel does that. Before the first cell and after
the last it runs a cell of grading's own, which finds out whether functions that the checks use were replaced.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

# The cells of grading's own; they bind no name.
REMEMBER = "__import__('vae_helpers.grading.tampering', fromlist=['']).remember()"
TELL = "__import__('vae_helpers.grading.tampering', fromlist=['']).tell({report!r})"
DROPPED = ("stream", "display_data", "execute_result", "update_display_data")  # grading reads no output


class ThisPython(KernelSpecManager):
    """Offers the Python that runs now, whatever kernel a notebook names and whatever is installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The kernel of this Python."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python", language="python")


class Client(NotebookClient):
    """A client that forgets what cells print, so that a notebook that prints without end fills no memory."""

    def process_message(self, message, cell, cell_index):  # noqa: D102 - as in its parent
        if message["msg_type"] in DROPPED:
            return None
        return super().process_message(message, cell, cell_index)


def run(path: Path, report: Path, cell_seconds: float) -> None:
    """Run every cell of a notebook, those after an error too, and report what happened.

    A cell that takes longer than `cell_seconds` is interrupted, as by the stop button, and the next one is run.

    Lines of the report: {"unreadable": why}, {"cell": n, "results": bytes in the results file by then} when the n-th
    code cell starts (the one that Jupyter numbers [n] after "Run All"), {"error": n} when it raised, {"interrupted": n}
    when it took too long, {"gave up": n} when it raised KeyboardInterrupt itself, {"died": n} when the kernel ended in
    it, {"replaced": [functions that are not what they were]}, {"done": true}.
    """

    def say(**what: object) -> None:
        with report.open("a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")

    try:
        cells = nbformat.read(path, as_version=4).cells
        sources = [cell.source for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    except Exception as error:  # nbformat raises many kinds
        say(unreadable=" ".join(str(error).split())[:200] or type(error).__name__)
        return
    last = len(sources)
    sources = [REMEMBER, *sources, TELL.format(report=str(report))]  # so the n-th of the notebook has the index n
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])  # whatever else the file holds
    at, since = 1, time.monotonic()

    def starts(cell, cell_index: int) -> None:
        nonlocal at, since
        if 1 <= cell_index <= last:
            at, since = cell_index, time.monotonic()
            say(cell=at, results=_size(os.environ.get("VAE_HELPERS_GRADING", "")))

    def failed(cell, cell_index: int, execute_reply) -> None:
        if not 1 <= cell_index <= last:
            return
        kind = "error"
        if execute_reply["content"].get("ename") == "KeyboardInterrupt":
            kind = "interrupted" if time.monotonic() - since >= cell_seconds else "gave up"
        say(**{kind: cell_index})

    manager = AsyncKernelManager(kernel_spec_manager=ThisPython(), kernel_name="python3")
    client = Client(
        notebook,
        km=manager,
        timeout=math.ceil(cell_seconds),
        interrupt_on_timeout=True,
        allow_errors=True,
        on_cell_execute=starts,
        on_cell_error=failed,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute(env=dict(os.environ))
    except DeadKernelError:
        say(died=at)
    else:
        say(done=True)


def _size(path: str) -> int:
    """Bytes in a file, 0 if there is none; it is not opened, for a submission may have put a pipe there."""
    return os.stat(path).st_size if os.path.exists(path) else 0


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
