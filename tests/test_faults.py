"""What can be wrong with a machine does not stop the course: a read-only checkout, no home, no network, a full disk.

The faults are made in a namespace of their own (Linux's `unshare`), which also holds for root; where that is not
allowed, the tests that need it are skipped. `make test` runs the quickest notebook, `make soak` all of them.
"""

import builtins
import os
import shlex
import shutil
import subprocess
import symtable
import sys
from dataclasses import dataclass, field
from functools import reduce

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from tools import notebooks

NOTEBOOKS = sorted(notebooks.NOTEBOOKS.glob("*.ipynb"))
ENOUGH = 3e9  # bytes of memory that a kernel may hold, at most
MAY_FAIL = {"tags": ["raises-exception"]}


def each_notebook():
    return [pytest.param(path, id=path.stem, marks=[pytest.mark.soak] if path != NOTEBOOKS[0] else [])
            for path in NOTEBOOKS]  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with the machine.

    `commands` are run by a shell in the namespaces `kinds`; $1 is the checkout, $2 the folder that the notebook is run
    in. `proof` is a statement that raises OSError where the fault is really there.
    """

    proof: str
    commands: str = ":"
    kinds: tuple[str, ...] = ()
    environment: dict[str, str | None] = field(default_factory=dict)
    progress: str = ""  # why none can be kept

    def __add__(self, other):
        return Fault(
            f"{self.proof}\n{other.proof}",
            f"{self.commands}\n{other.commands}",
            self.kinds + other.kinds,
            self.environment | other.environment,
            self.progress or other.progress,
        )


LOOPBACK = (
    f"{shlex.quote(sys.executable)} -c 'import fcntl, socket, struct; "
    'fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, struct.pack("16sh", b"lo", 1))\''
)
FAULTS = {
    "read-only checkout": Fault(
        "open('new', 'w')",
        'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"',
        ("--mount",),
        progress="Read-only file system",
    ),
    "disk full": Fault(
        "open('new', 'w').write(70_000 * 'x')",
        'mount -t tmpfs -o size=64k none "$2"; head -c 2M /dev/zero >"$2/filler" 2>/dev/null || true; cd "$2"',
        ("--mount",),
        {"MPLCONFIGDIR": "matplotlib", "TMPDIR": "."},
        progress="No space left on device",
    ),
    "no network": Fault("import socket; socket.create_connection(('192.0.2.1', 80), 5)", LOOPBACK, ("--net",)),
    "no home": Fault("import os; os.makedirs(os.path.expanduser('~'))", environment={"HOME": "/dev/null/home"}),
    "HOME unset": Fault("import os; os.stat(os.environ.get('HOME', 'no such folder'))", environment={"HOME": None}),
}
RUN = """
import sys
from pathlib import Path

import nbformat

from tools import notebooks

asked, folder, result = map(Path, sys.argv[1:])
done = notebooks.run(nbformat.read(asked, 4), {"VAE_HELPERS_PROGRESS": ""}, folder, timeout=1800)
result.write_text(nbformat.writes(done), "utf-8")
"""


def with_fault(fault, folder, command):
    """The command and the environment that let a fault bear upon it, or skip."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "JUPYTER_"))}
    environment |= {"PYTHONPATH": str(notebooks.ROOT), **{k: v for k, v in fault.environment.items() if v is not None}}
    environment = {name: value for name, value in environment.items() if fault.environment.get(name, "") is not None}
    if not fault.kinds:
        return command, environment
    kinds = [*dict.fromkeys(fault.kinds)] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    start = ["unshare", *kinds, "sh", "-ec", f'{fault.commands}\nshift 2; exec "$@"', "sh"]
    start += [str(notebooks.ROOT), str(folder)]
    if shutil.which("unshare") is None:
        pytest.skip("this system has no unshare")
    tried = subprocess.run([*start, "true"], env=environment, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this fault cannot be made here: {tried.stderr.strip()}")
    return [*start, *command], environment


def check_it_teaches(path, fault, tmp_path):
    """Run a notebook with a fault: its claims hold, its pictures are there, one line says what cannot be kept.

    Its kernel holds 3 GB at most.
    """
    before = nbformat.read(path, as_version=4)
    asked, result, work = tmp_path / "asked.ipynb", tmp_path / "result.ipynb", tmp_path / "work"
    work.mkdir()
    hint = f"hint('{path.name[:2]}.1')"  # that it was read is noted in progress.json
    proofs = [new_code_cell(line, metadata=MAY_FAIL) for line in fault.proof.splitlines()]
    aside = [*map(new_code_cell, (notebooks.peak_question(), hint, hint)), *proofs]
    asked.write_text(nbformat.writes(nbformat.from_dict({**before, "cells": before.cells + aside})), "utf-8")
    folder = notebooks.NOTEBOOKS if "remount" in fault.commands else work
    command = [sys.executable, "-c", RUN, str(asked), str(folder), str(result)]
    command, environment = with_fault(fault, folder, command)
    ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]

    cells = nbformat.read(result, as_version=4).cells
    assert all(map(ended_in_an_os_error, cells[-len(proofs) :])), "a fault was not there"
    assert int(cells[len(before.cells)].outputs[0].text) <= ENOUGH
    after = nbformat.from_dict({**before, "cells": cells[: len(before.cells)]})
    assert notebooks.claims_of(after) == notebooks.claims_of(before)
    assert list(map(pictures_in, after.cells)) == list(map(pictures_in, before.cells))
    said = [line for cell in cells for line in printed(cell, "stdout") if "progress cannot be written" in line]
    if fault.progress:
        assert len(said) == 1 and fault.progress in said[0]
    else:
        assert said == [] and os.listdir(work) == ["progress.json"]
    for line in (line for cell in cells for line in printed(cell, "stderr")):
        assert "atplotlib" in line or "font_manager" in line, line  # its own cache, which it can do without


