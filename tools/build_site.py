"""Build the course as a site of static pages: build/site/index.html. It is read without a network, from a folder too.

    python -m tools.build_site [--address https://github.com/OWNER/REPOSITORY]

The landing page is README.md; the notebooks stand there with the outputs that are committed, and nothing is run.
Pages are made by Sphinx with MyST-NB; any warning is an error. The formulas are set by a copy of MathJax that comes
from a Python package and is put beside the pages.

With the repository's public address, each notebook's page links to Colab and Binder. Without --address it is that of
git's remote `origin`, if that is a public https address; if there is none, these links are left out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"
STYLE = ROOT / "docs" / "site"
TITLE = "Variational autoencoders for image synthesis"
MATHJAX = "tex-svg-full.js"  # one file with all of TeX, its letters drawn as curves: no fonts to fetch
LINK = re.compile(r"(?<=\]\()<?([^)\s>]+)>?")
CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
ENOUGH, MOST = 80, 260  # characters of an alternative text: more sentences are taken up to these
TEX = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "varepsilon": "ε", "epsilon": "ε", "theta": "θ",
    "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "varphi": "φ", "Phi": "Φ",
    "omega": "ω", "Omega": "Ω", "Delta": "Δ", "ell": "ℓ", "infty": "∞", "le": "≤", "ge": "≥", "neq": "≠", "ne": "≠",
    "approx": "≈", "times": "×", "cdot": "·", "to": "→", "in": "in", "mid": "|", "sim": "~", "pm": "±",
    "quad": " ", "qquad": " ", "dots": "…", "log": "log", "exp": "exp", "max": "max", "min": "min", "nabla": "∇",
}  # fmt: skip
DROPPED = ("mathrm", "mathbb", "mathcal", "mathbf", "text", "operatorname", "left", "right", "big", "Big", "tfrac")


# --- what stands on a page ---


def description(cells: list, number: int) -> str:
    """The words that describe the picture of cell `number`: the next cell's, up to a heading, a folded answer aside."""
    after = cells[number + 1] if number + 1 < len(cells) else None
    if after is None or after["cell_type"] != "markdown":
        return ""
    words = re.sub(r"<details>.*?</details>", "", source_of(after), flags=re.DOTALL)
    return re.split(r"^#|\*\*Predict", words, maxsplit=1, flags=re.MULTILINE)[0].strip()


def alternative(words: str) -> str:
    """The alternative text of a picture: the first sentences of its description, as plain text without formulas."""
    paragraph = spoken(re.split(r"\n\s*\n", words.strip(), maxsplit=1)[0])
    first, *others = re.split(r"(?<=[.!?])\s+(?=[\w\"“(])", paragraph)
    text = first
    for sentence in others:
        if len(text) >= ENOUGH and len(text) + len(sentence) >= MOST:
            break
        text += " " + sentence
    return text


def spoken(markdown: str) -> str:
    """Markdown as it is read aloud: no links, no marks of emphasis, short formulas in letters (μ = 0.5)."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"\$+([^$]+)\$+", lambda found: letters(found[1]), text)
    text = re.sub(r"(\*\*|\*|`)(?=\S)(.+?)(?<=\S)\1", r"\2", text, flags=re.DOTALL)
    return " ".join(text.split())


def letters(formula: str) -> str:
    """A short TeX formula in Unicode letters."""

    def command(found: re.Match) -> str:
        return "" if found[1] in DROPPED else TEX.get(found[1], found[1])

    text = re.sub(r"\\(?:hat|bar|tilde|overline)\s*\{?(\w|\\\w+)\}?", r"\1", formula)
    text = re.sub(r"\\t?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1/\2", text)
    text = re.sub(r"\\([A-Za-z]+)", command, text)
    text = re.sub(r"\\[,;:! ]", " ", text).replace("\\%", "%").replace("\\|", "|").replace("\\_", "_")
    return " ".join(re.sub(r"[{}]", "", text).split())


def with_alternatives(notebook: dict) -> dict:
    """The notebook with an alternative text for each picture, where MyST-NB looks for it."""
    for number, cell in enumerate(notebook["cells"]):
        if any(shows_picture(output) for output in cell.get("outputs", [])):
            image = {"alt": alternative(description(notebook["cells"], number))}
            cell["metadata"] = {**cell.get("metadata", {}), "mystnb": {"image": image}}
    return notebook


def shows_picture(output: dict) -> bool:
    """Whether a cell's output is drawn as a picture."""
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def with_links_to_run(notebook: dict, name: str, address: str | None, branch: str = "main") -> dict:
    """The notebook with links to run it elsewhere after its first cell; as it was where there is no address."""
    if (text := links_to_run(name, address, branch)) is not None:
        notebook["cells"].insert(1, {"cell_type": "markdown", "id": "run-it", "metadata": {}, "source": text})
    return notebook


