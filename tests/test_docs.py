"""docs/teaching.md and docs/glossary.md agree with the notebooks and with the checks of the exercises."""

import functools
import itertools
import json
import math
import re
from urllib.parse import unquote

import pytest
import torch

from tests.notebook_rules import Lesson, anchors, equation_tags
from tools.notebooks import NOTEBOOKS, ROOT
from vae_helpers.distributions import GaussianFactor, standard_normal
from vae_helpers.exercises.registry import all_exercises, exercises_of, find, lesson_numbers
from vae_helpers.grading.exercise_cells import paste
from vae_helpers.grading.grade_folder import AT_ONCE
from vae_helpers.grading.limits import Limits
from vae_helpers.lessons import (
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_10,
    lesson_11,
    lesson_13,
)
from vae_helpers.objectives import style_leak

DOCS = ROOT / "docs"
TEACHING = (DOCS / "teaching.md").read_text("utf-8")
GLOSSARY = (DOCS / "glossary.md").read_text("utf-8")
NUMBERS = lesson_numbers()
IN_WORDS = {13: "thirteen", 14: "fourteen", 26: "twenty-six", 28: "twenty-eight"}  # numbers of meetings
ID = re.compile(r"\b0\d\.\d\b|(?<!\()\b1[0123]\.\d{1,2}\b(?!\))")  # (10.1) is an equation
each_notebook = pytest.mark.parametrize("number", NUMBERS)


@functools.cache
def lesson(number):
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    return Lesson(path)


@functools.cache
def section_of_exercise(number):
    """Exercise -> its section of the spine, "3", or "further"."""
    asked = {place: call.args[0].value for place, _, call in lesson(number).calls("exercise")}
    found, section = {}, "opening"
    for place, cell in lesson(number).cells:
        if "going-further" in lesson(number).tags(cell):
            section = "further"
        if cell.cell_type == "markdown" and section != "further":
            section = [section, *re.findall(r"^## (\d+)\. ", cell.source, flags=re.M)][-1]
        if place in asked:
            found[asked[place]] = section
    return found


def spine(number):
    """The numbers of the spine's sections, ["1", "2", ...]."""
    return [m[1] for _, level, title in lesson(number).headings() if level == 2 and (m := re.match(r"(\d+)\. ", title))]


