"""What a command may use, and what becomes of it when it uses more."""

import os
import sys

import psutil
import pytest

from vae_helpers.grading import sandbox, watchdog
from vae_helpers.grading.limits import Limits
from vae_helpers.grading.watchdog import MARK, run_watched, weigh

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """Runs Python code in a folder of its own and returns what it was ended for."""
    monkeypatch.setattr(watchdog, "WEIGH", 0.1)
    place = tmp_path / "place"
    place.mkdir()

    def run(code, stopped=lambda: False, **limits):
        environment = os.environ | {MARK: str(place / "results.jsonl")}
        bounds = Limits(**{"seconds": 20, "memory": 2, "disk": 0.05} | limits)
        return run_watched([sys.executable, "-c", code], place, environment, bounds, stopped)

    run.place = place
    return run


def test_what_keeps_to_the_limits_ends_by_itself(watched):
    assert watched("open('made.txt', 'w').write('done')") == ""
    assert (watched.place / "made.txt").read_text() == "done"


def test_time(watched):
    assert watched("import time; time.sleep(60)", seconds=0.5) == "ended at the time limit of 0.5 s"


def test_stopping(watched):
    assert watched("import time; time.sleep(60)", stopped=lambda: True) == "stopped"


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("for n in range(9): open(f'{n}', 'wb').write(bytes(10**7))", "ended at the disk limit of 0.05 GB"),
        ("for n in range(99): open(f'{n}', 'w')", "ended at the limit of 50 files"),
        pytest.param(
            "import tempfile\nkept = [tempfile.TemporaryFile() for _ in range(9)]\n"
            "for file in kept: file.write(bytes(10**7)); file.flush()",
            "ended at the disk limit of 0.05 GB",
            marks=LINUX,
        ),
    ],
    ids=["many large files", "many files", "files without a name"],
)
def test_the_disk(code, ended, watched, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(watched.place))
    assert watched(f"{code}\nimport time; time.sleep(60)", files=50) == ended


@LINUX
def test_one_large_file_is_refused(watched):
    said = "try: open('large', 'wb').write(bytes(10**8))\nexcept OSError: open('said', 'w').write('too large')"
    assert watched(said) == "" and (watched.place / "said").read_text() == "too large"


HOGS = """import os, time
hog = bytearray(2 * 10**8)
for _ in range(4):
    if os.fork() == 0:
        more = bytearray({more})
        time.sleep({seconds})
        os._exit(0)
time.sleep({seconds})"""


@LINUX
def test_memory_that_processes_share_counts_once(watched):
    assert watched(HOGS.format(more=0, seconds=0.7), memory=0.6) == ""
    ended = watched(HOGS.format(more=2 * 10**8, seconds=60), memory=0.6)
    assert ended == "ended at the memory limit of 0.6 GB"


@LINUX
def test_orphans_that_hide_are_ended_too(watched):
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "    os.execve('/bin/sleep', ['sleep', '324'], {})\n"
        "time.sleep(0.5)"
    )
    assert watched(code) == ""
    assert ["sleep", "324"] not in [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]


@LINUX
@pytest.mark.parametrize("hiding", ["", "; os.setsid()"])
def test_what_goes_on_starting_others_is_ended(hiding, watched):
    bomb = "for _ in range(500):\n    time.sleep(0.002)\n    if os.fork() == 0: pass{}; time.sleep(325)"  # it ends
    code = f"import os, time\n{bomb.format(hiding)}\ntime.sleep(325)"
    assert watched(code, processes=30) == "ended at the limit of 30 processes"
    left = [process for process in psutil.process_iter(["cmdline"]) if code in (process.info["cmdline"] or [])]
    assert not [process for process in left if process.status() != psutil.STATUS_ZOMBIE]


def test_weighing_stops_at_a_number_of_files(tmp_path):
    for n in range(9):
        (tmp_path / f"{n}").write_bytes(bytes(5000))
    (tmp_path / "link").symlink_to("/")
    assert weigh(tmp_path, 100) == (9 * 8192, 10)
    assert weigh(tmp_path, 3)[1] == 4
    assert weigh(tmp_path / "absent", 3) == (0, 0)


@pytest.mark.parametrize(
    ("version", "protects", "said"),
    [
        (0, False, "NOT ENFORCED here"),
        (1, True, "still lets it empty your files"),
        (4, True, "still lets it end your processes"),
        (6, True, "only into a folder of its own"),
    ],
)
def test_it_is_said_what_this_machine_enforces(version, protects, said, monkeypatch):
    monkeypatch.setattr(sandbox, "_landlock_version", lambda: version)
    assert sandbox.protection()[0] is protects and said in sandbox.protection()[1]
    assert ("But" in sandbox.protection()[1]) == (version in (1, 4))


@pytest.mark.skipif(not sandbox.protection()[0], reason="this system cannot shut a process into a folder")
def test_what_is_shut_in_reads_everything_and_writes_nothing_else(watched, tmp_path):
    (tmp_path / "secret.txt").write_text("read me")
    code = f"open('copy', 'w').write(open({str(tmp_path / 'secret.txt')!r}).read()); open({str(tmp_path / 'x')!r}, 'w')"
    assert watched(code) == ""
    assert (watched.place / "copy").read_text() == "read me" and not (tmp_path / "x").exists()
    assert "PermissionError" in (watched.place / "messages.txt").read_text()


@pytest.mark.skipif(sandbox._landlock_version() < sandbox.HAS_SCOPES, reason="needs Linux 6.12")
def test_what_is_shut_in_ends_no_process_outside(watched):
    assert watched(f"import os; os.kill({os.getpid()}, 0)") == ""
    assert "PermissionError" in (watched.place / "messages.txt").read_text()
