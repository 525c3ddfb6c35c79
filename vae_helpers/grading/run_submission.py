"""Runs one submitted notebook in a kernel of its own; grade_folder.py starts this file as a process of its own.

    python -P run_submission.py NOTEBOOK REPORT CELL_SECONDS

REPORT is one line of JSON for each thing that happened, so that it tells the story up to the moment at which
this process is killed. Nothing of vae_helpers is imported here: the kernel does that.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

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

    Lines of the report: {"unreadable": why}, {"cell": n} when the n-th code cell starts (the one that Jupyter
    numbers [n] after "Run All"), {"error": n} when it raised, {"interrupted": n} when it took too
    long, {"died": n} when the kernel ended in it, {"done": true}.
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
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])  # whatever else the file holds
    at = 1

    def starts(cell, cell_index: int) -> None:
        nonlocal at
        at = cell_index + 1
        say(cell=at)

    def failed(cell, cell_index: int, execute_reply) -> None:
        kind = execute_reply["content"].get("ename")
        say(**{"interrupted" if kind == "KeyboardInterrupt" else "error": cell_index + 1})

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


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
