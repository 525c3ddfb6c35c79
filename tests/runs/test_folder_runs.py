"""From a folder of pictures to a finished run, by every way that a run can go wrong and go on."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from tests.runs.conftest import QUICK, draw
from vae_helpers import Estimate, checkpoints, evaluate
from vae_helpers.__main__ import main
from vae_helpers.distributions import GaussianLikelihood, bits_per_dim
from vae_helpers.images import to_float
from vae_helpers.runs import FolderRun, RunError, Settings, folder_training, load_run, train_folder
from vae_helpers.runs.folder_run import BEST, CHECKPOINT, FORMAT, GALLERY, METRICS, MODEL, REPORT, SETTINGS
from vae_helpers.runs.measuring import measure

LEFT = {SETTINGS, MODEL, METRICS, REPORT, GALLERY}


def train(*arguments, **settings):
    return train_folder(*arguments, progress=False, **(QUICK | settings))


def weights(run):
    tensors, _, _ = checkpoints.read(run.path / MODEL)
    return tensors


def equal(these, those):
    return these.keys() == those.keys() and all(torch.equal(these[name], those[name]) for name in these)


def test_a_run_leaves_its_five_files_and_nothing_in_the_folder_of_the_pictures(finished, pictures):
    left = {path.name for path in finished.path.iterdir()} - {"tensorboard"}
    assert left == LEFT and finished.finished
    assert {path.name for path in pictures.iterdir()} == {
        "many", "few", "notes.txt", "<script>alert('x')<script>.png", ".DS_Store",
    }  # fmt: skip


def test_the_model_is_read_in_another_process_by_one_line(finished):
    code = (
        "import sys; from vae_helpers import load_run; import numpy as np; "
        "np.save(sys.argv[2], load_run(sys.argv[1]).sample(5, seed=7).numpy())"
    )
    there = finished.path.parent / "sample.npy"
    subprocess.run([sys.executable, "-c", code, finished.path, there], check=True)
    here = finished.sample(5, seed=7)
    assert here.shape == (5, 3, 16, 16) and here.std() > 0.01
    np.testing.assert_allclose(np.load(there), here.numpy(), atol=1e-5)
    assert not torch.equal(here, finished.sample(5, seed=8))


def test_the_numbers_are_those_of_the_model_on_the_test_split(finished):
    data, bits = finished.data(), finished.metrics["bits_per_dim"]
    model = load_run(finished.path).model
    levels = 256 if isinstance(model.likelihood, GaussianLikelihood) else None
    measured = evaluate(model, data.test.images, samples=5, seed=0)["elbo"]
    expected = bits_per_dim(-measured.mean, data.test.images[0].numel(), levels)
    assert bits["VAE"]["mean"] == pytest.approx(expected, rel=1e-3)
    each = finished.metrics["test"]
    assert len(each["bits_per_dim"]) == len(data.test)
    assert statistics.mean(each["bits_per_dim"]) == pytest.approx(bits["VAE"]["mean"], abs=1e-4)
    assert each["sha256"] == hashlib.sha256(data.test.images.numpy().tobytes()).hexdigest()
    ahead = finished.metrics["ahead_of"]["Gaussian"]
    assert ahead["mean"] == pytest.approx(bits["Gaussian"]["mean"] - bits["VAE"]["mean"])
    assert 0 < ahead["standard_error"] < bits["Gaussian"]["standard_error"] + bits["VAE"]["standard_error"]
    # The mended prior and more draws can only help, but for the draws' own spread.
    assert bits["VAE"]["mean"] <= bits["VAE, prior not mended"]["mean"] + 0.02
    assert bits["VAE, importance-weighted"]["mean"] <= bits["VAE"]["mean"] + 0.1
    assert {"mean picture", "PNG", "WebP"} < bits.keys() and any(name.startswith("Gaussian") for name in bits)
    counts = finished.metrics["pictures"]
    assert (counts["training"], counts["validation"], counts["test"]) == tuple(
        len(split) for split in (data.train, data.validation, data.test)
    )
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 120
    assert set(finished.metrics["bits_per_dim_by_class"]) <= {"many", "few"}


def test_the_report_is_one_small_page_that_needs_no_network(finished):
    page = finished.report.read_text()
    assert len(page) < 5_000_000
    sources = re.findall(r'(?:src|href)="([^"]{1,30})', page)
    assert len(sources) > 8 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://", re.sub(r"base64,[^\"]*", "", page))
    assert page.count("<img") == len(re.findall(r'<img [^>]*alt="[^"]+"', page))
    assert re.findall(r"<h(\d)", page)[0] == "1" and 'lang="en"' in page
    assert finished.metrics["verdict"].split(":")[0] in page
    assert "the same with the noise" in page  # means are not called samples


def test_names_of_files_are_told_as_text(finished):
    page = finished.report.read_text()
    assert "<script" not in page and "&lt;script&gt;" in page


def test_the_gallery_shows_samples_of_the_model(finished):
    with Image.open(finished.path / GALLERY) as image:
        assert image.width > 800
        assert np.asarray(image).std() > 5


def test_a_finished_run_is_left_as_it_is(finished, pictures, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")}
    monkeypatch.setattr(folder_training, "fit", None)
    again = train(pictures, finished.path)
    assert again.finished and {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")} == before


def test_what_was_not_asked_for_is_what_the_survey_proposes(finished):
    plan = finished.plan
    assert plan["size"] == 16 and plan["steps"] == 24 and plan["grey"] is False and plan["fit"] == "crop"
    assert {"batch_size", "learning_rate", "model"} < plan.keys()


def test_how_far_pictures_are_moved_is_proposed_written_and_done(tmp_path, capsys, monkeypatch):
    asked, moved = [], []
    monkeypatch.setattr(folder_training, "proposed_shift", lambda vae, images, seen: asked.append(seen) or 2)
    monkeypatch.setattr(folder_training, "random_shift", lambda x, pixels: moved.append(pixels) or x)
    folder = draw(tmp_path / "pictures", 20)
    run = train_folder(folder, tmp_path / "run", size=16, steps=20)
    n = run.metrics["pictures"]["training"]
    assert asked == [20.0] and n < 20  # a batch is all pictures
    assert run.plan["shift"] == 2 and moved == [2] * 20
    assert "each seen 20.0 times, moved at random by up to 2 pixels." in capsys.readouterr().out
    train_folder(folder, tmp_path / "still", size=16, steps=20, shift=0, progress=False)
    assert len(asked) == 1 and len(moved) == 20


def test_the_settings_of_a_run_are_a_config_of_the_same_run(finished, pictures, tmp_path):
    from vae_helpers.runs.settings import read_toml

    settings, places = read_toml(finished.path / SETTINGS)
    assert places == {"folder": str(pictures)}
    run = train_folder(places["folder"], tmp_path / "again", progress=False, **settings.given)
    assert equal(weights(run), weights(finished))


def test_sub_folders_stay_whole_in_a_run_that_is_asked_for_it(tmp_path):
    for i in range(12):
        draw(tmp_path / "films" / f"{i:02}", 8, seed=i)
    run = train(tmp_path / "films", tmp_path / "run", split_by="folder", steps=20)
    data = load_run(run.path).data()
    assert run.plan["split_by"] == "folder" == run.metrics["settings"]["split_by"]
    assert run.metrics["pictures"]["sub-folders"] == 12
    films = [
        {data.files[i].partition("/")[0] for i in split.index.tolist()}
        for split in (data.train, data.validation, data.test)
    ]
    assert all(films) and sum(map(len, films)) == 12
    assert "split by its 12 sub-folders" in run.report.read_text()
    with pytest.raises(RunError, match=r"begun with split_by = folder, not picture"):
        train(tmp_path / "films", run.path, split_by="picture", steps=20)


def test_a_run_from_before_there_was_a_choice_is_split_by_picture(finished, pictures, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    settings = (tmp_path / "run" / SETTINGS).read_text()
    assert settings.count('split_by = "picture"\n') == 1
    (tmp_path / "run" / SETTINGS).write_text(settings.replace('split_by = "picture"\n', ""))
    assert train(pictures, tmp_path / "run", split_by="picture").finished
    assert torch.equal(load_run(tmp_path / "run").data().test.index, finished.data().test.index)


def test_killed_and_gone_on_with_it_ends_at_the_same_weights(finished, pictures, tmp_path):
    arguments = [f"--{name}={value}" for name, value in QUICK.items()]
    asked = ["train", pictures, "--into", tmp_path / "run", *arguments, "--quiet"]
    command = [sys.executable, "-m", "vae_helpers", *asked]
    killed = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *map(str, asked)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    checkpoint = tmp_path / "run" / CHECKPOINT
    for _ in range(1200):
        if checkpoint.exists() and checkpoints.read(checkpoint)[2]["step"] >= 5:
            break
        assert killed.poll() is None, killed.stderr.read().decode()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "run" / MODEL).exists()
    step = checkpoints.read(checkpoint)[2]["step"]
    assert 5 <= step < QUICK["steps"]
    subprocess.run(command, check=True)
    run = load_run(tmp_path / "run")
    assert run.finished and equal(weights(run), weights(finished))
    assert not (run.path / CHECKPOINT).exists() and not (run.path / BEST).exists()


SLOWLY = """
import sys, time
from vae_helpers.models.vae import VAE
prepare = VAE.prepare
def slowly(self, images):
    time.sleep(0.05)
    return prepare(self, images)