def links_to_run(name: str, address: str | None, branch: str = "main") -> str | None:
    """Markdown with links that open notebooks/NAME on Binder and, from GitHub, in Colab; None without an address."""
    if address is None:
        return None
    host, _, repository = address.removeprefix("https://").partition("/")
    place = quote(f"lab/tree/notebooks/{name}", safe="")
    known = {"github.com": f"gh/{repository}", "gitlab.com": f"gl/{quote(repository, safe='')}"}
    kind = known.get(host, f"git/{quote(address, safe='')}")
    binder = f"https://mybinder.org/v2/{kind}/{branch}?urlpath={place}"
    text = f"**Run it.** [Open this notebook on Binder]({binder})"
    if host == "github.com":
        colab = f"https://colab.research.google.com/github/{repository}/blob/{branch}/notebooks/{name}"
        text += f", or [open it in Colab]({colab}) and run `!git clone {address} course && pip install -q ./course` first"
    return f"{text}."


def anchors_of_pages(markdown: str, of_a_notebook: bool) -> str:
    """Links to headings of notebooks, written as JupyterLab names them, in the form that the pages have."""

    def rewritten(found: re.Match) -> str:
        path, hash_, anchor = found[1].partition("#")
        if anchor and "://" not in path and (path.endswith(".ipynb") or (of_a_notebook and not path)):
            return path + hash_ + re.sub(r"[^\w-]", "", unquote(anchor).lower())
        return found[1]

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
    host = parts.hostname or ""
    named = "." in host and re.search(r"[a-z]", host) and not host.endswith((".local", ".internal", ".localdomain"))
    if parts.scheme != "https" or not named or parts.netloc != host or len(parts.path.strip("/").split("/")) < 2:
        return None
    return f"https://{host}/{parts.path.strip('/').removesuffix('.git')}"


def git(*arguments: str) -> str:
    """What git prints here; nothing where there is no git or no repository."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def find_address(given: str) -> str | None:
    """The repository's address, as given or from git; a line is printed where there is none."""
    if given and public_address(given) is None:
        raise SystemExit(f"--address must be a public https address of a repository, not {given!r}.")
    address = public_address(given or git("remote", "get-url", "origin"))
    if address is None:
        print("No public https address is known (make site ADDRESS=https://...): no links to Colab and Binder.")
    return address


# --- laying it out and building it ---


def pages_of(root: Path) -> list[str]:
    """The Markdown files and notebooks that become pages, in the order of the sidebar; without README.md."""
    found = sorted(root.glob("notebooks/*.ipynb")) + sorted(root.glob("docs/*.md"))
    found += [root / name for name in ("CONTRIBUTING.md", "CHANGELOG.md") if (root / name).exists()]
    return [path.relative_to(root).as_posix() for path in found]


