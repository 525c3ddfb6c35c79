"""Begin a new lesson, one that runs and keeps all rules, to be rewritten piece by piece: `make lesson NAME=08_a_name`.

It writes from tools/lesson_template/ the notebook, its exercises with their hints and wrong answers, and other right
answers for the tests; enters it into docs/times.json and tests/lessons/published.txt; times the notebook, executes it,
and says what is left to do.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, Python looks for `tools` in tools/

TEMPLATE = ROOT / "tools" / "lesson_template"
CALL = re.compile(r"^def ([a-z]\w*)\((.*)\):$", flags=re.MULTILINE)


def plan(name: str, root: Path = ROOT) -> dict[Path, str]:
    """The files of a new lesson and what is to stand in them.

    Args:
        name: the notebook's, such as 08_a_name; its number is the next one.
        root: the repository.
    Raises:
        ValueError: no such name, not the next number, or a file that is there already.
    """
    there = sorted(path.stem for path in (root / "notebooks").glob("*.ipynb"))
    number = f"{len(there):02d}"
    if not re.fullmatch(r"\d\d(_[a-z0-9]+)+", name):
        raise ValueError(f"NAME={name} must be two digits and a few lower-case words, such as {number}_a_name.")
    if name[:2] != number:
        raise ValueError(f"NAME={name}: the next notebook has the number {number}, after {there[-1]}.")
    targets = {
        "notebook.txt": root / "notebooks" / f"{name}.ipynb",
        "lesson.txt": root / "vae_helpers" / "lessons" / f"lesson_{number}.py",
        "accepted.txt": root / "tests" / "lessons" / f"accepted_{number}.py",
    }
    for target in targets.values():
        if target.exists():
            raise ValueError(f"{target} is there already; remove it, or go on with it.")
    return {target: filled_in(TEMPLATE / source, name) for source, target in targets.items()}


def filled_in(template: Path, name: str) -> str:
    """A template's text for this lesson: its number, its title, the numbers of its equations."""
    number, title = name[:2], name[3:].replace("_", " ").capitalize()
    text = template.read_text("utf-8").replace("NN", number).replace("TITLE", title)
    return re.sub(r"([({])N\.(?=\d)", rf"\g<1>{int(number)}.", text)


def begin(name: str) -> None:
    """Write the files of a new lesson, enter it where lessons are listed, time it and execute it."""
    import jupytext
    import nbformat

    from tools import notebooks

    (notebook, draft), *files = plan(name).items()
    for path, text in files:
        path.write_text(text, "utf-8")
    exercises = [call for call in CALL.findall(files[0][1])]
    with open(ROOT / "tests" / "lessons" / "published.txt", "a", encoding="utf-8") as published:
        published.writelines(f"{name[:2]}.{place} {f}({a})\n" for place, (f, a) in enumerate(exercises, start=1))
    times = notebooks.read_times() | {name: {"reading_minutes": 10, "cpu_seconds": None, "gpu_seconds": None}}
    notebooks.TIMES.write_text(json.dumps(times, indent=2, sort_keys=True) + "\n", "utf-8")
    notebooks.write(notebooks.normalise(jupytext.reads(draft, fmt="py:percent")), notebook)
    notebooks.measure(notebook)
    notebooks.execute(nbformat.read(notebook, as_version=4), notebook)
    print("Written:", *(path.relative_to(ROOT) for path in (notebook, *dict(files))), sep="\n  ")
    print(
        "Rewrite them piece by piece; after each, make notebooks CHANGED=1 and",
        f"  .venv/bin/python -m pytest -n0 tests/test_notebooks.py tests/lessons -k '{name[:2]}'",
        "At the end: reading_minutes in docs/times.json; tools/notebooks.py time and claims; the row in README.md and",
        "the part in docs/teaching.md, which tests ask for; a line in CHANGELOG.md.",
        sep="\n",
    )


if __name__ == "__main__":
    try:
        begin(*(sys.argv[1:] or [""]))
    except ValueError as error:
        sys.exit(f"make lesson: {error}")
