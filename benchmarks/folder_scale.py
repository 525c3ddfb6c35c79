"""How fast is a folder of pictures read, and how much memory does training on a million of them take?

    python -m benchmarks.folder_scale [--n 1000000] [--rounds 3] [--steps 300] [--shared]

Decoding: JPEGs of 1.1 megapixels and PNGs of 64 x 64, cut from a photograph and written into a temporary folder, by one
thread, by the threads that the package takes for few files, and by as many processes, in turns; rates are those of the
fastest round. With --shared it is done beside other work, and no round is thrown away. Starting again: 10,000 PNGs from
the cache.

Scale: a stand-in for n pictures of 64 x 64, a folder of as many files of one byte (names of a few files) beside a cache
of random blocks, 12 GB for a million. A process of its own loads it, trains a small VAE for some steps and evaluates it
on 1,000 pictures; twenty times a second it looks at its memory: what it has for itself (RssAnon), and the pages of
files that it has mapped (RssFile: programs, the pictures' cache), which the system takes back when it wants them. Once
the cache has just been written, so that the system has much of it in memory already and maps more than is asked for;
and once none of it, as after a restart.
The temporary folder is TMPDIR's, or the system's. Linux only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from joblib import cpu_count
from PIL import Image

from benchmarks.measuring import description, in_turns, one_thread, table
from benchmarks.options import parser
from vae_helpers import evaluate, fit, load, mlp_vae, seed_everything
from vae_helpers.data import decoding, picture_cache, picture_file
from vae_helpers.data.folder import list_files

SHAPE = (3, 64, 64)
BLOCK = 4096  # random pictures, again and again
LINKS = 50_000  # names of a file; some file systems have 65,000 at most
SPARE = 8 * 10**9  # bytes of the disk that are left alone
CHILD = "import sys; from benchmarks.folder_scale import use; print(use(sys.argv[1], int(sys.argv[2])))"
KINDS = {"JPEG, 1200 x 900": 400, "PNG, 64 x 64": 10_000}  # and how many of them


def write_pictures(folder: Path, kind: str) -> list[str]:
    """As many different pictures as KINDS says; their names."""
    from skimage.data import astronaut

    folder.mkdir()
    pixels = np.asarray(Image.fromarray(astronaut()).resize((1200, 900)))
    for i in range(KINDS[kind]):
        moved = np.roll(pixels, (7 * i, 13 * i), (0, 1))
        if kind.startswith("JPEG"):
            Image.fromarray(moved).save(folder / f"{i:05}.jpg", quality=88)
        else:
            Image.fromarray(moved[:64, :64]).save(folder / f"{i:05}.png")
    return sorted(os.listdir(folder))


def decoding_rates(kind: str, names: list[str], folder: Path, rounds: int, shared: bool) -> list[list[object]]:
    """The lines of the table for one kind of file."""
    form, cores = picture_file.Form(), cpu_count()
    rows = np.memmap(folder.with_suffix(".rows"), np.uint8, "w+", shape=(len(names), *form.shape))

    def work(threads: int, many: int) -> None:
        decoding.THREADS, decoding.MANY = threads, many
        outcomes = list(decoding.decode(folder, names, form, rows))
        assert all(isinstance(outcome, decoding.Digests) for outcome in outcomes)

    usual = decoding.THREADS, decoding.MANY
    try:
        works = {
            "1 thread": lambda: work(1, 10**9),
            f"{min(usual[0], cores)} threads": lambda: work(usual[0], 10**9),
            f"{cores} processes, with the time to start them": lambda: work(1, 1),
        }
        times = in_turns(works, rounds, shared=shared)
    finally:
        decoding.THREADS, decoding.MANY = usual
    return [[kind, how, time, f"{len(names) / min(time.rounds):,.0f}"] for how, time in times.items()]


def stand_in(folder: Path, n: int) -> None:
    """A folder that seems to hold n pictures, and their cache."""
    folder.mkdir()
    for i in range(n):
        if i % LINKS:
            os.link(folder / f"{i - i % LINKS:07}", folder / f"{i:07}")
        else:
            (folder / f"{i:07}").write_bytes(b"x")
    files, _ = list_files(folder.resolve())
    generator = np.random.default_rng(0)
    block = generator.integers(0, 256, (BLOCK, *SHAPE), dtype=np.uint8)
    digests = np.frombuffer(b"".join(decoding.sha256(row) for row in block), np.uint8).reshape(BLOCK, 32)
    path = picture_cache.place(folder.resolve(), picture_file.Form(), "picture")
    new = picture_cache.Unfinished(path, SHAPE, n, n)
    for start in range(0, n, BLOCK):
        new.images[start : start + BLOCK] = block[: n - start]
    order = generator.permutation(n)
    of_pictures = np.zeros((n, 2, 32), np.uint8)
    of_pictures[order, 1] = digests[np.arange(n) % BLOCK]
    tenth = n // 10
    _, trouble = new.finish(picture_cache.Table.of(files, of_pictures, order, (tenth, tenth, n - 2 * tenth), BLOCK))
    if trouble:
        raise OSError(trouble)


class Watch(threading.Thread):
    """Looks at this process's memory twenty times a second; the most of each kind that it saw, in bytes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most = {"RssAnon": 0, "RssFile": 0}

    def look(self) -> None:
        """Once."""
        for line in Path("/proc/self/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in self.most:
                self.most[name] = max(self.most[name], 1024 * int(rest.split()[0]))

    def run(self) -> None:
        """Until the process ends."""
        while True:
            self.look()
            time.sleep(0.05)


def use(folder: str, steps: int) -> str:
    """Load a folder, train and evaluate a small VAE; seconds, pictures and memory, as JSON."""
    one_thread()
    watch = Watch()
    watch.start()
    found: dict[str, float] = {}
    start = time.perf_counter()
    data = load("folder", folder)
    found["load"] = time.perf_counter() - start
    seed_everything(0)
    model = mlp_vae(data.image_shape, 32, (256,))
    start = time.perf_counter()
    fit(model, data.train.images, steps=steps, validation=data.validation.images[:500], progress=False)
    found["fit"] = time.perf_counter() - start
    start = time.perf_counter()
    evaluate(model, data.test.images[:1000])
    found["evaluate"] = time.perf_counter() - start
    watch.look()
    return json.dumps(found | watch.most | {"n": len(data.files)})


def measure(n: int = 1_000_000, rounds: int = 3, steps: int = 300, shared: bool = False) -> str:
    """The section of docs/performance.md."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        os.environ |= {"VAE_HELPERS_CACHE": str(home / "cache"), "VAE_HELPERS_STATIC": "1"}
        rates = []
        for kind in KINDS:
            folder = home / kind.split(",")[0]
            rates += decoding_rates(kind, write_pictures(folder, kind), folder, rounds, shared)
        load("folder", folder)
        again = in_turns({"again": lambda: load("folder", folder) and None}, rounds, shared=shared)["again"]
        room = (shutil.disk_usage(home).free - SPARE) // (int(np.prod(SHAPE)) + 200)
        sizes = [10_000, min(n, room)]
        scale = [row for size in sizes for row in scale_rows(home / f"pictures{size}", size, steps)]
    text = f"{rounds} rounds in turns{', beside other work' * shared}.\n\n"
    text += table(["files", "decoded by", "seconds", "files a second, at best"], rates)
    text += f"\n\nStarting again with the {KINDS['PNG, 64 x 64']:,} PNGs: {again}.\n\n"
    text += f"Stand-ins of random pixels; {steps} steps of a fully connected VAE in batches of 128, on one thread."
    head = [
        "pictures of 64 x 64",
        "GB in the cache",
        "in memory before",
        "load, s",
        "fit, s",
        "evaluate, s",
        "own memory, GB",
        "mapped, GB",
    ]
    return f"{text}\n\n{table(head, scale)}"


def scale_rows(folder: Path, n: int, steps: int) -> list[list[object]]:
    """Two lines of the table: a stand-in made, used by processes of its own, and removed."""
    stand_in(folder, n)
    rows = []
    for already in ("yes", "no"):
        if already == "no":
            forget(picture_cache.place(folder.resolve(), picture_file.Form(), "picture"))
        command = [sys.executable, "-c", CHILD, str(folder), str(steps)]
        printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found = json.loads(printed.splitlines()[-1])
        seconds = [f"{found[what]:.3g}" for what in ("load", "fit", "evaluate")]
        memory = [f"{found[kind] / 1e9:.2f}" for kind in ("RssAnon", "RssFile")]
        rows.append([f"{found['n']:,}", f"{n * np.prod(SHAPE) / 1e9:.3g}", already, *seconds, *memory])
    shutil.rmtree(folder)
    return rows


def forget(path: Path) -> None:
    """Have the system drop what it keeps of a file in memory."""
    with open(path, "rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    args = parser(__doc__, n=1_000_000, rounds=3, steps=300, shared=False).parse_args()
    measured = measure(args.n, args.rounds, args.steps, args.shared)
    print(description(), measured, sep="\n\n")
