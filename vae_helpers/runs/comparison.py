"""Several runs side by side."""

from __future__ import annotations

import os
from typing import Any

import torch

from vae_helpers.data.picture_file import printable
from vae_helpers.evaluation import Estimate, mean_and_error
from vae_helpers.runs.folder_run import FolderRun, load_run
from vae_helpers.runs.settings import RunError

SAME = ("folder", "size", "fit", "grey", "background", "split_by")  # settings that make the pictures


def compare_runs(*paths: str | os.PathLike) -> str:
    """A table of two or more finished runs: settings that differ, numbers, what was found.

    Which run is best is said only where all were measured on the same pictures at the same size: of another size, or
    of other test pictures, bits per dimension answer another question. A digest of the test pictures tells; runs of an
    earlier version have none, and must agree in the settings that make the pictures, and in how many there are.

    Args:
        paths: of the runs' folders.
    Returns:
        text, some lines.
    Raises:
        RunError: fewer than two, or one that is not finished.
    """
    if len(paths) < 2:
        raise RunError("comparing needs two runs or more: python -m vae_helpers compare run run-2")
    runs = [load_run(path) for path in paths]
    names = [printable(run.path) for run in runs]
    rows = {name: [_told(run, name) for run in runs] for name in _questions(runs)}
    width = max(map(len, [*rows, ""])) + 2
    columns = [max(len(cell) for cell in [name, *(row[i] for row in rows.values())]) for i, name in enumerate(names)]
    lines = [" " * width + "  ".join(name.rjust(c) for name, c in zip(names, columns, strict=True))]
    for name, cells in rows.items():
        lines.append(name.ljust(width) + "  ".join(cell.rjust(c) for cell, c in zip(cells, columns, strict=True)))
    return "\n".join([*lines, "", _conclusion(runs, names)])


def _questions(runs: list[FolderRun]) -> list[str]:
    """Settings that are not the same in all runs, and the numbers."""
    settings = dict.fromkeys(name for run in runs for name in run.metrics["settings"])
    differing = [n for n in settings if len({repr(run.metrics["settings"].get(n)) for run in runs}) > 1]
    return [*differing, "training pictures", "weights", "training, s", "bits per dimension", "PSNR, dB", "found"]


def _told(run: FolderRun, name: str) -> str:
    metrics: dict[str, Any] = run.metrics
    if name in metrics["settings"]:
        value = metrics["settings"][name]
        return os.path.basename(value) if name == "folder" else str(value)
    bits = metrics["bits_per_dim"]["VAE"]
    told = {
        "training pictures": f"{metrics['pictures']['training']:,}",
        "weights": f"{metrics['weights']:,}",
        "training, s": f"{metrics['seconds']['training']:.0f}",
        "bits per dimension": f"{bits['mean']:.3f} ± {bits['standard_error']:.3f}",
        "PSNR, dB": f"{metrics['psnr_db']['mean']:.1f}",
        "found": "; ".join(f["name"] for f in metrics["diagnosis"]["findings"]) or "nothing",
    }
    return told.get(name, "-")


def _conclusion(runs: list[FolderRun], names: list[str]) -> str:
    """Which is best, if that can be said."""
    tested = {run.metrics.get("test", {}).get("sha256") for run in runs}
    forms = {str([run.metrics["settings"].get(name) for name in SAME]) for run in runs}
    counts = {str(run.metrics["pictures"]) for run in runs}
    if len(tested - {None}) > 1 or (None in tested and max(len(forms), len(counts)) > 1):
        why = ": their settings agree, but the pictures that were read did not" if len(forms) == 1 else ""
        return f"Their bits per dimension are about different pictures, and are not compared{why}."
    order = sorted(range(len(runs)), key=lambda i: runs[i].metrics["bits_per_dim"]["VAE"]["mean"])
    first, second = order[:2]
    gap, error = _behind(runs[second].metrics, runs[first].metrics)
    sure = "" if gap > 2 * error else " That is less than twice its standard error: they are not told apart."
    return f"{names[first]} has the fewest bits per dimension, {gap:.3f} ± {error:.3f} less than {names[second]}.{sure}"


def _behind(behind: dict[str, Any], ahead: dict[str, Any]) -> Estimate:
    """How many bits per dimension more of the same pictures, with the standard error over them.

    The error is that of the pictures' differences: how hard a picture is for both drops out. A run without the numbers
    of each picture, of an earlier version, has only the means to compare.
    """
    one, other = behind.get("test"), ahead.get("test")
    if one and other:
        return mean_and_error(torch.tensor(one["bits_per_dim"]) - torch.tensor(other["bits_per_dim"]))
    a, b = (metrics["bits_per_dim"]["VAE"] for metrics in (behind, ahead))
    return Estimate(a["mean"] - b["mean"], (a["standard_error"] ** 2 + b["standard_error"] ** 2) ** 0.5)
