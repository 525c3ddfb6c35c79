"""Interactive figures: a picture that is drawn again whenever a control is moved.

The picture is a PNG in an `ipywidgets.Image`; it needs no special backend and does not flicker. When notebooks are
executed for committing (environment variable VAE_HELPERS_STATIC=1), the same picture at the initial values is shown
instead of the controls, because a widget without its kernel is an empty box.

The keyboard alone is enough, a slider's number can be typed, and a screen reader is told the name of each control and,
in words, what the picture shows.
"""

from __future__ import annotations

import html
import inspect
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vae_helpers.writing import unused, write_whole

# Sent when drawing begins; CSS delays it by 0.2 s, so that it does not flash when drawing is quick.
_AT_WORK = (
    "<style>@keyframes vae-late { from { visibility: hidden } }</style>"
    '<span role="status" style="animation: vae-late 0.2s step-end">drawing …</span>'
)
_STYLE = """
.vae-explore .widget-readout, .vae-explore .noUi-handle { border: 1px solid #808080 }
.vae-explore .widget-readout { border-radius: 2px; cursor: text }
.vae-explore .noUi-connects { background: #808080 }
[data-jp-theme-light=false] .vae-explore select { appearance: auto; background-image: none; color-scheme: dark }
.vae-explore .widget-readout:focus, .vae-explore .noUi-handle:focus { outline: 2px solid #1976d2 }
"""
# ipywidgets gives neither a slider's handle nor its number an accessible name, and a picture no alternative text. The
# error handler of an image that cannot be loaded sets both as soon as all parts of the widget are in the page. Where a
# page runs no handlers, the widget works without them.
_PUT_WORDS = """
const put = (tries) => {
  const box = this.closest('.vae-explore');
  const picture = box && box.querySelector('.widget-image');
  const handles = box ? box.querySelectorAll('.noUi-handle') : [];
  if (!picture || handles.length < this.dataset.sliders) {
    if (tries) setTimeout(put, 100, tries - 1);
    return;
  }
  picture.alt = this.alt;
  for (const icon of box.querySelectorAll('button i')) icon.setAttribute('aria-hidden', 'true');
  for (const handle of handles) {
    const slider = handle.closest('.jupyter-widgets');
    const name = slider.querySelector('.widget-label').textContent;
    const number = slider.querySelector('.widget-readout');
    handle.setAttribute('aria-label', name);
    number.setAttribute('role', 'textbox');
    number.setAttribute('aria-label', name + ', typed');
    number.title = 'type a number, then Enter';
  }
};
put(100);
"""


def explore(draw: Callable[..., Figure], *, save: str | None = None, **controls: Any) -> Any:
    """Controls above a picture; show it as the last line of a cell.

    Args:
        draw: called as `draw(**values)` with the values of the controls; returns a matplotlib figure. The first
            paragraph of its docstring, the values and the titles in the figure are the picture's alternative text.
        save: a file's name such as "composite.png"; a button then writes the picture that is shown to it, beside the
            notebook, and says under which name. No file is overwritten: the next is composite-2.png.
        controls: for each argument of `draw` an ipywidgets widget with a `value`, or a shorthand:
            (low, high) or (low, high, step) for a slider (whole numbers make whole steps), a list for a choice, a bool
            for a box to tick, a string for a line of text that counts when Enter is pressed. The slider starts in the
            middle; for another start pass a widget.
    Returns:
        the widget, with `.controls` (name -> widget), `.picture`, `.message` and `.button` (None without `save`); or a
        figure under VAE_HELPERS_STATIC=1. Drawing that takes longer than a fifth of a second, and an error in `draw`
        or in saving, are told in `.message`; after an error the last good picture stays.
    Raises:
        ValueError: `save` is no file name ending in .png.
    """
    if save is not None and (not isinstance(save, str) or Path(save).suffix.lower() != ".png" or not Path(save).stem):
        raise ValueError(f"save must be the name of a PNG file, such as 'picture.png', not {save!r}.")
    inputs = {name: _control(name, spec) for name, spec in controls.items()}
    column = _line_up(inputs)
    still = draw(**_values(inputs))  # an error here is the author's and is raised
    if os.environ.get("VAE_HELPERS_STATIC") == "1":
        return still
    shown = _Shown(draw, inputs, still)
    for widget in inputs.values():
        widget.observe(shown.draw_again, names="value")
    return _laid_out(inputs, column, shown, _save_button(shown, Path(save)) if save else None)


class _Shown:
    """What stands below the controls: the picture, its description in words, and a message."""

    def __init__(self, draw: Callable[..., Figure], inputs: dict[str, Any], still: Figure):
        import ipywidgets

        self.draw, self.inputs = draw, inputs
        self.picture = ipywidgets.Image(value=_png(still), format="png", layout=ipywidgets.Layout(max_width="100%"))
        # In a narrow window it shrinks as far as its text stays legible; below that it is scrolled.
        self.picture.layout.min_width = f"{0.65 * still.get_figwidth() * still.dpi:.0f}px"
        self.message = ipywidgets.HTML()
        self.words = ipywidgets.HTML(self.described(still), layout=ipywidgets.Layout(display="none"))

    def described(self, figure: Figure) -> str:
        return _words(_described(self.draw, _values(self.inputs), figure), self.inputs)

    def draw_again(self, _: Any = None) -> None:
        """Called when a control was moved."""
        self.message.value, said = _AT_WORK, ""
        try:
            figure = self.draw(**_values(self.inputs))
            self.picture.value = _png(figure)
            self.words.value = self.described(figure)
        except Exception as error:
            said = _alert(error)
        finally:  # also after Ctrl-C
            self.message.value = said

    def write(self, path: Path) -> None:
        """Save the picture under this name, or the next that is free."""
        try:
            (path,) = unused(path)
            write_whole(path, self.picture.value)
            self.message.value = f'<span role="status">saved as {html.escape(str(path))}</span>'
        except Exception as error:
            self.message.value = _alert(error)


