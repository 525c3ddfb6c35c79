"""What keeps a text, a picture, a palette or a page from being read by everyone: a line for each thing that does.

`tests/test_accessibility.py` holds the sources to these rules, and `tests/test_site.py` the pages made from them.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from bs4 import BeautifulSoup, Tag
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from tools.alternatives import alternative, description, shows_picture

SHORTEST, LONGEST = 40, 600  # letters of an alternative text
MEANINGLESS = {
    "here",
    "click",
    "click here",
    "this",
    "link",
    "this link",
    "this page",
    "page",
    "more",
    "read more",
    "see",
}
NOT_PROSE = re.compile(r"^```.*?^```|^    .*?$|`[^`\n]*`|\$\$.*?\$\$|<!--.*?-->", re.DOTALL | re.MULTILINE)
LEAST_CONTRAST = 4.5  # of text with what is behind it (WCAG 2.2, success criterion 1.4.3)

# Colour vision that lacks one kind of cone, on linear RGB (Machado, Oliveira & Fernandes 2009, severity 1).
VISION = {
    "all three cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


# --- texts ---


def headings(markdown: str) -> Iterator[str]:
    """One title, at the top, and no level left out."""
    found = re.findall(r"^(#{1,6}) +(.+?) *#*$", NOT_PROSE.sub("", markdown), flags=re.MULTILINE)
    yield from in_order([(len(hashes), title) for hashes, title in found])


def in_order(found: list[tuple[int, str]]) -> Iterator[str]:
    """The rule for headings, on their levels and texts."""
    if [level for level, _ in found].count(1) != 1 or found[0][0] != 1:
        yield f"there must be one heading of the first level, at the top, not {[t for level, t in found if level == 1]}"
    for (before, _), (level, title) in itertools.pairwise(found):
        if level > before + 1:
            yield f"the heading {title!r} jumps from level {before} to level {level}"


def links(markdown: str) -> Iterator[str]:
    """A link says where it leads, by itself: a list of links is one way to read a page."""
    prose = NOT_PROSE.sub("", markdown)
    leads = defaultdict(set)
    for words, target in re.findall(r"(?<!!)\[([^\]]+)\]\(<?([^)\s>]+)", prose):
        words = re.sub(r"[*_`]", "", " ".join(words.split()))
        leads[words.lower()].add(target)
        if words.lower().strip(" .,:;→»") in MEANINGLESS or not re.search(r"\w\w", words):
            yield f"the link [{words}]({target}) does not say where it leads"
        if re.match(r"(https?://|www\.)", words):
            yield f"the link {words} shows an address in place of words"
    for words, targets in leads.items():
        if len(targets) > 1:
            yield f"links with the same words, {words!r}, lead to {sorted(targets)}"
    for address in re.findall(r"(?<!\]\()(?<!\]\(<)https?://[^\s)>]+", prose):
        yield f"the bare address {address}; give the link words"


def alternatives(cells: list) -> Iterator[str]:
    """Each picture of a notebook has an alternative text that can be read aloud."""
    for number, cell in enumerate(cells):
        if shows_picture(cell):
            text = alternative(description(cells, number))
            if not SHORTEST <= len(text) <= LONGEST:
                yield f"cell {number}: the alternative text has {len(text)} letters: {text[:80]!r}"
            if odd := re.search(r"[\\${}`]|</?[a-z]|\*\*|\]\(|https?:", text):
                yield f"cell {number}: the alternative text cannot be read aloud at {text[odd.start() :][:40]!r}"
            if re.match(r"(an? |the )?(image|picture|figure|plot) (of|shows)\b", text, flags=re.IGNORECASE):
                yield f"cell {number}: that it is a picture is said anyway: {text[:60]!r}"


# --- colours ---


def linear(colour) -> np.ndarray:
    """sRGB in [0, 1] as light (IEC 61966-2-1)."""
    c = np.asarray(colour, dtype=float)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def seen(colours, vision: str) -> np.ndarray:
    """CIELAB (..., 3) of sRGB colours (..., 3), as people with this colour vision see them."""
    light = np.clip(linear(colours) @ np.transpose(VISION[vision]), 0, 1)
    return rgb2lab(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def alike(colours: Mapping[str, str], least: float) -> Iterator[str]:
    """Pairs of colours whose difference (CIEDE2000) is less than `least` for some kind of colour vision."""
    for vision, (one, other) in itertools.product(VISION, itertools.combinations(colours, 2)):
        pair = seen([to_rgb(colours[one]), to_rgb(colours[other])], vision)
        if (difference := float(deltaE_ciede2000(*pair))) < least:
            yield f"{vision}: {one} and {other} differ by {difference:.1f}, less than {least}"


def uneven(colours) -> Iterator[str]:
    """Colour vision for which a scale of colours (N, 3) does not grow lighter, or darker, all the way."""
    for vision in VISION:
        steps = np.diff(seen(colours, vision)[:, 0])
        if not (steps > 0).all() and not (steps < 0).all():
            yield f"{vision}: the lightness of the scale goes up and down"


def contrast(one, other) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    dark, light = sorted(float(linear(to_rgb(c)) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (light + 0.05) / (dark + 0.05)


# --- pages ---


def page(html: str) -> Iterator[str]:
    """A page says its language, its headings are in order, its pictures and controls have names."""
    soup = BeautifulSoup(html, "html.parser")
    if not (soup.html and re.fullmatch(r"[a-z]{2,3}(-\w+)*", soup.html.get("lang") or "")):
        yield "the page has no lang"
    if not (soup.title and soup.title.get_text(strip=True)):
        yield "the page has no title"
    body = soup.find("article") or soup
    yield from in_order([(int(h.name[1]), h.get_text(strip=True)) for h in body.find_all(re.compile("^h[1-6]$"))])
    for image in soup.find_all("img"):
        if len((image.get("alt") or "").strip()) < SHORTEST:
            yield f"the picture {image.get('src')} has the alternative text {image.get('alt')!r}"
    for control in soup.find_all(["a", "button", "input"]):
        if control.get("type") != "hidden" and not name_of(control):
            yield f"a screen reader has no name for {str(control)[:120]}"
    for identity, count in Counter(tag["id"] for tag in soup.find_all(id=True)).items():
        if count > 1:
            yield f"{count} elements have the id {identity!r}"


def name_of(control: Tag) -> str:
    """What a screen reader calls a link or a button: its words, its label, its title or its picture's words."""
    labels = [control.get(key) or "" for key in ("aria-label", "title", "placeholder", "aria-labelledby")]
    pictures = [image.get("alt") or "" for image in control.find_all("img")]
    return "".join([control.get_text(strip=True), *labels, *pictures]).strip()


