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
from typing import Any

from matplotlib.figure import Figure


def explore(draw: Callable[..., Figure], **controls: Any) -> Any:
    """Controls above a picture; show it as the last line of a cell.

    Args:
        draw: called as `draw(**values)` with the values of the controls; returns a matplotlib figure.
        controls: for each argument of `draw` an ipywidgets widget with a `value`, or a shorthand:
            (low, high) or (low, high, step) for a slider (whole numbers make whole steps), a list for a choice, a bool
            for a box to tick. The slider starts in the middle; for another start pass a widget.
    Returns:
        the widget, with `.controls` (name -> widget), `.picture` and `.message`; or a figure under
        VAE_HELPERS_STATIC=1. An error in `draw` is shown in `.message`, and the last good picture stays.
    """
    import ipywidgets

    inputs = {name: _control(name, spec) for name, spec in controls.items()}
    _line_up(inputs)
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
            message.value = f'<p role="alert"><b>{type(error).__name__}</b>: {html.escape(str(error))}</p>'

    for widget in inputs.values():
        widget.observe(redraw, names="value")
    box = ipywidgets.VBox([*inputs.values(), message, picture])
    box.controls, box.picture, box.message = inputs, picture, message
    return box


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


def _line_up(inputs: dict[str, Any]) -> None:
    """Give every control a name, and all of them the same place for it, so that the sliders stand under each other."""
    for name, widget in inputs.items():
        widget.description = widget.description or name.replace("_", " ")
    longest = max((len(widget.description) for widget in inputs.values()), default=0)
    for widget in inputs.values():
        widget.style.description_width = f"{longest + 1}ch"
        widget.layout.width = widget.layout.width or f"calc({longest + 1}ch + 24em)"


def _png(figure: Figure) -> bytes:
    if not isinstance(figure, Figure):
        raise TypeError(f"draw must return a matplotlib figure, not {type(figure).__name__}.")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
