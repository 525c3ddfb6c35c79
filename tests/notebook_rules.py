"""The rules that a committed notebook keeps; `tests/test_notebooks.py` holds every notebook to them.

A rule takes a Lesson and yields a line for each thing that breaks it: what is wrong, in which cell, and
what to do. Cells are numbered from 0, as in JupyterLab's and nbval's messages about the whole notebook.
"""

from __future__ import annotations

import ast
import copy
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import nbformat

from tools import notebooks
from tools.alternatives import description, shows_picture

TAGS = {"nbval-check-output", "exercise", "widget", "going-further", "raises-exception"}
OPENING = ("**Question.", "**You will be able to", "**Before this", "**Time.")
CLOSING = ["Summary", "Claims checked", "Where this breaks", "References"]
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:home|root|Users|work|tmp)/\w|\b[A-Za-z]:\\\\?\w")
MAX_NOTEBOOK_BYTES, MOST_LINES, MEAN_LINES, FEWEST_WORDS = 4_000_000, 35, 15, 12
WIDEST = 88  # columns of code; wider lines scroll on the site and in a narrow window
MOST_SECONDS = defaultdict(
    lambda: 60, {**dict.fromkeys(("04", "05", "06", "07", "08", "09", "10"), 300), "11": 330, "12": 210, "13": 300}
)  # on one thread; on two, three minutes, and 11 to 13 longer

Rule = Callable[["Lesson"], Iterator[str]]
RULES: list[Rule] = []


class Lesson:
    """A notebook, its number ("02"), and its cells taken apart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = path.name[:2]
        self.notebook = nbformat.read(path, as_version=4)
        self.cells = list(enumerate(self.notebook.cells))
        self.code = [(number, cell) for number, cell in self.cells if cell.cell_type == "code"]
        self.markdown = [(number, cell) for number, cell in self.cells if cell.cell_type == "markdown"]
        self.introduction = self.number == "00"

    def tags(self, cell) -> list[str]:
        return cell.metadata.get("tags", [])

    def calls(self, name: str) -> Iterator[tuple[int, nbformat.NotebookNode, ast.Call]]:
        """Where a function of this name is called: the cell's number, the cell, the call."""
        for number, cell in self.code:
            try:
                tree = ast.parse(cell.source)
            except SyntaxError:
                continue  # reported by the rule plain_python
            for node in ast.walk(tree):
                if isinstance(node, ast.Call):
                    called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
                    if name == (called.id if isinstance(called, ast.Name) else called):
                        yield number, cell, node

    def headings(self) -> list[tuple[int, int, str]]:
        """Cell, level and text of each heading, in order; code blocks do not count."""
        found = []
        for number, cell in self.markdown:
            text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
            for hashes, title in re.findall(r"^(#{1,6}) +(.+?) *#*$", text, flags=re.MULTILINE):
                found.append((number, len(hashes), title))
        return found


def rule(function: Rule) -> Rule:
    """Add a function to the rules."""
    RULES.append(function)
    return function


@rule
def executed_in_order(lesson: Lesson) -> Iterator[str]:
    counts = [cell.execution_count for _, cell in lesson.code]
    if counts != list(range(1, len(counts) + 1)):
        yield f"the cells were run as {counts}, not 1, 2, 3, ...; run tools/notebooks.py execute"


@rule
def clean_outputs(lesson: Lesson) -> Iterator[str]:
    for number, cell in lesson.code:
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"cell {number} ended in an error: {output.ename}"
            if "\r" in output.get("text", "") or "\x1b" in output.get("text", ""):
                yield f"cell {number} left a progress bar or terminal colours in its output"
    yield from notebooks.problems(lesson.notebook)


@rule
def normal_form(lesson: Lesson) -> Iterator[str]:
    if notebooks.normalise(copy.deepcopy(lesson.notebook)) != lesson.notebook:
        yield "the file is not in the form that tools/notebooks.py writes; run its `execute`"
    nbformat.validate(lesson.notebook)


@rule
def known_tags(lesson: Lesson) -> Iterator[str]:
    for number, cell in lesson.cells:
        for tag in lesson.tags(cell):
            if tag not in TAGS:
                yield f"cell {number} has the unknown tag {tag!r}; known are {sorted(TAGS)}"


