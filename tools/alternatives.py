"""Alternative texts of a notebook's pictures, from the words that stand under them.

After each cell with a picture a notebook says in words what is to be seen (tests/notebook_rules.py asks for it). The
beginning of these words, without formulas and marks, is what a screen reader reads instead of the picture: it is
written once, and where the picture changes its reviewer has both in view.
"""

from __future__ import annotations

import re

ENOUGH, MOST = 80, 260  # characters: further sentences are taken until the first, and while they fit into the second
OF_A_PANEL = re.compile(r"(Left|Right|Middle|Top|Bottom|Above|Below|First|Second|Third|Fourth|Last)( and \w+)?: ")
TEX = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "varepsilon": "ε", "epsilon": "ε", "theta": "θ",
    "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "varphi": "φ", "Phi": "Φ",
    "omega": "ω", "Omega": "Ω", "Delta": "Δ", "ell": "ℓ", "infty": "∞", "le": "≤", "ge": "≥", "neq": "≠", "ne": "≠",
    "approx": "≈", "times": "×", "cdot": "·", "to": "→", "mid": "|", "sim": "~", "pm": "±", "nabla": "∇", "dots": "…",
    "quad": " ", "qquad": " ",
}  # fmt: skip
DROPPED = ("mathrm", "mathbb", "mathcal", "mathbf", "text", "operatorname", "left", "right", "big", "Big")


def shows_picture(cell: dict) -> bool:
    """Whether a picture is among the outputs of a cell."""
    return any(kind.startswith("image/") for output in cell.get("outputs", []) for kind in output.get("data", {}))


def description(cells: list, number: int) -> str:
    """The words on the picture of cell `number`: the next cell's, up to a heading or prediction, without answers."""
    after = cells[number + 1] if number + 1 < len(cells) else None
    if after is None or after["cell_type"] != "markdown":
        return ""
    words = re.sub(r"<details>.*?</details>", "", "".join(after["source"]), flags=re.DOTALL)
    return re.split(r"^#|\*\*Predict", words, maxsplit=1, flags=re.MULTILINE)[0].strip()


def alternative(words: str) -> str:
    """The alternative text of a picture, from its description: the first sentences, and those on its other panels."""
    paragraph = spoken(re.split(r"\n\s*\n", words.strip(), maxsplit=1)[0])
    text, *others = re.split(r"(?<=[.!?])\s+(?=[\w\"“(])", paragraph)
    others = [sentence for sentence in others if not sentence.endswith(":")]  # it leads over to what comes next
    while others and (len(text) < ENOUGH or len(text) + len(others[0]) < MOST):
        text += " " + others.pop(0)
    return " ".join([text, *filter(OF_A_PANEL.match, others)])


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
    text = re.sub(r"\\sqrt\s*\{([^{}]*)\}", r"√(\1)", text)
    text = re.sub(r"\\([A-Za-z]+)", command, text)
    text = re.sub(r"\\[,;:! ]", " ", text).replace("^2", "²")
    return " ".join(re.sub(r"\\([%|_#&$])|[{}]", r"\1", text).split())
