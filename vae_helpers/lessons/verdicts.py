"""The verdicts of notebook 12: what one would see of each disease, and what is seen of each patient instead.

A learner who names another disease than the patient's is told what would be seen if it were so, and what is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from vae_helpers.evaluation.diseases import DISEASES
from vae_helpers.exercises.checks import close_to
from vae_helpers.exercises.definition import Exercise, Misconception, Wrong
from vae_helpers.lessons.patients import PATIENTS


class Sign(NamedTuple):
    """How a disease is told."""

    then: str  # what would be seen of it, after "then"
    well: str  # what is seen in its place where it is absent, after "here"


SIGNS = {
    "pictures out of scale": Sign("the first layer would see numbers up to 255", "it sees none above 1"),
    "layers share their weights": Sign(
        "there would be fewer parameters than the layers say, one layer standing at several places",
        "every layer has weights of its own",
    ),
    "the batch or the mode matters": Sign(
        "a picture's reconstruction would change between train() and eval(), or with the company it is decoded in",
        "it is the same in both modes, and in any company",
    ),
    "no biases": Sign(
        "the code 0 would be painted as one flat grey, for want of anything to add", "the decoder has its biases"
    ),
    "held-out pictures in training": Sign(
        "held-out pictures would be found in the training set", "not one of them is in it"
    ),
    "training broke": Sign(
        "the loss would jump by orders of magnitude, and units would die", "it falls without such a jump, and they live"
    ),
    "numbers overflow": Sign(
        "log_var would be out at 18 or more, where its exponential or the inverse of that is lost",
        "it stays well within that, and the loss is finite",
    ),
    "log_var and log_std confused": Sign(
        "a nat of code would cost about half as much by the noise as it should, and about 1 by the means",
        "it costs about 1 by the noise",
    ),
    "sigma is not the error": Sign(
        "the decoder's sigma would be far from the root of its mean squared error", "the two nearly agree"
    ),
    "the KL weighs too little": Sign(
        "a nat of code would cost much less than 1, and samples would be broken where reconstructions are sharp",
        "it costs about 1 by the noise",
    ),
    "the KL weighs too much": Sign(
        "a nat of code would cost much more than 1, so that the code says little and pictures are soft",
        "it costs about 1 by the noise",
    ),
    "the code is not used": Sign(
        "all pictures would get the same code, or all codes the same picture",
        "codes differ from picture to picture, and so do the reconstructions",
    ),
    "means returned as samples": Sign(
        "sample() would have none of the pixel noise that the decoder's sigma says", "sample() draws that noise"
    ),
    "the critic has won": Sign("a critic would tell nearly every picture rightly", "there is no critic"),
    "the critic never learned": Sign("there would be a critic that guesses", "there is no critic"),
    "overfitting": Sign(
        "held-out pictures would be fitted far worse than those of the training set, and the validation curve would "
        "turn",
        "both curves fall, and they end near each other",
    ),
    "samples are copies": Sign(
        "most samples would be twice as near to one picture of the training set as to any other",
        "hardly one is: to a sample several pictures are about equally near",
    ),
    "the codebook is hardly used": Sign(
        "there would be a codebook, most of it idle", "there is none: the codes are Gaussian"
    ),
}

SEEN = {  # what is seen of a patient where it differs from a healthy model, by disease: after "here"
    "A": {
        "log_var and log_std confused": "it costs about an eighth by the noise, and two is the only factor that this "
        "confusion has",
        "the KL weighs too much": "it costs about an eighth: the code says more than it should",
    },
    "B": {
        "log_var and log_std confused": "it costs about 64 by both",
        "the KL weighs too little": "it costs about 64, and no code says anything",
        "overfitting": "no digit is fitted, seen or held out",
        "samples are copies": "they are one grey digit, which stands in no training set",
    },
    "C": {
        "the KL weighs too little": "it costs about a half by the noise, but about 1 by the means, and a weight would "
        "show in both",
        "the KL weighs too much": "by neither reading does it cost more than about 1",
    },
    "D": {
        "log_var and log_std confused": "no price can be read, for training never came to rest: such a confusion "
        "leaves a model that looks nearly well",
        "the KL weighs too little": "no price can be read, for training never came to rest: the KL is enormous because "
        "log_var is far out",
        "the KL weighs too much": "the code is anything but small: the KL is enormous because log_var is far out",
        "overfitting": "no picture is fitted, of whichever part",
        "samples are copies": "they are not even digits",
        "the code is not used": "codes differ from picture to picture, only far too much",
    },
    "E": {
        "the KL weighs too much": "it costs 1, as the ELBO has it: what is worth too little is a nat of the picture",
        "samples are copies": "they are one grey digit, which stands in no training set",
    },
    "F": {
        "log_var and log_std confused": "a code depends on its company, and no formula for its scale makes it so",
        "the KL weighs too little": "a code depends on its company, and no weight of the KL makes it so",
        "the KL weighs too much": "a code depends on its company, and no weight of the KL makes it so",
    },
    "H": {"the critic has won": "its share of right answers stays at a half"},
    "I": {
        "overfitting": "the validation curve is as low as that of training, and with so few training pictures that is "
        "what should make one wonder",
    },
    "J": {
        "log_var and log_std confused": "no price can be read, for nothing came to rest: such a confusion leaves a "
        "loss that falls",
        "the KL weighs too little": "no price can be read, for nothing came to rest: a wrong weight leaves a loss that "
        "falls",
        "the KL weighs too much": "no price can be read, for nothing came to rest: a wrong weight leaves a loss that "
        "falls",
        "sigma is not the error": "what is to be explained is a loss that jumps, and with a wrong sigma it would fall",
        "overfitting": "the training loss went up as well, all at once",
        "samples are copies": "they are not even digits",
    },
    "L": {"samples are copies": "what is odd, the picture of the code 0, is like none of the training set"},
}

LEADS_TO = {  # what a patient has, too, but from its disease: the whole message after the name
    "B": {
        "the code is not used": "It says little, but that is a consequence and not the cause: where a nat costs "
        "64, few are worth their price. What made it so dear?",
    },
    "D": {
        "numbers overflow": "They do, but that is a consequence and not the cause: log_var is far out from the first "
        "steps on. What does the first layer see that it should be?",
        "training broke": "It did, but that is a consequence and not the cause: others train well at the same learning "
        "rate. What does the first layer see that it should be harder here?",
        "sigma is not the error": "The error is enormous, but that is a consequence and not the cause: no sigma would "
        "fit such pictures. What does the first layer see?",
    },
    "E": {
        "the code is not used": "It says little, but that is a consequence and not the cause: beside a sigma of 1 most "
        "of what a code could say of a picture is lost in noise. How large are the errors?",
    },
    "J": {
        "numbers overflow": "They are far out, but that is a consequence and not the cause: the first layer sees "
        "numbers in [0, 1], and log_var was within bounds until the loss jumped",
        "the code is not used": "Dead units pass nothing on, but that is a consequence and not the cause: they were "
        "alive until the loss jumped",
    },
}

NO_DISEASE = "the clinic knows no disease of that name. It knows: " + "; ".join(DISEASES)


def wrong_verdicts(letter: str) -> tuple[Wrong, ...]:
    """Every disease that a patient does not have, with the reason why it is not the one."""
    return tuple(Wrong(_why_not(letter, name), name) for name in DISEASES if name != PATIENTS[letter].disease)


def _why_not(letter: str, name: str) -> str:
    if name in LEADS_TO.get(letter, {}):
        return f"{name}? {LEADS_TO[letter][name]}"
    return f"{name}? Then {SIGNS[name].then}; here {SEEN.get(letter, {}).get(name, SIGNS[name].well)}"


def check(answer: Any, exercise: Exercise) -> None:
    """Raise Misconception if the answer is not the name of the patient's disease."""
    known = {name.casefold() for name in DISEASES}
    if not callable(answer) and not (isinstance(answer, str) and answer.strip().casefold() in known):
        raise Misconception(NO_DISEASE)
    close_to()(answer, exercise)