@rule
def plain_python(lesson: Lesson) -> Iterator[str]:
    for number, cell in lesson.code:
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            yield f"cell {number} is not plain Python (no % or ! commands): {error}"


@rule
def size(lesson: Lesson) -> Iterator[str]:
    if lesson.path.stat().st_size > MAX_NOTEBOOK_BYTES:
        yield f"the file has {lesson.path.stat().st_size / 1e6:.1f} MB, more than {MAX_NOTEBOOK_BYTES / 1e6:.0f}"
    lengths = [len(cell.source.splitlines()) for _, cell in lesson.code]
    for (number, _), length in zip(lesson.code, lengths, strict=True):
        if length > MOST_LINES:
            yield f"cell {number} has {length} lines, more than {MOST_LINES}; one idea a cell"
    if lengths and sum(lengths) / len(lengths) > MEAN_LINES:
        yield f"code cells have {sum(lengths) / len(lengths):.1f} lines on average, more than {MEAN_LINES}"


@rule
def narrow_code(lesson: Lesson) -> Iterator[str]:
    for number, cell in lesson.code:
        for line in cell.source.splitlines():
            if len(line) > WIDEST:
                yield f"cell {number} has a line of {len(line)} columns, more than {WIDEST}: {line.strip()[:40]}..."


@rule
def no_path_of_a_machine(lesson: Lesson) -> Iterator[str]:
    for number, cell in lesson.cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *output.get("data", {}).values()]
        for text in texts:
            if isinstance(text, str) and (found := MACHINE_PATH.search(text)):
                yield f"cell {number} holds a path of one machine: {text[found.start() :][:40]!r}"


@rule
def opening(lesson: Lesson) -> Iterator[str]:
    first = lesson.cells[0][1]
    if first.cell_type != "markdown" or not re.match(rf"# {lesson.number} · \S", first.source):
        yield f"the first cell must begin with the title `# {lesson.number} · ...`"
    places = [first.source.find(f"\n{label}") for label in OPENING]
    for label, place in zip(OPENING, places, strict=True):
        if place < 0:
            yield f"the first cell has no paragraph that begins with {label}"
    if -1 not in places and places != sorted(places):
        yield f"the paragraphs of the first cell are to be in this order: {', '.join(OPENING)}"


@rule
def time_line(lesson: Lesson) -> Iterator[str]:
    times = notebooks.read_times().get(lesson.path.stem)
    if not times or times.get("reading_minutes") is None or times.get("cpu_seconds") is None:
        yield "docs/times.json lacks its reading_minutes or cpu_seconds; run tools/notebooks.py time"
    elif notebooks.time_line(times) not in lesson.cells[0][1].source.splitlines():
        yield f"the Time line is not that of docs/times.json: {notebooks.time_line(times)}"
    elif times["cpu_seconds"] > MOST_SECONDS[lesson.number]:
        yield f"it ran for {times['cpu_seconds']} s on one thread, more than {MOST_SECONDS[lesson.number]}"


@rule
def headings_in_order(lesson: Lesson) -> Iterator[str]:
    headings = lesson.headings()
    if [level for _, level, _ in headings].count(1) != 1:
        yield "there must be one heading of the first level, the title"
    for (_, before, _), (number, level, title) in itertools.pairwise(headings):
        if level > before + 1:
            yield f"cell {number}: the heading {title!r} jumps from level {before} to level {level}"
    sections = [title for _, level, title in headings if level == 2]
    numbered = [title for title in sections if re.match(r"\d+\. ", title)]
    for place, title in enumerate(numbered, start=1):
        if not title.startswith(f"{place}. ") or not title.endswith("?"):
            yield f"section {place} of the spine must be called `## {place}. ...?`, a question, not {title!r}"
    if not numbered:
        yield "the spine has no section `## 1. ...?`"
    if sections[-4:] != CLOSING:
        yield f"the last sections are {sections[-4:]}, not {CLOSING}"
    between = [title for title in sections[: -len(CLOSING)] if title not in numbered]
    if between != ["Going further"] and not (lesson.introduction and not between):
        yield f"between the spine and the summary stands {between}, not ['Going further']"


