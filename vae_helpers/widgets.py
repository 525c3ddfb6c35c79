"""Interactive figures: a picture that is drawn again whenever a control is moved.

The picture is a PNG in an `ipywidgets.Image`; it needs no special backend and does not flicker. When notebooks are
executed for committing (environment variable VAE_HELPERS_STATIC=1), the same picture at the initial values is shown
instead of the controls, for a widget without its kernel is an empty box.
"""

from __future__ import annotations

import html
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vae_helpers.writing import unused, write_whole


def explore(draw: Callable[..., Figure], *, save: str | None = None, **controls: Any) -> Any:
    """Controls above a picture; show it as the last line of a cell.

    Args:
        draw: called as `draw(**values)` with the values of the controls; returns a matplotlib figure.
        save: a file's name such as "composite.png"; a button then writes the picture that is shown to it, beside the
            notebook, and says under which name. No file is overwritten: the next is composite-2.png.
        controls: for each argument of `draw` an ipywidgets widget with a `value`, or a shorthand:
            (low, high) or (low, high, step) for a slider (whole numbers make whole steps), a list for a choice, a bool
            for a box to tick. The slider starts in the middle; for another start pass a widget.
    Returns:
        the widget, with `.controls` (name -> widget), `.picture`, `.message` and `.button` (None without `save`); or a
        figure under VAE_HELPERS_STATIC=1. An error in `draw` or in saving is shown in `.message`, and the last good
        picture stays.
    Raises:
        ValueError: `save` is no file name ending in .png.
    """
    import ipywidgets

    if save is not None and (not isinstance(save, str) or Path(save).suffix.lower() != ".png" or not Path(save).stem):
        raise ValueError(f"save must be the name of a PNG file, such as 'picture.png', not {save!r}.")

    inputs = {name: _control(name, spec) for name, spec in controls.items()}
    column = _line_up(inputs)
    values = {name: widget.value for name, widget in inputs.items()}
    still = draw(**values)  # an error here is the author's and is raised
    if os.environ.get("VAE_HELPERS_STATIC") == "1":
        return still
    picture = ipywidgets.Image(value=_png(still), format="png", layout=ipywidgets.Layout(max_width="100%"))
    message = ipywidgets.HTML()

    def redraw(_: Any = None) -> None:
        try:
            picture.value = _png(draw(**{name: widget.value for name, widget in inputs.items()}))
            message.value = ""
        except Exception as error:
            message.value = _alert(error)

    def write(_: Any) -> None:
        try:
            (path,) = unused(Path(save))
            write_whole(path, picture.value)
            message.value = f'<span role="status">saved as {html.escape(str(path))}</span>'
        except Exception as error:
            message.value = _alert(error)

    as_wide_as_its_name = ipywidgets.Layout(flex="none")  # however long the words beside it are
    button = ipywidgets.Button(description="Save as PNG", icon="download", layout=as_wide_as_its_name) if save else None
    if button:
        button.on_click(write)
    for widget in inputs.values():
        widget.observe(redraw, names="value")
    # Words stand beside the button, so that the picture does not move when they come.
    under_the_controls = ipywidgets.Layout(margin=f"0 0 0 {column}")
    below = ipywidgets.HBox([button, message] if button else [message], layout=under_the_controls)
    box = ipywidgets.VBox([*inputs.values(), below, picture])
    box.controls, box.picture, box.message, box.button = inputs, picture, message, button
    return box


def _alert(error: Exception) -> str:
    return f'<span role="alert"><b>{type(error).__name__}</b>: {html.escape(str(error))}</span>'


def _control(name: str, spec: Any) -> Any:
    """The widget that a shorthand stands for."""
    import ipywidgets

    look = {"description": name.replace("_", " ")}
    if isinstance(spec, ipywidgets.Widget):
        return spec
    if isinstance(spec, bool):
        return ipywidgets.Checkbox(value=spec, **look)
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
        f"{name} = {spec!r} is no control: give a widget, (low, high[, step]), a list of choices, or True or False."
    )


def _line_up(inputs: dict[str, Any]) -> str:
    """Give every control a name, in a column whose width is returned: so the sliders stand under each other."""
    for name, widget in inputs.items():
        widget.description = widget.description or name.replace("_", " ")
    column = f"{1 + max((len(widget.description) for widget in inputs.values()), default=0)}ch"
    for widget in inputs.values():
        widget.style.description_width = column
        widget.layout.width = widget.layout.width or f"calc({column} + 24em)"
    return column


def _png(figure: Figure) -> bytes:
    if not isinstance(figure, Figure):
        raise TypeError(f"draw must return a matplotlib figure, not {type(figure).__name__}.")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
