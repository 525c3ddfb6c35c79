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
        "a picture's code would move with the company it comes in, or its reconstruction between train() and eval()",
        "neither company nor mode changes anything",
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
        "a nat of code would cost much less than 1, so that codes hold more nats than they should, and pictures are "
        "sharper than they should be",
        "it costs about 1 by the noise",
    ),
    "the KL weighs too much": Sign(
        "a nat of code would cost much more than 1, so that codes say little, or nothing, and pictures are soft",
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
        "both curves fall to the end, about as far apart as a healthy model's",
    ),
    "samples are copies": Sign(
        "most samples would be twice as near to one picture of the training set as to any other",
        "hardly one is: to a sample several pictures are about equally near",
    ),
    "the codebook is hardly used": Sign(
        "there would be a codebook, most of it idle", "there is none: the codes are Gaussian"
    ),
}

UNSURE = "its two readings contradict each other, 0.8 by the noise and less than 0 by the means: it is not at rest"

SEEN = {  # what is seen of a patient where it differs from a healthy model, by disease: after "here"
    "A": {
        "log_var and log_std confused": "it costs about an eighth by the noise, and that confusion leaves it between "
        "a quarter and a half",
        "the KL weighs too much": "it costs about an eighth: the code says more than it should",
    },
    "B": {
        "log_var and log_std confused": "it costs much more by either: 40 to 50 by the noise, give or take 12, "
        "and 64 by the means",
        "the KL weighs too little": "it costs about 64 by the means, and no code says anything",
        "overfitting": "no digit is fitted, seen or held out",
        "samples are copies": "they are one grey digit, which stands in no training set",
    },
    "C": {
        "the KL weighs too little": "it costs about a half by the noise, but about 1 by the means, and a weight would "
        "show in both",
        "the KL weighs too much": "by neither reading does it cost more than about 1",
    },
    "D": {
        "log_var and log_std confused": f"{UNSURE}, and such a confusion leaves a model that looks nearly well",
        "the KL weighs too little": f"{UNSURE}, and a wrong weight alone would let it",
        "the KL weighs too much": f"its code holds about 50 nats, where a healthy one holds 13; and {UNSURE}",
        "overfitting": "digits are fitted badly, those of the training set, too",
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
        **dict.fromkeys(
            ("log_var and log_std confused", "the KL weighs too little", "the KL weighs too much"),
            "no price can be read, for dead units pass no slope on; what is to be explained is the loss, which jumped",
        ),
        "overfitting": "the training loss went up as well, all at once",
        "samples are copies": "they are one grey digit, which stands in no training set",
    },
    "L": {"samples are copies": "what is odd, the picture of the code 0, is like none of the training set"},
}

LEADS_TO = {  # what a patient has, too, but from its disease: the whole message after the name
    "A": {
        "overfitting": "It fits training digits better, by 42 nats to 28 where a healthy one has 42 and 34; but that "
        "is a consequence and not the cause: its codes hold more nats than pay on other digits. What did one cost?",
    },
    "B": {
        "the code is not used": "It says nothing, but that is a consequence and not the cause: where a nat costs 64, "
        "none is worth its price. What made it so dear?",
    },
    "D": {
        "numbers overflow": "They come near it, with log_var far beyond 18 and a loss of about 1e16 at first; but that "
        "is a consequence and not the cause. What does the first layer see?",
        "training broke": "Some units are dead, but that is a consequence and not the cause: its loss falls, without "
        "a jump, and others train well at the same learning rate. What does the first layer see?",
        "sigma is not the error": "It is not, 0.10 beside 0.19, but that is a consequence and not the cause: it is "
        "learned here as in others, where it found the error. What does the first layer see?",
    },
    "E": {
        "the code is not used": "It says nothing, but that is a consequence and not the cause: beside a sigma of 1 "
        "most of what a code could say of a picture is lost in noise. How large are the errors?",
    },
    "J": {
        "numbers overflow": "They are far out, but that is a consequence and not the cause: the first layer sees "
        "numbers in [0, 1], and log_var was within bounds until the loss jumped",
        "the code is not used": "Dead units pass nothing on, but that is a consequence and not the cause: they were "
        "alive until the loss jumped",
        "sigma is not the error": "It is not, 0.8 beside 0.25, but that is a consequence and not the cause: it is "
        "learned here as in others, where it found the error. What became of the loss?",
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
    known = {_plain(name): name for name in DISEASES}
    if isinstance(answer, str):
        answer = known.get(_plain(answer), answer)
    if not callable(answer) and not (isinstance(answer, str) and answer in DISEASES):
        raise Misconception(NO_DISEASE)
    close_to()(answer, exercise)


def _plain(name: str) -> str:
    """A name without capitals, articles and what stands around its words."""
    return " ".join(word for word in name.casefold().split() if word not in ("a", "an", "the")).rstrip(" .")