VAE.prepare = slowly
from vae_helpers.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_two_processes_train_one_model_and_write_one_run(pictures, finished, tmp_path):
    asked = [f"--{name}={value}" for name, value in QUICK.items()]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "vae_helpers", "train", pictures, "--into", tmp_path / "run", *asked]
    said = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"VAE_HELPERS_DEVICE": "cpu"}
    ).stdout
    assert said.count("Measuring on pictures") == said.count("Report: ") == 1  # one of them speaks
    two = load_run(tmp_path / "run")
    assert {path.name for path in two.path.iterdir()} - {"tensorboard"} == LEFT
    theirs, mine = (run.metrics["bits_per_dim"]["VAE"] for run in (two, finished))
    assert abs(theirs["mean"] - mine["mean"]) < 3 * (theirs["standard_error"] + mine["standard_error"])
    assert not equal(weights(two), weights(finished))  # each has drawn noise of its own


def test_a_quiet_run_says_nothing(tmp_path, capfd, monkeypatch):
    draw(tmp_path / "pictures", 12)
    (tmp_path / "pictures" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    monkeypatch.setenv("VAE_HELPERS_STATIC", "0")
    command = ["train", str(tmp_path / "pictures"), "--size", "16", "--steps", "2", "--latents", "2"]
    assert main([*command, "--into", str(tmp_path / "quiet"), "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    assert main([*command, "--into", str(tmp_path / "run")]) == 0
    assert "1 other files skipped" in capfd.readouterr().out


def test_stopped_by_hand_it_says_how_to_go_on(pictures, tmp_path, monkeypatch):
    original = folder_training.Best.look

    def interrupt(self, step, model):
        original(self, step, model)
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(folder_training.Best, "look", interrupt)
    with pytest.raises(folder_training.Interrupted, match=r"stopped by hand after step [67] of 24.*--into"):
        train(pictures, tmp_path / "run")
    assert (tmp_path / "run" / CHECKPOINT).exists()


def test_the_weights_that_are_kept_are_those_of_the_best_look(pictures, tmp_path, monkeypatch):
    """The held-out pictures are said to be likeliest at step 5; later weights are trained on, and not kept."""
    seen = {}

    def measured(model, images, samples, seed):
        step = len(seen) + 1
        seen[step] = {name: p.detach().clone() for name, p in model.state_dict().items()}
        return {"elbo": Estimate(-abs(step - 5), 0.0)}

    monkeypatch.setattr(folder_training, "evaluate", measured)
    run = train(pictures, tmp_path / "run")
    kept = weights(run)
    assert all(torch.equal(kept[name], value.cpu()) for name, value in seen[5].items())
    last = seen[max(seen)]
    assert len(seen) > 8 and not all(torch.equal(kept[name], value.cpu()) for name, value in last.items())


def test_minutes_become_steps_once_and_for_all(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_training, "MEASURED_FOR", 0.05)
    asked = {name: value for name, value in QUICK.items() if name != "steps"} | {"minutes": 0.05}
    run = train_folder(pictures, tmp_path / "run", progress=False, **asked)
    assert run.plan["steps"] >= folder_training.FEWEST_STEPS and run.plan["about"]["minutes"] == 0.05
    assert "minutes" not in run.plan
    train_folder(pictures, tmp_path / "run", progress=False, **asked)  # the same command is understood
    with pytest.raises(RunError, match=r"was begun with minutes = 0.05, not 1"):
        train_folder(pictures, tmp_path / "run", progress=False, **(asked | {"minutes": 1}))


def test_a_small_folder_is_not_looked_at_for_hours(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_training, "EPOCHS", 2)
    monkeypatch.setattr(folder_training, "MEASURED_FOR", 0.05)
    asked = {name: value for name, value in QUICK.items() if name != "steps"}
    run = train_folder(pictures, tmp_path / "run", progress=False, minutes=60, **asked)
    assert run.plan["steps"] == folder_training.FEWEST_STEPS


# --- what cannot be done is said, and loses nothing ---


def test_a_run_of_another_folder_is_refused(finished, tmp_path):
    before = weights(finished)
    other = draw(tmp_path / "other", 30)
    with pytest.raises(RunError, match=r"is a run on the folder .*, not on .*other.*--into"):
        train(other, finished.path)
    assert equal(weights(finished), before)


def test_other_settings_are_refused(finished, pictures):
    with pytest.raises(RunError, match=r"was begun with size = 16, not 32.*Leave that out"):
        train(pictures, finished.path, size=32)


def test_pictures_that_have_changed_are_noticed(tmp_path):
    folder = draw(tmp_path / "pictures", 60)
    run = train(folder, tmp_path / "run")
    draw(folder, 10, seed=5, prefix="new")
    (run.path / REPORT).unlink()
    with pytest.raises(RunError, match=r"have changed since .*run was begun: \[\d+, \d+, \d+\] .* then"):
        train(folder, run.path)


def test_a_folder_that_holds_other_files_is_no_place_for_a_run(pictures, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("kept")
    with pytest.raises(RunError, match="holds other files"):
        train(pictures, tmp_path / "letters")
    assert (tmp_path / "letters" / "dear.txt").read_text() == "kept"


def test_nothing_is_written_into_the_folder_of_the_pictures(tmp_path):
    folder = draw(tmp_path / "pictures", 30)
    with pytest.raises(RunError, match="lies in the folder of the pictures"):
        train(folder, folder / "run")
    assert not (folder / "run").exists()


def test_pictures_that_are_all_alike_are_refused(tmp_path):
    folder = tmp_path / "alike"
    folder.mkdir()
    for i in range(30):
        pixels = np.full((20, 20, 3), 120, dtype=np.uint8)
        pixels[i // 20, i % 20] = 121
        Image.fromarray(pixels).save(folder / f"{i}.png")
    with pytest.raises(RunError, match=r"all alike: they differ by 0\.\d+ levels"):
        train(folder, tmp_path / "run")


@pytest.mark.parametrize("n", [0, 2])
def test_too_few_pictures_are_refused(n, tmp_path):
    folder = draw(tmp_path / "pictures", n)
    with pytest.raises(ValueError, match=r"is empty|2 different pictures, too few"):
        train(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nine_pictures_are_enough_to_begin(tmp_path):
    run = train(draw(tmp_path / "pictures", 9), tmp_path / "run", steps=4)
    assert run.finished
    shown = measure(run, run.data()).pictures["pictures"]
    assert len(shown) == len(shown.unique(dim=0)) == len(run.data().test) < 8  # none is shown twice


def test_two_processes_do_not_share_a_run(pictures, tmp_path):
    run = FolderRun(tmp_path / "run")
    with folder_training.in_use(run), pytest.raises(RunError, match="another process is training in"):
        train(pictures, run.path)


def test_a_full_disk_at_the_end_loses_the_report_only(pictures, tmp_path, monkeypatch, finished):
    write = FolderRun.write

    def full(self, name, content):
        if name == REPORT:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.path / name))
        return write(self, name, content)

    monkeypatch.setattr(FolderRun, "write", full)
    with pytest.raises(OSError, match="No space left"):
        train(pictures, tmp_path / "run")
    monkeypatch.setattr(FolderRun, "write", write)
    monkeypatch.setattr(folder_training, "fit", None)  # nothing is trained again
    run = train(pictures, tmp_path / "run")
    assert run.finished and equal(weights(run), weights(finished))


@pytest.mark.parametrize("other", [FORMAT - 1, FORMAT + 1])
def test_a_model_of_another_format_is_refused_with_a_cure(other, finished, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    tensors, kind, notes = checkpoints.read(tmp_path / "run" / MODEL)
    checkpoints.write(tmp_path / "run" / MODEL, tensors, kind, notes | {"run_format": other})
    with pytest.raises(RunError, match=r"written by vae_helpers \d.*train again"):
        load_run(tmp_path / "run").model  # noqa: B018


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist.*vae_helpers train"),
        (lambda path: path.mkdir(), "holds no run"),
        (
            lambda path: (path.mkdir(), (path / SETTINGS).write_text('folder = "my shells"')),
            "has no model yet. Go on with: python -m vae_helpers train 'my shells' --into ",
        ),
        (lambda path: (path.mkdir(), (path / MODEL).write_bytes(b"no")), "not|damaged"),
    ],
)
def test_what_is_no_run_is_said_to_be_none(make, said, tmp_path):
    make(tmp_path / "run")
    with pytest.raises(RunError, match=said):
        load_run(tmp_path / "run").model  # noqa: B018


def test_samples_are_within_the_range_of_pictures(finished):
    pictures = finished.sample(20)
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert (to_float(finished.data().train.images).mean() - pictures.mean()).abs() < 0.25


def test_metrics_are_plain_json(finished):
    text = (finished.path / METRICS).read_text()
    assert json.loads(text)["settings"]["size"] == 16
    assert "NaN" not in text and "Infinity" not in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 4}, "size"),
        ({"fit": "stretch"}, "fit"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 1, "steps": 5}, "not both"),
        ({"background": [1, 2]}, "background"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_their_domain_are_named(given, said):
    with pytest.raises(ValueError, match=said):
        Settings(**given)
