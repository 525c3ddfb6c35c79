"""What `explore` owes to every notebook, tried on a small one: names, words, keys, patience, errors, room, a theme."""

import nbformat
import pytest

from tests.browser.jupyterlab import NAMED, wait_for

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
NAME = "a_small_widget.ipynb"
CODE = '''
import time
import matplotlib.pyplot as plt
from vae_helpers import explore, plots

def draw(how_many, height, pace, on):
    """A row of bars.

    Which is not said.
    """
    if how_many == 9:
        raise ValueError("nine are too many")
    time.sleep(2 if pace == "slow" else 0)
    fig, ax = plt.subplots(figsize=(8, 3))
    ax.bar(range(how_many), height, color="grey" if on else "black")
    ax.set_title(f"{how_many} bars of <1 & more>")
    return plots.finish(fig)

explore(draw, save="a_row_of_bars.png", how_many=(0, 1000), height=(0.0, 1.0), pace=["quick", "slow"], on=True)
'''
NAMES = ["how many", "how many, typed", "height", "height, typed", "pace", "on", "Save as PNG"]
COLOURS = """element => {
  const style = getComputedStyle(element);
  let behind = element;
  while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  return [style.color, getComputedStyle(behind).backgroundColor].map(c => c.match(/[0-9.]+/g).slice(0, 3).map(Number));
}"""


def write(folder, name):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE.strip())])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, folder / name)


@pytest.fixture(scope="module")
def notebook(lab, browser):
    write(lab.folder, NAME)
    with lab.opened(browser, NAME) as notebook:
        notebook.run_all()
        yield notebook


@pytest.fixture
def small(notebook):
    (widget,) = notebook.widgets()
    widget.fill("how many", 500)
    return widget


def test_a_screen_reader_is_told_each_name_and_what_is_shown(small):
    for (kind, _), name in zip(small.controls(), NAMES, strict=True):
        assert small.box.get_by_role(NAMED[kind], name=name, exact=True).count() == 1, name
    said = "A row of bars. how many 500, height 0.5, pace quick, on True. 500 bars of <1 & more>"
    assert small.box.get_by_role("img", name=said, exact=True).count() == 1
    small.box.get_by_role("slider", name="how many").focus()
    small.press("ArrowRight")
    wait_for(lambda: small.box.get_by_role("img", name="how many 501").count() == 1, 20, "new words")


def test_any_of_a_thousand_can_be_typed_and_nothing_else(small):
    for typed, number in (("37", "37"), ("12345", "1000"), ("-3", "0")):
        small.fill("how many", typed)
        assert small.box.get_by_role("textbox", name="how many").inner_text() == number
    before = small.picture()
    small.type("how many", "many")
    assert small.box.get_by_role("textbox", name="how many").inner_text() == "0" and small.picture() == before


def test_a_long_drawing_says_that_it_works_and_a_quick_one_does_not_flicker(small):
    status = small.box.get_by_text("drawing")
    small.box.get_by_role("combobox").select_option("slow")
    wait_for(lambda: status.is_visible(), 10, "word that it works")
    wait_for(lambda: status.count() == 0, 30, "the end of the work")
    # what is sent at first is not to be seen
    first = """box => new Promise(seen => new MutationObserver((_, observer) => {
        const status = box.querySelector('[role=status]');
        if (status) { observer.disconnect(); seen(getComputedStyle(status).visibility) }
    }).observe(box, {subtree: true, childList: true}))"""
    small.box.evaluate(f"box => {{ box.first = ({first})(box) }}")
    small.box.get_by_role("combobox").select_option("quick")
    assert small.box.evaluate("box => box.first") == "hidden"
    wait_for(lambda: status.count() == 0, 30, "the end of the work")


def test_an_error_is_told_and_the_picture_stays(small):
    before = small.picture()
    small.type("how many", "9")
    wait_for(lambda: small.box.get_by_role("alert").count() == 1, 30, "the error")
    assert small.box.get_by_role("alert").inner_text() == "ValueError: nine are too many"
    assert small.picture() == before
    small.fill("how many", 10)
    assert small.box.get_by_role("alert").count() == 0


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"])
@pytest.mark.parametrize("width", [1300, 480])
def test_it_has_room_and_can_be_read(notebook, small, theme, width, screenshots):
    with notebook.looking(theme, width):
        small.box.get_by_role("button").click()
        wait_for(lambda: small.box.get_by_text("saved as a_row").count() == 1, 30, "word of what was saved")
        small.box.screenshot(path=screenshots / f"small_{theme.split(maxsplit=1)[1].replace(' ', '_')}_{width}.png")
        assert small.too_wide() == []
        shown, drawn = small.box.locator(".widget-image").evaluate("image => [image.width, image.naturalWidth]")
        assert shown == drawn if width > 1000 else 0.6 * drawn < shown < 0.7 * drawn
        texts = small.box.locator("label, .widget-readout, select, button, span").filter(visible=True, has_text="")
        for text in texts.all():
            assert contrast(*text.evaluate(COLOURS)) >= 4.5, text.inner_text()


def test_a_notebook_that_is_opened_again_without_its_kernel_shows_its_last_picture(lab, browser):
    name = f"again_{NAME}"
    write(lab.folder, name)
    with lab.opened(browser, name) as notebook:
        notebook.run_all()
        (widget,) = notebook.widgets()
        widget.fill("how many", 321)
        last = widget.picture()
        notebook.save()
    with lab.opened(browser, name) as notebook:
        (widget,) = notebook.widgets()
        assert widget.picture() == last and "321 bars" in widget.box.locator(".widget-image").get_attribute("alt")
        assert notebook.wrong() == []


def contrast(one, two):
    """The ratio of the luminances of two colours, (red, green, blue) in 0...255 (WCAG 2.2)."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((luminance(one), luminance(two)))
    return (bright + 0.05) / (dark + 0.05)
