"""README.md tells the truth: its code runs, its table is that of the notebooks, its links lead somewhere."""

import ast
import re
import shlex
import subprocess
import sys
from urllib.parse import unquote

import nbformat
from PIL import Image

from tools.notebooks import NOTEBOOKS, ROOT, read_times

README = (ROOT / "README.md").read_text("utf-8")


def python_blocks():
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def command_lines():
    """The lines of indented blocks, without comments."""
    return [line.strip().partition("  #")[0] for line in README.splitlines() if line.startswith("    ")]


def rows_wanted():
    """The table's rows, from the notebooks' first cells and docs/times.json."""
    rows = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        first = nbformat.read(path, as_version=4).cells[0].source
        title = re.match(r"# (.+)\n", first)[1]
        question = " ".join(re.search(r"\*\*Question\.\*\*(.*?)\n\n", first, flags=re.DOTALL)[1].split())
        times = read_times().get(path.stem, {})
        reading, run = (
            "not measured" if times.get(key) is None else f"{times[key]} {unit}"
            for key, unit in (("reading_minutes", "min"), ("cpu_seconds", "s"))
        )
        rows.append(f"| [{title}](notebooks/{path.name}) | {question} | {reading} | {run} |")
    return rows


def test_the_six_lines_run(tmp_path):
    (code,) = python_blocks()
    assert len([line for line in code.splitlines() if line]) == 6
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    bound = float(re.search(r"nats per image: (-[\d.]+) ± ", result.stdout)[1])
    assert -120 < bound < -90, "fair coins would have -177"
    with Image.open(tmp_path / "decoder_means.png") as picture:
        assert picture.width > 300


def test_the_table_lists_the_notebooks_with_their_questions_and_times():
    rows = [line for line in README.splitlines() if line.startswith("| [")]
    assert rows == rows_wanted(), "\n".join(["the table of README.md has to be:", *rows_wanted()])


def test_links_and_pictures_resolve():
    targets = re.findall(r"\]\(([^)\s]+)\)", README)
    assert targets
    for target in targets:
        if not target.startswith("https://"):
            assert (ROOT / unquote(target)).is_file(), f"README.md links to {target}, which does not exist"


def test_the_picture_is_small_and_has_words():
    ((words, target),) = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README)
    assert len(words.split()) >= 8
    assert (ROOT / target).stat().st_size < 300_000
    with Image.open(ROOT / target) as picture:
        assert picture.format == "PNG" and picture.width >= 900


def test_commands_name_what_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    seen = set()
    for line in command_lines():
        for command in line.removeprefix("!").split("&&"):
            words = command.replace("\\", "/").split()
            if words[0] == "make":
                assert re.search(rf"^{words[1]}:", makefile, flags=re.M), f"make has no {words[1]}"
            for word in words:
                if word.startswith("tools/") or word.endswith(".yml"):
                    assert (ROOT / word).is_file(), f"{line}: there is no {word}"
            seen.add(words[0])
    assert {"make", "pip", "py", "conda", "python"} <= seen


def test_the_commands_of_the_package_are_known():
    spoken = set(re.findall(r"python -m vae_helpers (\w+)", README))
    assert {"check", "grade"} <= spoken
    for command in spoken:
        run = shlex.split(f"-m vae_helpers {command} --help")
        assert subprocess.run([sys.executable, *run], cwd=ROOT, capture_output=True, timeout=60).returncode == 0


def test_the_code_imports_only_what_the_package_exports():
    import vae_helpers

    for block in python_blocks():
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                assert {name.name for name in node.names} <= set(vae_helpers.__all__)