def ended_in_an_os_error(cell):
    names = [output.ename for output in cell.outputs if output.output_type == "error"]
    return bool(names) and issubclass(getattr(builtins, names[0], Exception), OSError)


def pictures_in(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def printed(cell, name):
    texts = [output.text for output in cell.get("outputs", []) if output.get("name") == name]
    return [line for line in "".join(texts).splitlines() if line.strip()]


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_teaches_with_any_of_the_faults(path, fault, tmp_path):
    check_it_teaches(path, FAULTS[fault], tmp_path)


@pytest.mark.parametrize("names", [("read-only checkout", "no home", "no network"), ("disk full", "HOME unset")])
def test_the_first_notebook_teaches_with_several_faults_at_once(names, tmp_path):
    check_it_teaches(NOTEBOOKS[0], reduce(Fault.__add__, map(FAULTS.get, names)), tmp_path)


# --- make lab -------------------------------------------------------------------------------------------------------


def make_lab(fault, tmp_path):
    """What `make lab` says, with a JupyterLab that ends at once."""
    instead = tmp_path / "instead"
    instead.mkdir()
    (instead / "jupyterlab.py").touch()
    command, environment = with_fault(fault, tmp_path, [sys.executable, str(notebooks.ROOT / "tools" / "my_course.py")])
    environment["PYTHONPATH"] = str(instead)
    return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)


