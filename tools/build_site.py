"""Build the course as a site of static pages: build/site/index.html. It is read without a network, from a folder too.

    python -m tools.build_site [--address https://github.com/OWNER/REPOSITORY] [--folder FOLDER]

The landing page is README.md; the notebooks stand there with the outputs that are committed, and nothing is run.
Pages are made by Sphinx with MyST-NB, whose settings are in docs/conf.py; any warning is an error. The formulas are set
by a copy of MathJax that comes from a Python package and is put beside the pages.

With the repository's public address, each notebook's page links to Colab and Binder. Without --address it is that of
git's remote `origin`, if that is a public https address; if there is none, these links are left out.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from tools.alternatives import alternative, description, shows_picture

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"
SETTINGS = ROOT / "docs"  # the folder of conf.py
LINK = re.compile(r"(?<=\]\()<?([^)\s>]+)>?")
CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.DOTALL | re.MULTILINE)


# --- what stands on a page ---


def with_alternatives(notebook: dict) -> dict:
    """The notebook with an alternative text for each picture, where MyST-NB looks for it."""
    for number, cell in enumerate(notebook["cells"]):
        if shows_picture(cell):
            image = {"alt": alternative(description(notebook["cells"], number))}
            cell["metadata"] = {**cell.get("metadata", {}), "mystnb": {"image": image}}
    return notebook


def with_links_to_run(notebook: dict, name: str, address: str | None, branch: str = "main") -> dict:
    """The notebook with links to run it elsewhere after its first cell; as it was where there is no address."""
    if address is not None:
        text = links_to_run(name, address, branch)
        notebook["cells"].insert(1, {"cell_type": "markdown", "id": "run-it", "metadata": {}, "source": text})
    return notebook


def links_to_run(name: str, address: str, branch: str = "main") -> str:
    """Markdown with links that open notebooks/NAME on Binder and, if it is on GitHub, in Colab."""
    host, _, repository = address.removeprefix("https://").partition("/")
    place = quote(f"lab/tree/notebooks/{name}", safe="")
    known = {"github.com": f"gh/{repository}", "gitlab.com": f"gl/{quote(repository, safe='')}"}
    kind = known.get(host, f"git/{quote(address, safe='')}")
    text = f"**Run it.** [Open this notebook on Binder](https://mybinder.org/v2/{kind}/{branch}?urlpath={place})"
    if host == "github.com":
        colab = f"https://colab.research.google.com/github/{repository}/blob/{branch}/notebooks/{name}"
        text += (
            f", or [open it in Colab]({colab}) and run `!git clone {address} course && pip install -q ./course` first"
        )
    return f"{text}."


def links_of_pages(markdown: str, of_a_notebook: bool) -> str:
    """Links as the pages have them: README.md is index.md, a notebook's headings have not JupyterLab's anchors."""

    def rewritten(found: re.Match) -> str:
        path, hash_, anchor = found[1].partition("#")
        if "://" in path:
            return found[1]
        if path.endswith(".ipynb") or (of_a_notebook and not path):
            anchor = re.sub(r"[^\w-]", "", unquote(anchor).lower())
        return re.sub(r"(^|/)README\.md$", r"\1index.md", path) + hash_ + anchor

    parts = CODE.split(markdown)  # every second one is code
    return "".join(part if i % 2 else LINK.sub(rewritten, part) for i, part in enumerate(parts))


def landing_page(readme: str, pages: list[str]) -> str:
    """README.md with the lists of pages for the sidebar."""
    lists = {
        "The course": [page for page in pages if page.startswith("notebooks/")],
        "About it": [page for page in pages if not page.startswith("notebooks/")],
    }
    return readme + "".join(
        "\n\n```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(names) + "\n```\n"
        for caption, names in lists.items()
    )


# --- where it is published ---


def public_address(address: str) -> str | None:
    """An https address that others can reach, without .git at its end; None if it is not one."""
    parts = urlsplit(address.strip())
    host, path = parts.hostname or "", parts.path.strip("/").removesuffix(".git")
    named = re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", host) and not host.endswith(
        (".local", ".internal", ".localdomain")
    )
    if parts.scheme != "https" or parts.netloc != host or not named or "/" not in path:
        return None
    return f"https://{host}/{path}"


def git(*arguments: str) -> str:
    """What git prints here; nothing where there is no git or no repository."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def find_address(given: str) -> str | None:
    """The repository's address, as given or from git; a line is printed where there is none.

    Raises:
        SystemExit: what was given is no public https address.
    """
    if given and public_address(given) is None:
        raise SystemExit(f"--address must be public, such as https://github.com/OWNER/REPOSITORY, not {given!r}.")
    address = public_address(given or git("remote", "get-url", "origin"))
    if address is None:
        print(
            "No public https address is known (make site ADDRESS=https://github.com/...): no links to Colab and Binder."
        )
    return address


# --- laying it out and building it ---


def pages_of(root: Path) -> list[str]:
    """The notebooks and Markdown files that become pages, in the order of the sidebar; without README.md."""
    found = sorted(root.glob("notebooks/*.ipynb")) + sorted(root.glob("README.*.md")) + sorted(root.glob("docs/*.md"))
    found += [root / name for name in ("CONTRIBUTING.md", "CHANGELOG.md") if (root / name).exists()]
    return [path.relative_to(root).as_posix() for path in found]


