"""Each notebook run in JupyterLab, every control of its widgets used by the keyboard alone, an exercise solved."""

import json
import shutil
import statistics
from pathlib import Path

import pytest
from PIL import Image

from tests.browser.jupyterlab import BUTTON, CHOICE, NAMED, NUMBER, SLIDER, TEXT, wait_for
from tools import notebooks
from vae_helpers.exercises.registry import exercises_of

NAMES = sorted(path.name for path in notebooks.NOTEBOOKS.glob("*.ipynb"))
LONGEST = 12  # times a plain figure of three pictures, some 30 ms on a processor of this year: a third of a second
pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]

# Runs in the kernel: the CPU seconds of a drawing on one thread, the median of several, for each control of the widget
# number `n`, and those of a plain figure, the yardstick: processors differ, and of two threads one may only spin.
CPU_SECONDS = """
def _cpu_seconds(n):
    import statistics, time, torch
    from vae_helpers import plots, widgets
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    box = [shown for shown in Out.values() if hasattr(shown, "controls")][n]
    result, plain = {}, []
    for _ in range(5):
        before = time.process_time()
        widgets._png(plots.rows({name: torch.rand(1, 3, 64, 64) for name in ("one", "two", "three")}, scale=2.8))
        plain.append(time.process_time() - before)
    for name, control in box.controls.items():
        start, times = control.value, []
        if hasattr(control, "options"):
            values = [*control.options]
        elif isinstance(start, bool):
            values = [not start, start]
        elif isinstance(start, str):
            values = [start.rsplit(" and ", 1)[0]]
        else:
            values = [min(max(start + k * control.step, control.min), control.max) for k in (-3, -2, -1, 1, 2, 3)]
        for value in [*values, start]:
            if value != control.value:
                before = time.process_time()
                control.value = value
                times.append(time.process_time() - before)
        result[control.description] = statistics.median(times)
    torch.set_num_threads(threads)
    return result, statistics.median(plain)
"""


def ways_to_use(kind, control):
    """The keys that take a slider some steps on, a choice through all its entries, a box or a text there and back."""
    if kind == SLIDER:
        now, lowest, highest = (float(control.get_attribute(f"aria-value{v}")) for v in ("now", "min", "max"))
        return [["ArrowLeft" if now - lowest > highest - now else "ArrowRight"]] * 3
    if kind == NUMBER:
        slider = control.locator("xpath=..").locator(SLIDER)
        now, lowest, highest = (slider.get_attribute(f"aria-value{v}") for v in ("now", "min", "max"))
        return [["Control+a", *(highest if now != highest else lowest), "Enter"]]
    if kind == CHOICE:
        entry, entries = control.evaluate("element => [element.selectedIndex, element.length]")
        arrows = ["ArrowUp"] * entry + ["ArrowDown"] * (entries - 1)
        return [["Space", arrow, "Enter"] for arrow in arrows]  # on a closed list JupyterLab takes the arrows itself
    if kind == TEXT:  # without what follows its last "and", and back
        text = control.input_value()
        ending = text[text.rindex(" and ") :]
        return [
            ["End", *["Backspace"] * len(ending), "Enter"],
            [*("Space" if letter == " " else letter for letter in ending), "Enter"],
        ]
    return [["Space"], ["Space"]]


def saves(widget, folder):
    """Press the button that has the focus; a picture file appears that holds what is shown, and nothing moves."""
    before, size = set(folder.glob("*.png")), widget.box.bounding_box()
    widget.page.keyboard.press("Space")
    wait_for(lambda: set(folder.glob("*.png")) - before, 30, "a saved picture")
    (path,) = set(folder.glob("*.png")) - before
    said = widget.box.locator("[role=status]").filter(has_text=path.name)
    wait_for(lambda: said.count() == 1, 30, "word of what was saved")
    assert widget.box.bounding_box() == size
    with Image.open(path) as picture:
        pixels = widget.box.locator(".widget-image").evaluate("image => [image.naturalWidth, image.naturalHeight]")
        assert list(picture.size) == pixels
        assert any(low < high for low, high in picture.convert("RGB").getextrema())
    assert path.read_bytes() == widget.picture()


