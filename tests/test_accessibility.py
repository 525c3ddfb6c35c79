"""Words in place of pictures, headings, links and colours that serve everyone; and that each rule can fail."""

import ast
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import colormaps

from tests import accessibility_rules as rules
from tools.alternatives import alternative, letters, spoken
from tools.build_site import ROOT, pages_of, text_of
from vae_helpers import plots

TEXTS = ["README.md", *pages_of(ROOT)]
NOTEBOOKS = [name for name in TEXTS if name.endswith(".ipynb")]
LONG = "Left: a rising line that crosses the whole picture, and under it the same line once more, dashed. "


def cells_of(name):
    return json.loads((ROOT / name).read_text("utf-8"))["cells"]


# --- the course keeps the rules ---


@pytest.mark.parametrize("name", TEXTS)
def test_headings_are_in_order_and_links_say_where_they_lead(name):
    text = text_of(ROOT / name)
    assert [*rules.headings(text), *rules.links(text)] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_pictures_have_alternative_texts(name):
    assert list(rules.alternatives(cells_of(name))) == []


def test_colours_are_told_apart_with_any_colour_vision():
    """A difference of 10 is seen at a glance. Ten classes come closer; they are drawn as letters as well."""
    assert list(rules.alike(plots.COLOURS, least=10)) == []
    classes = dict(enumerate(plots.class_colours(10).colors))
    assert len(set(classes.values())) == 10 and list(rules.alike(classes, least=8)) == []


def test_scales_grow_lighter_with_any_colour_vision():
    scale = colormaps[plots.SEQUENTIAL](np.linspace(0, 1, 64))[:, :3]
    low, high = np.split(colormaps[plots.DIVERGING](np.linspace(0, 1, 65))[:, :3], [33])
    for part in (scale, low, high):
        assert list(rules.uneven(part)) == []


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        (text, behind)
        for text in ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
        for behind in ("figure.facecolor", "axes.facecolor")
    ],
)
def test_words_in_figures_stand_out(text, behind):
    colour = plt.rcParams[text] if plt.rcParams[text] != "auto" else plt.rcParams["text.color"]
    assert rules.contrast(colour, plt.rcParams[behind]) >= rules.LEAST_CONTRAST


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_coloured_words_in_figures_stand_out(name):
    source = "\n".join("".join(cell["source"]) for cell in cells_of(name) if cell["cell_type"] == "code")
    for call in ast.walk(ast.parse(source)):
        if getattr(getattr(call, "func", None), "attr", "") in ("text", "annotate", "set_title", "suptitle"):
            for keyword in call.keywords:
                if keyword.arg in ("color", "c") and isinstance(keyword.value, ast.Constant):
                    assert rules.contrast(keyword.value.value, "white") >= rules.LEAST_CONTRAST, ast.unparse(call)


# --- alternative texts ---


def test_an_alternative_text_is_the_beginning_of_the_description_in_plain_words():
    words = f"{LONG}It *rises* by $\\sigma = 0.5$, see [the end](#Summary).\n\nA new paragraph is not part of it."
    assert alternative(words) == f"{LONG}It rises by σ = 0.5, see the end."


def test_what_leads_over_to_the_next_cell_is_no_part_of_it():
    assert alternative(f"{LONG}How often it does so:") == LONG.strip()


def test_each_panel_is_mentioned_and_long_remarks_between_are_left_out():
    remark = "This is a long remark on what the reader may want to think about it, " * 4 + "and so on. "
    assert alternative(f"{LONG}{remark}Right: a circle. {remark}") == f"{LONG}Right: a circle."


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (r"\mu = 0.5", "μ = 0.5"),
        (r"\hat p_K(x)", "p_K(x)"),
        (r"e^{\mathrm{log\_var}}", "e^log_var"),
        (r"\frac{1}{2}", "1/2"),
        (r"\sigma / \sqrt{2\pi}", "σ / √(2π)"),
        (r"p(z \mid x)", "p(z | x)"),
        (r"10\,\%", "10 %"),
        (r"R^2", "R²"),
    ],
)
def test_short_formulas_are_read_in_letters(formula, words):
    assert letters(formula) == words and spoken(f"so ${formula}$ it is") == f"so {words} it is"


# --- each rule can fail ---


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("# One\n\n### Three", "jumps from level 1 to level 3"),
        ("# One\n\n# Another", "one heading of the first level"),
        ("## Two\n\n# One", "at the top"),
        ("No heading", "one heading"),
    ],
)
def test_headings_out_of_order_are_found(text, wrong):
    assert wrong in " ".join(rules.headings(text))


def test_what_only_looks_like_a_heading_is_none():
    assert list(rules.headings("# One\n\n```\n### a comment\n```\n\n    # another\n\n## Two")) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Click [here](a.md).", "does not say where"),
        ("See [this\npage](a.md).", "does not say where"),
        ("As in [1](a.md).", "does not say where"),
        ("[https://example.org/a](https://example.org/a)", "in place of words"),
        ("Look at https://example.org/a for more.", "bare address"),
        ("<https://example.org/a>", "bare address"),
        ("[the notebook](a.md) and [The notebook](b.md)", "same words"),
    ],
)
def test_links_without_meaning_are_found(text, wrong):
    assert wrong in " ".join(rules.links(text))


