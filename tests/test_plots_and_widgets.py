"""Figures show what they were given; widgets redraw, and show an error without losing the picture."""

import io
import itertools
import math
import re

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from PIL import Image

from vae_helpers import diagrams, plots, widgets
from vae_helpers.evaluation import Diagnosis, Finding
from vae_helpers.training import History


def test_every_figure_is_taken_out_of_pyplot():
    before = plt.get_fignums()
    batch = torch.rand(5, 1, 4, 4)
    record = History([1, 2], {"loss": [2.0, 1.0]}, [2], {"loss": [1.5]})
    figures = [
        plots.images(batch, title="five"),
        plots.rows({"a": batch, "b": batch[:3]}),
        plots.history(record),
        plots.curves([1, 2], {"y": [1, 2]}, "x [s]", "y [nats]", log="xy", errors={"y": [0.1, 0.1]}),
        plots.latent_map(torch.rand(6, 2), torch.tensor([0, 1, 0, 1, 1, 0]), "01"),
        plots.latent_map(torch.rand(6, 2), torch.tensor([0, 1, 0, 1, 1, 0]), "01", close_up=0.1),
        diagrams.vae(batch[:1], batch[1:2]),
        diagrams.vae(noise_outside=True),
    ]
    assert plt.get_fignums() == before
    for fig in figures:
        fig.canvas.draw()


def test_images_are_drawn_pixel_by_pixel():
    batch = torch.rand(1, 1, 3, 3)
    image = plots.images(batch).axes[0].images[0]
    assert image.get_interpolation() == "nearest"
    assert np.allclose(image.get_array()[..., 0], batch[0, 0].numpy())


def test_a_close_up_is_centred_on_the_median_code_and_framed_on_the_map():
    codes = torch.tensor([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0], [50.0, -40.0], [1.0, 11.0]])
    whole, near = plots.latent_map(codes, torch.zeros(5).long(), "a", close_up=3).axes
    assert near.get_xlim() == (-2, 4) and near.get_ylim() == (8, 14)
    assert whole.patches[0].get_bbox().bounds == (-2, 8, 6, 6)
    assert whole.get_xlim()[1] > 50
    with pytest.raises(ValueError, match="close_up must be a positive number"):
        plots.latent_map(codes, torch.zeros(5).long(), "a", close_up=0)


def said(figure):
    return " ".join(text.get_text() for text in figure.axes[0].texts)


def test_the_diagram_shows_the_pictures_and_where_the_noise_comes_from():
    x, x_hat = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    drawn_inside, moved_out = diagrams.vae(x, x_hat), diagrams.vae(x, x_hat, noise_outside=True)
    left, right = (image.get_array().mean() for image in drawn_inside.axes[0].images)
    assert (left, right) == (0, 1)
    assert "a draw" in said(drawn_inside) and "varepsilon" not in said(drawn_inside)
    assert "varepsilon" in said(moved_out) and "gradient" in said(moved_out) and "a draw" not in said(moved_out)
    assert len(moved_out.axes[0].patches) > len(drawn_inside.axes[0].patches)  # the noise and the gradient's way
    assert not diagrams.vae().axes[0].images
    with pytest.raises(ValueError, match=r"x_hat must be one picture, \(1, C, H, W\): x_hat\[:1\]"):
        diagrams.vae(x, torch.rand(2, 1, 4, 4))


def test_history_draws_what_was_recorded():
    record = History([1, 2], {"loss": [2.0, 1.0], "kl": [0.1, 0.2]}, [2], {"loss": [1.5]})
    axes = plots.history(record, ("loss", "kl")).axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[2.0, 1.0], [1.5], [0.1, 0.2]]
    assert axes.get_xlabel() and axes.get_ylabel()
    with pytest.raises(KeyError, match="there are: loss, kl"):
        plots.history(record, ("elbo",))


def drawn(figure):
    """(title, label, colour, numbers) of each curve in each panel."""
    return [
        (axes.get_title(loc="left"), line.get_label(), line.get_color(), list(line.get_ydata()))
        for axes in figure.axes
        for line in axes.lines
    ]


def test_history_draws_every_part_however_many():
    parts = [f"part_{i}" for i in range(20)]
    numbers = {part: [i, i + 0.5] for i, part in enumerate(parts)}
    figure = plots.history(History([1, 2], numbers, [1, 2], numbers), parts)
    curves = drawn(figure)
    assert [(label, y) for _, label, _, y in curves] == [
        (f"{part}, {on}", numbers[part]) for part in parts for on in ("training", "validation")
    ]
    for axes in figure.axes:
        assert len({line.get_color() for line in axes.lines}) == len(axes.lines) / 2, "each part has its colour"
    figure.canvas.draw()
    boxes = [axes.get_legend().get_window_extent() for axes in figure.axes]
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(boxes))
    assert figure.bbox.y0 <= boxes[-1].y0, "no legend reaches into the next or out of the picture"