def outside(path: Path, site: Path) -> Iterator[str]:
    """What a page or a style sheet loads from elsewhere than the site's folder, or in vain."""
    text = path.read_text("utf-8")
    for target in loaded_by_style(text) if path.suffix == ".css" else loaded_by_page(text):
        if not target.startswith(("data:", "#")):
            file = (path.parent / unquote(re.split(r"[?#]", target)[0])).resolve()
            if re.match(r"\w+:|//", target):
                yield f"{path.name} loads {target[:100]}, which is not in the site's folder"
            elif not file.is_file() or not file.is_relative_to(site.resolve()):
                yield f"{path.name} loads {target[:100]}, which is missing"


def loaded_by_page(html: str) -> Iterator[str]:
    """The addresses of what a browser fetches to show a page; links to be followed are not among them."""
    soup = BeautifulSoup(html, "html.parser")
    for tag in soup.find_all(["script", "img", "iframe", "embed", "source", "audio", "video", "track", "object"]):
        yield from (tag[key] for key in ("src", "data", "poster") if tag.get(key))
        yield from (part.split()[0] for part in tag.get("srcset", "").split(",") if part.strip())
    for tag in soup.find_all("link", href=True):
        if {"stylesheet", "icon", "manifest"} & set(tag["rel"]) or any(
            rel.endswith(("load", "fetch", "connect")) for rel in tag["rel"]
        ):
            yield tag["href"]
    for style in [tag.get_text() for tag in soup.find_all("style")] + [
        tag["style"] for tag in soup.find_all(style=True)
    ]:
        yield from loaded_by_style(style)


def loaded_by_style(css: str) -> Iterator[str]:
    """The addresses of fonts, pictures and further sheets in a style sheet."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    for quoted, bare in re.findall(r"url\(\s*(?:[\"'](.*?)[\"']|([^)\s]+))\s*\)", css):
        yield quoted or bare
    yield from re.findall(r"@import\s+[\"']([^\"']+)", css)
