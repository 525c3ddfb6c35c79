"""The site: what is put on its pages, and, in `make soak`, the whole of it built and opened without a network.

Screenshots are kept in the folder that the environment variable VAE_HELPERS_SCREENSHOTS names, or else in pytest's own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import accessibility_rules as rules
from tools import build_site

ADDRESS = "https://github.com/someone/course"
MOST_SECONDS = 60  # of CPU time, for building it
SEARCHED = "reparameterization"
# MathJax marks what it could not read, or leaves it red; a formula that it did not find has no container.
BAD_FORMULAS = """() => [
    ...document.querySelectorAll('[data-mml-node=merror], mjx-container [fill=red]'),
    ...[...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container')),
].map(e => e.closest('.math').textContent)"""
FORMULAS = "() => document.querySelectorAll('mjx-container').length"
TYPESET = "() => window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => true) : true"
TOO_WIDE = "() => document.documentElement.scrollWidth - window.innerWidth"


# --- addresses ---


def https(place):
    return f"https://{place}"


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (ADDRESS, ADDRESS),
        (f"{ADDRESS}.git", ADDRESS),
        (f" {ADDRESS}/\n", ADDRESS),
        (https("gitlab.com/group/part/course.git"), https("gitlab.com/group/part/course")),
        ("http://github.com/someone/course", None),
        (https("name:secret@github.com/someone/course"), None),
        (https("localhost/someone/course"), None),
        (https("192.168.0.1/someone/course"), None),
        (https("git.example.internal/someone/course"), None),
        (https("example.org:8443/someone/course"), None),
        ("https://github.com/someone", None),
        ("git@github.com:someone/course.git", None),
        ("/srv/course.git", None),
        ("", None),
    ],
)
def test_only_a_public_https_address_is_linked_to(given, address):
    assert build_site.public_address(given) == address


def test_an_address_of_ones_own_that_is_not_public_is_refused():
    with pytest.raises(SystemExit, match=r"must be public.*'http://localhost/a'"):
        build_site.find_address("http://localhost/a")


def test_without_an_address_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(build_site, "git", lambda *arguments: "")
    assert build_site.find_address("") is None
    assert capsys.readouterr().out.count("\n") == 1
    monkeypatch.setattr(build_site, "git", lambda *arguments: f"{ADDRESS}.git")
    assert build_site.find_address("") == ADDRESS and capsys.readouterr().out == ""


def test_links_to_run_a_notebook_depend_on_where_the_repository_is():
    text = build_site.links_to_run("01_a.ipynb", ADDRESS, "main")
    assert "https://mybinder.org/v2/gh/someone/course/main?urlpath=lab%2Ftree%2Fnotebooks%2F01_a.ipynb" in text
    assert "https://colab.research.google.com/github/someone/course/blob/main/notebooks/01_a.ipynb" in text
    assert f"git clone {ADDRESS} course" in text
    text = build_site.links_to_run("01_a.ipynb", https("gitlab.com/group/course"))
    assert "/v2/gl/group%2Fcourse/main?" in text and "Colab" not in text
    text = build_site.links_to_run("01_a.ipynb", "https://example.org/a/b")
    assert "/v2/git/https%3A%2F%2Fexample.org%2Fa%2Fb/main?" in text and "Colab" not in text


# --- pages before they are built ---


def notebook(*sources):
    return {"cells": [{"cell_type": "markdown", "metadata": {}, "source": text} for text in sources]}


def test_links_to_run_stand_after_the_first_cell_or_nowhere():
    shown = build_site.with_links_to_run(notebook("# Title", "text"), "a.ipynb", ADDRESS)
    assert [cell["source"][:7] for cell in shown["cells"]] == ["# Title", "**Run i", "text"]
    assert build_site.with_links_to_run(notebook("# Title", "text"), "a.ipynb", None) == notebook("# Title", "text")


def test_a_picture_takes_its_words_from_the_cell_after_it():
    words = "A straight line that rises from the left to the right across the whole of the picture."
    drawn = {"cell_type": "code", "metadata": {"tags": ["widget"]}, "outputs": [{"data": {"image/png": "..."}}]}
    printed = {"cell_type": "code", "metadata": {}, "outputs": [{"text": "1"}]}
    shown = build_site.with_alternatives({"cells": [printed, drawn, *notebook(words)["cells"]]})
    assert shown["cells"][1]["metadata"] == {"tags": ["widget"], "mystnb": {"image": {"alt": words}}}
    assert shown["cells"][0]["metadata"] == {}


@pytest.mark.parametrize(
    ("link", "of_a_notebook", "target"),
    [
        ("../notebooks/02_a.ipynb#2.-Why-not-%22x%22?", False, "../notebooks/02_a.ipynb#2-why-not-x"),
        ("#Claims-checked", True, "#claims-checked"),
        ("performance.md#an-Anchor", False, "performance.md#an-Anchor"),
        ("../README.md#two-commands", False, "../index.md#two-commands"),
        ("README.md", False, "index.md"),
        ("../OLDREADME.md", False, "../OLDREADME.md"),
        ("https://example.org/a.ipynb#A", False, "https://example.org/a.ipynb#A"),
    ],
)
def test_links_lead_to_where_pages_have_their_headings(link, of_a_notebook, target):
    assert build_site.links_of_pages(f"[a]({link})", of_a_notebook) == f"[a]({target})"
    assert build_site.links_of_pages(f"`[a]({link})`\n```\n[a]({link})\n```\n", of_a_notebook).count(link) == 2


def test_pages_and_what_they_show_are_gathered(tmp_path):
    root, out = tmp_path / "repository", tmp_path / "pages"
    files = {
        "README.md": "# A\n\n[licence](LICENSE) [one](notebooks/01_a.ipynb) ![a picture](docs/a.png) [out](../secret)",
        "README.zh.md": "# 课程",
        "LICENSE": "free",
        "docs/b.md": "# B\n\n`[no link](LICENSE)` [tool](../tools/c.py#L1)",
        "docs/a.png": "",
        "docs/unused.png": "",
        "tools/c.py": "",
        "notebooks/01_a.ipynb": json.dumps(notebook("# One", "[two](02_b.ipynb)")),
        "notebooks/02_b.ipynb": json.dumps(notebook("# Two")),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    build_site.lay_out(root, out)
    laid = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert laid == {*files, "index.md"} - {"README.md", "docs/unused.png"}
    index = (out / "index.md").read_text("utf-8")
    assert index.startswith(files["README.md"])
    lists = [part.split("\n\n", 1)[1].split() for part in index.split("```{toctree}")[1:]]
    assert lists == [["notebooks/01_a.ipynb", "notebooks/02_b.ipynb", "```"], ["README.zh.md", "docs/b.md", "```"]]


@pytest.mark.parametrize(
    ("before", "after", "kept_together"),
    [
        ("with ", ", which", "x,"),
        ("the ", "-axis is", "x-axis"),
        ("the ", "th pixel", "xth"),
        ("so (", ") holds", "(x)"),
        ("so ", "; (a remark)", "x;"),
        ("let ", " be", None),
        ("let ", "", None),
        ("", " is", None),
    ],
)
def test_a_formula_stays_with_its_comma(before, after, kept_together):
    nodes = pytest.importorskip("docutils.nodes", reason="docutils comes with the extra `site`")
    paragraph = nodes.paragraph("", "", *map(nodes.Text, filter(None, [before])), nodes.math("", "x"))
    paragraph += [nodes.Text(after)] if after else []
    build_site.formulas_with_their_neighbours(None, paragraph)
    assert paragraph.astext() == f"{before}x{after}" and len(list(paragraph.findall(nodes.math))) == 1
    together = [node.astext() for node in paragraph.findall(nodes.inline) if node["classes"] == ["together"]]
    assert together == ([kept_together] if kept_together else [])


def test_the_built_pages_are_not_committed():
    ignored = (build_site.ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert f"/{build_site.SITE.relative_to(build_site.ROOT).parts[0]}/" in ignored


# --- the built site ---


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with an address; a warning of Sphinx would end it."""
    folder = tmp_path_factory.mktemp("site")
    before = os.times()
    run = build("--address", ADDRESS, "--folder", folder)
    assert run.returncode == 0, run.stderr
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    assert 0 < seconds < MOST_SECONDS
    return folder


def build(*arguments, root=build_site.ROOT):
    """Build the site of a repository in a process of its own."""
    command = [sys.executable, "-m", "tools.build_site", *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600)


def pages(site):
    return [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]


def build_small_course(root, readme):
    """A repository of two texts, and the run that built its site."""
    for name in ("tools/build_site.py", "tools/alternatives.py", "docs/conf.py", "docs/site/style.css"):
        build_site.copy(build_site.ROOT / name, root / name)
    (root / "README.md").write_text(readme, "utf-8")
    (root / "README.zh.md").write_text("# 课程\n\n[English](README.md)", "utf-8")
    return build(root=root)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("text", "warning"), [("[b](missing.md)", "missing.md"), ("#### B", "H1 to H4"), ("![a](b.png)", "b.png")]
)
def test_a_warning_keeps_the_site_from_being_built(tmp_path, text, warning):
    run = build_small_course(tmp_path, f"# A\n\n{text}")
    assert run.returncode != 0 and warning in run.stderr and "warned" in run.stderr