def lay_out(root: Path, folder: Path) -> None:
    """Copy pages, the pictures on them and the files that they link to; README.md becomes index.md."""
    pages = pages_of(root)
    for name in ("README.md", *pages):
        copy(root / name, folder / name)
        for target in linked_files(root / name):
            copy(target, folder / target.relative_to(root))
    index = landing_page((root / "README.md").read_text("utf-8"), pages)
    (folder / "README.md").unlink()
    (folder / "index.md").write_text(index, "utf-8")


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
    return "\n\n".join(source_of(cell) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def source_of(cell: dict) -> str:
    """The text of a cell, which a file may hold as a list of lines."""
    return "".join(cell["source"])


def copy(source: Path, target: Path) -> None:
    """Copy a file to a folder that need not exist yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def settings(address: str | None) -> dict:
    """What Sphinx is told."""
    return {
        "project": TITLE,
        "author": "the authors of the course",
        "html_title": TITLE,
        "html_short_title": "VAE course",
        "language": "en-GB",
        "extensions": ["myst_nb", "tools.build_site"],
        "html_theme": "sphinx_book_theme",
        "html_theme_options": {
            "use_fullscreen_button": False,
            "repository_url": address or "",
            "use_repository_button": address is not None,
            "extra_footer": "Code: MIT. Prose and figures: CC BY 4.0.",
            "search_bar_text": "Search the course",
            "show_navbar_depth": 1,
        },
        "html_show_copyright": False,
        "html_static_path": [str(STYLE), str(mathjax_folder())],
        "html_css_files": ["style.css"],
        "mathjax_path": MATHJAX,
        "nb_execution_mode": "off",
        "myst_enable_extensions": ["dollarmath", "amsmath"],
        "myst_dmath_double_inline": True,
        "myst_heading_anchors": 6,
        "highlight_language": "none",
        "course_address": address,
        "course_branch": git("branch", "--show-current") or "main",
    }


def mathjax_folder() -> Path:
    """A folder with nothing but the one file of MathJax that the pages use."""
    folder = SITE.parent / "mathjax"
    packed = f"sphinx-mathjax-offline/static/mathjax/{MATHJAX}"
    copy(Path(importlib.metadata.distribution("sphinx-mathjax-offline").locate_file(packed)), folder / MATHJAX)
    return folder


def setup(app) -> dict:
    """Called by Sphinx: this module is an extension."""
    app.add_config_value("course_address", None, "html", types=(str, type(None)))
    app.add_config_value("course_branch", "main", "html")
    app.connect("source-read", prepare_page)
    app.connect("doctree-read", whole_formulas)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def prepare_page(app, name: str, content: list[str]) -> None:
    """Alternative texts and links, put into a page as it is read."""
    path = Path(app.env.doc2path(name))
    if path.suffix != ".ipynb":
        content[0] = anchors_of_pages(content[0], of_a_notebook=False)
        return
    notebook = with_alternatives(json.loads(content[0]))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = anchors_of_pages(source_of(cell), of_a_notebook=True)
    notebook = with_links_to_run(notebook, path.name, app.config.course_address, app.config.course_branch)
    content[0] = json.dumps(notebook)


def whole_formulas(app, doctree) -> None:
    r"""Hand each displayed formula to MathJax as it is: Sphinx would wrap those with \\ so that \tag is not allowed."""
    from docutils import nodes

    for formula in doctree.findall(nodes.math_block):
        formula["nowrap"] = True
        formula["classes"].append("amsmath")


def build(address: str | None) -> None:
    """Make build/site anew.

    Raises:
        SystemExit: what Sphinx warned of.
    """
    try:
        from sphinx.application import Sphinx
        from sphinx.errors import SphinxError
    except ImportError:
        raise SystemExit("The site needs the extra `site`: pip install -e '.[site]', or make site.") from None
    work = SITE.parent / "site-sources"
    for folder in (SITE, work):
        shutil.rmtree(folder, ignore_errors=True)
    lay_out(ROOT, work)
    options = {"confoverrides": settings(address), "warningiserror": True, "status": None, "freshenv": True}
    try:
        app = Sphinx(work, None, SITE, SITE.parent / "site-doctrees", "html", **options)
        app.build(force_all=True)
    except SphinxError as error:
        raise SystemExit(f"The site is not built: {error}") from None
    if app.statuscode:
        raise SystemExit("The site has warnings; see above.")


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="", help="the repository's public https address")
    address = find_address(parser.parse_args(arguments).address)
    started = time.process_time()
    build(address)
    size = sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file())
    seconds = time.process_time() - started
    print(f"{SITE.relative_to(ROOT) / 'index.html'}: {size / 1e6:.0f} MB, {seconds:.0f} s of CPU time")


if __name__ == "__main__":
    sys.exit(main())
