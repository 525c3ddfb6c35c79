"""A run's numbers and pictures as one page that needs no network, and its gallery."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import os
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from vae_helpers import checking
from vae_helpers.data import Dataset
from vae_helpers.data.picture_file import printable
from vae_helpers.images import grid
from vae_helpers.runs.folder_run import GALLERY, METRICS, REPORT, FolderRun
from vae_helpers.runs.measuring import MANY_NEAR_COPIES, SHOWN, STEPS, Measured
from vae_helpers.writing import write_whole

SHOWN_AT = 96  # pixels of the page that a picture is shown at, at least
SKIPPED = 30  # files that are named
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #5a5a5a; --paper: #fff; --line: #d0d0d0; --good: #00694b;
  --bad: #a63a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --soft: #b0b0b0; --paper: #161616; --line: #444;
  --good: #4fc79f; --bad: #ff9c66; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; overflow-wrap: anywhere; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin-bottom: 0.2rem; }
p.verdict { font-size: 1.1rem; border-left: 0.3rem solid var(--good); padding-left: 0.8rem; }
p.verdict.bad { border-color: var(--bad); }
figure { margin: 1rem 0; overflow-x: auto; } figcaption, .soft { color: var(--soft); font-size: 0.92rem; }
img { max-width: 100%; height: auto; } img.pixels { image-rendering: pixelated; background: #fff; }
img.plot { background: #fff; }
table { border-collapse: collapse; } th, td { text-align: left; padding: 0.25rem 1.2rem 0.25rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
"""


def write_report(run: FolderRun, data: Dataset, measured: Measured) -> None:
    """Write metrics.json, gallery.png and, last, report.html into the run's folder, each whole or not at all."""
    run.write(METRICS, json.dumps(_finite(measured.numbers), indent=1) + "\n")
    run.write(GALLERY, png(measured.pictures["samples"], 8, enlarged=True))
    run.write(REPORT, page(run, data, measured))


def write_samples(run: FolderRun, n: int = 64, to: str | os.PathLike | None = None, seed: int = 0) -> str:
    """Draw pictures from a run's model and write them as one PNG; returns a sentence that says where."""
    n = checking.integer(n, "number")
    content = png(run.sample(n, seed), math.ceil(math.sqrt(n)), enlarged=True)
    path = run.write("samples.png", content) if to is None else write_whole(to, content)
    return f"{n} pictures drawn from {printable(run.path)}: {printable(path)}"


def png(pictures: Tensor, columns: int, enlarged: bool = False) -> bytes:
    """A grid of pictures, (N, C, H, W) in [0, 1], as a PNG; enlarged until a picture is SHOWN_AT pixels or more."""
    from PIL import Image

    array = np.asarray(grid(pictures, columns))  # (H, W, 3) or (H, W), in [0, 1]
    image = Image.fromarray((255 * array + 0.5).astype(np.uint8))
    if enlarged:
        times = max(1, math.ceil(2 * SHOWN_AT / pictures.shape[-1]))
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def page(run: FolderRun, data: Dataset, measured: Measured) -> str:
    """The report, as HTML."""
    numbers, bits = measured.numbers, measured.numbers["bits_per_dim"]
    name = printable(run.plan["folder"].rstrip("/").rpartition("/")[2] or run.plan["folder"])
    body = [
        f"<h1>{html.escape(name)}</h1>",
        f'<p class="soft">A variational autoencoder of {numbers["pictures"]["training"]:,} pictures of '
        f"{data.image_shape[1]} x {data.image_shape[2]} pixels.</p>",
        f'<p class="verdict{"" if _is_good(measured) else " bad"}">{html.escape(measured.verdict)}</p>',
        *_samples(measured),
        *_reconstructions(measured),
        *_comparison(bits),
        *_curves(measured),
        *_diagnosis(measured),
        *_codes(measured),
        *_folder(run, data, numbers),
        *_settings(run, numbers),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(name)}: a VAE's report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _is_good(measured: Measured) -> bool:
    """Healthy, better than its opponents, and on pictures that are new."""
    better = "Better than" in measured.verdict and measured.numbers["near_copies"] <= MANY_NEAR_COPIES
    return measured.diagnosis.healthy and better


