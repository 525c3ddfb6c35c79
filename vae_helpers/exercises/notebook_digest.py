"""What was written in a notebook, apart from what running it left: to tell an edited copy from an untouched one."""

from __future__ import annotations

import hashlib
import json

MEASURED = "**Time.**"  # this line is filled in by a command


def sources_of(content: bytes) -> list[tuple[str, str]]:
    """(type, source) of each cell that holds something, in order.

    Outputs, counts, metadata and empty cells, which JupyterLab adds when the last cell is run, are left out, and so is
    the line of measured times.

    Raises:
        ValueError: this is not a notebook.
    """
    try:
        cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(content)["cells"]]
        written = [(kind, _without_times(source)) for kind, source in cells]
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"this is not a notebook: {error!r}") from None
    return [(kind, source) for kind, source in written if source.strip()]


def digest(content: bytes) -> str:
    """A short name for what is written in a notebook; "" for a file that is no notebook."""
    try:
        written = sources_of(content)
    except ValueError:
        return ""
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()[:16]


def _without_times(source: str) -> str:
    return "\n".join(line for line in source.splitlines() if not line.startswith(MEASURED))
