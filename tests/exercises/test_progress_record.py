"""progress.json: what is kept, and that nothing about it ever stops a lesson."""

import json
import os
from functools import partial

import pytest

from tests.exercises import made_up
from vae_helpers import exercise, hint, progress, solution
from vae_helpers.exercises import progress_record, registry

WRONG = made_up.WRONG_KL[0].answer
RIGHT = partial(made_up.gaussian_kl)  # not the reference itself, which goes back to whoever is wrong


@pytest.fixture(autouse=True)
def only_lesson_99(monkeypatch):
    monkeypatch.setattr(progress_record, "lesson_numbers", lambda: ("99",))
    monkeypatch.setattr(registry, "lesson_numbers", lambda: ("99",))


@pytest.fixture
def new_kernel(monkeypatch):
    def start():
        monkeypatch.setattr(progress_record, "_memory", {})
        monkeypatch.setattr(progress_record, "_said", set())

    return start


def table(capsys):
    capsys.readouterr()
    progress()
    return capsys.readouterr().out


def test_a_fresh_notebook_writes_nothing(tmp_path, capsys):
    exercise("99.1", None)
    assert list(tmp_path.iterdir()) == []
    assert "0 of 2 exercises solved." in table(capsys)


def test_the_table_shows_what_was_done(capsys, new_kernel):
    exercise("99.1", WRONG)
    assert "99.1  tried 1 time" in table(capsys)
    exercise("99.1", WRONG)
    exercise("99.2", 3.5)
    new_kernel()
    assert table(capsys) == (
        "Notebook 99: 1 of 2 solved\n"
        "  99.1  tried 2 times          The KL of two Gaussians\n"
        "  99.2  solved                 The mean of a die\n"
        "1 of 2 exercises solved.\n"
    )


def test_what_is_solved_stays_solved_and_is_not_counted_on(tmp_path):
    for answer in (WRONG, RIGHT, WRONG, RIGHT, None):
        exercise("99.1", answer)
    entry = json.loads((tmp_path / "progress.json").read_text())["exercises"]["99.1"]
    assert entry == {"solved": True, "attempts": 2, "hints": 0, "solution": False}


def test_help_is_noted(tmp_path, capsys):
    hint("99.1", 2)
    hint("99.1", 1)
    solution("99.1")
    exercise("99.1", RIGHT)
    entry = json.loads((tmp_path / "progress.json").read_text())["exercises"]["99.1"]
    assert entry == {"solved": True, "attempts": 1, "hints": 2, "solution": True}
    assert "solved (solution read)" in table(capsys)


def test_two_kernels_keep_one_record(new_kernel, capsys):
    exercise("99.1", RIGHT)
    new_kernel()
    exercise("99.2", 3.5)
    assert "2 of 2 exercises solved." in table(capsys)


def test_the_variable_puts_the_record_elsewhere(tmp_path, monkeypatch, capsys, new_kernel):
    (tmp_path / "a folder").mkdir()
    for wish, path in (("elsewhere.json", "elsewhere.json"), ("a folder", "a folder/progress.json")):
        monkeypatch.setenv("VAE_HELPERS_PROGRESS", str(tmp_path / wish))
        new_kernel()
        exercise("99.2", 3.5)
        assert json.loads((tmp_path / path).read_text())["exercises"]["99.2"]["solved"]
    assert not (tmp_path / "progress.json").exists()


def test_off_keeps_the_record_in_memory(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VAE_HELPERS_PROGRESS", "off")
    exercise("99.2", 3.5)
    assert "1 of 2 exercises solved." in table(capsys)
    assert list(tmp_path.iterdir()) == []


BROKEN = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b'{"exercises": []}',
    b'{"exercises": {"99.1": 3}}',
    b'{"exercises": {"99.1": {"solved": "yes"}}}',
    b'{"exercises": {"99.1": {"attempts": null}}}',
    b'{"exercises": {"one": {}}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_a_file_that_is_no_record_is_set_aside_and_said_once(content, tmp_path, capsys):
    path = tmp_path / "progress.json"
    path.write_bytes(content)
    assert exercise("99.2", 3.5) == 3.5
    assert exercise("99.2", 3.5) == 3.5
    said = capsys.readouterr().out
    assert said.count("not a record of progress") == 1 and "progress.json.unreadable" in said
    assert (tmp_path / "progress.json.unreadable").read_bytes() == content
    assert "1 of 2 exercises solved." in table(capsys)


def test_a_record_of_a_later_version_is_read(tmp_path, capsys):
    entry = {"solved": True, "mood": "good"}
    (tmp_path / "progress.json").write_text(json.dumps({"version": 2, "exercises": {"99.1": entry}, "more": 1}))
    assert "1 of 2 exercises solved." in table(capsys)


def test_a_place_that_cannot_be_written_is_said_once_and_memory_serves(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VAE_HELPERS_PROGRESS", str(tmp_path / "no such folder" / "progress.json"))
    exercise("99.1", WRONG)
    assert exercise("99.2", 3.5) == 3.5
    assert capsys.readouterr().out.count("cannot be written") == 1
    assert "1 of 2 exercises solved." in table(capsys)


@pytest.mark.parametrize("wish", ["~no such user/progress.json", "n" * 300, "file/progress.json", "pipe"])
def test_a_place_that_cannot_be_is_said_once_and_stops_nothing(wish, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("VAE_HELPERS_PROGRESS", wish)
    exercise("99.1", WRONG)
    assert exercise("99.2", 3.5) == 3.5
    assert capsys.readouterr().out.count("cannot be written") == 1
    assert "1 of 2 exercises solved." in table(capsys)
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"] and (tmp_path / "pipe").is_fifo()


def test_what_cannot_be_written_outdoes_an_older_record(tmp_path, monkeypatch, capsys):
    exercise("99.1", WRONG)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    exercise("99.1", RIGHT)
    assert "No space left on device" in capsys.readouterr().out
    assert "1 of 2 exercises solved." in table(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"], "no half-written file is left"
    assert not json.loads((tmp_path / "progress.json").read_text())["exercises"]["99.1"]["solved"]


def test_a_working_directory_that_is_gone_stops_nothing(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert exercise("99.2", 3.5) == 3.5
    assert "1 of 2 exercises solved." in table(capsys)