def test_history_joins_the_steps_at_which_a_part_was_computed():
    train = {"a.loss": [1.0, math.nan, 3.0, math.nan], "b.loss": [math.nan, 2.0, math.nan, 4.0], "b.kl": [0.0] * 4}
    record = History([1, 2, 3, 4], train, [2, 4], {"b.loss": [math.nan, 5.0]})
    lines = [line for axes in plots.history(record).axes for line in axes.lines]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in lines] == [
        ([1, 3], [1.0, 3.0]),
        ([2, 4], [2.0, 4.0]),
        ([4], [5.0]),
    ]


def test_history_gives_each_phase_a_panel():
    names = ["critic.loss", "generator.loss", "critic.penalty", "loss"]
    figure = plots.history(History([1], {name: [float(i)] for i, name in enumerate(names)}), names)
    assert [(title, label, y) for title, label, _, y in drawn(figure)] == [
        ("critic", "loss, training", [0.0]),
        ("critic", "penalty, training", [2.0]),
        ("generator", "loss, training", [1.0]),
        ("", "loss, training", [3.0]),
    ]
    assert [bool(axes.get_xlabel()) for axes in figure.axes] == [False, False, True]
    assert all(axes.get_ylabel() for axes in figure.axes)


def test_history_of_no_parts_is_refused():
    with pytest.raises(ValueError, match="parts must name at least one of: loss, kl"):
        plots.history(History([1], {"loss": [1.0], "kl": [1.0]}), ())


def told(findings=(), pictures=3):
    return Diagnosis(
        [Finding(name, "so it is") for name in findings],
        {"KL by latent, nats": [0.5, 3.0, 0.0, 1.5], "price by latent": [0.9, 1.2, math.nan, 20.0]},
        pictures={name: torch.rand(8, 1, 4, 4) for name in ("pictures", "reconstructions", "draws")[:pictures]},
    )


def test_a_report_shows_pictures_and_latents_with_the_most_telling_first():
    report = told()
    fig = plots.diagnosis(report)
    fig.canvas.draw()
    *rows, said, cost = fig.axes
    assert [ax.texts[0].get_text() for ax in rows] == ["pictures", "reconstructions", "draws"]
    for ax, pictures in zip(rows, report.pictures.values(), strict=True):
        drawn = ax.images[0].get_array()
        assert np.allclose(drawn[:4, :4, 0], pictures[0, 0]) and drawn.shape[1] > 5 * drawn.shape[0]  # one row
    assert [bar.get_height() for bar in said.patches] == [3.0, 1.5, 0.5, 0.0]
    assert [bar.get_center()[0] for bar in said.patches] == pytest.approx([1, 2, 3, 4])
    prices = cost.lines[0]
    assert list(prices.get_xdata()) == [1, 2, 3, 4]
    assert np.array_equal(prices.get_ydata(), [1.2, 20.0, 0.9, math.nan], equal_nan=True)
    assert [list(line.get_ydata()) for line in cost.lines[1:]] == [[1, 1]] and cost.get_yscale() == "log"
    assert cost.get_ylim() == pytest.approx((0.1, 24.0))
    assert said.get_ylabel() == "KL, nats" and cost.get_ylabel() == "price of a nat"
    assert said.get_xlabel() == cost.get_xlabel() == "latents, in order of their KL"
    assert fig.get_suptitle() == "healthy"
    assert plots.diagnosis(told(["no biases", "overfitting"])).get_suptitle() == "no biases; overfitting"
    assert len(plots.diagnosis(told(pictures=1)).axes) == 3
    report.measured["price of a nat"] = 30.0
    cost = plots.diagnosis(report).axes[-1]
    assert [list(line.get_ydata()) for line in cost.lines[1:]] == [[30, 30], [1, 1]] and cost.lines[1].get_ls() == "--"
    assert cost.get_ylim() == pytest.approx((0.1, 36.0)) and cost.get_xlim() == (0, 5)