@pytest.mark.soak
def test_a_page_says_which_language_it_is_in_and_links_lead_back(tmp_path):
    run = build_small_course(tmp_path, "# A\n\n[中文](README.zh.md)")
    assert run.returncode == 0 and run.stderr == "", run.stderr
    site = tmp_path / "build" / "site"
    english, chinese = ((site / name).read_text("utf-8") for name in ("index.html", "README.zh.html"))
    assert '<html lang="en-GB"' in english and 'href="README.zh.html"' in english and "mybinder" not in english
    assert '<html lang="zh"' in chinese and 'href="index.html"' in chinese


def test_a_folder_with_other_things_is_not_emptied(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(SystemExit, match="no site"):
        build_site.main(["--folder", str(tmp_path)])
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.soak
def test_every_notebook_and_text_has_a_page_that_everyone_can_read(site):
    names = {path.relative_to(site).with_suffix("").as_posix() for path in pages(site)}
    assert names == {
        "index",
        "search",
        *(str(Path(page).with_suffix("")) for page in build_site.pages_of(build_site.ROOT)),
    }
    assert {str(path): found for path in pages(site) if (found := list(rules.page(path.read_text("utf-8"))))} == {}


@pytest.mark.soak
def test_nothing_is_loaded_from_elsewhere(site):
    sheets = list(site.rglob("*.css"))
    assert sheets
    assert [line for path in [*pages(site), *sheets] for line in rules.outside(path, site)] == []


@pytest.mark.soak
def test_notebooks_keep_their_outputs_and_link_to_where_they_run(site):
    branch = build_site.git("branch", "--show-current") or "main"
    for path in sorted((build_site.ROOT / "notebooks").glob("*.ipynb")):
        html = (site / "notebooks" / path.with_suffix(".html").name).read_text("utf-8")
        cells = json.loads(path.read_text("utf-8"))["cells"]
        pictures = sum("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
        assert html.count('src="../_images/') == pictures > 0
        assert "claim holds: " in html and "jupyter-widgets" not in html
        assert f"/someone/course/blob/{branch}/notebooks/{path.name}" in html and "https://mybinder.org/v2/gh/" in html
        offered = site / "_sources" / "notebooks" / path.name
        assert f'href="../_sources/notebooks/{path.name}"' in html and offered.read_bytes() == path.read_bytes()


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("theme", "width"), [("light", 1300), ("dark", 1300), ("light", 400), ("dark", 400)])
def test_pages_work_in_a_browser_without_a_network(site, browser, tmp_path, theme, width):
    folder = Path(os.environ.get("VAE_HELPERS_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=theme, offline=True)
    for path in pages(site):
        requests, errors = [], []
        page = context.new_page()
        page.on("request", lambda request, seen=requests: seen.append(request.url))
        page.on("requestfailed", lambda request, seen=errors: seen.append(f"failed: {request.url}"))
        page.on("pageerror", lambda error, seen=errors: seen.append(str(error)))
        page.on("console", lambda said, seen=errors: seen.append(said.text) if said.type == "error" else None)
        page.goto(path.as_uri())
        page.evaluate(TYPESET)
        assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
        assert errors == [] and page.evaluate(BAD_FORMULAS) == [] and page.evaluate(TOO_WIDE) <= 0, path.name
        assert page.evaluate("() => document.documentElement.dataset.theme") == theme
        if path.parent.name == "notebooks":
            assert page.evaluate(FORMULAS) > 50
        page.screenshot(path=folder / f"site_{path.stem}_{theme}_{width}.png", full_page=True)
        page.close()
    context.close()


@pytest.mark.soak
def test_search_finds_a_notebook_without_a_network(site, browser):
    page = browser.new_page(offline=True)
    page.goto(f"{(site / 'search.html').as_uri()}?q={SEARCHED}")
    found = page.locator("#search-results li a")
    found.first.wait_for(timeout=10_000)
    assert any("03_the_reparameterization_trick" in link.get_attribute("href") for link in found.all())
    page.close()