def test_links_with_meaning_and_addresses_in_code_are_fine():
    text = "[the paper](https://example.org/a), [the paper](https://example.org/a), `https://example.org/b`\n\n    git https://example.org/c"
    assert list(rules.links(text)) == []


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("", "0 letters"),
        ("A line.", "7 letters"),
        ("# A heading right under the picture, in place of a description of it", "0 letters"),
        (LONG * 12, "letters"),
        (LONG + r"Its slope is $\left\{ x \right\}$ `a", "read aloud"),
        (LONG + "It rises <b>fast</b>.", "read aloud"),
        ("The figure shows " + LONG, "said anyway"),
    ],
)
def test_poor_alternative_texts_are_found(words, wrong):
    drawn = {"cell_type": "code", "source": "", "outputs": [{"data": {"image/png": "..."}}]}
    words = words.replace(". ", ", ") if wrong == "letters" else words  # one long sentence
    found = " ".join(rules.alternatives([drawn, {"cell_type": "markdown", "source": words}]))
    assert wrong in found


def test_a_picture_without_any_words_after_it_is_found():
    drawn = {"cell_type": "code", "source": "", "outputs": [{"data": {"image/svg+xml": "..."}}]}
    assert len(list(rules.alternatives([drawn]))) == len(list(rules.alternatives([drawn, drawn]))) - 1 == 1


@pytest.mark.parametrize(
    ("pair", "blind"),
    [
        (("#EF1422", "#0E6025"), "protanopia"),
        (("#FD3436", "#05B90B"), "deuteranopia"),
        (("#E20573", "#F74907"), "tritanopia"),
    ],
)
def test_colours_that_are_alike_without_one_kind_of_cone_are_found(pair, blind):
    (found,) = rules.alike({"one": pair[0], "other": pair[1]}, least=10)
    assert found.startswith(f"{blind}: one and other differ by 2.")


def test_greys_stay_grey_with_any_colour_vision():
    for vision in rules.VISION:
        assert np.allclose(rules.seen([0.5, 0.5, 0.5], vision)[1:], 0, atol=0.1)


def test_a_scale_that_is_not_even_is_found():
    assert len(list(rules.uneven(colormaps["jet"](np.linspace(0, 1, 64))[:, :3]))) == len(rules.VISION)


def test_contrast_is_that_of_the_guidelines():
    assert rules.contrast("black", "white") == pytest.approx(21)
    assert rules.contrast("#767676", "white") > rules.LEAST_CONTRAST > rules.contrast("#777777", "white")


PAGE = """<html lang="en"><head><title>One</title><link rel="stylesheet" href="a.css"></head><body><article><h1>One</h1>
<h2>Two</h2><img src="a.png" alt="A rising line, and under it the same line once more, dashed.">
<a href="b.html">the next page</a><button title="Search"></button></article></body></html>"""


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ('lang="en"', "", "no lang"),
        ('lang="en"', 'lang=""', "no lang"),
        ("<title>One</title>", "", "no title"),
        ("h2>", "h3>", "jumps from level 1 to level 3"),
        ("h1>", "h2>", "one heading of the first level"),
        (re.search('alt="[^"]*"', PAGE)[0], "", "alternative text None"),
        (re.search('alt="[^"]*"', PAGE)[0], 'alt="image.png"', "alternative text 'image.png'"),
        ('title="Search"', "", "no name for <button"),
        (">the next page<", "><", "no name for <a"),
        ("<h2>", '<p id="a"><p id="a"><h2>', "2 elements have the id 'a'"),
    ],
)
def test_pages_that_exclude_someone_are_found(old, new, wrong):
    assert list(rules.page(PAGE)) == []
    assert wrong in " ".join(rules.page(PAGE.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ('src="a.png"', 'src="https://example.org/a.png"', "not in the site's folder"),
        ('src="a.png"', 'src="//example.org/a.png"', "not in the site's folder"),
        ('src="a.png"', 'src="a.png" srcset="a.png 1x, http://example.org/b.png 2x"', "not in the site's folder"),
        ('src="a.png"', 'src="b.png"', "b.png, which is missing"),
        ('src="a.png"', 'src="../../a.png"', "which is missing"),
        ("<h1>", '<script src="https://example.org/a.js"></script><h1>', "a.js, which is not"),
        ('rel="stylesheet" href="a.css"', 'rel="preconnect" href="https://example.org"', "example.org, which is not"),
        ("<h1>", "<style>@import 'https://example.org/a.css';</style><h1>", "a.css, which is not"),
        ("<h1>", '<p style="background: url(https://example.org/a.png)"><h1>', "a.png, which is not"),
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(tmp_path, old, new, wrong):
    for name in ("a.css", "a.png", "b.html"):
        (tmp_path / name).write_text("", "utf-8")
    path = tmp_path / "page.html"
    path.write_text(PAGE, "utf-8")
    assert list(rules.outside(path, tmp_path)) == []
    path.write_text(PAGE.replace(old, new), "utf-8")
    assert wrong in " ".join(rules.outside(path, tmp_path))


def test_what_a_style_sheet_loads_from_elsewhere_is_found(tmp_path):
    path = tmp_path / "a.css"
    path.write_text(
        "a { b: url(data:font/woff;base64,AA) } /* url(c.png) */ @font-face { src: url('f.woff?v=1') }", "utf-8"
    )
    assert [line.split(",")[0] for line in rules.outside(path, tmp_path)] == ["a.css loads f.woff?v=1"]
    (tmp_path / "f.woff").write_bytes(b"")
    assert list(rules.outside(path, tmp_path)) == []