def use_every_control(widget, folder, photograph):
    """By the keyboard alone. Each use changes the picture, or saves it; returns the seconds until it changed."""
    controls, seconds = widget.controls(), {}
    controls[0][1].focus()
    for number, (kind, control) in enumerate(controls):
        name = widget.name(control)
        assert widget.box.get_by_role(NAMED[kind], name=name, exact=True).count() == 1, (
            f"{name!r} is no name of its own"
        )
        widget.reach(control)
        if kind == BUTTON:
            saves(widget, folder)
        else:
            seconds[name] = [widget.press(*keys) for keys in ways_to_use(kind, control)]
        assert widget.box.locator("[role=alert]").count() == 0
        photograph(number)
    return seconds


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_its_widgets_work(lab, browser, screenshots, report, name):
    stem = Path(name).stem
    with lab.opened(browser, name) as notebook:
        notebook.run_all()
        for n, widget in enumerate(notebook.widgets()):

            def photograph(what, widget=widget, n=n):
                widget.box.screenshot(path=screenshots / f"{stem}_widget_{n}_{what}.png")

            seconds = use_every_control(widget, lab.folder, photograph)
            words = widget.box.locator(".widget-image").get_attribute("alt")
            assert len(words) > 40 and not words.startswith("A picture."), (
                f"the function drawn has no docstring: {words}"
            )
            for theme, width in (("JupyterLab Dark", 1300), ("JupyterLab Light", 480)):
                with notebook.looking(theme, width):
                    photograph(f"{theme.split()[1].lower()}_{width}")
                    assert widget.too_wide() == []
            spent, plain = lab.evaluate(name, CPU_SECONDS, f"_cpu_seconds({n})")
            for control, cpu in spent.items():
                report(stem, control, statistics.median(seconds[control]), cpu)
                assert cpu < LONGEST * plain, f"{control} takes {cpu:.2f} s of CPU time, a plain figure {plain:.2f} s"

        saved = notebook.save()
        code = [cell for cell in saved.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        errors = [o.get("ename") for cell in code for o in cell.outputs if o.output_type == "error"]
        assert errors == [] and notebook.wrong() == []
        holds, fails = notebooks.claims_of(saved)
        assert holds and not fails
        notebook.page.screenshot(path=screenshots / f"{stem}.png")


def test_an_exercise_is_missed_hinted_and_solved(lab, browser, screenshots):
    """As a learner does it: in the exercise's own cell, which is run again and again."""
    name = NAMES[0]
    task = next(e for e in exercises_of(name[:2]) if e.kind == "value")
    shutil.copyfile(notebooks.NOTEBOOKS / name, lab.folder / name)  # another test may have saved it
    with lab.opened(browser, name) as notebook:
        notebook.run_all()
        cell = notebook.cell(f'exercise("{task.id}"')

        def answer(value, *more):
            said = notebook.run(cell, "\n".join([f'answer = exercise("{task.id}", {value!r})', *more]))
            cell.screenshot(path=screenshots / f"exercise_{len(list(screenshots.glob('exercise_*.png'))) + 1}.png")
            return said

        for old in screenshots.glob("exercise_*.png"):
            old.unlink()
        wrong, right = task.wrong[0], task.reference()
        said = answer(wrong.answer)
        assert wrong.message in said and "solved" not in said
        assert " ".join(task.hints[0].split())[:40] in answer(wrong.answer, f'hint("{task.id}")')
        assert "solved" in answer(right)
        assert task.id in answer(right, "progress()")
        record = json.loads((lab.folder / "progress.json").read_text("utf-8"))
        assert task.id in json.dumps(record)
        assert notebook.wrong() == []