@rule
def going_further_is_marked(lesson: Lesson) -> Iterator[str]:
    starts = [number for number, level, title in lesson.headings() if (level, title) == (2, "Going further")]
    marked = [number for number, cell in lesson.cells if "going-further" in lesson.tags(cell)]
    if starts != marked:
        yield f"Going further starts in cell {starts}, but the tag going-further is on {marked}"


@rule
def links_resolve(lesson: Lesson) -> Iterator[str]:
    for number, cell in lesson.markdown:
        text = re.sub(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$", "", cell.source, flags=re.DOTALL)
        for target in re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", text):
            if target.startswith("https://"):
                continue
            if re.match(r"[a-z]+:", target):
                yield f"cell {number}: the link {target} is neither https nor relative"
                continue
            name, _, anchor = target.partition("#")
            path = lesson.path.parent / unquote(name) if name else lesson.path
            if not path.exists():
                yield f"cell {number}: the link {target} leads to no file"
            elif anchor and path.suffix == ".ipynb" and unquote(anchor) not in anchors(Lesson(path)):
                yield f"cell {number}: no heading of {path.name} is called #{anchor}"


def anchors(lesson: Lesson) -> set[str]:
    """The anchors of a notebook's headings, as JupyterLab makes them, and those written by hand."""
    made = {re.sub(r"[*`]", "", title).replace(" ", "-") for _, _, title in lesson.headings()}
    text = "\n".join(cell.source for _, cell in lesson.markdown)
    return made | set(re.findall(r"\bid=\"([^\"]+)\"", text))


@rule
def predictions(lesson: Lesson) -> Iterator[str]:
    text = "\n".join(cell.source for _, cell in lesson.markdown)
    asked, fewest = text.count("**Predict."), 1 if lesson.introduction else 3
    if asked < fewest:
        yield f"it asks for {asked} predictions (**Predict.**), fewer than {fewest}"
    if text.count("<details>") < asked:
        yield f"it asks for {asked} predictions but folds away {text.count('<details>')} answers (<details>)"
    for number, cell in lesson.markdown:
        opened, closed = cell.source.count("<details>"), cell.source.count("</details>")
        rendered = len(re.findall(r"<details>\s*<summary>[^\n]+</summary>[ \t]*\n[ \t]*\n", cell.source))
        if not opened == closed == rendered:
            yield (f"cell {number}: each <details> needs a <summary> line, an empty line after it, and a </details>")


@rule
def equations(lesson: Lesson) -> Iterator[str]:
    tags = equation_tags(lesson)
    wanted = [f"{int(lesson.number)}.{place}" for place in range(1, len(tags) + 1)]
    if tags != wanted:
        yield f"the equations are tagged {tags}, not {wanted}"
    used = {name for _, cell in lesson.code for name in equation_references(cell.source) if "#" in cell.source}
    if tags and not used:
        yield "no line of code says which equation it implements: # eq. (n.m)"
    for number, cell in lesson.cells:
        for name in equation_references(cell.source):
            if name not in tags_of_course(lesson, name):
                yield f"cell {number} refers to eq. ({name}), which does not exist"


def equation_tags(lesson: Lesson) -> list[str]:
    """The numbers of a notebook's equations, in order."""
    return [tag for _, cell in lesson.markdown for tag in re.findall(r"\\tag\{([^}]*)\}", cell.source)]


def equation_references(text: str) -> list[str]:
    """The numbers in `eq. (2.3)`, `eqs. (2.3)`, `equation (2.3)` and `equations (2.3)`."""
    return re.findall(r"\b(?:[Ee]qs?\.|[Ee]quations?) \((\d+\.\d+)\)", text)


def tags_of_course(lesson: Lesson, name: str) -> list[str]:
    """The equations of the notebook that equation `name` belongs to."""
    number = f"{int(name.split('.')[0]):02d}"
    if number == lesson.number:
        return equation_tags(lesson)
    return [tag for path in lesson.path.parent.glob(f"{number}_*.ipynb") for tag in equation_tags(Lesson(path))]


@rule
def claims_are_compared(lesson: Lesson) -> Iterator[str]:
    calls = list(lesson.calls("claim"))
    fewest = 2 if lesson.introduction else 6
    if len(calls) < fewest:
        yield f"it makes {len(calls)} claims, fewer than {fewest}"
    claiming = {number for number, _, _ in calls} | {number for number, _, _ in lesson.calls("claims")}
    compared = {number for number, cell in lesson.code if "nbval-check-output" in lesson.tags(cell)}
    for number in sorted(claiming - compared):
        yield f"cell {number} makes claims but is not tagged nbval-check-output, so that nobody compares them"
    for number in sorted(compared - claiming):
        yield f"cell {number} is compared (nbval-check-output) but makes no claim"
    if not list(lesson.calls("claims")):
        yield "no cell calls claims(), which belongs under Claims checked"
    for number, cell in lesson.code:
        if number in compared:
            for output in cell.outputs:
                lines = output.get("text", "not text").splitlines()
                if output.get("name") != "stdout" or not all(claim_line(line) for line in lines):
                    yield f"cell {number} is compared, so it may print claims and nothing else"


def claim_line(line: str) -> bool:
    """Whether claim() or claims() printed this line, about something that holds."""
    return line.startswith(("claim holds: ", "holds: ")) or bool(re.fullmatch(r"(\d+) of \1 hold", line))


@rule
def exercises_are_known(lesson: Lesson) -> Iterator[str]:
    from vae_helpers.exercises.registry import exercises_of

    asked = []
    for number, cell, call in lesson.calls("exercise"):
        if "exercise" not in lesson.tags(cell):
            yield f"cell {number} calls exercise() but is not tagged exercise"
        last = ast.parse(cell.source).body[-1]
        first = call.args[0] if call.args else None
        if not (
            isinstance(last, ast.Assign)
            and last.value is not None
            and ast.unparse(last) == f"{ast.unparse(last.targets[0])} = {ast.unparse(call)}"
            and isinstance(first, ast.Constant)
            and ast.unparse(call.args[-1]) == ast.unparse(last.targets[0])
        ):
            yield f'cell {number} must end in the line `name = exercise("{lesson.number}.n", name)`'
        asked.append(first.value if isinstance(first, ast.Constant) else None)
    for number, cell in lesson.code:
        if "exercise" in lesson.tags(cell) and number not in {place for place, _, _ in lesson.calls("exercise")}:
            yield f"cell {number} is tagged exercise but calls no exercise()"
    known = [exercise.id for exercise in exercises_of(lesson.number)]
    if asked != known:
        yield f"it sets the exercises {asked}, but lesson_{lesson.number} has {known}"
    if len(asked) < 4:
        yield f"it sets {len(asked)} exercises, fewer than 4"


@rule
def help_is_at_hand(lesson: Lesson) -> Iterator[str]:
    """What the printed text tells a learner to call is imported, so that a first hint is no NameError."""
    pattern = re.compile(r"^from vae_helpers import (.+)$", re.MULTILINE)
    imported = set(
        re.findall(r"\w+", " ".join(names for _, cell in lesson.code for names in pattern.findall(cell.source)))
    )
    for name in sorted({"hint", "solution", "progress"} - imported):
        yield f"{name} is not imported from vae_helpers; the set-up cell should do that"


@rule
def figures_are_described(lesson: Lesson) -> Iterator[str]:
    for number, cell in lesson.code:
        if shows_picture(cell):
            words = description(lesson.notebook.cells, number)
            if len(words.split()) < FEWEST_WORDS:
                yield (
                    f"cell {number} shows a figure; the next cell must say in words what is to be seen, "
                    f"in {FEWEST_WORDS} words or more, unfolded and before any heading or prediction"
                )


@rule
def something_to_explore(lesson: Lesson) -> Iterator[str]:
    calls = list(lesson.calls("explore"))
    if not calls:
        yield "it has nothing to explore(...)"
    for number, cell, _ in calls:
        if not any("image/png" in output.get("data", {}) for output in cell.outputs):
            yield f"cell {number} explores without a still picture in its output"
        if "widget" not in lesson.tags(cell):
            yield f"cell {number} explores but is not tagged widget"
