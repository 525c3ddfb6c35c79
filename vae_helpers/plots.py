"""Figures: each function takes data and returns a matplotlib figure, to be shown as the last line of a cell.

One style for all: Okabe & Ito's eight colours, told apart with any colour vision, line styles that differ as well,
small images drawn pixel by pixel. Importing this module applies it.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from vae_helpers import checking
from vae_helpers.images import check_drawable, grid
from vae_helpers.training import History
from vae_helpers.writing import unused, write_whole

if TYPE_CHECKING:
    from vae_helpers.evaluation.diseases import Diagnosis

COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "black": "#000000",
    "yellow": "#F0E442",
}
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
CURVES = 6  # at most, of one panel: black and yellow are kept for marks
SEQUENTIAL = "viridis"  # for amounts; even in lightness, so it survives a grey print
DIVERGING = "PuOr"  # for signed amounts around zero
SAVED_AS, SAVED_DPI = ("png", "pdf", "svg"), 300
DPI = 80  # on the page; a notebook keeps twice as many, see `_sharpen_in_notebooks`


def use_style() -> None:
    """Apply the course's style to matplotlib; done once when this module is imported."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=list(COLOURS.values())) + cycler(linestyle=LINES),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "axes.titlelocation": "left",
            "figure.constrained_layout.use": True,
            "figure.figsize": (7.0, 3.6),
            "figure.dpi": DPI,
            "savefig.dpi": DPI,
            "font.size": 11,
            "image.cmap": SEQUENTIAL,
            "image.interpolation": "nearest",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
        }
    )


