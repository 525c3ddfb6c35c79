"""Diagrams of models, drawn with the pictures that they are about."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon
from torch import Tensor

from vae_helpers import checking
from vae_helpers.images import check_drawable, grid
from vae_helpers.plots import COLOURS, finish

NETWORK, CODE, TERM = COLOURS["sky"], COLOURS["orange"], COLOURS["vermilion"]
WIDE, HIGH = 11.9, 4.8  # units of the drawing; one is about 0.7 inches


def vae(x: Tensor | None = None, x_hat: Tensor | None = None, noise_outside: bool = False) -> Figure:
    """A VAE from left to right: x, encoder, q(z | x), a draw z, decoder, x hat; and where the ELBO's two terms are.

    Args:
        x: one picture, (1, C, H, W), `uint8` or float in [0, 1]; an empty frame if None.
        x_hat: the decoder's mean picture for it, of the same form.
        noise_outside: z is computed from mu, sigma and a noise eps that comes from outside (notebook 03), so that
            gradients, dashed, pass through it; otherwise z is drawn (notebook 02).
    Raises:
        TypeError, ValueError: x or x_hat is not one picture.
    """
    for name, picture in (("x", x), ("x_hat", x_hat)):
        if picture is not None and len(check_drawable(picture, name)) != 1:
            raise ValueError(f"{name} must be one picture, (1, C, H, W): {name}[:1], not {tuple(picture.shape)}.")
    checking.flag(noise_outside, "noise_outside")
    fig, ax = plt.subplots(figsize=(0.7 * WIDE, 0.7 * HIGH))
    ax.set(xlim=(0, WIDE), ylim=(0, HIGH), aspect="equal")
    ax.set_axis_off()
    middle = 2.95
    _picture(ax, x, (0.9, middle), "image $x$")
    _network(ax, 2.1, 3.7, middle, 1.05, 0.55, "encoder")
    _box(ax, (4.75, middle + 0.5), r"$\mu$")
    _box(ax, (4.75, middle - 0.5), r"$\log\,\sigma^2$")
    frame = FancyBboxPatch((4.1, middle - 0.88), 1.3, 1.76, boxstyle="round,pad=0.08", fc="none", ec="0.6", lw=1)
    ax.add_patch(frame)  # both together are q
    ax.text(4.75, middle + 1.15, r"$q(z\mid x)$", ha="center", va="bottom")
    _draw(ax, (6.6, middle), noise_outside)
    _network(ax, 7.6, 9.2, middle, 0.55, 1.05, "decoder")
    _picture(ax, x_hat, (10.5, middle), r"mean $\hat x$ of $p(x\mid z)$")
    for start, end in ((1.65, 2.05), (3.72, 4.0), (9.25, 9.7)):
        _arrow(ax, (start, middle), (end, middle))
    for height in (0.5, -0.5):
        _arrow(ax, (5.4, middle + height), (6.15, middle + 0.3 * height))
    _arrow(ax, (7.05, middle), (7.55, middle))
    _term(ax, 4.75, r"$\mathrm{KL}(q(z\mid x)\,\|\,p(z))$" + "\nwhat the code costs")
    _arrow(ax, (4.75, middle - 1.0), (4.75, 1.2), TERM)
    _term(ax, 10.5, r"$\log p(x\mid z)$" + "\nhow well it explains $x$")
    _arrow(ax, (10.5, middle - 0.8), (10.5, 1.2), TERM)
    ax.plot([0.9, 0.9, 10.5], [middle - 0.8, 0.1, 0.1], color=TERM, ls=":", lw=1.4)
    _arrow(ax, (10.5, 0.1), (10.5, 0.32), TERM)
    if noise_outside:
        _gradient(ax, middle)
    return finish(fig)


def hierarchy() -> Figure:
    """Two levels of code in three panels: how the model draws, how bottom-up infers, how the ladder infers.

    What the model says is black, what q says dashed: all of the second panel, and in the third the messages that the
    picture sends to the levels, which are drawn from the top down, as the model does.
    """
    fig, axes = plt.subplots(1, 3, figsize=(9, 3.8))
    below, low, high = places = (0.0, 0.0), (0.0, 1.2), (0.0, 2.4)
    for ax, title in zip(axes, ("the model draws", "bottom-up infers", "the ladder infers"), strict=True):
        for at, name in zip(places, ("$x$", "$z_1$", "$z_2$"), strict=True):
            ax.add_patch(Circle(at, 0.3, fc="0.85" if at == below else "white", ec="black", zorder=2))
            ax.text(*at, name, ha="center", va="center", zorder=3)
        ax.set(xlim=(-0.6, 2.0), ylim=(-0.4, 2.8), aspect="equal", title=title)
        ax.set_axis_off()
    for start, end in ((high, low), (low, below)):
        _step(axes[0], start, end)
        _step(axes[1], end, start, dashed=True)
    _step(axes[2], high, low)
    for level, (_, height) in enumerate((low, high), 1):
        message = (1.4, height)
        axes[2].text(*message, rf"$h_{level}, \Lambda_{level}$", ha="center", va="center", color=TERM)
        _step(axes[2], below, message, dashed=True)
        _step(axes[2], message, (0.0, height), dashed=True)
    return finish(fig)


def _step(ax: Axes, start: tuple[float, float], end: tuple[float, float], dashed: bool = False) -> None:
    """An arrow between two circles, or a circle and a message."""
    how = {"color": TERM, "linestyle": (0, (3, 2))} if dashed else {"color": "black"}
    ax.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=14, shrinkA=28, shrinkB=28, lw=1.8, zorder=1, **how
        )
    )


def _picture(ax: Axes, picture: Tensor | None, centre: tuple[float, float], name: str) -> None:
    (x, y), half = centre, 0.72
    if picture is not None:
        ax.imshow(grid(picture), extent=(x - half, x + half, y - half, y + half), interpolation="nearest", zorder=2)
    ax.add_patch(plt.Rectangle((x - half, y - half), 2 * half, 2 * half, fill=False, lw=1, zorder=3))
    ax.text(x, y + 1.15, name, ha="center", va="bottom")


def _network(ax: Axes, left: float, right: float, y: float, from_: float, to: float, name: str) -> None:
    corners = [(left, y - from_), (left, y + from_), (right, y + to), (right, y - to)]
    ax.add_patch(Polygon(corners, facecolor=NETWORK, edgecolor="black", alpha=0.55, lw=1))
    ax.text((left + right) / 2, y, name, ha="center", va="center")


def _box(ax: Axes, centre: tuple[float, float], text: str) -> None:
    x, y = centre
    box = FancyBboxPatch((x - 0.5, y - 0.25), 1.0, 0.5, boxstyle="round,pad=0.05", fc="white", ec=CODE, lw=2)
    ax.add_patch(box)
    ax.text(x, y, text, ha="center", va="center")


def _draw(ax: Axes, centre: tuple[float, float], noise_outside: bool) -> None:
    """The code z and how it comes about."""
    x, y = centre
    ax.add_patch(Circle(centre, 0.42, facecolor="white", edgecolor=CODE, lw=2, ls="-" if noise_outside else "--"))
    ax.text(x, y, "$z$", ha="center", va="center")
    if noise_outside:
        ax.text(x, y + 1.15, r"$z = \mu + \sigma\,\varepsilon$", ha="center", va="bottom")
        ax.text(x, y - 1.35, r"$\varepsilon \sim \mathcal{N}(0, I)$", ha="center", va="center")
        _arrow(ax, (x, y - 1.1), (x, y - 0.47))
    else:
        ax.text(x, y + 1.15, r"$z \sim q(z\mid x)$", ha="center", va="bottom")
        ax.text(x, y - 0.75, "a draw", ha="center", va="center")


def _term(ax: Axes, x: float, text: str) -> None:
    ax.text(x, 0.75, text, ha="center", va="center", color="black", bbox={"fc": "white", "ec": TERM, "lw": 2, "pad": 5})


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = "black") -> None:
    """Solid in black; dotted in another colour, with a solid head."""
    style = {"arrowstyle": "-|>", "mutation_scale": 12, "shrinkA": 0, "shrinkB": 0, "lw": 1.4}
    if colour != "black":
        ax.plot(*zip(start, end, strict=True), color=colour, ls=":", lw=1.4)
        start = tuple(e + 0.05 * (s - e) for s, e in zip(start, end, strict=True))
    ax.add_patch(FancyArrowPatch(start, end, color=colour, **style))


def _gradient(ax: Axes, middle: float) -> None:
    """The way of the gradient of log p(x | z), back to the encoder."""
    way = {"arrowstyle": "-|>", "mutation_scale": 12, "shrinkA": 0, "shrinkB": 0, "ls": "--", "lw": 1.4}
    steps = [((9.7, -0.2), (9.3, -0.2)), ((7.55, -0.2), (7.05, -0.2)), ((4.0, -0.2), (3.75, -0.2))]
    steps += [((6.2, 0.35), (5.45, 0.65)), ((6.2, -0.35), (5.45, -0.65))]
    for (start, above_start), (end, above_end) in steps:
        ends = (start, middle + above_start), (end, middle + above_end)
        ax.add_patch(FancyArrowPatch(*ends, color=COLOURS["blue"], **way))
    ax.text(8.85, middle - 1.35, "dashed: the gradient", color=COLOURS["blue"], ha="center", va="center")