def _samples(measured: Measured) -> list[str]:
    shown, near = measured.pictures, measured.numbers["nearest_training_picture"]
    ratio = near["of samples"] / max(near["of held-out pictures"], 1e-9)
    kept = {
        "samples": shown["samples"][:SHOWN],
        "the same with the noise that the model says pixels have": shown["with noise"],
        "the training pictures nearest to them": shown["nearest to the samples"],
        "from the prior N(0, I), not mended": shown["from the prior N(0, I)"],
    }
    components = measured.numbers["components of the prior"]
    prior = "one Gaussian" if components == 1 else f"a mixture of {components} Gaussians"
    return [
        "<h2>Pictures that it makes</h2>",
        _figure(
            shown["samples"],
            12,
            "Pictures drawn from the model.",
            f"The decoder's mean pictures at draws of the prior, which was mended after training: {prior} fitted to "
            "the codes of training pictures.",
        ),
        _rows(
            kept,
            f"Samples are {ratio:.2f} times as far from the nearest of {near['looked through']:,} training pictures as "
            "held-out pictures are. Far below 1 would mean that pictures were learnt by heart, and so does a row of "
            "samples that equals that of their nearest; what a model draws lacks what is rare, so that a little "
            "below 1 means nothing.",
        ),
    ]


def _reconstructions(measured: Measured) -> list[str]:
    shown, errors = measured.pictures, measured.numbers["psnr_db"]
    return [
        "<h2>Held-out pictures, and what comes back</h2>",
        _rows(
            {
                "held-out pictures": shown["pictures"],
                "reconstructions": shown["reconstructions"],
                "error, four times": shown["errors"],
            },
            f"From the best to the worst reconstruction of the test pictures: {errors['best']:.1f} to "
            f"{errors['worst']:.1f} dB, {errors['mean']:.1f} dB on average.",
        ),
    ]


def _comparison(bits: Mapping[str, Mapping[str, float]]) -> list[str]:
    rows = [
        [name, f"{value['mean']:.3f}", f"{value['standard_error']:.3f}"]
        for name, value in sorted(bits.items(), key=lambda item: item[1]["mean"])
    ]
    return [
        "<h2>Bits per dimension, beside what is simpler</h2>",
        '<p class="soft">How many bits a colour value of a held-out picture costs when it is coded with each model: '
        "less is better, 8 is to know nothing. The VAE's numbers are upper bounds (an ELBO below log p(x)). PNG and "
        "WebP are the lengths of lossless files of the same pictures: they know how neighbouring pixels continue, "
        "and make no pictures.</p>",
        _table(["model", "bits per dimension", "standard error"], rows),
    ]


def _curves(measured: Measured) -> list[str]:
    import matplotlib.pyplot as plt

    from vae_helpers import plots

    figures = []
    for parts, alt in ((("loss",), "The loss by training step."), (("distortion", "kl"), "Its two parts.")):
        if all(part in measured.history.train for part in parts):
            figure = plots.history(measured.history, parts)
            if parts == ("loss",):
                _zoom(figure.axes[0], measured)
            figures.append(_image(_drawn(figure), alt, "plot"))
            plt.close(figure)
    return ["<h2>Curves</h2>", *(f"<figure>{image}</figure>" for image in figures)]


def _zoom(axis: Any, measured: Measured) -> None:
    """Cut the first fall of the loss off, where the rest would be a flat line."""
    values = np.array(measured.history.train["loss"])
    later = values[len(values) // 10 :]
    if len(later) > 5:
        low, high = later.min(), later.max()
        axis.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))


def _diagnosis(measured: Measured) -> list[str]:
    import matplotlib.pyplot as plt

    from vae_helpers import plots

    report = measured.diagnosis
    body = ["<h2>Diagnosis</h2>"]
    if report.findings:
        for finding in report.findings:
            body += [
                f"<h3>{html.escape(finding.name)}</h3>",
                f"<p>{html.escape(finding.evidence)}. {html.escape(finding.meaning)}</p>",
                f"<p><b>What to do:</b> {html.escape(finding.cure)}</p>",
            ]
    else:
        body.append(
            f"<p>Nothing was found by {report.checks - len(report.skipped)} of {report.checks} checks of "
            "<code>diagnose</code>.</p>"
        )
    try:
        figure = plots.diagnosis(report)
    except ValueError:
        pass
    else:
        body.append(f"<figure>{_image(_drawn(figure), 'What each latent says and costs.', 'plot')}</figure>")
        plt.close(figure)
    rows = [[k, _number(v)] for k, v in report.measured.items() if not isinstance(v, list)]
    body += ["<details><summary>All that was measured</summary>", _table(["", ""], rows)]
    if report.skipped:
        body.append(_table(["not measured", "why"], [[k, v] for k, v in report.skipped.items()]))
    return [*body, "</details>"]