def part(text, heading):
    """What stands below a heading that begins so, up to the next one of its level or above."""
    level = heading.index(" ")
    pattern = rf"^{re.escape(heading)}.*?$(.*?)(?=^#{{1,{level}}} |\Z)"
    found = re.search(pattern, text, flags=re.M | re.S)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def rows(text):
    """The rows of the only table in a text, without its head, cell by cell."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def ids(text):
    """The exercises that a text names; what stands in code, as in `hint("02.3")`, does not count."""
    return ID.findall(re.sub(r"`[^`]*`", "", text))


def headings(text):
    """Level and title of each heading; code blocks do not count."""
    return [
        (len(m[1]), m[2]) for m in re.finditer(r"^(#{1,6}) (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    ]


# --- teaching ------------------------------------------------------------------------------------------------------


def test_the_table_at_a_glance_is_that_of_the_notebooks():
    times = json.loads((DOCS / "times.json").read_text("utf-8"))
    wanted = []
    for number in NUMBERS:
        name = lesson(number).path.stem
        title = lesson(number).headings()[0][2]
        further = list(section_of_exercise(number).values()).count("further")
        wanted.append(
            f"| [{title}](../notebooks/{name}.ipynb) | {times[name]['reading_minutes']} min | "
            f"{times[name]['cpu_seconds']} s | {len(section_of_exercise(number))} | {further} | "
            f"{len(list(lesson(number).calls('claim')))} |"
        )
    given = [line for line in part(TEACHING, "## The course at a glance").splitlines() if line.startswith("| [")]
    assert given == wanted, "\n".join(["the table of docs/teaching.md has to be:", *wanted])


@each_notebook
@pytest.mark.parametrize("minutes", [50, 90])
def test_a_plan_fills_its_minutes_section_by_section(number, minutes):
    plan = rows(part(TEACHING, f"### {number} in {minutes} minutes"))
    spans = [tuple(int(minute) for minute in when.split("–")) for when, _, _ in plan]
    assert spans[0][0] == 0 and spans[-1][1] == minutes
    assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(spans)), spans
    assert all(begin < end for begin, end in spans), spans
    known = ["opening", *spine(number)]
    places = [known.index(section) for _, section, _ in plan]
    assert places == sorted(places), "the sections are taken in the notebook's order"
    if minutes == 90:
        assert set(spine(number)) <= {section for _, section, _ in plan}, "90 minutes are for the whole spine"
    for _, section, work in plan:
        for id in ids(work):
            assert section_of_exercise(number)[id] == section, f"{id} does not stand in section {section}"


@each_notebook
def test_every_exercise_has_its_place_in_both_plans(number):
    where = section_of_exercise(number)
    for minutes, wanted in ((50, [id for id in where if where[id] != "further"]), (90, list(where))):
        given = ids(part(TEACHING, f"### {number} in {minutes} minutes"))
        assert sorted(set(given)) == sorted(wanted), f"the plan of {minutes} minutes, with what is done at home"


def test_two_meetings_a_notebook_hold_each_section_and_each_exercise_once():
    plan = rows(part(TEACHING, f"## The course in {IN_WORDS[2 * len(NUMBERS)]} meetings"))
    assert [row[0] for row in plan] == [str(n + 1) for n in range(2 * len(NUMBERS))]
    for number in NUMBERS:
        taught = []
        for _, _, sections, in_class, at_home in (row for row in plan if row[1] == number):
            first, last = sections.split(" to ")
            here = [str(n) for n in range(int(first), int(last) + 1)]
            taught += here
            for id in ids(f"{in_class}, {at_home}"):
                assert section_of_exercise(number)[id] in [*here, "further"], f"{id} is not in sections {sections}"
            assert all(section_of_exercise(number)[id] != "further" for id in ids(in_class))
        assert taught == spine(number)
    given = [id for row in plan for id in ids(f"{row[3]}, {row[4]}")]
    assert sorted(given) == sorted(exercise.id for exercise in all_exercises())


def test_one_meeting_a_notebook_is_the_course():
    assert f"It has {IN_WORDS[len(NUMBERS)]} notebooks" in TEACHING
    plan = rows(part(TEACHING, f"## The course in {IN_WORDS[len(NUMBERS)]} meetings"))
    assert [row[:2] for row in plan] == [[str(n + 1), number] for n, number in enumerate(NUMBERS)]
    for _, _, before in plan:
        for number, sections in re.findall(r"(\d\d), sections? ([\d to and]+)", before):
            assert set(re.findall(r"\d+", sections)) <= set(spine(number)), before


@each_notebook
def test_the_messages_quoted_are_those_of_the_checks(number):
    items = re.split(r"^- ", part(TEACHING, f"### {number}: what goes wrong"), flags=re.M)[1:]
    quoted = set()
    for item in items:
        id = re.match(r"\*\*(\d\d\.\d+)\*\*", item)[1]
        said = {m if m.endswith("?") else f"{m}." for m in (wrong.message for wrong in find(id).wrong)}
        for message in re.findall(r'"([^"]+)"', " ".join(item.split())):
            assert message in said, f"the check of {id} does not say {message!r}"
            quoted.add(id)
    assert quoted == {exercise.id for exercise in exercises_of(number)}, "each exercise has a mistake to expect"


@each_notebook
def test_every_notebook_has_outcomes_discussion_and_exam(number):
    title = lesson(number).headings()[0][2]
    own = part(TEACHING, f"## {title}")
    assert "**After it a learner can**" in own and "**Before it:**" in own
    assert lesson(number).path.name in own
    for heading, fewest, most in (("to discuss", 3, 5), ("for an exam", 2, 4)):
        counted = re.findall(r"^(\d)\. ", part(TEACHING, f"### {number}: {heading}"), flags=re.M)
        assert counted == [str(n + 1) for n in range(len(counted))] and fewest <= len(counted) <= most
    assert set(ids(own)) == {exercise.id for exercise in exercises_of(number)}
    named = set(re.findall(r"\((\d+\.\d+)\)", own))
    assert named and named <= set(equation_tags(lesson(number))), "every equation that is named exists"


def test_the_calculations_for_exams_are_right():
    kl = lesson_02.kl_to_standard_normal(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, -1.0]])).item()
    assert f"{kl:.3f}" == "0.684"
    slopes = lesson_03.pathwise_gradient(lambda z: 2 * z, *(torch.tensor(v) for v in (1.0, 0.0, 0.5)))
    assert [slope.item() for slope in slopes] == [3.0, 0.75]
    assert lesson_04.conv_cost(3, 16, 4, 32, 2, 1) == (16, 784, 196_608)
    assert round(math.sqrt(3 * 64 * 64 / 2)) == 78
    one = [torch.tensor([v], dtype=torch.float64) for v in (1.0, 0.2, 0.1)]
    assert lesson_05.posterior_mean(torch.tensor([0.6], dtype=torch.float64), 0.2, *one).item() == pytest.approx(0.28)
    assert [round(-10 * math.log10(0.1**2 / n)) for n in (1, 4)] == [20, 26]
    block = torch.tensor([[1.0, 0, 0, 1]] + 3 * [[0, 1, 0, 0]]).T.reshape(1, 4, 2, 2)  # one red pixel, three clear
    assert block.mean((2, 3)).tolist() == [[0.25, 0.75, 0, 0.25]]
    assert lesson_06.halve(block).flatten().tolist() == [1, 0, 0, 0.25]
    fused = lesson_07.fuse(torch.tensor([[[1.0]], [[2.0]]]), torch.tensor([[[0.5]], [[0.25]]]))
    assert [value.item() for value in fused] == pytest.approx([2, 0.2])
    marginal, conditional = lesson_07.two_diagonals(torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
    assert marginal.tolist() == [1, 1] and conditional.tolist() == pytest.approx([0.19, 0.19])
    said = torch.zeros(1, 1, requires_grad=True)
    for factor, slope in ((0.01, 0.01), (1, 0.99)):  # a mean, whose shift is 0.01 of it, and a shift
        mean, *_ = lesson_07.ladder_level(torch.zeros(1, 1), torch.ones(1, 1), factor * said, torch.full((1, 1), 0.01))
        assert round(torch.autograd.grad(mean, said)[0].item(), 2) == slope
    prior, said = GaussianFactor.of(standard_normal(1)), torch.tensor([[3.0], [12.0]])  # by one picture, and by four
    after = (prior * GaussianFactor(said, said)).normalised()
    assert [f"{value:.3f}" for value in after.variance.flatten()] == ["0.250", "0.077"]
    assert f"{after.mean[1].item():.2f}" == "0.92"
    s, wrong_by = torch.tensor([[1.0], [-1.0]]).expand(2, 3), torch.tensor([1 / 4, 1 / 2, 2.0]).sqrt()
    assert f"{style_leak(s * (1 - wrong_by), s).item():.2f}" == "1.04" and f"{math.log(4 * 2 / 2) / 2:.2f}" == "0.69"
    alphas = torch.tensor([[1, 0.5, 0.4], [1, 0.5, 0.2]]).view(2, 3, 1, 1)  # the front one as it is, and faded
    assert lesson_10.visible_shares(alphas).flatten().tolist() == pytest.approx([0.3, 0.3, 0.4, 0.4, 0.4, 0.2])
    e = torch.randn(5, 4, 1, 1, generator=torch.Generator().manual_seed(0))
    squares = (e[:, :3] - e[:, 3:] / 2).square() + e[:, 3:].square() / 12
    assert torch.allclose(lesson_10.composite_error(e), squares.flatten(1).sum(1))
    nats = (0.002 - 0.001) / (2 * 0.1**2)  # by a mean
    assert (
        f"{nats:.2f} {1 / (1 + math.exp(-nats)):.2f} {3 * 64 * 64:,} {3 * 64 * 64 * nats:.0f}" == "0.05 0.51 12,288 614"
    )
    u = lesson_11.mean_velocity(torch.tensor([0.5]), 0.5, torch.tensor([-1.0, 1.0]), 0.0)
    code, _ = lesson_11.expected_ends(torch.tensor([[0.5]]), torch.tensor([0.5]), u[:, None])
    share = 1 / (1 + math.exp(-2))
    assert f"{share:.3f} {1 - share:.3f} {code.item():.3f} {u.item():.2f}" == "0.881 0.119 0.762 0.52"
    assert f"{1 / (2 * (1 + 0.25)):.1f} {math.sqrt(3 * 32 * 32 / 2):.0f}" == "0.4 39"
    many = [1000 * lesson_13.step_seconds(512, 16, *of) for of in ((1e-4, 0, 1), (0, 8e6, 1.25e9), (1e-4, 8e6, 1.25e9))]
    one = 1000 * lesson_13.step_seconds(512, 1, 1e-4, 8e6, 1.25e9)
    assert f"{one:.1f}; {' '.join(f'{t:.1f}' for t in many)}; {one / many[2]:.1f}" == "51.2; 3.2 12.0 15.2; 3.4"
    assert lesson_13.more_pictures(3.9, 3.1, 2) == pytest.approx((3.7, 3.5))
    exams = "".join(part(TEACHING, f"### {number}: for an exam") for number in NUMBERS)
    for said in (
        "0.684",
        "3 for $\\mu$",
        "= 0.75$",
        "= 784$",
        "196{,}608",
        "78$",
        "= 0.28$",
        "20 dB; 26 dB",
        "(0.25, 0.75, 0)",
        "variance 0.2",
        "= 0.19$",
        "is 0.01; if the network gives the shift it is 0.99",
        "= 0.077$ after four; the mean is $12/13 = 0.92$",
        "= 0.69$ nats",
        "what is known of others: 1.04 nats",
        "0.3, 0.3 and 0.4",
        "0.8 = 0.4$",
        "+ e_\\alpha^2/12$",
        "0.05 nats, so that the better order gets a probability of 0.51",
        "with 614 nats",
        "0.881 - 0.119 = 0.762$",
        "(0.762 - 0.5)/0.5 = 0.52$",
        "1.25) = 0.4$",
        "so $\\sigma = 39$",
        "one takes 51.2 ms, sixteen take $3.2 + 12 = 15.2$ ms: 3.4 times",
        "would give 3.7 bits, and infinitely many 3.5",
    ):
        assert said in " ".join(exams.split()), f"the exams do not say {said}"


def test_commands_and_settings_exist():
    from vae_helpers import __main__ as commands

    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"\bmake (\w+)", " ".join(re.findall(r"`[^`]+`|^    .+$", TEACHING, flags=re.M))):
        assert re.search(rf"^{target}:", makefile, flags=re.M), f"make has no {target}"
    for command in re.findall(r"python -m vae_helpers (\w+)", TEACHING):
        with pytest.raises(SystemExit, match="0"):
            commands.main([command, "--help"])
    for path in re.findall(r"\btools/\w+\.py", TEACHING):
        assert (ROOT / path).is_file(), f"there is no {path}"
    code = "".join(path.read_text("utf-8") for path in (ROOT / "vae_helpers").rglob("*.py"))
    assert set(re.findall(r"VAE_HELPERS_\w+", TEACHING)) <= set(re.findall(r"VAE_HELPERS_\w+", code))


def test_the_limits_of_grading_are_those_of_the_code():
    limits, grading = Limits(), part(TEACHING, "## Grading")
    stated = {what: allowed for what, allowed, _ in rows(grading.partition("| can a submission")[0])}
    assert stated["time"].startswith(f"{limits.seconds:g} s ")
    assert stated["time of a cell"].endswith(f" {limits.cell_seconds:g} s")
    assert stated["memory"].startswith(f"{limits.memory:g} GB ")
    assert stated["disk"] == f"{limits.disk:g} GB and {limits.files:,} files"
    assert stated["processes"] == f"{limits.processes}"
    assert AT_ONCE == 2 and "two at a time" in grading


@pytest.mark.soak
@each_notebook
def test_an_exercise_needs_the_set_up_cell_only(number, capsys, monkeypatch):
    monkeypatch.setenv("VAE_HELPERS_PROGRESS", "off")
    code = [cell for cell in paste(lesson(number).notebook).cells if cell.cell_type == "code"]
    for cell in code:
        if "exercise" in lesson(number).tags(cell):
            names = {"__name__": "__main__"}
            exec(code[0].source, names)
            exec(cell.source, names)
            assert capsys.readouterr().out.rstrip().endswith("solved. Your answer is used below."), cell.source


# --- glossary ------------------------------------------------------------------------------------------------------


def entries():
    """(term, definition, link's words, link's target) of each entry."""
    pattern = r"^- \*\*(.+?)\*\*: (.+?)\n  \[([^\]]+)\]\(([^)\s]+)\)$"
    return re.findall(pattern, GLOSSARY, flags=re.M | re.S)


def plain(term):
    """A term as it is looked up and as it is sorted: without what stands in brackets, in small letters."""
    return re.sub(r" \(.*\)", "", term).casefold()


def section_text(number, anchor):
    """The words of the section that an anchor leads to, without marks of emphasis, in small letters."""
    text = "\n".join(cell.source for _, cell in lesson(number).markdown)
    all_of_them = lesson(number).headings()
    at = next(
        i for i, (_, _, title) in enumerate(all_of_them) if re.sub(r"[*`]", "", title).replace(" ", "-") == anchor
    )
    level, title = all_of_them[at][1:]
    after = all_of_them[at + 1 :]
    ends = [f"\n{'#' * depth} {name}" for _, depth, name in after if depth <= level or level == 1]
    text = text[text.index(f"{'#' * level} {title}") :]
    text = text[: text.index(ends[0])] if ends else text
    return " ".join(re.sub(r"[*`]", "", text).split()).casefold()


def test_every_line_of_the_glossary_is_read():
    assert len(entries()) == len(re.findall(r"^- ", GLOSSARY, flags=re.M)) >= 80


def test_terms_are_in_order_below_their_letters_and_none_comes_twice():
    names = [plain(term) for term, *_ in entries()]
    assert names == sorted(names, key=lambda name: re.sub(r"[^a-z0-9 ]", "", name.replace("é", "e")))
    assert len(set(names)) == len(names)
    shorts = [short.casefold() for term, *_ in entries() for short in re.findall(r"\((.*)\)", term)]
    assert len(set(shorts + names)) == len(shorts + names), "an abbreviation has no entry of its own"
    for letter in re.findall(r"^## (.+)$", GLOSSARY, flags=re.M):
        below = re.findall(r"^- \*\*(.)", part(GLOSSARY, f"## {letter}"), flags=re.M)
        assert below and {first.upper() for first in below} == {letter}


def test_definitions_are_short():
    for term, text, *_ in entries():
        sentences = re.split(r"[.!?](?: |$)", " ".join(text.split()).strip())
        assert 1 <= len([s for s in sentences if s]) <= 3, f"{term}: {text}"
        assert text.endswith("."), f"{term} ends without a full stop"


def test_a_term_occurs_in_the_section_that_its_link_leads_to():
    for term, _, words, target in entries():
        name, _, anchor = target.partition("#")
        number = name.rpartition("/")[2][:2]
        assert words.startswith(f"notebook {number}, "), f"the link of {term} says {words!r}"
        assert plain(term).replace("²", "^2") in section_text(number, unquote(anchor)), f"{term} is not in {target}"


# --- both ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["teaching.md", "glossary.md"])
def test_links_lead_somewhere(name):
    targets = re.findall(r"\]\(([^)\s]+)\)", (DOCS / name).read_text("utf-8"))
    assert targets
    for target in (target for target in targets if not target.startswith("https://")):
        path, _, anchor = target.partition("#")
        place = DOCS / unquote(path)
        assert place.is_file(), f"{target} leads to no file"
        if anchor:
            assert unquote(anchor) in anchors(lesson(place.name[:2])), f"{place.name} has no heading #{anchor}"


def test_the_tables_of_08_are_rows_of_the_table_they_come_from():
    """Three seeds of each loss, which the notebook has no time for: mean ± deviation, cell by cell."""
    (head, *table) = rows_with_head(part((DOCS / "performance.md").read_text("utf-8"), "## Sharper portraits"))
    measured = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in table}
    told = [cell.source for _, cell in lesson("08").markdown if "| PSNR, dB |" in cell.source]
    assert len(told) == 3
    for page in told:
        (columns, *lines) = rows_with_head(page)
        assert len(lines) >= 4
        for name, *values in lines:
            assert values == [measured[name][column] for column in columns[1:]], name


def test_the_table_of_09_has_the_numbers_of_the_table_it_comes_from():
    (head, *table) = rows_with_head(part((DOCS / "performance.md").read_text("utf-8"), "## Styles swapped"))
    measured = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in table}
    (page,) = [cell.source for _, cell in lesson("09").markdown if "carried over, dB" in cell.source]
    (_, *lines) = rows_with_head(page)
    assert len(lines) >= 6
    for name, _, *values in lines:
        decoded = measured.get(f"{name}, decoded", {"4 seen, dB": "", "style from content, R²": ""})
        carried = measured.get(f"{name}, carried over") or measured[name]
        wanted = [decoded["4 seen, dB"], carried["4 seen, dB"], decoded["style from content, R²"]]
        assert values == wanted, name


def test_the_table_of_12_has_the_numbers_of_the_table_it_comes_from():
    (head, *table) = rows_with_head(part((DOCS / "performance.md").read_text("utf-8"), "## What diagnose finds"))
    measured = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in table}
    (page,) = [cell.source for _, cell in lesson("12").markdown if "| false alarms |" in cell.source]
    (_, *lines) = rows_with_head(page)
    assert [name for name, *_ in lines] == ["all that were seen in the making", "all that were kept out"]
    for name, found, alarms in lines:
        row = measured[name]
        assert row["patients found"] == row["named first"] == found and row["false alarms"] == alarms


def test_what_05_tells_of_the_whole_gaussian_is_in_the_table_it_comes_from():
    (head, *table) = rows_with_head(part((DOCS / "performance.md").read_text("utf-8"), "## Denoising portraits"))
    weakest = {row[0]: row[1] for row in table}
    assert head[1] == "σ = 0.02"
    told = " ".join(cell.source for _, cell in lesson("05").markdown)
    for row in ("Gaussian, all directions", "all directions − filter", "mean of filter and all directions"):
        assert f"{weakest[row]} dB" in told, row


def rows_with_head(text):
    """The rows of a table, its first one included, without the line of dashes."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return [[value.strip() for value in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("name", ["teaching.md", "glossary.md"])
def test_headings_are_in_order_and_each_has_a_name_of_its_own(name):
    found = headings((DOCS / name).read_text("utf-8"))
    assert [level for level, _ in found].count(1) == 1 == found[0][0]
    assert all(after <= before + 1 for (before, _), (after, _) in itertools.pairwise(found))
    assert len({title for _, title in found}) == len(found)


def test_the_nats_of_digits_that_07_tells_are_those_of_the_table():
    """They come from three trainings of each model, which the notebook has no time for."""
    table = part((DOCS / "performance.md").read_text("utf-8"), "## Likelihood of the 8 × 8 digits")
    told = " ".join(cell.source for _, cell in lesson("07").markdown)
    nats = {name: f"{float(value):.1f}" for name, value in re.findall(r"^\| (.+?) \| (\d+\.\d+)", table, flags=re.M)}
    tied = {value for name, value in nats.items() if "ladder" in name or "mixture of 50" in name or "of 20" in name}
    (plain,) = (value for name, value in nats.items() if "prior N(0, I)" in name)
    (best,) = (value for name, value in nats.items() if "VampPrior of 50" in name)
    assert len(tied) == 1, tied
    assert f"tie at {tied.pop()}, the flat model has {plain}, and a VampPrior of 50 has {best}" in told