def test_a_read_only_checkout_is_copied_to_the_home_folder(tmp_path):
    home = Fault("", environment={"HOME": str(tmp_path)})
    ran = make_lab(FAULTS["read-only checkout"] + home, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert f"your notebooks are kept in {tmp_path / 'my_course'}." in ran.stdout
    assert sorted(path.name for path in (tmp_path / "my_course").glob("*.ipynb")) == [path.name for path in NOTEBOOKS]


def test_without_a_home_a_temporary_one_serves(tmp_path):
    there = Fault("", environment={"TMPDIR": str(tmp_path)})
    ran = make_lab(FAULTS["read-only checkout"] + FAULTS["no home"] + there, tmp_path)
    assert ran.returncode == 0, ran.stderr
    (home,) = tmp_path.glob("vae_course_*")
    assert f"{home} serves for this session" in ran.stdout and (home / "my_course" / NOTEBOOKS[0].name).exists()


def test_a_full_disk_stops_make_lab_with_one_line(tmp_path):
    ran = make_lab(FAULTS["disk full"] + FAULTS["read-only checkout"] + Fault("", environment={"HOME": "."}), tmp_path)
    assert ran.returncode == 1
    said = f"Could not be written: {NOTEBOOKS[0].name} (No space left on device), "
    assert ran.stderr.startswith(said) and ran.stderr.count("\n") == 1


# --- a disk that runs full while something is written ---------------------------------------------------------------

WRITE = """
import os
from pathlib import Path
from torchvision.utils import save_image
from vae_helpers import checkpoints, exercise, explore, fit, load, mlp_vae, plots

os.remove("filler")
os.mkdir("../pictures")
model, images = mlp_vae((1, 8, 8), 2, (8,)), load("digits").train.images
settings = {"steps": 4, "checkpoint": "run.safetensors", "checkpoint_every": 2, "progress": False}
fit(model, images, **settings, callback=lambda step, _: step == 2 and os.kill(os.getpid(), 2), callback_every=2)
checkpoints.save("model.safetensors", model)
exercise("00.3", 1.0)
for n in range(12):
    save_image(images[n] / 255, f"../pictures/{n}.png")
os.environ["VAE_HELPERS_CACHE"] = "cache"
load("folder", "../pictures", size=8)
picture = explore(lambda n: plots.images(images[:n]), save="picture.png", n=(1, 9))
picture.button.click()

def on_the_disk():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}

before = on_the_disk()
try:
    with open("filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
except OSError:
    pass

def tried(action):
    try:
        action()
        print("went on", end="\\n\\n")
    except Exception as error:
        print(f"{type(error).__name__}: {error}", end="\\n\\n")

tried(lambda: exercise("00.3", 64 * 1.0))
tried(lambda: exercise("00.3", 65 * 1.0))
tried(lambda: checkpoints.save("model.safetensors", model))
tried(lambda: fit(model, images, **settings, resume=True))
tried(lambda: (picture.button.click(), print(picture.message.value)))
tried(lambda: print(load("folder", "../pictures", size=64).image_shape))
os.remove("filler")
print("the same files:", on_the_disk() == before)
tried(lambda: fit(model, images, **settings, resume=True))
tried(lambda: (picture.button.click(), print(picture.message.value)))
tried(lambda: (exercise("00.3", 66 * 1.0), print(open("progress.json").read().count('"attempts": 4'))))
"""


def test_a_full_disk_costs_a_line_and_no_file(tmp_path):
    environment = {"VAE_HELPERS_PROGRESS": "progress.json", "VAE_HELPERS_STATIC": "0"}
    fault = Fault("", FAULTS["disk full"].commands.replace("size=64k", "size=1m"), ("--mount",), environment)
    disk = tmp_path / "disk"
    disk.mkdir()
    command, environment = with_fault(fault, disk, [sys.executable, "-c", WRITE])
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr[-3000:]
    parts = ran.stdout.split("\n\n")
    full = "No space left on device"
    assert parts[0].count(full) == 1 and "Your progress cannot be written" in parts[0] and parts[0].endswith("went on")
    assert full not in parts[1] and parts[1].endswith("went on")
    assert parts[2] == f"OSError: [Errno 28] {full}: 'model.safetensors'"
    assert parts[3].count(full) == 1 and "checkpoint run.safetensors" in parts[3] and parts[3].endswith("went on")
    assert full in parts[4] and parts[4].endswith("went on")
    assert "not cached (the pictures need" in parts[5] and parts[5].endswith("(3, 64, 64)\nwent on")
    assert parts[6].startswith("the same files: True") and parts[6].endswith("went on")
    assert "saved as picture-2.png" in parts[7] and parts[8].endswith("1\nwent on")


# --- cells out of order ---------------------------------------------------------------------------------------------


def made_by(source):
    """The global names that a cell makes."""
    return {name.get_name() for name in symtable.symtable(source, "cell", "exec").get_symbols()
            if name.is_assigned() or name.is_imported()}  # fmt: skip


def used_by(source):
    """The global names that a cell uses, in its functions too, and does not make itself."""

    def globals_of(table):
        yield from (name.get_name() for name in table.get_symbols() if name.is_referenced() and name.is_global())
        for inner in table.get_children():
            yield from globals_of(inner)

    top = symtable.symtable(source, "cell", "exec")
    return {*globals_of(top), *(name.get_name() for name in top.get_symbols())} - made_by(source)


def cells_that_lean(notebook):
    """(number, source, what earlier cells made) of the code cells that use something which the first does not make."""
    cells = [(number, cell.source) for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    known, made = made_by(cells[0][1]), set()
    for number, source in cells[1:]:
        if used_by(source) & made - known:
            yield number, source, made - known
        made |= made_by(source)


@pytest.mark.parametrize("path", each_notebook())
def test_a_cell_run_right_after_the_first_one_says_what_it_lacks(path):
    notebook = nbformat.read(path, as_version=4)
    leaning = list(cells_that_lean(notebook))
    first = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    forget = "for _name in set(globals()) - _kept:\n    if not _name.startswith('_'): del globals()[_name]"
    cells = [new_code_cell(first), new_code_cell("_kept = set(globals())")]
    for _, source, _ in leaning:
        cells += [new_code_cell(source, metadata=MAY_FAIL), new_code_cell(forget)]
    done = notebooks.run(nbformat.v4.new_notebook(cells=cells), timeout=1800)
    explained = 0
    for (number, _, names), cell in zip(leaning, done.cells[2::2], strict=True):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if not errors:
            continue  # it only defines a function, to be called further down
        assert errors[0].ename == "NameError", (number, errors[0].ename, errors[0].evalue)
        sentence = "".join(printed(cell, "stdout")[-1:])
        assert any(f"There is no `{name}` in this kernel" in sentence for name in names), (number, sentence)
        assert "Run All Above Selected Cell" in sentence
        explained += 1
    assert explained > len(leaning) / 2 > 2
