"""Notebooks as text that can be compared line by line: cells as py:percent, printed outputs, and a line a picture.

    python tools/notebook_text.py NOTEBOOK     print it; `git diff` can do the comparing (docs/maintaining.md)

Only Python's own library is used, for git starts this twice for each notebook that it compares.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def as_text(content: bytes) -> str:
    """A notebook for reading: each cell under a line `# %%`, and below it what it printed, marked by `# > `."""
    return "".join(line.rstrip() + "\n" for cell in json.loads(content)["cells"] for line in [*lines_of(cell), ""])


def lines_of(cell: dict) -> Iterator[str]:
    """The lines of one cell."""
    kind = "" if cell["cell_type"] == "code" else f" [{cell['cell_type']}]"
    tags = cell["metadata"].get("tags", [])
    yield f"# %%{kind}{f' tags={tags}' if tags else ''}"
    yield from (f"# {line}" if kind else line for line in "".join(cell["source"]).splitlines())
    for output in cell.get("outputs", []):
        yield from (f"# > {line}" for line in shown(output).splitlines())


def shown(output: dict) -> str:
    """An output in words: a picture by its size and a digest, an error by its message, anything else as its text."""
    data = output.get("data", {})
    if "image/png" in data:
        content = base64.b64decode("".join(data["image/png"]))
        width, height = struct.unpack(">II", content[16:24]) if len(content) >= 24 else (0, 0)
        return f"picture, {width} x {height}, {hashlib.sha256(content).hexdigest()[:8]}"
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    text = "".join(output.get("text") or data.get("text/plain") or ", ".join(data))
    return f"(stderr) {text}" if output.get("name") == "stderr" else text


def diff(arguments: list[str]) -> int:
    """Show how notebooks differ, by git: from a revision (HEAD), or from one another; returns git's exit status."""
    if shutil.which("git") is None:
        raise SystemExit("diff compares notebooks with git, which is not on the PATH here")
    textconv = f'"{Path(sys.executable).as_posix()}" "{Path(__file__).resolve().as_posix()}"'
    command = ["git", "-C", str(ROOT), "-c", f"diff.notebook.textconv={textconv}", "diff"]
    if len(arguments) == 2 and all(Path(name).is_file() for name in arguments):
        command += ["--no-index", "--", *(str(Path(name).resolve()) for name in arguments)]
    else:
        command += [*(arguments or ["HEAD"]), "--", "notebooks/*.ipynb"]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    print(as_text(Path(sys.argv[1]).read_bytes()), end="")