def lay_out(root: Path, folder: Path) -> None:
    """Copy pages, the pictures on them and the files that they link to; README.md becomes index.md."""
    pages = pages_of(root)
    for name in ("README.md", *pages):
        copy(root / name, folder / name)
        for target in linked_files(root / name):
            copy(target, folder / target.relative_to(root))
    (folder / "README.md").unlink()
    (folder / "index.md").write_text(landing_page((root / "README.md").read_text("utf-8"), pages), "utf-8")


def linked_files(page: Path) -> Iterator[Path]:
    """The files of the repository that a page links to or shows."""
    for target in LINK.findall(CODE.sub("", text_of(page))):
        path = (page.parent / unquote(target.partition("#")[0])).resolve()
        if "://" not in target and path.is_file():
            yield path


def text_of(page: Path) -> str:
    """The Markdown of a page; of a notebook, that of its cells."""
    text = page.read_text("utf-8")
    if page.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def copy(source: Path, target: Path) -> None:
    """Copy a file to a folder that need not exist yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def prepare_page(app, name: str, content: list[str]) -> None:
    """Alternative texts and links, put into a page as it is read."""
    path = Path(app.env.doc2path(name))
    if path.suffix != ".ipynb":
        content[0] = links_of_pages(content[0], of_a_notebook=False)
        return
    notebook = with_alternatives(json.loads(content[0]))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = links_of_pages("".join(cell["source"]), of_a_notebook=True)
    content[0] = json.dumps(with_links_to_run(notebook, path.name, app.config.course_address, app.config.course_branch))


def whole_formulas(app, doctree) -> None:
    r"""Hand each displayed formula to MathJax as it is: Sphinx would wrap those with \\ so that \tag is not allowed."""
    from docutils import nodes

    for formula in doctree.findall(nodes.math_block):
        formula["nowrap"] = True
        formula["classes"].append("amsmath")


def formulas_with_their_neighbours(app, doctree) -> None:
    """Keep a formula and the comma after it on one line; a browser would break between a drawing and a letter."""
    from docutils import nodes

    for formula in list(doctree.findall(nodes.math)):
        parent, place = formula.parent, formula.parent.index(formula)
        before, after = (
            node.astext() if isinstance(node, nodes.Text) else ""
            for node in (parent[place - 1] if place else None, parent[place + 1] if place + 1 < len(parent) else None)
        )
        left = re.search(r"[(\[“‘–-]*$", before)[0]
        right = re.match(r"-?[A-Za-z]{1,12}|[^\s\w(\[]*", after)[0]
        if left or right:
            if left:
                parent[place - 1] = nodes.Text(before.removesuffix(left))
            if right:
                parent[place + 1] = nodes.Text(after.removeprefix(right))
            parts = nodes.Text(left), formula.deepcopy(), nodes.Text(right)
            parent[place] = nodes.inline("", "", *parts, classes=["together"])


def name_language(app, name: str, template: str, context: dict, doctree) -> None:
    """The page of README.zh.md is in Chinese, and its `lang` says so."""
    if translation := re.fullmatch(r"README\.([\w-]+)", name):
        context["language"] = translation[1]


def build(address: str | None, site: Path) -> None:
    """Make the site anew. Sphinx keeps what it knows for as long as Python runs: once in a process.

    Raises:
        SystemExit: what Sphinx warned of, or that it is not installed.
    """
    try:
        from sphinx.application import Sphinx
        from sphinx.errors import SphinxError
    except ImportError:
        raise SystemExit("The site needs Sphinx and its theme: make site, or pip install -e '.[site]'.") from None
    shutil.rmtree(site, ignore_errors=True)
    course = {
        "course_address": address,
        "course_branch": git("branch", "--show-current") or "main",
        "html_theme_options.repository_url": address or "",
        "html_theme_options.use_repository_button": address is not None,
    }
    with tempfile.TemporaryDirectory() as temporary:
        pages, trees = Path(temporary, "pages"), Path(temporary, "trees")
        lay_out(ROOT, pages)
        try:
            app = Sphinx(pages, SETTINGS, site, trees, "html", course, status=None, warningiserror=True)
            app.build()
        except SphinxError as error:
            raise SystemExit(f"The site is not built: {error}") from None
    if app.statuscode:
        raise SystemExit("The site is not whole: Sphinx warned, see above.")


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="", help="the repository's public https address")
    parser.add_argument("--folder", type=Path, default=SITE, help="where to put the pages; what is there is removed")
    options = parser.parse_args(arguments)
    site = options.folder.resolve()
    if site.is_dir() and any(site.iterdir()) and not (site / "searchindex.js").exists():
        raise SystemExit(f"--folder would be emptied, and {site} holds something that is no site. Name another.")
    build(find_address(options.address), site)
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    print(f"{site / 'index.html'}: {size / 1e6:.0f} MB in all, {time.process_time():.0f} s of CPU time")


if __name__ == "__main__":
    sys.exit(main())