@pytest.mark.parametrize("dpi", [50, 100])
def test_names_of_pictures_stand_within_the_figure(dpi):
    report = told()
    report.pictures = {"drawn from the prior": torch.rand(8, 3, 32, 32), "pictures": torch.rand(8, 3, 32, 32)}
    fig = plots.diagnosis(report)
    fig.set_dpi(dpi)
    fig.canvas.draw()
    for ax in fig.axes:
        box = ax.texts[0].get_window_extent() if ax.texts else ax.get_tightbbox()
        assert box.x0 > 0 and box.y0 > 0 and box.x1 < 8 * dpi and box.y1 < 4.6 * dpi


@pytest.mark.parametrize(
    ("prices", "limits"),
    [
        ([0.05, 1.0], (0.04, 10)),
        ([math.nan] * 2, (0.1, 10)),
        ([0.9, 1.1], (0.1, 10)),
        ([-5.0, 2.0], (0.1, 10)),
        ([math.inf, 20.0], (0.1, 24)),
    ],
)
def test_prices_of_any_size_have_their_place(prices, limits):
    report = told()
    report.measured = {"KL by latent, nats": [1.0, 2.0], "price by latent": prices}
    fig = plots.diagnosis(report)
    fig.canvas.draw()
    assert fig.axes[-1].get_ylim() == pytest.approx(limits)


def test_a_report_without_pictures_or_latents_is_refused():
    report = told()
    report.pictures = {}
    with pytest.raises(ValueError, match=r"no latents and no pictures to draw. print\(report\)"):
        plots.diagnosis(report)
    with pytest.raises(ValueError, match="no latents"):
        plots.diagnosis(Diagnosis(pictures={"pictures": torch.rand(8, 1, 4, 4)}))


def test_a_map_needs_two_dimensions():
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        plots.latent_map(torch.rand(6, 3), torch.zeros(6).long(), "0")


def curve(name="y"):
    return plots.curves([1, 2], {name: [1.0, 2.0]}, "x [s]", "y [nats]", title=name)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_figure_is_saved_sharp_beside_the_notebook_and_nothing_is_overwritten(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    figure = curve()
    inches, dots = figure.get_size_inches(), figure.dpi
    assert plots.save(figure, "first digits: x & y") is None
    here = tmp_path / "figures"
    assert files(here) == ["first-digits-x-y.pdf", "first-digits-x-y.png"]
    with Image.open(here / "first-digits-x-y.png") as picture:
        assert picture.width == pytest.approx(300 * inches[0], rel=0.1)
        assert picture.info["dpi"][0] == pytest.approx(300, abs=0.1)
    assert (here / "first-digits-x-y.pdf").read_bytes().startswith(b"%PDF")
    assert figure.dpi == dots, "the figure itself is as it was"
    before = {path: path.read_bytes() for path in here.iterdir()}
    plots.save(curve("other"), "first digits: x & y")
    assert all(path.read_bytes() == content for path, content in before.items())
    said = capsys.readouterr().out.replace("\\", "/").splitlines()
    assert said == [f"Saved: figures/first-digits-x-y{n}.png, figures/first-digits-x-y{n}.pdf" for n in ("", "-2")]


def test_both_files_of_a_figure_get_the_same_number(tmp_path):
    (tmp_path / "a.pdf").write_text("mine")
    plots.save(curve(), "a", tmp_path)
    assert files(tmp_path) == ["a-2.pdf", "a-2.png", "a.pdf"] and (tmp_path / "a.pdf").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "file", "start"),
    [("a.svg", "a.svg", b"<?xml"), ("A b.PNG", "A-b.png", b"\x89PNG"), ("b.pdf", "b.pdf", b"%PDF")],
)
def test_the_ending_chooses_the_form(tmp_path, name, file, start):
    plots.save(curve(), name, tmp_path / "deep" / "down")
    assert files(tmp_path / "deep" / "down") == [file]
    assert (tmp_path / "deep" / "down" / file).read_bytes().startswith(start)


def test_a_number_with_a_point_is_no_ending(tmp_path):
    plots.save(curve(), "beta = 0.5", tmp_path)
    assert files(tmp_path) == ["beta-0.5.pdf", "beta-0.5.png"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.jpg", "not in .jpg"),
        ("deep/a", "folder='...' says where"),
        ("..\\a", "folder='...' says where"),
        ("", "a letter or a digit"),
        ("?.png", "a letter or a digit"),
    ],
)
def test_a_bad_name_is_refused_and_nothing_is_written(tmp_path, name, said):
    with pytest.raises(ValueError, match=f"^name must .*{re.escape(said)}"):
        plots.save(curve(), name, tmp_path / "new")
    assert files(tmp_path) == []


