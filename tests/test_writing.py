"""Files are written whole or not at all."""

import errno
import os

import pytest

from vae_helpers.writing import write_whole


def test_a_file_is_replaced_with_the_rights_that_new_files_have(tmp_path):
    path, plain = tmp_path / "a.bin", tmp_path / "plain"
    plain.touch()
    assert write_whole(path, b"one") == path and path.read_bytes() == b"one"
    assert write_whole(str(path), b"two") == path and path.read_bytes() == b"two"
    assert path.stat().st_mode == plain.stat().st_mode  # others may read it, if that is the custom here
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "plain"]


def test_a_name_as_long_as_names_may_be_will_do(tmp_path):
    assert write_whole(tmp_path / ("n" * 255), b"one").read_bytes() == b"one"


def test_a_link_stays_and_the_file_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "far" / "file")
    for content in (b"one", b"two"):
        write_whole(link, content)
        assert link.is_symlink() and (tmp_path / "far" / "file").read_bytes() == content
    assert os.listdir(tmp_path / "far") == ["file"]


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def stopped(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("call", "what"), [("fsync", full), ("replace", full), ("fsync", stopped)])
def test_what_stops_the_writing_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, call, what):
    path = write_whole(tmp_path / "a.bin", b"old")
    monkeypatch.setattr(os, call, what)
    with pytest.raises((OSError, KeyboardInterrupt)) as caught:
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]
    if what is full:
        assert str(caught.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{path}'"


def test_folders_and_folders_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        write_whole(tmp_path, b"new")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_whole(tmp_path / "nowhere" / "a.bin", b"new")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file/a\.bin"):
        write_whole(tmp_path / "file" / "a.bin", b"new")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_stays_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a device or a pipe"):
        write_whole(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()