def _save_button(shown: _Shown, path: Path) -> Any:
    import ipywidgets

    as_wide_as_its_name = ipywidgets.Layout(flex="none")  # however long the words beside it are
    button = ipywidgets.Button(description="Save as PNG", icon="download", layout=as_wide_as_its_name)
    button.on_click(lambda _: shown.write(path))
    return button


def _laid_out(inputs: dict[str, Any], column: str, shown: _Shown, button: Any) -> Any:
    """The controls under each other, then button and message, then the picture."""
    import ipywidgets

    # The message stands beside the button (below it in a narrow window), so that the picture does not move.
    under_the_controls = ipywidgets.Layout(margin=f"0 0 0 {column}", flex_flow="row wrap")
    below = ipywidgets.HBox([button, shown.message] if button else [shown.message], layout=under_the_controls)
    scrolled = ipywidgets.Layout(align_items="flex-start", overflow="auto")
    frame = ipywidgets.Box([shown.picture], layout=scrolled)
    box = ipywidgets.VBox([*inputs.values(), below, frame, shown.words])
    box.add_class("vae-explore")
    box.controls, box.picture, box.message, box.button = inputs, shown.picture, shown.message, button
    return box


def _values(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: widget.value for name, widget in inputs.items()}


def _alert(error: Exception) -> str:
    return f'<span role="alert"><b>{type(error).__name__}</b>: {html.escape(str(error))}</span>'


def _described(draw: Callable[..., Figure], values: dict[str, Any], figure: Figure) -> str:
    """What a picture shows: what `draw` says of itself, the values of the controls, the titles in the figure."""
    what = (inspect.getdoc(draw) or "A picture.").split("\n\n")[0]
    shown = {name.replace("_", " "): f"{v:g}" if isinstance(v, float) else v for name, v in values.items()}
    titles = [axes.get_title(loc=place) for axes in figure.axes for place in ("left", "center", "right")]
    parts = [what, ", ".join(f"{name} {value}" for name, value in shown.items()) + "."]
    parts.append("; ".join(title for title in [figure.get_suptitle(), *titles] if title))
    return " ".join(" ".join(parts).split())


def _words(described: str, inputs: dict[str, Any]) -> str:
    """The invisible part of the page that names what ipywidgets leaves without a name."""
    import ipywidgets

    sliders = sum(isinstance(widget, ipywidgets.IntSlider | ipywidgets.FloatSlider) for widget in inputs.values())
    return (
        f'<style>{_STYLE}</style><img hidden src="data:," alt="{html.escape(described)}" data-sliders="{sliders}" '
        f'onerror="{html.escape(_PUT_WORDS)}">'
    )


def _control(name: str, spec: Any) -> Any:
    """The widget that a shorthand stands for."""
    import ipywidgets

    look = {"description": name.replace("_", " ")}
    if isinstance(spec, ipywidgets.Widget):
        return spec
    if isinstance(spec, bool):
        return ipywidgets.Checkbox(value=spec, **look)
    if isinstance(spec, str):
        return ipywidgets.Text(value=spec, continuous_update=False, **look)
    if isinstance(spec, list) and spec:
        return ipywidgets.Dropdown(options=spec, **look)
    if isinstance(spec, tuple) and len(spec) in (2, 3) and all(isinstance(v, int | float) for v in spec):
        low, high = spec[:2]
        whole = all(isinstance(v, int) for v in spec)
        step = spec[2] if len(spec) == 3 else (1 if whole else (high - low) / 40)
        if not (low < high and step > 0):
            raise ValueError(f"{name} = {spec}: need low < high and a positive step.")
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        start = low + step * round((high - low) / 2 / step)
        return kind(value=start, min=low, max=high, step=step, **look)
    raise TypeError(
        f"{name} = {spec!r} is no control: give a widget, (low, high[, step]), a list of choices, a text, or True or "
        "False."
    )


def _line_up(inputs: dict[str, Any]) -> str:
    """Give every control a name, in a column whose width is returned: so the sliders stand under each other."""
    for name, widget in inputs.items():
        widget.description = widget.description or name.replace("_", " ")
    column = f"{1 + max((len(widget.description) for widget in inputs.values()), default=0)}ch"
    for widget in inputs.values():
        widget.style.description_width = column
        widget.layout.width = widget.layout.width or f"calc({column} + 32em)"
        widget.layout.max_width = widget.layout.max_width or "calc(100% - 4px)"  # without the margins
        widget.tooltip = widget.tooltip or ""  # None would be shown as "null"
    return column


def _png(figure: Figure) -> bytes:
    if not isinstance(figure, Figure):
        raise TypeError(f"draw must return a matplotlib figure, not {type(figure).__name__}.")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