def test_a_film_shows_each_picture_as_long_enlarged_and_in_order():
    from PIL import Image, ImageSequence

    pictures = torch.zeros(4, 3, 5, 8)
    pictures[1:, 0], pictures[3, 2] = 1.0, 1.5  # black, red, red, magenta; out of [0, 1] is clipped
    shown = plots.film(pictures, seconds=2.0, scale=2)
    film = Image.open(io.BytesIO(shown.data))
    assert film.format == "GIF" and film.size == (16, 10) and film.info["loop"] == 0
    seen = [(frame.convert("RGB").getpixel((15, 9)), frame.info["duration"]) for frame in ImageSequence.Iterator(film)]
    assert [colour for colour, _ in seen] == [(0, 0, 0), (255, 0, 0), (255, 0, 255)]  # equal neighbours are joined
    assert [milliseconds for _, milliseconds in seen] == [500, 1000, 500]
    assert "image/gif" in shown._repr_mimebundle_()[0] or shown.format == "gif"
    for wrong in ({"seconds": 0.0}, {"scale": 0}):
        with pytest.raises(ValueError):
            plots.film(pictures, **wrong)
    with pytest.raises(ValueError):
        plots.film(pictures[0])


def test_what_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(TypeError, match="figure must be a matplotlib figure, not Tensor float32"):
        plots.save(torch.zeros(2), "a", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file"):
        plots.save(curve(), "a", tmp_path / "file")


def brightness(colour):
    r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_lines_differ_by_more_than_colour():
    styles = list(plt.rcParams["axes.prop_cycle"])
    assert len({str(s["linestyle"]) for s in styles}) == len(styles) == len({s["color"] for s in styles})


def drawing():
    def draw(**v):
        fig, ax = plt.subplots(figsize=(2, 1))
        ax.set_title(str(sorted(v.items())))
        if v.get("n") == 3:
            raise ValueError("three is <not> allowed")
        return plots.finish(fig)

    return draw


def test_moving_a_control_redraws(monkeypatch):
    monkeypatch.delenv("VAE_HELPERS_STATIC", raising=False)
    box = widgets.explore(drawing(), n=(0, 10), x=(0.0, 1.0), kind=["a", "b"], on=True, said="so")
    kinds = [type(w) for w in box.controls.values()]
    assert kinds == [getattr(ipywidgets, kind) for kind in ("IntSlider", "FloatSlider", "Dropdown", "Checkbox", "Text")]
    assert box.controls["said"].value == "so" and not box.controls["said"].continuous_update  # not at each letter
    assert box.controls["n"].value == 5 and box.controls["x"].value == 0.5
    first = bytes(box.picture.value)
    assert first.startswith(b"\x89PNG")
    box.controls["n"].value = 6
    second = bytes(box.picture.value)
    assert second != first
    box.controls["n"].value = 3
    assert "three is &lt;not&gt; allowed" in box.message.value and box.picture.value == second
    box.controls["n"].value = 5
    assert box.message.value == "" and box.picture.value == first


def test_a_still_picture_stands_in_when_notebooks_are_executed(monkeypatch):
    monkeypatch.setenv("VAE_HELPERS_STATIC", "1")
    figure = widgets.explore(drawing(), n=(0, 10))
    assert type(figure).__name__ == "Figure" and "('n', 5)" in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize("spec", [(3, 1), (0, 1, 0), (0.0, 1.0, -1)])
def test_bad_ranges_are_named(spec):
    with pytest.raises(ValueError, match="n = "):
        widgets.explore(drawing(), n=spec)


@pytest.mark.parametrize("spec", [b"abc", (1,), [], None])
def test_what_is_no_control_is_named(spec):
    with pytest.raises(TypeError, match=r"n = .* is no control"):
        widgets.explore(drawing(), n=spec)


def test_draw_must_return_a_figure():
    with pytest.raises(TypeError, match="matplotlib figure"):
        widgets.explore(lambda n: None, n=(0, 2))


def test_the_button_saves_what_is_shown_and_overwrites_nothing(monkeypatch, tmp_path):
    monkeypatch.delenv("VAE_HELPERS_STATIC", raising=False)
    monkeypatch.chdir(tmp_path)
    box = widgets.explore(drawing(), save="shown.png", n=(0, 10))
    box.button.click()
    assert (tmp_path / "shown.png").read_bytes() == box.picture.value and "saved as shown.png" in box.message.value
    box.controls["n"].value = 6
    assert box.message.value == ""
    box.button.click()
    assert (tmp_path / "shown-2.png").read_bytes() == box.picture.value != (tmp_path / "shown.png").read_bytes()
    assert "saved as shown-2.png" in box.message.value
    box.button.click()
    assert (tmp_path / "shown-3.png").exists()


def test_words_stand_beside_the_button_and_both_under_the_controls(monkeypatch):
    monkeypatch.delenv("VAE_HELPERS_STATIC", raising=False)
    box = widgets.explore(drawing(), save="shown.png", x=(0, 10), a_long_name=(0.0, 1.0))
    *controls, below, frame, words = box.children
    assert controls == list(box.controls.values()) and words.layout.display == "none"
    assert frame.children == (box.picture,) and frame.layout.overflow == "auto"
    assert box.picture.layout.min_width == "104px", "two thirds of two inches"
    assert below.children == (box.button, box.message) and box.button.layout.flex == "none"
    assert {w.style.description_width for w in controls} == {below.layout.margin.split()[-1]} == {"12ch"}
    assert widgets.explore(drawing(), n=(0, 10)).message.value == ""


def words_of(box):
    """The image that brings a widget's words into the page."""
    return BeautifulSoup(box.children[-1].value, "html.parser").img


def test_the_picture_is_told_in_words(monkeypatch):
    monkeypatch.delenv("VAE_HELPERS_STATIC", raising=False)

    def draw(how_many, share, kind):
        """Bars of
        some kind, "drawn" & <coloured>.

        More about them.
        """
        if how_many == 3:
            raise ValueError("three")
        fig, axes = plt.subplots(1, 2)
        axes[0].set_title(f"{how_many} bars")
        axes[1].set_title("in the\nmiddle", loc="center")
        return plots.finish(fig)

    box = widgets.explore(draw, how_many=(0, 10), share=(0.1, 0.7, 0.2), kind=["a", "b"])
    said = 'Bars of some kind, "drawn" & <coloured>. how many {}, share {}, kind a. {} bars; in the middle'
    assert words_of(box)["alt"] == said.format(5, 0.3, 5) and words_of(box)["data-sliders"] == "2"
    box.controls["how_many"].value, box.controls["share"].value = 6, 0.1 + 0.4
    assert words_of(box)["alt"] == said.format(6, 0.5, 6)
    box.controls["how_many"].value = 3
    assert words_of(box)["alt"] == said.format(6, 0.5, 6), "words and picture are those of the last good drawing"
    assert words_of(widgets.explore(lambda n: curve("t"), n=(0, 2)))["alt"] == "A picture. n 1. t"


def test_a_widget_says_that_it_works_while_it_draws(monkeypatch):
    monkeypatch.delenv("VAE_HELPERS_STATIC", raising=False)
    said = []

    def draw(n):
        if box:
            said.append(box.message.value)
        if n == 7:
            raise KeyboardInterrupt
        return curve(str(n))

    box = None
    box = widgets.explore(draw, n=(0, 10))
    box.controls["n"].value = 6
    assert len(said) == 1 and 'role="status"' in said[0] and "drawing" in said[0] and box.message.value == ""
    with pytest.raises(KeyboardInterrupt):
        box.controls["n"].value = 7
    assert len(said) == 2 and box.message.value == ""


def test_rows_keep_within_the_page_and_no_label_is_called_null(monkeypatch):
    monkeypatch.delenv("VAE_HELPERS_STATIC", raising=False)
    mine = ipywidgets.IntSlider(tooltip="whole", layout={"width": "9em", "max_width": "50%"})
    box = widgets.explore(drawing(), mine=mine, on=True)
    assert box.controls["on"].layout.max_width.startswith("calc(100%") and box.controls["on"].tooltip == ""
    assert (mine.layout.width, mine.layout.max_width, mine.tooltip) == ("9em", "50%", "whole")


def test_what_goes_wrong_in_saving_is_shown_and_the_widget_goes_on(monkeypatch, tmp_path):
    monkeypatch.delenv("VAE_HELPERS_STATIC", raising=False)
    monkeypatch.chdir(tmp_path)
    box = widgets.explore(drawing(), save="nowhere/shown.png", n=(0, 10))
    box.button.click()
    assert "FileNotFoundError" in box.message.value
    box.controls["n"].value = 6
    assert box.message.value == ""
    assert widgets.explore(drawing(), n=(0, 10)).button is None


@pytest.mark.parametrize("name", ["", "picture", "picture.jpg", ".png", 3])
def test_a_name_that_is_no_png_is_refused(name):
    with pytest.raises(ValueError, match="save must be the name of a PNG file"):
        widgets.explore(drawing(), save=name, n=(0, 10))


def test_colours_are_told_apart_in_grey_for_the_first_two():
    first, second = list(plots.COLOURS.values())[:2]
    assert abs(brightness(first) - brightness(second)) > 0.2