def _sharpen_in_notebooks() -> None:
    """Have Jupyter store twice as many pixels each way as a figure takes on the page, for screens that show them."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if hasattr(shell, "kernel"):
        from matplotlib_inline.config import InlineBackend  # comes with every kernel that shows figures

        InlineBackend.instance(parent=shell).figure_formats = {"retina"}


use_style()
_sharpen_in_notebooks()


@contextlib.contextmanager
def _nothing_half_drawn() -> Iterator[None]:
    """Close unfinished figures when drawing fails: a notebook would show them below the error."""
    before = plt.get_fignums()
    try:
        yield
    except Exception:
        for number in set(plt.get_fignums()) - set(before):
            plt.close(number)
        raise


@_nothing_half_drawn()
def images(batch: Tensor, columns: int | None = None, title: str = "", scale: float = 1.0) -> Figure:
    """A grid of pictures.

    Args:
        batch: (N, C, H, W), `uint8` or float in [0, 1].
        columns: pictures in a row; by default nearly square.
        title: stands above it.
        scale: enlarges or shrinks the figure.
    Raises:
        TypeError, ValueError: no such pictures, or fewer than one column.
    """
    picture = grid(check_drawable(batch, "batch"), columns)
    height, width = picture.shape[:2]
    wide = scale * min(7.5, 0.9 * width / batch.shape[-1] + 0.4)
    fig, ax = plt.subplots(figsize=(wide, wide * height / width + 0.35 * bool(title)))
    show_picture(ax, picture, title)
    return finish(fig)


@_nothing_half_drawn()
def rows(named: Mapping[str, Tensor], title: str = "", scale: float = 1.0) -> Figure:
    """Rows of pictures under each other, a name to the left of each: originals, reconstructions, ...

    Args:
        named: name -> (N, C, H, W) with the same N, or fewer.
        title: stands above it.
        scale: enlarges or shrinks the figure.
    Raises:
        TypeError, ValueError: no such pictures.
    """
    for name, batch in _check_named(named).items():
        check_drawable(batch, f"named[{name!r}]")
    most = max(len(batch) for batch in named.values())
    one = scale * min(0.9, 7.0 / most)
    longest = max(len(line) for name in named for line in str(name).split("\n"))
    margin = max(1.6, 0.1 * longest)  # inches for the names
    fig, axes = plt.subplots(len(named), 1, figsize=(one * most + margin, one * len(named) + 0.4 * bool(title)))
    for ax, (name, batch) in zip(np.atleast_1d(axes), named.items(), strict=True):
        if len(batch) < most:  # white places, so that all rows have the same width
            blank = torch.full((most - len(batch), *batch.shape[1:]), 255 if batch.dtype == torch.uint8 else 1.0)
            batch = torch.cat([batch.cpu(), blank.to(batch.dtype)])
        show_picture(ax, grid(batch, most))
        ax.set_anchor("E")
        ax.text(-0.01, 0.5, name, transform=ax.transAxes, ha="right", va="center")
    if title:
        fig.suptitle(title, x=0.01, ha="left", fontsize="medium")
    return finish(fig)


@_nothing_half_drawn()
def history(record: History, parts: Sequence[str] | None = None, ylabel: str = "nats per image") -> Figure:
    """The curves of a training run: each part on training images and, dashed with dots, on validation images.

    Parts of several phases, such as "critic.loss" and "generator.loss", have a panel for each phase. A panel holds six
    parts at most; further ones go into panels below it.

    Args:
        record: what `fit` returned.
        parts: names of its parts, such as ("distortion", "kl"), at least one; by default the loss of each phase.
        ylabel: the vertical axis with its unit.
    Raises:
        KeyError: a part that was not recorded; the message lists those that were.
        ValueError: no parts.
    """
    parts = tuple(record.losses()) if parts is None else parts
    if not parts:
        raise ValueError(f"parts must name at least one of: {', '.join(record.train)}.")
    for part in parts:
        if part not in record.train:
            raise KeyError(f"{part!r} was not recorded; there are: {', '.join(record.train)}.")
    panels = _panels(parts)
    width, height = plt.rcParams["figure.figsize"]
    least = 0.75 if len(panels) > 1 else 1
    heights = [height * max(least, 1.05 * len(names) / CURVES) for _, names in panels]  # a full legend takes all of it
    fig, axes = plt.subplots(
        len(panels), 1, sharex=True, squeeze=False, figsize=(width, sum(heights)), height_ratios=heights
    )
    for ax, (phase, names) in zip(axes.flat, panels, strict=True):
        for part, colour in zip(names, COLOURS.values(), strict=False):
            label = part.removeprefix(f"{phase}.")
            ax.plot(*_computed(record.step, record.train[part]), color=colour, ls="-", label=f"{label}, training")
            if record.validation.get(part):
                points = _computed(record.validation_step, record.validation[part])
                ax.plot(*points, "o--", color=colour, ms=4, label=f"{label}, validation")
        ax.set(ylabel=ylabel, title=phase)
        if len(parts) == 1:
            ax.legend()
        else:  # beside the curves, of which it would hide some
            ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes[-1, 0].set_xlabel("training step")
    return finish(fig)


def _panels(parts: Sequence[str]) -> list[tuple[str, list[str]]]:
    """(phase, names of parts) for each panel of `history`, in the order of the parts."""
    of_phases: dict[str, list[str]] = {}
    for part in dict.fromkeys(parts):
        of_phases.setdefault(part.rpartition(".")[0], []).append(part)
    return [(phase, names[i : i + CURVES]) for phase, names in of_phases.items() for i in range(0, len(names), CURVES)]


def _computed(steps: Sequence[int], values: Sequence[float]) -> tuple[list[int], list[float]]:
    """The points without NaN, a part that was not computed: each would interrupt the curve."""
    points = [(step, value) for step, value in zip(steps, values, strict=True) if not math.isnan(value)]
    return [step for step, _ in points], [value for _, value in points]


@_nothing_half_drawn()
def diagnosis(report: Diagnosis) -> Figure:
    """A report of `diagnose` at a glance: pictures, what each latent says and costs, and what was found.

    Dashed is the price that all latents give together, the line is 1.

    Args:
        report: what `diagnose` returned, of a model with codes.
    Raises:
        ValueError: it has nothing to draw: a model whose numbers are not finite, or one without latents.
    """
    if not report.pictures or "KL by latent, nats" not in report.measured:
        raise ValueError("report has no latents and no pictures to draw. print(report) says what was found.")
    nats, prices = (as_array(report.measured[name]) for name in ("KL by latent, nats", "price by latent"))
    order = np.argsort(-nats)
    fig = plt.figure(figsize=(8.0, 4.6), layout="none")  # the margins by hand: names stand left of pictures
    top, bottom = fig.subfigures(2, 1, height_ratios=(len(report.pictures), 2.4))
    above = {"left": 0.23, "right": 0.98, "bottom": 0.02, "top": 0.86, "hspace": 0.1}
    below = {"left": 0.09, "right": 0.98, "bottom": 0.22, "top": 0.93, "wspace": 0.25}
    rows = np.atleast_1d(top.subplots(len(report.pictures), 1, gridspec_kw=above))
    for ax, (name, pictures) in zip(rows, report.pictures.items(), strict=True):
        show_picture(ax, grid(pictures, len(pictures)))
        ax.text(-0.02, 0.5, name, transform=ax.transAxes, ha="right", va="center")
    said, cost = bottom.subplots(1, 2, gridspec_kw=below)
    places = range(1, len(nats) + 1)
    said.bar(places, nats[order], color=COLOURS["blue"])
    said.set(xlabel="latents, in order of their KL", ylabel="KL, nats")
    cost.plot(places, prices[order], "o", color=COLOURS["vermilion"], clip_on=False)
    read = [1, *prices[np.isfinite(prices) & (prices > 0)]]  # a latent that is not at rest may have any price
    if "price of a nat" in report.measured:
        read.append(report.measured["price of a nat"])
        cost.axhline(read[-1], color=COLOURS["vermilion"], ls="--", lw=1.2)
    cost.axhline(1, color=COLOURS["black"], lw=0.8)
    cost.set(xlabel="latents, in order of their KL", ylabel="price of a nat", yscale="log", xlim=(0, len(nats) + 1))
    cost.set_ylim(min(0.1, 0.8 * min(read)), max(10, 1.2 * max(read)))
    for ax in (said, cost):
        ax.xaxis.get_major_locator().set_params(integer=True)
    fig.suptitle("healthy" if report.healthy else "; ".join(report.names), fontsize="medium")
    return finish(fig)


@_nothing_half_drawn()
def curves(
    x: Tensor | Sequence[float],
    named: Mapping[str, Tensor | Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    log: str = "",
    errors: Mapping[str, Tensor | Sequence[float]] | None = None,
) -> Figure:
    """Several curves over the same x.

    Args:
        x: (N,).
        named: name -> (N,); the name stands in the legend.
        xlabel, ylabel: with units.
        title: stands above.
        log: "x", "y" or "xy" for logarithmic axes.
        errors: name -> (N,), drawn as bands of plus and minus that much.
    Raises:
        TypeError: what should be numbers is something else.
        ValueError: other than (N,), or not as many as x. (NaN is a gap in a curve.)
    """
    at = _vector(x, "x")
    heights = {name: _vector(y, f"named[{name!r}]", len(at)) for name, y in _check_named(named).items()}
    spreads = {name: _vector(y, f"errors[{name!r}]", len(at)) for name, y in (errors or {}).items()}
    fig, ax = plt.subplots()
    for name, y in heights.items():
        (line,) = ax.plot(at, y, label=name)
        if name in spreads:
            low, high = y - spreads[name], y + spreads[name]
            ax.fill_between(at, low, high, color=line.get_color(), alpha=0.2, lw=0)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    if len(named) > 1:
        ax.legend()
    return finish(fig)


@_nothing_half_drawn()
def latent_map(
    codes: Tensor, labels: Tensor, classes: Sequence[str], title: str = "", close_up: float | None = None
) -> Figure:
    """Two-dimensional codes as points, each drawn as the name of its class, so that colour is not needed to read it.

    Args:
        codes: (N, 2).
        labels: (N,), whole numbers that index `classes`.
        classes: names, best of one letter.
        title: stands above.
        close_up: draw a second panel with the middle of the map enlarged: what is at most so far, in each dimension,
            from the median code.
    Raises:
        TypeError: codes are no floating-point numbers, labels no tensor.
        ValueError: codes are not two-dimensional, NaN or infinite, or there is not one label for each.
    """
    checking.tensor(codes, "codes", "(N, 2)")
    checking.shape(labels, "labels", f"({len(codes)},)", "There is one label for each code.")
    panels = 1 if close_up is None else 2
    fig, axes = plt.subplots(1, panels, figsize=(6.0 if panels == 1 else 10.0, 5.5 if panels == 1 else 5.0))
    colours = class_colours(len(classes))
    for ax in np.atleast_1d(axes):
        for k, name in enumerate(classes):
            points = as_array(codes[labels == k])
            marker = f"${name}$" if len(name) == 1 else "o"
            ax.scatter(*points.T, s=36, marker=marker, color=colours(k), linewidths=0.3, label=name)
        ax.set(xlabel="code, dimension 1", ylabel="code, dimension 2", aspect="equal")
        ax.set_adjustable("datalim")
    np.atleast_1d(axes)[0].set_title(title)
    if close_up is not None:
        reach = checking.positive(close_up, "close_up")
        x, y = np.median(as_array(codes), axis=0)
        axes[1].set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach), title="the middle, enlarged")
        axes[1].set_adjustable("box")
        axes[0].add_patch(plt.Rectangle((x - reach, y - reach), 2 * reach, 2 * reach, fill=False, lw=1))
    return finish(fig)


def save(figure: Figure, name: str, folder: str | os.PathLike = "figures") -> None:
    """Save a figure for a report, and print where: `plots.save(plots.images(x), "first digits")`.

    It is written as figures/first-digits.png, with 300 pixels to the inch, and as figures/first-digits.pdf, whose lines
    and letters stay sharp at any size. No file is overwritten: the next are first-digits-2.png and first-digits-2.pdf.

    Args:
        figure: what a function of this module, or plt.figure, returned. In a notebook `_` is what the last cell showed.
        name: a few words; characters that do not belong in a file's name become "-". A name that ends in .png, .pdf or
            .svg is written in that form alone.
        folder: beside the notebook; made if it is not there.
    Raises:
        TypeError: `figure` is no figure, `name` no text or `folder` no path.
        ValueError: `name` has no letter or digit, holds a folder, or asks for another form.
        OSError: the folder cannot be made or written to; nothing is left half written.
    """
    if not isinstance(figure, Figure):
        cure = "In a notebook `_` is the figure that the last cell showed."
        raise TypeError(f"figure must be a matplotlib figure, not {checking.shown(figure)}. {cure}")
    stem, forms = _file_name(name)
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be a path, such as 'figures', not {checking.shown(folder)}.")
    contents = []
    for form in forms:
        buffer = io.BytesIO()
        with plt.rc_context({"pdf.fonttype": 42}):  # letters that can be searched and edited
            figure.savefig(buffer, format=form, dpi=SAVED_DPI, bbox_inches="tight")
        contents.append(buffer.getvalue())
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = unused(*(Path(folder, f"{stem}.{form}") for form in forms))
    for path, content in zip(paths, contents, strict=True):
        write_whole(path, content)
    print(f"Saved: {', '.join(map(str, paths))}")


def film(pictures: Tensor, seconds: float = 3.0, scale: int = 3) -> Any:
    """Pictures one after the other, again and again: what Jupyter shows as a moving picture (GIF).

    Args:
        pictures: `uint8`, or floating point (clipped to [0, 1] for display), (T, C, H, W), C 1 or 3.
        seconds: for all of them; a picture stands for at least a fiftieth.
        scale: each pixel is shown as a square of so many.
    Returns:
        an `IPython.display.Image`; its `data` are the file's bytes: `Path("scene.gif").write_bytes(shown.data)`.
    """
    from IPython.display import Image
    from PIL import Image as Picture

    scale, seconds = checking.integer(scale, "scale"), checking.positive(seconds, "seconds")
    check_drawable(pictures, "pictures")
    frames = [
        Picture.fromarray((255 * grid(picture[None])).round().astype(np.uint8)[..., :3]).resize(
            (scale * pictures.shape[3], scale * pictures.shape[2]), Picture.Resampling.NEAREST
        )
        for picture in pictures
    ]
    each = max(20, round(1000 * seconds / len(frames)))  # milliseconds
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=each, loop=0)
    return Image(buffer.getvalue(), format="gif")


def class_colours(n: int) -> ListedColormap:
    """n colours for classes: Okabe and Ito's without yellow (too pale on white), then lighter greys and browns."""
    extra = ["#7F7F7F", "#8C510A", "#5E3C99"]
    n = checking.integer(n, "n")
    chosen = [c for name, c in COLOURS.items() if name != "yellow"] + extra
    return ListedColormap([chosen[i % len(chosen)] for i in range(n)])