def _codes(measured: Measured) -> list[str]:
    shown = measured.pictures
    return [
        "<h2>Ways through the codes</h2>",
        _figure(
            shown["directions"],
            STEPS,
            "Rows of pictures along directions of the code.",
            "Each row goes through the mean code along one of the directions in which codes differ most, from -2.5 to "
            "2.5 standard deviations.",
        ),
        _figure(
            shown["interpolations"],
            STEPS,
            "Rows of pictures between two held-out ones.",
            "Each row goes in equal steps from the code of one held-out picture to that of another.",
        ),
    ]


def _folder(run: FolderRun, data: Dataset, numbers: Mapping[str, Any]) -> list[str]:
    counts = numbers["pictures"]
    body = [
        "<h2>The folder</h2>",
        f"<p>{html.escape(data.about)} {counts['training']:,} pictures were trained on, {counts['validation']:,} chose "
        f"the best weights and the prior, {counts['test']:,} were kept for the numbers of this page; "
        f"{numbers['near_copies']:.0%} of these have a near copy among the first.</p>",
    ]
    by_class = numbers["bits_per_dim_by_class"]
    if by_class:
        shares = {name: int((data.train.labels == k).sum()) for k, name in enumerate(data.classes)}
        rows = [[name, f"{shares[name]:,}", f"{value:.3f}"] for name, value in by_class.items()]
        body.append(_table(["class (first sub-folder)", "training pictures", "VAE, bits per dimension"], rows))
    if data.skipped:
        rows = [[printable(name), why] for name, why in list(data.skipped.items())[:SKIPPED]]
        more = f" (the first {SKIPPED})" if len(data.skipped) > SKIPPED else ""
        body += [f"<details><summary>{len(data.skipped):,} files gave no picture{more}</summary>"]
        body += [_table(["file", "why"], rows), "</details>"]
    return body


def _settings(run: FolderRun, numbers: Mapping[str, Any]) -> list[str]:
    seconds = numbers["seconds"]
    rows = [[name, str(value)] for name, value in numbers["settings"].items()]
    rows += [
        ["weights", f"{numbers['weights']:,}"],
        ["steps after which the best weights were found", f"{numbers['kept_step']:,}"],
        ["training", f"{seconds['training']:.0f} s"],
        ["measuring", f"{seconds['measuring']:.0f} s"],
        ["machine", numbers["machine"]],
        ["vae_helpers", numbers["vae_helpers"]],
    ]
    return [
        "<h2>Settings, times, machine</h2>",
        _table(["", ""], rows),
        f"<p>The model, from Python: <code>load_run({html.escape(repr(str(run.path)))}).model</code>, with "
        "<code>from vae_helpers import load_run</code>. More pictures: <code>python -m vae_helpers sample "
        f"{html.escape(shlex.quote(str(run.path)))}</code>.</p>",
    ]


def _figure(pictures: Tensor, columns: int, alt: str, caption: str) -> str:
    width = columns * max(48, min(SHOWN_AT, pictures.shape[-1] * 2))
    image = _image(png(pictures, columns), alt, "pixels", width)
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _rows(named: Mapping[str, Tensor], caption: str) -> str:
    """Rows of pictures, each with its name above it."""
    body = []
    for name, pictures in named.items():
        width = len(pictures) * max(48, min(SHOWN_AT, pictures.shape[-1] * 2))
        body.append(f"<div>{html.escape(name)}</div>" + _image(png(pictures, len(pictures)), name, "pixels", width))
    return f"<figure>{''.join(body)}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _image(content: bytes, alt: str, kind: str, width: int | None = None) -> str:
    coded = base64.b64encode(content).decode()
    wide = "" if width is None else f' width="{width}"'
    return f'<img class="{kind}" src="data:image/png;base64,{coded}" alt="{html.escape(alt, quote=True)}"{wide}>'


def _drawn(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130, facecolor="white")
    return stream.getvalue()


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in head)
    lines = "".join(
        "<tr>" + "".join(f"<td{_kind(cell)}>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    heading = f"<thead><tr>{titles}</tr></thead>" if any(head) else ""
    return f"<table>{heading}<tbody>{lines}</tbody></table>"


def _kind(cell: str) -> str:
    return ' class="number"' if cell.replace(",", "").replace(".", "").replace("-", "").isdigit() else ""


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    """Without NaN and infinity, for which JSON has no word."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
