"""README.zh.md says in Chinese what README.md says: section by section the same code, links, pictures and numbers."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tools.notebooks import ROOT

ENGLISH, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
FIRST_LINES = {"README.md": "English · [简体中文](README.zh.md)", "README.zh.md": "简体中文 · [English](README.md)"}
HIDDEN = re.compile(r"<!--.*?-->\n*", re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^    .*\n?)+", re.MULTILINE)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


class Section(NamedTuple):
    """What must not differ between two languages, from one heading to the next."""

    level: int
    code: list[str]  # its commands, without comments
    links: list[tuple[str, str]]  # "!" for a picture, and the target
    notebooks: list[str]  # the first cells of a table's rows, up to the end of the link
    numbers: Counter[str]
    quoted: Counter[str]  # what stands between backquotes
    blocks: list[str]  # "p" for a paragraph, "|" for a row, "c" for code, in their order


def sections(text: str) -> list[Section]:
    """The parts of a README; the line that leads to the other language, and comments, are left out."""
    for line in FIRST_LINES.values():
        text = text.replace(f"{line}\n\n", "", 1)
    parts = re.split(r"^(#{1,6}) .*\n", FENCED.sub(indented, HIDDEN.sub("", text)), flags=re.MULTILINE)
    return [section(len(level), body) for level, body in zip(parts[1::2], parts[2::2], strict=True)]


def indented(fenced: re.Match) -> str:
    """A fenced block as an indented one, which unlike it cannot be taken for a heading."""
    return "\n".join(f"    {line}" for line in fenced[0].splitlines())


def section(level: int, body: str) -> Section:
    code = [block.rstrip() for block in INDENTED.findall(body)]
    prose = INDENTED.sub("\ncode\n", body)
    rows = re.findall(r"^\| \[.*", prose, re.MULTILINE)
    words = LINK.sub(r"\1[\2]", prose)  # a link's words may hold numbers, its address says nothing to a reader
    return Section(
        level,
        [re.sub(r" +#.*", "", block) for block in code],
        [(picture, target) for picture, _, target in LINK.findall(prose)],
        [row.partition(")")[0] for row in rows],
        Counter(re.findall(r"\d+(?:[.,]\d+)*", words)),
        Counter(re.findall(r"`([^`]+)`", prose)),
        [kind(line) for block in re.split(r"\n\s*\n", prose.strip()) for line in lines_of(block)],
    )


def state(english: str) -> str:
    """A short digest of the words of each section, without tables and numbers, which are compared themselves."""
    for line in FIRST_LINES.values():
        english = english.replace(f"{line}\n\n", "", 1)
    bodies = re.split(r"^(?=#{1,6} )", FENCED.sub("", HIDDEN.sub("", english)), flags=re.MULTILINE)[1:]
    words = (re.sub(r"^\|.*$|\d", "", INDENTED.sub("", body), flags=re.MULTILINE).split() for body in bodies)
    return " ".join(hashlib.sha256(" ".join(body).encode()).hexdigest()[:6] for body in words)


def lines_of(block: str) -> list[str]:
    """A table line by line, anything else as one."""
    return block.splitlines() if block.startswith("|") else [block]


def kind(line: str) -> str:
    return "|" if line.startswith("|") else "c" if line.strip() == "code" else "p"


def differences(english: str, chinese: str) -> Iterator[str]:
    """One line for each thing that the two files do not share."""
    here, there = sections(english), sections(chinese)
    if [part.level for part in here] != [part.level for part in there]:
        yield f"the headings have the levels {[p.level for p in here]} and {[p.level for p in there]}"
        return
    for place, (one, other) in enumerate(zip(here, there, strict=True), 1):
        for name, left, right in zip(Section._fields, one, other, strict=True):
            if left != right:
                if isinstance(left, Counter):
                    left, right = dict(left - right), dict(right - left)
                yield f"section {place}, {name}: README.md has {left}, README.zh.md {right}"


def test_both_say_the_same():
    assert list(differences(ENGLISH, CHINESE)) == []


def test_each_section_was_read_again_since_the_english_changed():
    wanted = f"<!-- translated from: {state(ENGLISH)} -->"
    given = CHINESE.splitlines()[-1]
    changed = [n for n, (a, b) in enumerate(zip(wanted.split()[3:], given.split()[3:], strict=False), 1) if a != b]
    assert given == wanted, f"bring sections {changed} of README.zh.md up to date; its last line then is: {wanted}"


def test_other_words_change_the_state_and_other_line_breaks_or_times_do_not():
    assert state(ENGLISH.replace("without a GPU", "with a GPU", 1)) != state(ENGLISH)
    assert state(ENGLISH.replace(" and\n", "\nand ", 1).replace(" min | ", " min | 1")) == state(ENGLISH)


@pytest.mark.parametrize("name", FIRST_LINES)
def test_each_leads_to_the_other_in_its_first_lines(name):
    text = (ROOT / name).read_text("utf-8")
    assert FIRST_LINES[name] in text.splitlines()[:5], f"the third line of {name} has to be: {FIRST_LINES[name]}"


def test_it_is_chinese_with_its_own_punctuation():
    prose = INDENTED.sub("", FENCED.sub("", CHINESE))
    assert len(re.findall(r"[\u4e00-\u9fff]", prose)) > 1000
    assert re.findall(r"[\u4e00-\u9fff][,;:?!.]", prose) == []


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("## Licence", "### Licence", "headings"),
        ("make test ", "make tests ", "code"),
        ("steps=1000", "steps=1500", "code"),
        ("(CONTRIBUTING.md)", "(docs/maintaining.md)", "links"),
        ("![", "[", "links"),
        (" min | ", " min | 1", "numbers"),
        ("Python 3.11 or newer", "Python 3.12 or newer", "numbers"),
        ("[03 · The", "[03 · A", "notebooks"),
        ("`data.skipped`", "`data.left_out`", "quoted"),
        ("## For teachers\n", "## For teachers\n\nOne more paragraph.\n", "blocks"),
    ],
)
def test_a_change_on_one_side_is_found(old, new, wrong):
    assert old in ENGLISH, "the example is out of date"
    found = list(differences(ENGLISH.replace(old, new, 1), CHINESE))
    assert any(wrong in line for line in found), found


def test_a_translated_comment_is_no_difference():
    assert list(differences("# A\n\n    make lab  # one\n", "# 甲\n\n    make lab    # 另一个\n")) == []