def show_picture(ax: Axes, picture: np.ndarray, title: str = "") -> None:
    """Draw an (H, W, 3) picture pixel by pixel, without axes."""
    ax.imshow(np.asarray(picture), interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(title)


def as_array(values: Tensor | Sequence[float]) -> np.ndarray:
    """Numbers on any device as a NumPy array of doubles; an array stays as it is."""
    if isinstance(values, Tensor):
        return values.detach().double().cpu().numpy()
    return np.asarray([float(v) for v in values]) if not isinstance(values, np.ndarray) else values


def _file_name(name: str) -> tuple[str, tuple[str, ...]]:
    """A name in words as a file's name without its ending, and the forms to write."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a text, such as 'first digits', not {checking.shown(name)}.")
    if "/" in name or "\\" in name:
        raise ValueError(f"name must be the name of a file, not {name!r}; folder='...' says where it goes.")
    words, dot, form = name.rpartition(".")
    if dot and form.lower() in SAVED_AS:
        name, forms = words, (form.lower(),)
    elif dot and form.isalpha():
        raise ValueError(f"name must end in .png, .pdf, .svg or in none of them, not in .{form}.")
    else:
        forms = SAVED_AS[:2]
    stem = re.sub(r"[^\w.+-]+", "-", name).strip("-.")
    if not re.search(r"\w", stem):
        raise ValueError(f"name must have a letter or a digit, not {name!r}.")
    return stem, forms


def _check_named(named: Mapping) -> Mapping:
    if not isinstance(named, Mapping):
        raise TypeError(f"named must be a dictionary, such as {{'name': values}}, not {checking.shown(named)}.")
    if not named or not all(isinstance(name, str) for name in named):
        raise ValueError(f"named must have at least one name, and texts as names, not {checking.shown(named)}.")
    return named


def _vector(values: Tensor | Sequence[float], name: str, count: int | None = None) -> np.ndarray:
    """Numbers as an array (N,), N = `count` if that is given."""
    try:
        array = as_array(values)
        fine = array.dtype.kind in "biuf"
    except (TypeError, ValueError, OverflowError, RuntimeError):
        fine = False
    if not fine:
        raise TypeError(f"{name} must be real numbers, a tensor, an array or a list, not {checking.shown(values)}.")
    if array.ndim != 1 or (count is not None and len(array) != count):
        wanted = "one row of numbers" if count is None else f"{count} numbers, as many as x"
        raise ValueError(f"{name} must be {wanted}, not of shape {array.shape}.")
    return array


def finish(fig: Figure) -> Figure:
    """Take the figure out of pyplot's list, so that a notebook shows it once: as the value of the cell."""
    plt.close(fig)
    return fig
