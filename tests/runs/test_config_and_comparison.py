"""Settings as a file, what a survey proposes, runs side by side, and the commands."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from tests.runs.conftest import QUICK, draw
from vae_helpers.__main__ import main
from vae_helpers.data.folder import part_of_sub_folder
from vae_helpers.evaluation import mean_and_error
from vae_helpers.runs import RunError, Settings, compare_runs, survey
from vae_helpers.runs.folder_run import METRICS
from vae_helpers.runs.settings import read_toml, write_toml


def test_settings_come_back_from_toml(tmp_path):
    path = tmp_path / "run.toml"
    settings = {"size": 48, "grey": True, "background": (0, 10, 255), "learning_rate": 1e-3, "fit": "pad"}
    settings |= {"split_by": "folder"}
    path.write_text(write_toml({"folder": 'a "b"\\c'} | settings, {"pictures": [1, 2, 3]}))
    read, places = read_toml(path)
    assert read.given == settings and places == {"folder": str(tmp_path / 'a "b"\\c')}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size = ", "is not TOML"),
        ("sice = 64", "no setting 'sice'. Did you mean 'size'"),
        ('size = "64"', "size"),
        ("folder = 3", "folder must be the path"),
        ("minutes = 1\nsteps = 2", "not both"),
        ('split_by = "person"', "split_by must be"),
    ],
)
def test_what_is_wrong_in_a_file_of_settings_is_said(text, said, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(RunError, match=said):
        read_toml(path)


def test_options_count_more_than_the_file(tmp_path):
    asked = Settings(size=32, steps=5).over(Settings(size=64, minutes=3.0, grey=True))
    assert asked.given == {"size": 32, "steps": 5, "grey": True}


def save(folder, name, pixels, **how):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name, **how)


def noise(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_pictures_of_one_small_size_stay_as_they_are_and_grey_ones_grey(tmp_path):
    for i in range(12):
        save(tmp_path / "digits", f"{i}.png", noise(28, 28, 1, i))
    found = survey(tmp_path / "digits")
    assert (found.proposed.size, found.proposed.grey, found.grey) == (28, True, 1.0)


def test_grey_pictures_saved_in_colour_are_seen_to_be_grey(tmp_path):
    for i in range(12):
        save(tmp_path / "scans", f"{i}.jpg", np.repeat(noise(200, 150, 1, i)[..., None], 3, 2), quality=90)
    assert survey(tmp_path / "scans").proposed.grey is True
    save(tmp_path / "scans", "colour.png", noise(200, 150))
    assert survey(tmp_path / "scans").proposed.grey is False  # one coloured picture is reason enough to keep colour


def test_turned_pictures_are_measured_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(10):
        save(tmp_path / "photos", f"{i}.jpg", noise(100, 300, seed=i), exif=exif)
    found = survey(tmp_path / "photos")
    assert set(found.sides) == {(100, 300)} and found.turned == 1.0  # stored 300 wide and 100 high
    assert found.proposed.fit == "pad"  # three times as high as wide


def test_white_icons_get_a_black_background(tmp_path):
    for i in range(12):
        pixels = np.zeros((64, 64, 4), dtype=np.uint8)
        pixels[10 : 40 + i, 20:40] = 255
        save(tmp_path / "icons", f"{i}.png", pixels)
    found = survey(tmp_path / "icons")
    assert found.proposed.background == 0 and found.transparent == 1.0
    assert survey(tmp_path / "icons", Settings(background=128)).proposed.background == 128  # what is asked for stays


def test_what_the_middle_square_leaves_out_is_said(tmp_path):
    for i in range(10):
        save(tmp_path / "wide", f"{i}.png", noise(60, 100, seed=i))
    assert any("leaves out 40%" in remark for remark in survey(tmp_path / "wide").remarks)
    assert not any("leaves out" in remark for remark in survey(tmp_path / "wide", Settings(fit="pad")).remarks)


def test_how_sub_folders_would_be_split_is_said_where_it_is_asked_for(tmp_path, capsys):
    for i in range(30):
        draw(tmp_path / "films" / f"{i:02}", 1 + i % 2, seed=i)
    assert survey(tmp_path / "films").proposed.split_by == "picture"
    assert main(["look", str(tmp_path / "films"), "--split-by", "folder"]) == 0
    parts = [part_of_sub_folder(f"{i:02}") for i in range(30)]
    files = sum(1 + i % 2 for i in range(30) if parts[i] == "train")
    assert f"Of 30 sub-folders there are {parts.count('train')} for train ({files} files), " in capsys.readouterr().out
    assert main(["look", str(draw(tmp_path / "flat", 12)), "--split-by", "folder"]) == 2
    assert "has no sub-folders" in capsys.readouterr().err


def test_a_survey_changes_nothing(tmp_path):
    folder = draw(tmp_path / "p", 12)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    found = survey(folder)
    assert (found.files, found.unreadable) == (13, 1) and "1 give no picture" in str(found)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_runs_are_compared_where_they_are_about_the_same_pictures(finished, tmp_path):
    for name, change in (("better", -0.5), ("other", 0.0)):
        shutil.copytree(finished.path, tmp_path / name)
        metrics = json.loads((tmp_path / name / METRICS).read_text())
        metrics["bits_per_dim"]["VAE"]["mean"] += change
        metrics["test"]["bits_per_dim"] = [bits + change for bits in metrics["test"]["bits_per_dim"]]
        metrics["settings"]["latents" if name == "better" else "size"] = 32
        metrics["test"]["sha256"] += "" if name == "better" else " at another size"
        (tmp_path / name / METRICS).write_text(json.dumps(metrics))
    said = compare_runs(finished.path, tmp_path / "better")
    assert (
        "better has the fewest bits per dimension, 0.500 ± 0.000 less" in said
        and "latents" in said
        and "\nsize" not in said
    )
    assert "not compared" in compare_runs(finished.path, tmp_path / "other")
    with pytest.raises(RunError, match="two runs or more"):
        compare_runs(finished.path)


def test_runs_are_told_apart_by_the_differences_of_each_picture(finished, tmp_path):
    gains = torch.tensor([0.010, 0.014, 0.012]).repeat(100)[: len(finished.metrics["test"]["bits_per_dim"])]

    def changed(name, change):
        shutil.copytree(finished.path, tmp_path / name)
        metrics = json.loads((tmp_path / name / METRICS).read_text())
        bits = torch.tensor(metrics["test"]["bits_per_dim"]) - gains
        metrics["test"]["bits_per_dim"] = bits.tolist()
        metrics["bits_per_dim"]["VAE"] = mean_and_error(bits)._asdict()
        change(metrics)
        (tmp_path / name / METRICS).write_text(json.dumps(metrics))
        return compare_runs(finished.path, tmp_path / name)

    gap, error = mean_and_error(gains)
    assert f"{gap:.3f} ± {error:.3f} less" in changed("same", lambda _: None) and error < 0.001
    apart = finished.metrics["bits_per_dim"]["VAE"]["standard_error"]
    said = changed("earlier version", lambda metrics: metrics.pop("test"))
    spread = float(re.search(r"± ([0-9.]+) less", said)[1])
    assert spread == pytest.approx(2**0.5 * apart, rel=0.05) and "not told apart" in said
    said = changed("other pictures", lambda metrics: metrics["test"].update(sha256="another"))
    assert "not compared: their settings agree" in said and "fewest" not in said
    old = compare_runs(finished.path, tmp_path / "earlier version", tmp_path / "other pictures")
    assert "not compared" in old  # two digests that differ are enough, whatever a third run lacks


def test_runs_on_the_same_test_pictures_are_compared_wherever_these_lay(finished, tmp_path):
    def copied(name, digest):
        shutil.copytree(finished.path, tmp_path / name)
        metrics = json.loads((tmp_path / name / METRICS).read_text())
        metrics["settings"]["folder"] = "/moved"
        metrics["pictures"]["skipped"] += 1
        if not digest:
            metrics.pop("test")
        (tmp_path / name / METRICS).write_text(json.dumps(metrics))
        return compare_runs(finished.path, tmp_path / name)

    assert "fewest bits" in copied("moved", digest=True)
    assert copied("of an earlier version", digest=False).endswith("different pictures, and are not compared.")


def test_the_commands_say_what_is_wrong_in_a_sentence(finished, tmp_path, capsys):
    assert main(["train", str(tmp_path / "nowhere"), "--into", str(tmp_path / "run")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["train"]) == 2 and "which folder?" in capsys.readouterr().err
    assert main(["sample", str(tmp_path / "nothing")]) == 2 and "does not exist" in capsys.readouterr().err
    assert main(["train", str(tmp_path), "--size", "3"]) == 2 and "size" in capsys.readouterr().err


def test_the_commands_do_what_they_say(finished, pictures, tmp_path, capsys):
    assert main(["look", str(pictures)]) == 0
    assert "123 files" not in capsys.readouterr().err
    assert main(["sample", str(finished.path), "--number", "9", "--to", str(tmp_path / "s.png")]) == 0
    with Image.open(tmp_path / "s.png") as image:
        assert image.width == image.height
    assert main(["compare", str(finished.path), str(finished.path)]) == 0
    assert "bits per dimension" in capsys.readouterr().out
    (tmp_path / "c.toml").write_text(write_toml({"folder": str(pictures), "run": str(finished.path)} | QUICK, {}))
    assert main(["train", "--config", str(tmp_path / "c.toml")]) == 0
    assert "This run is finished" in capsys.readouterr().out


def test_a_survey_sees_both_of_two_kinds_that_take_turns(tmp_path):
    folder = draw(tmp_path / "pictures", 400, side=12)
    for path in sorted(folder.iterdir())[::2]:
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    found = survey(folder)
    assert found.looked_at == 200 and all(70 < found.kinds[kind] < 130 for kind in ("PNG", "BMP"))
    assert str(found) == str(survey(folder))
