"""What can be wrong with a VAE, what it means and what to do; and the report that names what was found."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from torch import Tensor


class Disease(NamedTuple):
    """What a finding means, and what to do."""

    meaning: str
    cure: str


DISEASES = {  # by name, causes before consequences: the order in which a report gives them
    "pictures out of scale": Disease(
        "The network is fed with levels up to 255 where layers are made for numbers about 1; log_var is then far out "
        "from the first step on, and exp(log_var) overflows.",
        "Divide by 255: to_float(images), or ToTensor, and only once.",
    ),
    "layers share their weights": Disease(
        "One layer stands at several places, so that there are fewer weights than it looks; `[layer] * n` does that.",
        "Make a new layer for each place: [make_layer() for _ in range(n)]. If it is meant so, ignore this.",
    ),
    "the batch or the mode matters": Disease(
        "The model that is used is not the one that was trained: a batch normalisation takes its statistics from "
        "whatever is in the batch, or has others than in training; or a mode switches sampling off.",
        "Look at batch normalisation: its momentum (PyTorch's 0.1 is 0.9 elsewhere), track_running_stats, the batch "
        "size, that eval() is called; or normalise single pictures (GroupNorm). Sample in both modes.",
    ),
    "no biases": Disease(
        "Without biases the code zero, the middle of the prior, can only be painted as nothing.",
        "Leave out bias=False, but before a batch normalisation, which has a bias of its own.",
    ),
    "held-out pictures in training": Disease(
        "The model has been trained on pictures that it is to be judged by: its scores on them mean nothing.",
        "Split before anything is repeated or augmented, and check that the parts share no picture.",
    ),
    "training broke": Disease(
        "A step was so large that the loss jumped and units died; what is left of the network goes on training.",
        "Lower the learning rate (was it multiplied by the number of GPUs?), warm it up, or cut the gradient's norm.",
    ),
    "numbers overflow": Disease(
        "A log-variance so far out makes exp(log_var) infinite or zero, and one infinite number ends training.",
        "Bound log_var smoothly (soft_bound), and lower the learning rate.",
    ),
    "log_var and log_std confused": Disease(
        "The noise of the codes and the means have a different price: the KL was computed with another variance than "
        "the one that is sampled with.",
        "std = exp(log_var / 2), and log_var = 2 log_std: use one of the two at both places.",
    ),
    "sigma is not the error": Disease(
        "The decoder's sigma says how large its errors are, and they are not. The wrong sigma weighs the "
        "reconstruction wrongly against the KL.",
        "Learn sigma (GaussianLikelihood(learn_sigma=True)), or set it to the root of the mean squared error. A sum of "
        "squares without a sigma has one of 0.71, and a mean of squares one that grows with the number of pixels.",
    ),
    "the KL weighs too little": Disease(
        "A nat of code cost less than a nat of picture: the codes are sharp and far from the prior, and samples from "
        "the prior are decoded from where no picture was.",
        "Sum the KL over the latents and the reconstruction over the pixels, and average both over pictures only.",
    ),
    "the KL weighs too much": Disease(
        "A nat of code cost more than a nat of picture: the code says less than it could, and pictures are soft.",
        "Sum over latents and pixels, not over the batch (dim!); then average over pictures, never over pixels.",
    ),
    "the code is not used": Disease(
        "All pictures get the same q(z | x), or all codes the same picture (posterior collapse).",
        "Look at the findings above first. Else warm the KL up, keep some nats free, or weaken what lets the decoder "
        "do without the code.",
    ),
    "means returned as samples": Disease(
        "sample() gives decoder means: the model says that pixels have noise, and these have none.",
        "Draw from the decoder's distribution, or call them means.",
    ),
    "the critic has won": Disease(
        "The critic tells every picture rightly: what it teaches no longer says in which direction pictures improve.",
        "Weaken or slow it: fewer weights, a smaller learning rate, a hinge loss; start it with the decoder.",
    ),
    "the critic never learned": Disease(
        "The critic guesses: what it teaches is noise.",
        "See that its loss reaches its weights and has the right sign: real up, made down.",
    ),
    "overfitting": Disease(
        "It fits the pictures it was trained on far better than others.",
        "Stop where the validation curve is lowest, use more pictures or augmentation, or a smaller network.",
    ),
    "samples are copies": Disease(
        "Most samples are twice as near to one picture of the training set as to any other: it was learnt by heart.",
        "As for overfitting.",
    ),
    "the codebook is hardly used": Disease(
        "Most codes stand for nothing.",
        "Revive dead codes, start the codebook at encoded vectors, or use fewer codes.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """A disease that was found, with its evidence in numbers."""

    name: str
    evidence: str

    @property
    def place(self) -> int:
        """Its place in a report: causes before consequences."""
        return list(DISEASES).index(self.name)

    @property
    def meaning(self) -> str:
        """What it means."""
        return DISEASES[self.name].meaning

    @property
    def cure(self) -> str:
        """What to do."""
        return DISEASES[self.name].cure


@dataclass
class Diagnosis:
    """A report: what was found, what was measured, and what could not be.

    Attributes:
        findings: in the order of `DISEASES`, causes before consequences; empty for a healthy model.
        measured: name -> number (or a list of them, one for each latent), nats where they are nats.
        skipped: name of a check -> why it was not made.
        pictures: what `plots.diagnosis` shows: name -> (n, C, H, W) in [0, 1].
        checks: how many there are for such a model, those that were skipped among them.
    """

    findings: list[Finding] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)
    checks: int = 0

    @property
    def healthy(self) -> bool:
        """Whether nothing was found, and it was looked whether the code is used."""
        return not self.findings and "use of the code" not in self.skipped

    @property
    def names(self) -> tuple[str, ...]:
        """The diseases found."""
        return tuple(finding.name for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and texts, ready for JSON; meaning and cure of each finding are with it.

        A number that is NaN or infinite, such as the price of a silent latent, is None: JSON has no word for it.
        """
        said = [asdict(f) | {"meaning": f.meaning, "cure": f.cure} for f in self.findings]
        measured = {name: _plain(value) for name, value in self.measured.items()}
        return {"healthy": self.healthy, "findings": said, "measured": measured, "skipped": dict(self.skipped)}

    def __str__(self) -> str:
        nothing = f"nothing was found by {self.checks - len(self.skipped)} of {self.checks} checks"
        lines = [f"A clean bill of health: {nothing}."]
        if self.findings:
            lines = [f"Found: {'; '.join(self.names)}."]
        elif not self.healthy:
            lines = [f"{nothing.capitalize()}, and whether its code is used is not known."]
        for f in self.findings:
            lines += [
                "",
                f.name.upper(),
                f"  evidence  {f.evidence}",
                f"  meaning   {f.meaning}",
                f"  cure      {f.cure}",
            ]
        lines += ["", "Measured"]
        lines += [f"  {name:42s} {_written(value)}" for name, value in self.measured.items()]
        if self.skipped:
            lines += ["", "Not measured", *(f"  {name:42s} {why}" for name, why in self.skipped.items())]
        return "\n".join(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _written(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_written(v) for v in value[:8]) + (" ..." if len(value) > 8 else "")
    return f"{value:.3g}" if isinstance(value, float) else str(value)
