"""After a NameError in a notebook, a sentence says what to do: its cells were probably run out of order.

The kernel does not know the cells of its notebook, so the sentence says no more than "if a cell above makes it".
It is printed after the cell has ended: no error is changed or hidden, and a cell without an error costs nothing.
"""

from __future__ import annotations

import sys
from typing import Any


def install() -> None:
    """Say that sentence from now on, if this is a notebook's kernel."""
    if shell := notebook_shell():
        shell.events.register("post_run_cell", _after_a_cell)


def notebook_shell() -> Any:
    """IPython's shell if this process is a notebook's kernel, else None."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


def advice(error: BaseException | None) -> str:
    """What to do about a global name that the learner's code uses and nothing has made; "" for any other error."""
    if type(error) is not NameError or not error.name or error.__traceback__ is None:
        return ""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    frame = trace.tb_frame
    if error.name in frame.f_code.co_freevars + frame.f_code.co_cellvars:
        return ""  # a local variable of a function around
    if frame.f_globals.get("__name__") != "__main__":
        return ""  # a mistake in a package
    return (
        f"There is no `{error.name}` in this kernel. If a cell above makes it, run the cells above first "
        "(in JupyterLab: Run > Run All Above Selected Cell), then this one again."
    )


def _after_a_cell(result: Any) -> None:
    if said := advice(result.error_in_exec):
        print(said)
