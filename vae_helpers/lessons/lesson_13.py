"""The exercises of notebook 13: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import numbers
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from types import CodeType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers.exercises.checks import compares
from vae_helpers.exercises.definition import Exercise, Misconception, wrong_answers
from vae_helpers.exercises.guarding import AnswerRaised


def _randn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _as_number(value: Any) -> Any:
    """One real number as a float, whatever holds it; anything else as it is."""
    if getattr(value, "ndim", None) == 0 and not torch.as_tensor(value).is_complex():
        return float(value)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return float(min(max(value, -(10**300)), 10**300)) if is_number else value  # a whole number may be of any length


def _one_number(answer: Callable) -> Callable:
    return lambda *args: _as_number(answer(*args))


# --- which split a file belongs to ----------------------------------------------------------------------------------


def split_of(content):
    """The split of a file with these bytes: bytes -> "train", "validation" or "test"."""
    import hashlib

    u = int(hashlib.sha256(content).hexdigest()[:13], 16) / 16**13  # eq. (13.1), 13 digits of 4 bits
    return "test" if u < 0.1 else "validation" if u < 0.2 else "train"


SPLITS = ("test", "validation", "train")


@functools.cache
def _files() -> tuple[bytes, ...]:
    """Short and long ones, that begin alike, that end alike, and that are no text; with u near no limit."""
    long, png = bytes(range(256)) * 100, b"\x89PNG\r\n\x1a\n\x00\xff"
    plain = [b"picture %d" % i for i in (*range(60), *TINY)] + [b"PICTURE %d" % i for i in range(12)]
    spaced = [gap + b"picture %d" % i + gap for i in (3, 6, 8, 14) for gap in (b"\n", b" ", b"\x00")]
    alike = [long + b"%d" % i for i in range(12)] + [b"%d" % i + long for i in range(12)]
    files = [b"", long, *plain, *[png + b"%d" % i for i in range(12)], *spaced, *alike]
    return tuple(content for content in files if min(abs(_u(content) - limit) for limit in (0.1, 0.2)) > 0.004)


def _u(content: bytes) -> float:
    return int(hashlib.sha256(content).hexdigest()[:13], 16) / 16**13


TINY = (137, 220, 214, 231)  # u is below 0.1 / 16, or below 0.2 / 16
# u is 0.1000048, 0.2000076, 0.09999932, 0.100000023 and 0.2000000002: even 32 bits are too few for the last.
AT_LIMITS = (44658, 49, 442590, 4933551, 1791654376)


def _large_files() -> list[bytes]:
    """Of a megabyte and a half, of each split; three differ at the end alone, three at the beginning alone."""
    blank = bytes(3 * 2**19)
    return [blank + b"%d" % k for k in (0, 12, 23)] + [b"%d" % k + blank for k in (0, 1, 2)]


FEW_BITS = (
    "it is wrong for files whose u lies next to 0.1 or 0.2: u is made of 52 bits, which are 13 hexadecimal digits, and "
    "of fewer it comes out rounded; do not round it either"
)
LARGE = "it is wrong for large files: all of their bytes count, however many there are, from the first to the last"
ALL_ALIKE = (
    "all files are in one split: is it `content` that is hashed, and is u a number from 0 to below 1, for which the "
    "leading zeros of the digest count, too"
)
NO_TEXT = "it takes the bytes for a text: they are those of a picture, and are hashed as they are"
NO_PATH = "it takes `content` for the name of a file: it is what stands in the file, read already"
CHANGES = (
    "the same bytes come into one split now and into another the next time: nothing but the bytes may decide, neither "
    "chance nor what was asked before"
)
IS_U = "it is the number u: the name of the split is asked for"
IS_NUMBER = 'it is a number where a name is asked for: "test", "validation" or "train"'
NAMES = '"test", "validation" and "train" are asked for, as the folder\'s splits are called'

HASH = (
    "it takes Python's own hash(), which is salted: the same file would be in another split in the next process, and "
    "today's test pictures would be tomorrow's training pictures"
)
CHANCE = (
    "it takes a random generator, even if the bytes are its seed: the split is to be that of (13.1), which any program "
    "in any language can find again from SHA-256 alone"
)
MD5 = (
    "it takes MD5 where (13.1) has SHA-256: as fair, but another split than the folder's, and pictures can be made "
    "that share an MD5"
)
OTHER_HASH = "it takes another hash than SHA-256: as fair, perhaps, but another split than the folder's"
OF_A_NAME = {  # what stands in the code of an answer that is wrong -> the message
    "hash": HASH,
    "md5": MD5,
    **dict.fromkeys(("sha1", "sha224", "sha384", "sha512", "sha3_256", "blake2b", "blake2s"), OTHER_HASH),
    **dict.fromkeys(("crc32", "adler32"), OTHER_HASH),
    **dict.fromkeys(("random", "Random", "rand", "randint", "randrange", "choice", "choices", "default_rng"), CHANCE),
}


def _as_splits(answer: Callable) -> Callable:
    """Of each file the name of its split; what is returned instead is said."""

    def described(contents: Sequence[bytes]) -> list[str]:
        try:
            return [_name(answer(content), content) for content in contents]
        except AnswerRaised as raised:
            cause = raised.__cause__
            if isinstance(cause, UnicodeError) or isinstance(getattr(cause, "obj", None), bytes):
                raise Misconception(NO_TEXT) from raised
            if isinstance(cause, OSError) or "null byte" in str(cause):
                raise Misconception(NO_PATH) from raised
            raise

    return described


def _name(given: Any, content: bytes) -> str:
    if isinstance(given, str):
        if given in SPLITS:
            return given
        raise Misconception(f"it says {given!r:.40}: {NAMES}")
    if isinstance(_as_number(given), float):
        raise Misconception(IS_U if abs(_as_number(given) - _u(content)) < 1e-3 else IS_NUMBER)
    raise Misconception(f"it returns something of type {type(given).__name__}: {NAMES}")


def _names_in(code: CodeType) -> Iterator[str]:
    """The global names and attributes in a function's code, and in functions in it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names_in(inner)


_compare_splits = compares(
    lambda: [(_files(),)],
    canonical=_as_splits,
    harder=[(FEW_BITS, lambda: [([b"picture %d" % i for i in AT_LIMITS],)]), (LARGE, lambda: [(_large_files(),)])],
)


def _check_split(answer: Callable, exercise: Exercise) -> None:
    """The same for the same bytes, and the split of (13.1)."""
    named, files = _as_splits(answer), _files()
    first = named(files)
    if first != named(files[::-1])[::-1]:
        raise Misconception(CHANGES)
    try:
        _compare_splits(answer, exercise)  # all files in one probe, for there are many
    except Misconception as found:
        right = _as_splits(exercise.reference)(files)
        if first == right or str(found) in (wrong.message for wrong in exercise.wrong):
            raise
        if len(set(first)) == 1:
            raise Misconception(ALL_ALIKE) from found
        code = getattr(inspect.unwrap(answer), "__code__", None)
        for word in _names_in(code) if code else ():
            if word in OF_A_NAME:
                raise Misconception(OF_A_NAME[word]) from found
        raise Misconception(_shares(first, right)) from found


def _shares(given: list[str], right: list[str]) -> str:
    """How a split differs from that of (13.1), which is not known by a mistake."""
    mine, theirs = Counter(given), Counter(right)
    counts = ", ".join(f"{name} has {mine[name]} where {theirs[name]} is right" for name in SPLITS)
    other = sum(x != y for x, y in zip(given, right, strict=True))
    return (
        f"{other} of {len(right)} files are in another split than that of (13.1) ({counts}): is u all of the first 52 "
        "bits of SHA-256 of all the bytes, the first of them worth a half, and is it cut at 0.1 and at 0.2"
    )


def _split_by(u: Callable[[bytes], float]) -> Callable[[bytes], str]:
    """The split by another number than (13.1)."""

    def answer(content):
        return "test" if (share := u(content)) < 0.1 else "validation" if share < 0.2 else "train"

    return answer


NAMED = '"test" if u < 0.1 else "validation" if u < 0.2 else "train"'  # in the reference

SPLIT_OF = Exercise(
    id="13.1",
    title="Which split a file belongs to",
    reference=split_of,
    hints=(
        "Its name may change, and so may the folder, the pictures beside it, the day and the machine: no picture "
        "should change its split for that. What of a file stays, and what makes one number of it that looks like "
        "chance?",
        "Equation (13.1): SHA-256 gives 256 bits, of which the first is worth 1/2, the second 1/4, ... The first 52 of "
        "them are the first 13 hexadecimal digits, read as a whole number and divided by 16 to the power 13. Then two "
        "limits: a tenth, and another tenth above it.",
        "digits = hashlib.sha256(SOMETHING).hexdigest()[:SOMETHING]\n"
        "u = int(digits, SOMETHING) / SOMETHING\n"
        'return "test" if u < SOMETHING else SOMETHING if u < SOMETHING else "train"',
    ),
    check=_check_split,
    wrong=wrong_answers(
        HASH,
        _split_by(lambda content: hash(content) % 2**52 / 2**52),
        MD5,
        ("sha256", "md5"),
        OTHER_HASH,
        ("sha256", "sha1"),
        "it takes the last digits of SHA-256: (13.1) takes the first, and these give another split",
        ("[:13]", "[-13:]"),
        "u lies in [0, 16): 13 digits are divided by 16 to the power 13, so that u is below 1",
        ("16**13", "16**12"),
        "u lies in [0, 2): the first bit is worth a half, not 1",
        ("16**13", "2**51"),
        "u lies in [0, 1/2): the first bit is worth a half, not a quarter",
        ("16**13", "2**53"),
        "u lies in [0, 1/16): 13 digits are divided by 16 to the power 13",
        ("16**13", "16**14"),
        "the hexadecimal digits are read as decimal ones: they have letters, and 16 is their base",
        (
            "int(hashlib.sha256(content).hexdigest()[:13], 16) / 16**13",
            "float('0.' + ''.join(digit for digit in hashlib.sha256(content).hexdigest() if digit.isdigit()))",
        ),
        "only the first hexadecimal digit decides: u has 16 values then, and an eighth of all files comes below 0.1",
        ("[:13]", "[:1]", "16**13", "16"),
        "the bits are read from the other end: in (13.1) the first is worth most",
        _split_by(lambda content: int(f"{int(2**52 * _u(content)):052b}"[::-1], 2) / 2**52),
        "the first 7 bytes are read from the other end: the first is the largest, byteorder='big'",
        (
            "int(hashlib.sha256(content).hexdigest()[:13], 16)",
            "(int.from_bytes(hashlib.sha256(content).digest()[:7], 'little') >> 4)",
        ),
        "the limits lie the other way round, and train comes first, from 0 up: test is below 0.1, not above 0.9",
        ("u < 0.1", "u >= 0.9", "u < 0.2", "u >= 0.8"),
        "train comes first here, and test before validation: in (13.1) test is below 0.1, and train is above 0.2",
        (NAMED, '"train" if u < 0.8 else "test" if u < 0.9 else "validation"'),
        "test and validation have changed places: test is below 0.1",
        ('"test"', '"validation "', '"validation"', '"test"', '"validation "', '"validation"'),
        "nothing is in validation: a u that is not below 0.1 is not below 0.1 the second time either; its limit is 0.2",
        ("u < 0.2", "u < 0.1"),
        "nothing is in test: what is below 0.1 is below 0.2, too, and that is asked first",
        ('"test" if u < 0.1 else "validation" if u < 0.2', '"validation" if u < 0.2 else "test" if u < 0.1'),
        "validation reaches to 0.3: its tenth ends at 0.2",
        ("u < 0.2", "u < 0.3"),
        "test reaches to 0.2, and validation to 0.3: each has a tenth, from 0 and from 0.1",
        ("u < 0.2", "u < 0.3", "u < 0.1", "u < 0.2"),
        ALL_ALIKE,
        lambda content: "train",
        "it hashes the bytes written out as a text, b'...' and all: the bytes themselves are hashed",
        ("sha256(content)", "sha256(str(content).encode())"),
        "it hashes the bytes written in hexadecimal digits: the bytes themselves are hashed",
        ("sha256(content)", "sha256(content.hex().encode())"),
        "it hashes the bytes decoded to a text: what is no text is lost then, and pictures are none",
        ("sha256(content)", "sha256(content.decode('utf-8', 'ignore').encode())"),
        "it hashes twice, the second time the hexadecimal digits of the first: once is enough, and another split",
        ("sha256(content)", "sha256(hashlib.sha256(content).hexdigest().encode())"),
        "it hashes twice, the second time the digest of the first: once is enough, and another split",
        ("sha256(content)", "sha256(hashlib.sha256(content).digest())"),
        "the last decimal digit of the digest decides: as fair and as lasting, but another split than that of (13.1)",
        ("[:13], 16) / 16**13", ", 16) % 10 / 10"),
        "the last decimal digits of the first 52 bits decide: as fair and as lasting, but another split than that of "
        "(13.1)",
        (" / 16**13", " % 10 / 10"),
        "the last two decimal digits of the digest decide: as fair and as lasting, but another split than that of "
        "(13.1)",
        ("[:13], 16) / 16**13", ", 16) % 100 / 100"),
        "the last two decimal digits of the first 52 bits decide: as fair and as lasting, but another split than that "
        "of (13.1)",
        (" / 16**13", " % 100 / 100"),
        "only the first bytes of the file are hashed: pictures of one camera begin alike; all bytes count",
        ("sha256(content)", "sha256(content[:1024])"),
        "the first bytes of the file are the number, without a hash: pictures of one format begin alike, and would all "
        "go together",
        _split_by(lambda content: int.from_bytes(content[:8].ljust(8, b"\0"), "big") / 2**64),
        "only the last bytes of the file are hashed: all bytes count",
        ("sha256(content)", "sha256(content[-1024:])"),
        "the length of the file decides: pictures of one size without compression would all go together; hash its "
        "bytes",
        _split_by(lambda content: len(content) % 10 / 10),
        "the sum of the bytes decides: files with the same bytes in another order would go together; take SHA-256",
        _split_by(lambda content: sum(content) % 10 / 10),
        "blanks and line ends are cut off before: they are bytes of the file as all others are",
        ("sha256(content)", "sha256(content.strip())"),
        "letters are made small before: these are bytes, and no text",
        ("sha256(content)", "sha256(content.lower())"),
        CHANCE,
        _split_by(lambda content: random.Random(content).random()),
        CHANGES,
        _split_by(lambda content: np.random.rand()),
        IS_U,
        (NAMED, "u"),
        IS_NUMBER,
        ('"test"', "0", '"validation"', "1", '"train"', "2"),
    ),
)


# --- more pictures --------------------------------------------------------------------------------------------------


def more_pictures(held_out, own, times):
    """Bits of held-out pictures with `times` as many training pictures, and with infinitely many: 3 numbers -> 2."""
    middle = (held_out + own) / 2  # own ones cost as much less as held-out ones cost more, eq. (13.3)
    half = (held_out - own) / 2
    return middle + half / times, middle  # eq. (13.4)


def _more_probes():
    """All that is right has two digits behind the point, so that rounding is told by what follows."""
    return [
        (5.2, 3.6, 2),
        (3.5, 2.7, 4),
        (9.0, 3.0, 2),
        (4.4, 2.4, 10),
        (7.1, 6.3, 8),
        (2.6, 1.4, 3),
        (1.5, 1.3, 5),
    ]


def _fine_probes():
    return [(4.0123456, 3.0654321, 3), (0.7718281, 0.5314159, 7), (0.0314159, 0.0271828, 4), (6.0, 3.0, 16)]


def _turned_probes():
    return [(3.1234, 3.1441, 4), (2.5, 2.75, 2), (4.0, 4.0, 10), (1.2, 1.9, 3)]


def _part_probes():
    """Once as many, numbers that are not whole, fewer."""
    return [
        (5.2, 3.6, 1),
        (4.1, 3.2, 1.5),
        (3.3, 2.1, 0.5),
        (4.4, 3.1, 2.75),
        (0.9, 0.7, 0.01),
        (2.5, 2.1, 1.0),
        (0.003, 0.002, 1e-3),
    ]


def _far_probes():
    """Very many pictures, and densities, whose bits may be below 0."""
    return [
        (20.0, 2.0, 3000),
        (20.0, 2.0, 10**6),
        (-1.3, -2.1, 4),
        (0.4, -0.9, 8),
        (150.0, 20.0, 100),
        (-30.0, -90.0, 2),
        (90.0, -90.0, 4),
    ]


ROUNDED = "it is wrong from the third digit behind the point on, or for small numbers: nothing is rounded"
TURNED = (
    "it is wrong where own pictures cost more than held-out ones, or as much, which chance brings about if the gap is "
    "small: (13.4) holds with the sign that the gap has, without abs() and without a bound"
)
ANY_TIMES = (
    "it is wrong where `times` is 1, no whole number, or below 1: (13.4) holds for these as it is, and with half as "
    "many pictures the excess is twice as large; no int(), no // and no bound"
)
ANY_BITS = (
    "it is wrong for very many pictures, or for bits that are many or below 0, as those of densities may be: there is "
    "no bound in (13.4)"
)
SHOULD_BE_TWO = (
    "it has to be two numbers: bits per dimension of held-out pictures with `times` as many to train on, and with "
    "infinitely many"
)


ONE_BY_ONE = (
    "its numbers come one after the other, as a generator gives them: a pair is asked for, and a cell below takes its "
    "first number alone"
)
FRACTIONS = "its numbers are fractions, which a cell below cannot print with three digits: make floats of them"


def _two_numbers(answer: Callable) -> Callable:
    """A pair of numbers, in whatever holds them."""

    def described(*args: Any) -> Any:
        pair = answer(*args)
        if isinstance(pair, (Tensor, np.ndarray)) and tuple(pair.shape) == (2,):
            pair = pair.tolist()
        elif isinstance(pair, Iterator):
            raise Misconception(ONE_BY_ONE)
        if isinstance(pair, (tuple, list)):
            if any(isinstance(part, Fraction) for part in pair):
                raise Misconception(FRACTIONS)
            return tuple(_as_number(part) for part in pair)
        if isinstance(_as_number(pair), float):
            raise Misconception(SHOULD_BE_TWO)
        return pair

    return described


def _one_of_two(place: int) -> Callable:
    return lambda answer: lambda *args: _two_numbers(answer)(*args)[place]


_compare_both = compares(
    _more_probes,
    tolerance=1e-6,
    canonical=_two_numbers,
    harder=[
        (ROUNDED, _fine_probes),
        (TURNED, _turned_probes),
        (ANY_TIMES, _part_probes),
        (ANY_BITS, _far_probes),
    ],
)
_compare_one = [compares(_more_probes, tolerance=1e-6, canonical=_one_of_two(place)) for place in range(2)]


def _check_more(answer: Callable, exercise: Exercise) -> None:
    """Both numbers; a mistake that is known is named where it was made in one of them alone, too."""
    try:
        _compare_both(answer, exercise)
    except Misconception as found:
        if not str(found).startswith("its part ["):
            raise
        for compare in _compare_one:
            try:
                compare(answer, exercise)
            except Misconception as of_one:
                if str(of_one) in (wrong.message for wrong in exercise.wrong):
                    raise of_one from found
        raise


BOTH = "middle + half / times, middle"  # in the reference
MIDDLE, HALF = "(held_out + own) / 2", "(held_out - own) / 2"


def _more(first: str = "middle + half / times", last: str = "middle") -> tuple[str, str]:
    """A change of the reference: of one of the two numbers, or of both."""
    return BOTH, f"{first}, {last}"


MORE_PICTURES = Exercise(
    id="13.2",
    title="More pictures",
    reference=more_pictures,
    hints=(
        "Had it infinitely many pictures to train on, a model would know its own no better than others. Held-out ones "
        "cost more than that now, and own ones less: how much of each, by (13.3)? And what becomes of that excess if "
        "N is `times` as large?",
        "Equation (13.4): D / 2N above b_inf on one side, D / 2N below it on the other, so that b_inf lies in the "
        "middle of the two, and the excess is half of the gap. It has N below the line: of `times` as many pictures it "
        "is 1 / times of what it was.",
        "middle = (held_out + SOMETHING) / SOMETHING\nhalf = (SOMETHING - own) / SOMETHING\n"
        "return SOMETHING + half / SOMETHING, SOMETHING",
    ),
    check=_check_more,
    wrong=wrong_answers(
        "the whole gap is taken off, down to the bits of own pictures: half of it is what held-out pictures can gain, "
        "for with more pictures the bits of own ones rise by the other half",
        _more("own + (held_out - own) / times", "own"),
        "the excess is the whole gap here: it is half of it, from the middle; with once as many pictures, held-out "
        "ones have to cost what they cost now",
        (HALF, "held_out - own"),
        "the whole gap is divided by `times`, from the bits of own pictures up: the excess is half of the gap, from "
        "the middle up",
        _more("own + (held_out - own) / times"),
        "with infinitely many it is the bits of own pictures here: these are as far below it as held-out ones are "
        "above it, for the model has fitted their noise; it is the middle",
        _more(last="own"),
        "the excess is added to the bits of own pictures: it is counted from the middle",
        _more("own + half / times"),
        "with infinitely many it is the bits of held-out pictures here, as if more pictures gained nothing: it is the "
        "middle",
        _more(last="held_out"),
        "with infinitely many it is 0: noise in the pictures cannot be learned away, and (13.3) has a b_inf for it",
        _more(last="0.0"),
        "`times` is left out, and held-out pictures cost what they cost now: the excess is divided by it",
        _more("middle + half"),
        "the excess is gone here, as if `times` as many were infinitely many: one part in `times` of it is left (and "
        "1 // times is 0, so divide by /)",
        _more("middle"),
        "the two are the same, what `times` as many give: with infinitely many the excess is gone",
        _more(last="middle + half / times"),
        "the excess falls as 1 / sqrt(times) here, as the standard error of a mean does: it is that error squared, and "
        "falls as 1 / times",
        _more("middle + half / times**0.5"),
        "it is divided by times + 1: there are `times` as many pictures, and not `times` as many more",
        _more("middle + half / (times + 1)"),
        "it is divided by 2 to the power `times`: `times` is a factor, and not a number of doublings",
        _more("middle + half / 2**times"),
        "it is halved times - 1 times: `times` is a factor, and four times as many pictures leave a quarter",
        _more("middle + half / 2 ** (times - 1)"),
        "it is divided by times squared: the excess is D / 2N, with N and not its square",
        _more("middle + half / times**2"),
        "it is divided by 1 + log(times): the excess is D / 2N, and `times` as many leave 1 / times of it",
        _more("middle + half / (1 + math.log2(times))"),
        "it falls exponentially, as exp(1 - times): the excess is D / 2N, and `times` as many leave 1 / times of it",
        _more("middle + half * math.exp(1 - times)"),
        "it goes down as a straight line in the number of pictures, and would fall without end: the excess is D / 2N, "
        "and falls less and less",
        _more("middle + half - (times - 1) * half"),
        "it is multiplied by `times`: more pictures make the excess smaller; / 2 * times multiplies, and needs "
        "brackets to divide by both",
        _more("middle + half * times"),
        "what is left of the excess and what is gained have changed places: 1 / times of it is left, above the middle, "
        "so 1 - 1 / times of it is taken off the bits of held-out pictures",
        _more("middle + half * (1 - 1 / times)"),
        "half the gap times `times` is taken off, as if each new set of pictures gained as much: 1 / times of the "
        "excess is left, so 1 - 1 / times of it is gained",
        _more("held_out - half * times"),
        "the excess is halved twice: half of the gap, over `times`, is the gap over 2 * times",
        _more("middle + half / (2 * times)"),
        "the gap over `times` is taken off the bits of held-out pictures: half of the gap is the excess, and 1 / times "
        "of that is left, above the middle",
        _more("held_out - (held_out - own) / times"),
        "it is own pictures' bits, which rise to the middle from below: those of held-out ones come down to it from "
        "above; the gap is held_out - own",
        (HALF, "(own - held_out) / 2"),
        "the second is own pictures' bits with `times` as many: with infinitely many is asked for",
        _more(last="middle - half / times"),
        "more pictures make it worse here: the gap is held_out - own, and half of it is taken off held_out",
        _more("held_out + half * (1 - 1 / times)", "held_out + half"),
        "half the gap is taken off the bits of own pictures: it is taken off those of held-out ones, or put on own "
        "ones'",
        (MIDDLE, "own - (held_out - own) / 2"),
        "with infinitely many, the whole excess is taken off what `times` as many give, where a part of it is gone "
        "already: it is the middle",
        _more(last="middle + half / times - half"),
        "the two have changed places: `times` as many first, then infinitely many",
        _more("middle", "middle + half / times"),
        "all of the bits are divided by `times`: only the excess over the middle shrinks",
        _more("held_out / times"),
        "the middle is divided by `times`: only the excess over it shrinks",
        _more("middle / times"),
        "the middle is divided by `times`, too: only the excess over it shrinks; with infinitely many `times` plays no "
        "part",
        _more("(middle + half) / times", "middle / times"),
        "it is the geometric mean: (13.3) adds to b_inf and takes off as much, so it is half of the sum",
        (MIDDLE, "(held_out * own) ** 0.5"),
        "it is the harmonic mean: (13.3) adds to b_inf and takes off as much, so it is half of the sum",
        (MIDDLE, "2 / (1 / held_out + 1 / own)"),
        "it is the sum of the two: half of it is the middle",
        (MIDDLE, "held_out + own"),
        "only own is divided by 2, in the sum: put brackets round held_out + own",
        (MIDDLE, "held_out + own / 2"),
        "only own is divided by 2, in the gap: put brackets round held_out - own",
        (HALF, "held_out - own / 2"),
        "it is a mean with weights 1 and `times`, more of own pictures: both lie D / 2N off now, and count the same",
        (MIDDLE, "(held_out + times * own) / (1 + times)"),
        "it is a mean with weights `times` and 1, more of held-out pictures: both lie D / 2N off now, and count the "
        "same",
        (MIDDLE, "(times * held_out + own) / (1 + times)"),
        "it is extrapolated as from N and `times` N pictures: held_out and own are both of N, one above and one below",
        (MIDDLE, "(times * held_out - own) / (times - 1)"),
        "it is extrapolated as from N and `times` N pictures, own being the more: held_out and own are both of N, one "
        "above and one below",
        (MIDDLE, "(times * own - held_out) / (times - 1)"),
        "the gap is a ratio here, held_out / own: (13.3) adds and takes off, so it is a difference",
        (HALF, "held_out / own / 2"),
        "the excess is a factor here, whose power 1 / times is taken: it is added in (13.3), and divided by `times`",
        _more("middle * (held_out / middle) ** (1 / times)"),
        "// cuts what is divided down to a whole number: divide by /",
        _more("middle + half // times"),
        "// cuts the middle down to a whole number: divide by /",
        (MIDDLE, "(held_out + own) // 2"),
        "it is rounded to one digit behind the point: nothing is rounded",
        _more("round(middle + half / times, 1)", "round(middle, 1)"),
        "it is what is gained: take it off the bits of held-out pictures",
        _more("half - half / times", "half"),
        "it is the excess: put it on the middle",
        _more("half / times", "0"),
        "it is nats: what came in bits goes out in bits",
        _more("(middle + half / times) * math.log(2)", "middle * math.log(2)"),
        SHOULD_BE_TWO,
        (BOTH, "middle + half / times"),
    ),
)


# --- near copies of what was trained on -----------------------------------------------------------------------------


def near_copies(train, held_out):
    """How many held-out pictures are near copies of training pictures: (N, D), (M, D) -> their share, a number."""
    usual = torch.pdist(train).median()  # of all pairs n < k
    nearest = torch.cdist(held_out, train).amin(1)  # (M,)
    return (nearest < 0.15 * usual).double().mean()  # eq. (13.5)


def _album(seed: int, n: int, m: int, d: int, scale: float = 1.0, frames: int = 1, **kind: Any) -> tuple[Tensor, ...]:
    """Training pictures in the order of their scenes, of which some lie far out; and held-out ones.

    Of these every fourth is a picture of its own, and the others are copies of the last training pictures with more
    and more noise, from a thirtieth of the limit to 150 times. None is nearly as far as the limit.

    Args:
        frames: of each scene, which are as alike as near copies are.
    """
    scenes = -(-n // frames)
    far_out = torch.where(torch.arange(scenes) % 5 < 2, 7.0, 1.0).sort().values[:, None].to(**kind)
    train = (far_out * _randn(seed, scenes, d, **kind)).repeat_interleave(frames, 0)[:n]
    limit = 0.15 * torch.pdist(train).median()
    if frames > 1:
        train += 0.3 * limit * F.normalize(_randn(seed + 1, n, d, **kind))
    far = torch.logspace(-1.5, 2.2, m, **kind)[:, None] * limit
    copies = train[-1 - torch.arange(m) % max(1, 2 * n // 3)] + far * F.normalize(_randn(seed + 2, m, d, **kind))
    own = 3 * _randn(seed + 3, m, d, **kind)
    held_out = torch.where(torch.arange(m)[:, None] % 4 == 3, own, copies)
    return scale * train, scale * _clear(train, torch.cat([train[-1:], held_out]))


def _clear(train: Tensor, held_out: Tensor) -> Tensor:
    """Without those whose nearest training picture is as far as the limit by one rule for the median or another.

    Of an even number of pairs it is one of the two in the middle, or between them; of many pictures the distances of
    each to itself, which are 0 but for rounding, make no difference that shows.
    """
    pairs = torch.pdist(train.double()).sort().values
    more = 1 + len(train) // 4 if len(train) > 25 else 0  # cdist is exact up to 25 rows
    low, high = pairs[(len(pairs) - 1) // 2 - more], pairs[len(pairs) // 2 + more]
    far = torch.cdist(held_out.double(), train.double()).amin(1) / 0.15
    return held_out[(far < 0.98 * low) | (far > 1.02 * high)]


@functools.cache
def _albums() -> list[tuple[Tensor, ...]]:
    """Many to train on and few; far apart and near together; of many frames of few scenes; none is near, or all are.

    The few are 5, 9 or 13, so that distances of pictures to themselves, where they are counted, too, make a number of
    distances that is odd, and every rule gives them the same median.
    """
    train, held_out = _album(91, 40, 60, 5)
    in_order = train[:30] + 0.02 * _randn(101, 30, 5)
    of_one_scene = torch.cat([train[-1:] + 0.02 * _randn(131, 21, 5), train[:19]])  # more than half, and few pairs
    return [
        _album(1, 200, 180, 6),
        _album(11, 150, 60, 12, 30.0, dtype=torch.float64),
        _album(21, 120, 90, 5, 0.05, 4),
        _album(31, 40, 140, 8, 255.0, 14, dtype=torch.float64),
        _album(41, 9, 80, 4),
        _album(51, 13, 90, 3, 0.2, dtype=torch.float64),
        _album(61, 5, 80, 6, 9.0),
        (train, _clear(train, in_order)),
        (train, held_out[:1] + 1e3),
        (train, train[:1].clone()),
        (of_one_scene, _clear(of_one_scene, held_out)),
    ]


def _album_probes():
    return [(train.clone(), held_out.clone()) for train, held_out in _albums()]


def _copy_probes():
    """Exact copies are many of the pairs of training pictures."""
    few, some = _album(111, 7, 200, 4), _album(121, 11, 200, 2, 40.0, dtype=torch.float64)
    copied = [(train[[0, 0, 0, 0, *range(len(train))]], held_out) for train, held_out in (few, some)]
    return [(train, _clear(train, held_out)) for train, held_out in copied]


def _tie_probes():
    """A limit of 0, as most are copies of one picture: a distance that equals it is right whatever is rounded."""
    train, held_out = torch.zeros(5, 4), torch.zeros(6, 4)
    train[4] = 10
    held_out[:, 0] = torch.tensor([3.0, 0.0, 35.0, -3.0, 0.0, 33.0])
    return [(train, held_out), (train.double(), torch.cat([train[4:], held_out]).double())]


def _small_probes():
    """Numbers of another unit."""
    train, held_out = _album(141, 30, 150, 5)
    return [(1e-4 * train, 1e-4 * held_out), (1e-4 * train.double(), 1e-4 * held_out.double())]


SMALL = (
    "it is wrong where all distances are small: the limit is a part of a distance, in whatever unit, and nothing is "
    "added to either and no bound is set"
)
COPIES = (
    "it is wrong where training pictures have exact copies: these are pairs as all others, at distance 0; leave out "
    "the picture itself by its place, n < k, and not every distance of 0"
)
TIES = (
    "it counts a held-out picture that is exactly as far as the limit: those that are nearer are asked for, `<`; where "
    "the limit is 0, none is"
)


def _near(
    usual: Callable = lambda train, held_out: torch.pdist(train).median(),
    other: Callable = lambda train, held_out: torch.cdist(held_out, train),
    nearest: Callable = lambda other: other.amin(1),
    share: Callable = lambda nearest, usual: (nearest < 0.15 * usual).double().mean(),
) -> Callable:
    """near_copies with one of its steps replaced."""
    return lambda train, held_out: share(nearest(other(train, held_out)), usual(train, held_out))


def _apart(x: Tensor, to_itself: float = 0.0, **how: Any) -> Tensor:
    """(N, N), with something else for the distance of a picture to itself."""
    return torch.cdist(x, x, **how).fill_diagonal_(to_itself)


def _angles(a: Tensor, b: Tensor) -> Tensor:
    """(N, M), one minus the cosines."""
    return 1 - F.normalize(a) @ F.normalize(b).T


NEAR_COPIES = Exercise(
    id="13.3",
    title="Held-out pictures that are no news",
    reference=near_copies,
    hints=(
        "How far are two pictures of this folder from each other? Ask the training pictures, all pairs of them: that "
        "says what is usual. A held-out picture that is much nearer than that to a single training picture is news to "
        "nobody.",
        "Equation (13.5): the median of the distances of all pairs n < k of training pictures, and 0.15 of it as the "
        "limit. Then for every held-out picture the distance to the nearest training picture, and the share of those "
        "below the limit.",
        "usual = torch.pdist(SOMETHING).SOMETHING()  # of all pairs n < k\n"
        "nearest = torch.cdist(SOMETHING, train).amin(SOMETHING)  # (M,)\n"
        "return (nearest < SOMETHING * usual).double().SOMETHING()",
    ),
    check=compares(
        _album_probes,
        tolerance=3e-7,
        canonical=_one_number,
        harder=[(COPIES, _copy_probes), (TIES, _tie_probes), (SMALL, _small_probes)],
    ),
    wrong=wrong_answers(
        "it is 0 whatever the pictures: either held-out pictures are asked for the mean or the farthest of all "
        "training pictures, where the nearest decides, or the zeros of a diagonal or a triangle make the limit 0",
        ("torch.cdist(held_out, train).amin(1)", "torch.cdist(held_out, train).mean(1)"),
        "the limit is 0.15 of the mean distance: a few pictures far from all others raise the mean, and leave the "
        "median where it is",
        (".median()", ".mean()"),
        "the limit is 0.15 of the mean distance, and those of training pictures to themselves, which are 0, lower it: "
        "take the median, of two different pictures, n < k",
        _near(usual=lambda x, y: _apart(x).mean()),
        "the distances of training pictures to themselves are counted, too, which are 0: the median is that of two "
        "different pictures, n < k",
        _near(usual=lambda x, y: _apart(x).median()),
        "the distances of training pictures to themselves are counted, too, once each, which are 0: the median is that "
        "of pairs n < k, and not n <= k",
        _near(usual=lambda x, y: _apart(x)[torch.triu_indices(len(x), len(x)).unbind()].median()),
        "infinity stands for a training picture's distance to itself, and is counted as a distance: that serves where "
        "the nearest is looked for; for a median leave them out, n < k",
        _near(usual=lambda x, y: _apart(x, math.inf).median()),
        "the median is that of the distances to the nearest other training picture: those of all pairs are asked for; "
        "where the folder is full of copies, the nearest is a copy and says nothing of what is usual",
        _near(usual=lambda x, y: _apart(x, math.inf).amin(1).median()),
        "the mean is taken of the distances to the nearest other training picture: the median of all pairs is asked "
        "for",
        _near(usual=lambda x, y: _apart(x, math.inf).amin(1).mean()),
        "the limit is the median distance to the nearest other training picture: half of the training pictures are as "
        "near to one another; it is 0.15 of the median of all pairs",
        lambda x, y: (torch.cdist(y, x).amin(1) < _apart(x, math.inf).amin(1).median()).double().mean(),
        "the limit is the 1 % quantile of the distances to the nearest training picture: where the folder is full of "
        "copies, that is a copy's; it is 0.15 of the median of all pairs",
        lambda x, y: (torch.cdist(y, x).amin(1) < _apart(x, math.inf).amin(1).quantile(0.01)).double().mean(),
        "the limit is the 1 % quantile of all pairs: where the folder is full of copies, that is a copy's; it is 0.15 "
        "of their median",
        ("0.15 * usual", "torch.pdist(train).quantile(0.01)"),
        "the limit is the 15 % quantile of all pairs: it is 0.15 times the median, a distance and no rank",
        ("0.15 * usual", "torch.pdist(train).quantile(0.15)"),
        "the limit is 0.15 itself: how far pictures are apart, is another number for every folder; multiply",
        ("0.15 * usual", "0.15"),
        "the limit is the median itself: that is as far as any two pictures; near is what is less than 0.15 of it",
        ("0.15 * usual", "usual"),
        "the limit is the mean distance itself: that is as far as any two pictures; near is what is less than 0.15 of "
        "the median",
        ("0.15 * usual", "torch.pdist(train).mean()"),
        "0.15 is taken off the median, 85 % of it are left: near is what is less than 0.15 of it",
        ("0.15 * usual", "(1 - 0.15) * usual"),
        "the limit is a tenth of what it should be: 15 % are 0.15, not 0.015",
        ("0.15", "0.015"),
        "the median is divided by 0.15: 0.15 of it is asked for, so multiply",
        ("0.15 * usual", "usual / 0.15"),
        "15 % are 0.15 and not 15: multiply by 0.15",
        ("0.15", "15"),
        "the limit is 0.15 of the largest distance: one picture far out decides it then; the median is asked for",
        (".median()", ".max()"),
        "the limit is 0.15 of the smallest distance: one pair decides it then, and may be copies; take the median",
        (".median()", ".min()"),
        "the distances' standard deviation is taken: how large they are themselves, says the median",
        _near(usual=lambda x, y: torch.pdist(x).std() if len(x) > 2 else torch.pdist(x).sum() * 0),
        "the standard deviation of the training pictures' numbers is taken: how far two of them are from each other, "
        "say the distances of all pairs",
        ("torch.pdist(train).median()", "train.std()"),
        "distances to the mean picture are taken: those of two training pictures are asked for, all pairs",
        _near(usual=lambda x, y: (x - x.mean(0)).norm(dim=1).median()),
        "the training pictures' norms are taken, their distances to a black picture: those of two training pictures "
        "are asked for, all pairs",
        _near(usual=lambda x, y: x.norm(dim=1).median()),
        "only pairs that follow each other in the folder are taken: these are often frames of one scene; take all "
        "pairs n < k",
        _near(usual=lambda x, y: (x[1:] - x[:-1]).norm(dim=1).median()),
        "only the first training picture is compared with the others: take all pairs n < k",
        _near(usual=lambda x, y: (x[1:] - x[0]).norm(dim=1).median()),
        "it is the median of the pictures' medians: one median of all pairs is asked for",
        _near(usual=lambda x, y: _apart(x).median(1).values.median()),
        "it is the median of the pictures' mean distances: one median of all pairs is asked for",
        _near(usual=lambda x, y: (_apart(x).sum(1) / (len(x) - 1)).median()),
        "it is the mean of the pictures' medians: one median of all pairs is asked for",
        _near(usual=lambda x, y: _apart(x).median(1).values.mean()),
        "each training picture has a limit of its own, by its distances to the others: one median of all pairs is "
        "asked for",
        lambda x, y: (torch.cdist(y, x) < 0.15 * _apart(x).median(1).values).any(1).double().mean(),
        "the median is that of distances from held-out to training pictures: what is usual, the training pictures tell "
        "among themselves",
        ("torch.pdist(train)", "torch.cdist(held_out, train)"),
        "the median is that of held-out pictures' distances to their nearest: what is usual, all pairs of training "
        "pictures tell; a share of it that is near would be found whatever the pictures are",
        ("torch.pdist(train)", "torch.cdist(held_out, train).amin(1)"),
        "the median is that of the held-out pictures among themselves: what is usual, the training pictures tell",
        ("torch.pdist(train)", "torch.cdist(held_out, held_out)"),
        "the median is that of pairs of held-out pictures: what is usual, pairs of training pictures tell",
        ("torch.pdist(train)", "torch.pdist(held_out)"),
        "the median is that of all pictures, held-out ones, too: what is usual, the training pictures tell",
        ("torch.pdist(train)", "torch.pdist(torch.cat([train, held_out]))"),
        "held-out pictures are asked for the median distance to the training pictures: the nearest decides",
        ("torch.cdist(held_out, train).amin(1)", "torch.cdist(held_out, train).median(1).values"),
        "held-out pictures are asked for their second nearest training picture: none of these is the picture itself",
        _near(nearest=lambda other: other.sort(1).values[:, 1]),
        "distances of 0 from held-out to training pictures are left out: these are exact copies, and the nearest of "
        "all",
        _near(
            other=lambda x, y: torch.cdist(y, x, compute_mode="donot_use_mm_for_euclid_dist"),
            nearest=lambda other: other.where(other > 0, math.inf).amin(1),
        ),
        "only exact copies are counted: what is nearer than 0.15 of the median is news to nobody either",
        lambda x, y: (y[:, None] == x).all(2).any(1).double().mean(),
        "the diagonal is left out of the held-out pictures' distances: a held-out picture is none of the training "
        "pictures, so that all of them count",
        _near(other=lambda x, y: torch.cdist(y, x).fill_diagonal_(math.inf)),
        "held-out pictures are compared with one another: a near copy of a training picture has its twin in training",
        ("torch.cdist(held_out, train).amin(1)", "torch.cdist(held_out, held_out).fill_diagonal_(math.inf).amin(1)"),
        "it is 1 whatever the pictures: held-out pictures are compared with themselves, where the training pictures "
        "are asked for",
        ("torch.cdist(held_out, train)", "torch.cdist(held_out, held_out)"),
        "training pictures are asked for the nearest other training picture: it is the held-out ones that are asked",
        _near(other=lambda x, y: _apart(x, math.inf)),
        "held-out pictures are compared with the mean training picture: the nearest training picture decides",
        _near(other=lambda x, y: torch.cdist(y, x.mean(0, keepdim=True))),
        "the two sets have changed places: held-out pictures are asked, and training pictures tell what is usual",
        lambda train, held_out: near_copies(held_out, train),
        "it is the share of training pictures with a held-out picture that near: the share of held-out pictures is "
        "asked",
        ("torch.cdist(held_out, train).amin(1)", "torch.cdist(held_out, train).amin(0)"),
        "it is the share of pairs that are near: a held-out picture is a near copy if one training picture is near, "
        "and the share of these pictures is asked for",
        _near(nearest=lambda other: other),
        "it counts pairs: a held-out picture with several training pictures near to it is one near copy; the nearest "
        "of them is enough",
        lambda x, y: (torch.cdist(y, x) < 0.15 * torch.pdist(x).median()).sum() / len(y),
        "squared distances are compared with a limit that is none: square both or neither",
        ("torch.cdist(held_out, train).amin(1)", "torch.cdist(held_out, train).amin(1).square()"),
        "distances are compared with a limit of squared ones: square both or neither",
        ("torch.pdist(train)", "torch.pdist(train).square()"),
        "distances are compared with a squared limit: square both or neither",
        ("0.15 * usual", "(0.15 * usual) ** 2"),
        "squared distances are compared with 0.15 of the median of squared ones: 0.15 has to be squared, too, for it "
        "is a share of distances",
        ("torch.pdist(train)", "torch.pdist(train).square()", ".amin(1)", ".amin(1).square()"),
        "0.15 is squared, and the distances are not: square all or none",
        ("0.15", "0.15**2"),
        "mean squares over the numbers of a picture are compared with a limit of distances: the same on both sides",
        _near(other=lambda x, y: (y[:, None] - x).square().mean(2)),
        "the root of a picture's mean square is compared with a limit of distances: the same on both sides",
        _near(other=lambda x, y: (y[:, None] - x).square().mean(2).sqrt()),
        "the limit is made of roots of mean squares, and the distances are none: the same on both sides",
        _near(usual=lambda x, y: (torch.pdist(x) / x.shape[1] ** 0.5).median()),
        "differences are averaged with their signs: square them, add them up and take the root",
        _near(
            usual=lambda x, y: (x[:, None] - x).mean(2).abs()[torch.triu_indices(len(x), len(x), 1).unbind()].median(),
            other=lambda x, y: (y[:, None] - x).mean(2).abs(),
        ),
        "distances are sums of absolute differences: a Euclidean distance squares them first",
        _near(
            usual=lambda x, y: torch.pdist(x, p=1).median(),
            other=lambda x, y: torch.cdist(y, x, p=1),
        ),
        "distances are the largest difference of a single number: a Euclidean distance adds up the squares of all",
        _near(
            usual=lambda x, y: torch.pdist(x, p=math.inf).median(),
            other=lambda x, y: torch.cdist(y, x, p=math.inf),
        ),
        "pictures are compared by the angle between them, for which bright and dark are the same: take Euclidean "
        "distances",
        _near(
            usual=lambda x, y: _angles(x, x)[torch.triu_indices(len(x), len(x), 1).unbind()].median(),
            other=lambda x, y: _angles(y, x),
        ),
        "held-out pictures' distances are sums of absolute differences, and those of the training pictures are "
        "Euclidean: the same on both sides, Euclidean",
        _near(other=lambda x, y: torch.cdist(y, x, p=1)),
        "the training pictures' distances are sums of absolute differences, and those of held-out ones are Euclidean: "
        "the same on both sides, Euclidean",
        _near(usual=lambda x, y: torch.pdist(x, p=1).median()),
        "it is the share of those that are *not* near copies",
        ("nearest < 0.15", "nearest >= 0.15"),
        "it is their number: divide by how many are held out",
        (".double().mean()", ".double().sum()"),
        "it is divided by the number of training pictures: the share of the held-out ones is asked for",
        (".double().mean()", ".double().sum() / len(train)"),
        "// cuts the share down to 0 or 1: divide by /",
        (".double().mean()", ".sum() // len(held_out)"),
        "something is added to the number of held-out pictures: there is one at least, so divide by it as it is",
        (".double().mean()", ".double().sum() / (len(held_out) + 1e-6)"),
        "it is a percentage: a share lies between 0 and 1",
        (".double().mean()", ".double().mean() * 100"),
        "it says of each whether it is a near copy: their share is asked for",
        (".double().mean()", ""),
        "it is yes or no: the share of those that are near copies is asked for",
        (".double().mean()", ".any().item()"),
        "it is the limit: the share of held-out pictures below it is asked for",
        ("(nearest < 0.15 * usual).double().mean()", "0.15 * usual"),
        "it is the mean distance of held-out pictures: the share of those below the limit is asked for",
        ("(nearest < 0.15 * usual).double().mean()", "nearest.mean()"),
        "each held-out picture is compared with the training picture in the same row: compare it with all of them",
        _near(other=lambda x, y: (y - x[torch.arange(len(y)) % len(x)]).norm(dim=1)[:, None]),
    ),
)


# --- one gradient of many -------------------------------------------------------------------------------------------


def whole_gradient(gradients, sizes):
    """The gradient of the mean over all pictures: K gradients of means, and of how many each -> one of their shape."""
    total = sum(n * gradient for gradient, n in zip(gradients, sizes, strict=True))
    return total / sum(sizes)  # eq. (13.6)


def _gradients(
    seed: int, sizes: list[int], *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32
) -> tuple:
    """Of processes that have pulls in common, and more or less noise."""
    common = _randn(seed, *shape, dtype=dtype)
    each = [_randn(seed + k, *shape, dtype=dtype) for k in range(1, len(sizes) + 1)]
    return [scale * (common + one) for one in each], list(sizes)


def _gradient_probes():
    """The largest first, last and amid; three, two and four processes, one; as many as numbers."""
    return [
        _gradients(1, [8, 8, 3], 5),
        _gradients(11, [2, 7], 4, dtype=torch.float64),
        _gradients(21, [4, 16, 1, 9], 4),
        _gradients(31, [6], 3),
        _gradients(41, [1, 2, 5], 3, scale=0.4),
        _gradients(151, [1], 6, dtype=torch.float64),
    ]


def _shape_probes():
    """Of a layer, of one where processes are as many as rows, of a convolution."""
    return [
        _gradients(51, [3, 5], 2, 3),
        _gradients(61, [3, 5, 1], 3, 3, dtype=torch.float64),
        _gradients(71, [1, 4, 4], 2, 3, 3, 3),
    ]


def _number_probes():
    """Of a parameter that is one number, as a learned sigma is."""
    return [_gradients(81, [7, 2]), _gradients(161, [2, 3, 3], dtype=torch.float64)]


def _idle_probes():
    return [_gradients(91, [4, 4, 0], 6), _gradients(101, [0, 5], 3, dtype=torch.float64)]


def _count_probes():
    """All have the same number; very many."""
    return [
        _gradients(111, [3, 3, 3], 4),
        _gradients(121, [2_000_000, 1_000_000, 3], 4, dtype=torch.float64),
    ]


def _large_gradient_probes():
    return [_gradients(131, [5, 2], 6, scale=1e4), _gradients(141, [1, 3, 3], 4, scale=3e7, dtype=torch.float64)]


ANY_SHAPE = (
    "it is right for vectors and wrong for gradients of other shapes: weights are matrices and kernels, too; weigh "
    "each gradient by its own number, and give the weights as many axes as there are"
)
ONE_NUMBER = (
    "it is right for vectors and matrices, and not for the gradient of a single number, of shape (): there are no axes "
    "then, and NumPy's results are plain numbers, which torch.from_numpy does not take and torch.as_tensor does"
)
IDLE = "it is wrong where a process had no picture: its gradient has the weight 0, whatever it is"
ANY_COUNT = (
    "it is wrong where numbers of pictures are equal, or very large: each counts as it is, and the divisor is the "
    "number of all pictures"
)
OTHER_TYPE = (
    "its weights have another type than the gradients, and a product of vectors or matrices stops there: torch.tensor "
    "makes int64 of whole numbers, and float32 of others; gradients may be float64, and their weights have to be, too"
)
UNCUT_GRADIENT = "it cuts large gradients off, or gives them another length: the mean is asked for as it is"


def _weighed(
    weights: Callable = lambda sizes: sizes / sizes.sum(), put: Callable = lambda weighed, sizes: weighed.sum(0)
) -> Callable:
    """Gradients, weighed and put together."""

    def answer(gradients, sizes):
        sizes = torch.tensor(sizes).to(gradients[0])
        each = torch.stack(gradients)
        return put(weights(sizes).reshape(-1, *[1] * (each.ndim - 1)) * each, sizes)

    return answer


def _in_place(gradients, sizes):
    for gradient, n in zip(gradients, sizes, strict=True):
        gradient *= n
    return sum(gradients) / sum(sizes)


def _into_the_first(gradients, sizes):
    for gradient, n in zip(gradients[1:], sizes[1:], strict=True):
        gradients[0].mul_(sizes[0]).add_(n * gradient).div_(sizes[0] + n)
    return gradients[0]


def _types_told(answer: Callable) -> Callable:
    """Where torch stops at two types, it is said which they may be."""

    def described(gradients, sizes):
        try:
            return answer(gradients, sizes)
        except AnswerRaised as raised:
            if "dtype" in str(raised.__cause__) or "scalar type" in str(raised.__cause__):
                raise Misconception(OTHER_TYPE) from raised
            raise

    return described


WHOLE_GRADIENT = Exercise(
    id="13.4",
    title="One gradient of several processes",
    reference=whole_gradient,
    hints=(
        "Eight pictures here, three there. If each process's mean counts the same, how much does one picture of the "
        "three count beside one of the eight? How much should it?",
        "Equation (13.6): a mean times its number is a sum. Add the sums of all processes, and divide once, by the "
        "number of all pictures.",
        "total = 0\n"
        "for gradient, n in zip(gradients, sizes):\n"
        "    total = total + SOMETHING * SOMETHING\n"
        "return total / SOMETHING(sizes)",
    ),
    check=compares(
        _gradient_probes,
        tolerance=3e-7,  # single precision in the weights is enough, 1e-6 added to a number of pictures too much
        canonical=_types_told,
        harder=[
            (ANY_SHAPE, _shape_probes),
            (ONE_NUMBER, _number_probes),
            (IDLE, _idle_probes),
            (ANY_COUNT, _count_probes),
            (UNCUT_GRADIENT, _large_gradient_probes),
        ],
    ),
    wrong=wrong_answers(
        "it is the mean of the means: a picture of a small share counts for more than one of a large share; a mean "
        "times its number is a sum, and sums can be added",
        _weighed(lambda sizes: torch.ones_like(sizes) / len(sizes)),
        "the gradients are added: a step of K processes would be K times as long; and a mean is asked for",
        _weighed(torch.ones_like),
        "it is the gradient of the sum over all pictures: divide it by their number",
        (" / sum(sizes)", ""),
        "it is divided by the number of processes: divide by that of the pictures",
        ("sum(sizes)", "len(sizes)"),
        "it is divided twice, by the number of pictures and by that of processes: weights that add up to 1 have "
        "averaged already",
        ("sum(sizes)", "sum(sizes) / len(sizes)"),
        "it is divided by the number of pictures and multiplied by that of processes: the weights n / sum of n add up "
        "to 1 already",
        ("sum(sizes)", "sum(sizes) * len(sizes)"),
        "it is divided twice by the number of pictures: once makes a mean of a sum",
        ("sum(sizes)", "sum(sizes) ** 2"),
        "something is added to the number of pictures: there is one at least, so divide by it as it is",
        ("sum(sizes)", "(sum(sizes) + 1e-6)"),
        "// cuts every weight below 1 down to 0: divide by /",
        ("n * gradient", "n // sum(sizes) * gradient", "total / sum(sizes)", "total"),
        "// cuts the gradient down to whole numbers: divide by /",
        ("total / sum", "total // sum"),
        "only the first process counts, over the number of all pictures: add up all of them before the return",
        ("sum(n * gradient for gradient, n in zip(gradients, sizes, strict=True))", "sizes[0] * gradients[0]"),
        "only the last process counts, over the number of all pictures: add each to those before it",
        ("sum(n * gradient for gradient, n in zip(gradients, sizes, strict=True))", "sizes[-1] * gradients[-1]"),
        "means are added up and divided by the number of pictures: they were divided by their own numbers already; "
        "multiply each by its own first",
        ("n * gradient", "gradient"),
        "each gradient is divided by its number: it is a mean already, so multiply to have the sum again",
        ("n * gradient", "gradient / n"),
        "each gradient is divided by its number, and their mean is taken: they are means already; multiply",
        ("n * gradient", "gradient / n", "sum(sizes)", "len(sizes)"),
        "each gradient is divided by its number, and they are added: they are means already; multiply, and divide by "
        "the number of all",
        ("n * gradient", "gradient / n", " / sum(sizes)", ""),
        "the fewer pictures, the more a process counts: weights are proportional to the numbers, not to one over them",
        _weighed(lambda sizes: (1 / sizes) / (1 / sizes).sum()),
        "it is weighed by n over the largest n, and not divided by their sum: the weights have to add up to 1",
        _weighed(lambda sizes: sizes / sizes.max()),
        "it counts as if every process had as many pictures as the largest: divide by how many there are",
        ("sum(sizes)", "(len(sizes) * max(sizes))"),
        "it counts as if every process had as many pictures as the first: divide by how many there are",
        ("sum(sizes)", "(len(sizes) * sizes[0])"),
        "weights are the squares of the numbers: they are the numbers",
        _weighed(lambda sizes: sizes.square() / sizes.square().sum()),
        "weights are the roots of the numbers: they are the numbers",
        _weighed(lambda sizes: sizes.sqrt() / sizes.sqrt().sum()),
        "weights are the softmax of the numbers: the largest would decide alone; they are the numbers over their sum",
        _weighed(lambda sizes: sizes.softmax(0)),
        "weights go backwards: each gradient goes with its own number",
        ("zip(gradients, sizes, strict=True)", "zip(gradients, sizes[::-1], strict=True)"),
        "weights are sorted: each gradient goes with its own number",
        ("zip(gradients, sizes, strict=True)", "zip(gradients, sorted(sizes), strict=True)"),
        "only the largest share's gradient is taken: all pictures count",
        lambda gradients, sizes: gradients[sizes.index(max(sizes))],
        "only the first process's gradient is taken: all pictures count",
        lambda gradients, sizes: gradients[0],
        "only the last process's gradient is taken: all pictures count",
        lambda gradients, sizes: gradients[-1],
        "it is the median of the gradients: their weighted mean is the gradient of the mean",
        lambda gradients, sizes: torch.stack(gradients).median(0).values,
        "the last process is left out: those with fewer pictures count less, and not nothing",
        lambda gradients, sizes: whole_gradient(gradients[:-1], sizes[:-1]) if sizes[1:] else gradients[0],
        "it is a list of the weighed gradients: add them",
        lambda gradients, sizes: [n * gradient / sum(sizes) for gradient, n in zip(gradients, sizes, strict=True)],
        "its numbers are averaged, too, so that one is left: an average over processes is asked for, number by number",
        _weighed(put=lambda weighed, sizes: weighed.sum(0).mean()),
        "its numbers are added up, so that one is left: a gradient of the same shape is asked for",
        _weighed(put=lambda weighed, sizes: weighed.sum()),
        "it is the norm: the gradient itself is asked for",
        _weighed(put=lambda weighed, sizes: weighed.sum(0).norm()),
        "it is brought to length 1: the mean is asked for as it is",
        _weighed(put=lambda weighed, sizes: weighed.sum(0) / weighed.sum(0).norm()),
        "its sign is flipped: a gradient is asked for, and the optimiser takes it off",
        ("return total", "return -total"),
        "it multiplies the gradients of the processes in place, who find them changed: work on copies",
        _in_place,
        "it writes the result into the first process's gradient, which is changed: begin with a tensor of its own",
        _into_the_first,
    ),
)


# --- the seconds of a step ------------------------------------------------------------------------------------------


def step_seconds(pictures, processes, seconds, size, bandwidth):
    """A training step: of `pictures` with `seconds` each, `size` bytes of gradients, `bandwidth` in bytes a second."""
    compute = math.ceil(pictures / processes) * seconds
    network = 2 * (processes - 1) / processes * size / bandwidth
    return compute + network  # eq. (13.7)


def _step_probes():
    """Shares that come out even and do not, a process without pictures, one process; compute and network in turn.

    All that is right has two digits behind the point, so that rounding is told by what follows.
    """
    return [
        (64, 4, 0.5, 30.0, 4.0),
        (5, 2, 3.0, 7.0, 2.0),
        (65, 8, 0.25, 11.0, 5.0),
        (5, 4, 2.0, 3.0, 5.0),
        (3, 8, 1.5, 24.0, 10.0),
        (7, 1, 0.75, 12.0, 5.0),
        (10, 3, 0.125, 9.0, 6.0),
        (11, 3, 4.0, 3.0, 8.0),
        (50, 50, 0.01, 1000.0, 4.0),
    ]


def _uneven_step_probes():
    """Of n + 1 pictures for n processes one has two; there is nothing to send."""
    return [(n + 1, n, 2.0, 0.0, 1.0) for n in (10, 100, 1000, 20_000, 200_000, 1_100_000)]


def _real_step_probes():
    """A network of the course's over a cable, and a large one over a fast cable; and very many processes."""
    return [
        (128, 4, 0.02, 48_000_000, 125_000_000),
        (1024, 16, 0.004, 3_200_000_000, 12_500_000_000),
        (4096, 1000, 0.5, 10**9, 10**9),
        (48, 1, 0.02, 48_000_000, 125_000_000),
    ]


def _divisor_probes():
    """A bandwidth in an odd unit, two processes, very many pictures for one."""
    return [(2, 2, 1.0, 2.0**-10, 2.0**-30), (1, 2, 2.0**-10, 2.0**20, 1.0), (10_000_000, 1, 1.0, 1.0, 1.0)]


def _short_step_probes():
    """A few microseconds."""
    return [(64, 4, 2.0**-22, 1.0, 2.0**18), (5, 2, 3e-7, 700.0, 1e9), (1024, 16, 1e-7, 12.0, 1e6)]


UNEVEN = (
    "it is wrong where the share is a hair above a whole number: of 1001 pictures for 1000 processes one has two; a "
    "number a little below 1 added, or one taken off, before cutting does not round up exactly"
)
DIVISOR = (
    "something is added to what is divided by, or a bound is set to it: neither the processes nor the bandwidth are "
    "ever 0, so divide by them as they are"
)
SHORT_STEPS = "it is rounded, or something is added, which shows where a step takes microseconds: seconds as they are"
REAL_STEPS = (
    "it is wrong for real sizes, bandwidths or very many processes: bytes are divided by bytes a second as they are, "
    "and nothing is rounded but the number of pictures"
)


def _step(compute: str = "", network: str = "", put: str = "") -> tuple[str, ...]:
    """A change of the reference: of one of its lines."""
    lines = {
        "math.ceil(pictures / processes) * seconds": compute,
        "2 * (processes - 1) / processes * size / bandwidth": network,
        "compute + network": put,
    }
    return tuple(text for old, new in lines.items() if new for text in (old, new))


_compare_steps = compares(
    _step_probes,
    tolerance=3e-7,  # what single precision can keep, and less than 1e-6 beside two processes
    canonical=_one_number,
    harder=[(UNEVEN, _uneven_step_probes), (REAL_STEPS, _real_step_probes), (DIVISOR, _divisor_probes)],
)
_compare_short_steps = compares(
    lambda: [],
    tolerance=1e-6,
    canonical=lambda answer: lambda *args: 1e6 * _as_number(answer(*args)),  # microseconds
    harder=[(SHORT_STEPS, _short_step_probes)],
)


def _check_step(answer: Callable, exercise: Exercise) -> None:
    """Seconds, and microseconds, at which what is small beside a second shows."""
    _compare_steps(answer, exercise)
    _compare_short_steps(answer, exercise)


STEP_SECONDS = Exercise(
    id="13.5",
    title="The seconds of a step",
    reference=step_seconds,
    hints=(
        "No picture can be cut in two, and the process with the most of them decides when all are done. Then gradients "
        "go round the ring in n pieces: first sums, n - 1 steps long, until each process has one piece of the whole "
        "sum; then copies of it, n - 1 steps again. How large is a piece?",
        "Equation (13.7): pictures over processes, rounded up, times seconds; and 2 (n - 1) steps in which each "
        "process sends size / n bytes, at `bandwidth` bytes a second. One process has nobody to send to.",
        "compute = math.SOMETHING(pictures / processes) * SOMETHING\n"
        "network = SOMETHING * (processes - SOMETHING) / SOMETHING * size / bandwidth\n"
        "return SOMETHING + SOMETHING",
    ),
    check=_check_step,
    wrong=wrong_answers(
        "the share is not rounded up: of 5 pictures for 2 processes one has 3, and the other waits for it",
        ("math.ceil(pictures / processes)", "pictures / processes"),
        "the share is rounded down: of 5 pictures for 2 processes one has 3, and the other waits for it",
        ("math.ceil(pictures / processes)", "(pictures // processes)"),
        "the share is rounded to the nearest number: of 5 pictures for 4 processes one has 2, and the others wait for "
        "it",
        ("math.ceil(pictures / processes)", "round(pictures / processes)"),
        "the share is rounded to the nearest number, a half up: of 9 pictures for 8 processes one has 2, and the "
        "others wait for it",
        ("math.ceil(pictures / processes)", "int(pictures / processes + 0.5)"),
        "the share is rounded down, if not below 1: of 5 pictures for 2 processes one has 3, and the other waits for "
        "it",
        ("math.ceil(pictures / processes)", "max(1, pictures // processes)"),
        "the share is upside down: pictures are shared out among processes",
        ("math.ceil(pictures / processes)", "math.ceil(processes / pictures)"),
        "the seconds of a picture are left out: a share is a number of pictures, and each takes `seconds`",
        _step(compute="math.ceil(pictures / processes)"),
        "the gradients' time is multiplied by the seconds of a picture, too: it is a time already",
        _step(compute="math.ceil(pictures / processes)", put="(compute + network) * seconds"),
        "what does not come out even goes to one process, all of it: 7 pictures for 4 processes are 2, 2, 2 and 1",
        ("math.ceil(pictures / processes)", "(pictures // processes + pictures % processes)"),
        "one picture is added where the share comes out even, too: 64 pictures for 4 processes are 16 for each",
        ("math.ceil(pictures / processes)", "(pictures // processes + 1)"),
        "the seconds are rounded up: it is the number of pictures that is whole",
        _step(compute="math.ceil(pictures / processes * seconds)"),
        "the whole step is rounded up to seconds: it is the number of pictures that is whole",
        _step(put="math.ceil(compute + network)"),
        "the step is cut down to whole seconds: it is the number of pictures that is whole",
        _step(put="int(compute + network)"),
        "the step is rounded to whole seconds: it is the number of pictures that is whole",
        _step(put="round(compute + network)"),
        "each process computes all pictures: they share them",
        ("math.ceil(pictures / processes)", "pictures"),
        "a step takes the seconds of one picture: each process has several, one after the other",
        _step(compute="seconds"),
        "the time of one picture is shared out, and the pictures are, too: divide once",
        _step(compute="math.ceil(pictures / processes) * seconds / processes"),
        "it is multiplied by the processes: they work at the same time",
        _step(compute="math.ceil(pictures / processes) * seconds * processes"),
        "the longer of the two decides here: the gradients are there when the pictures are done, so the times are "
        "added",
        _step(put="max(compute, network)"),
        "the gradients' time is left out: processes that do not exchange them drift apart",
        _step(put="compute"),
        "the pictures' time is left out: it is added to that of the gradients",
        _step(put="network"),
        "one is multiplied by the other: both take time, one after the other",
        _step(put="compute * network"),
        "one is subtracted from the other: both take time, one after the other",
        _step(put="compute - network"),
        "each process sends everything to each of the others, there and back: a ring sends pieces of size / n",
        _step(network="2 * (processes - 1) * size / bandwidth"),
        "2 n size / bandwidth: in a ring every process sends pieces of size / n, 2 (n - 1) times",
        _step(network="2 * processes * size / bandwidth"),
        "it is 2 size / bandwidth, which it nears for very many processes: of n pieces each has one already, so n - 1 "
        "are sent, and one process sends nothing",
        _step(network="2 * size / bandwidth"),
        "it is size / bandwidth: each piece goes round twice, but for one step each time, which is 2 (n - 1) / n",
        _step(network="size / bandwidth"),
        "the pieces go round once here: after n - 1 steps each process has one piece of the sum, and n - 1 more bring "
        "copies of it to all",
        _step(network="(processes - 1) / processes * size / bandwidth"),
        "the copies are forgotten, and the pieces, too: n - 1 steps for the sums, n - 1 for the copies, each of size / "
        "n",
        _step(network="(processes - 1) * size / bandwidth"),
        "every process sends n pieces twice: n - 1 are enough, for it has one of them",
        _step(network="2 * processes / (processes + 1) * size / bandwidth"),
        "it is 2 size / bandwidth, but for one process: of n pieces each process has one already, and sends n - 1",
        _step(network="2 * min(processes - 1, 1) * size / bandwidth"),
        "it is size / bandwidth, but for one process: a ring sends sums first and then copies, n - 1 pieces of size / "
        "n each time",
        _step(network="min(processes - 1, 1) * size / bandwidth"),
        "all send everything to one process: in a ring each sends pieces of size / n to the next, all at the same time",
        _step(network="processes * size / bandwidth"),
        "every process sends everything to every other: in a ring each sends pieces of size / n to the next",
        _step(network="processes * (processes - 1) * size / bandwidth"),
        "they go up a tree and down again: (13.7) is a ring, in which each sends pieces of size / n to the next",
        _step(network="2 * math.log2(processes) * size / bandwidth"),
        "one piece is sent twice: 2 (n - 1) of them are",
        _step(network="2 * size / processes / bandwidth"),
        "it is multiplied by n and divided by n - 1: the other way round, and one process would divide by zero",
        _step(network="2 * processes / (processes - 1) * size / bandwidth"),
        "bytes are turned into bits: the bandwidth is in bytes a second, too",
        _step(network="2 * (processes - 1) / processes * 8 * size / bandwidth"),
        "bytes are taken for bits: size and bandwidth are in bytes, both",
        _step(network="2 * (processes - 1) / processes * size / 8 / bandwidth"),
        "the bandwidth is taken for gigabytes a second: it is in bytes a second, as size is in bytes",
        _step(network="2 * (processes - 1) / processes * size / (bandwidth * 1e9)"),
        "the bandwidth is taken for megabytes a second: it is in bytes a second, as size is in bytes",
        _step(network="2 * (processes - 1) / processes * size / (bandwidth * 1e6)"),
        "the size is taken for megabytes: it is in bytes, and the bandwidth in bytes a second",
        _step(network="2 * (processes - 1) / processes * size * 1e6 / bandwidth"),
        "// cuts the gradients' time down to whole seconds: divide by /",
        _step(network="2 * (processes - 1) / processes * (size // bandwidth)"),
        "// cuts the pieces of the gradient: the formula has size / n as it is; divide by /",
        _step(network="2 * (processes - 1) * (size // processes) / bandwidth"),
        "bytes are taken for numbers of 4 bytes each: size is in bytes",
        _step(network="2 * (processes - 1) / processes * 4 * size / bandwidth"),
        "it is multiplied by the bandwidth: bytes over bytes a second are seconds",
        _step(network="2 * (processes - 1) / processes * size * bandwidth"),
        "it is upside down: seconds are bytes over bytes a second",
        _step(network="2 * (processes - 1) / processes * bandwidth / size"),
        "the gradients of every picture are sent: each process adds up those of its own first, and sends once a step",
        _step(network="2 * (processes - 1) / processes * size / bandwidth * math.ceil(pictures / processes)"),
        "the gradients of all pictures are sent: each process adds up those of its own first, and sends once a step",
        _step(network="2 * (processes - 1) / processes * size / bandwidth * pictures"),
        "it is how many times faster than one process: the seconds are asked for",
        _step(put="pictures * seconds / (compute + network)"),
        "it is seconds for each picture: those of the whole step are asked for",
        _step(put="(compute + network) / pictures"),
        "it is pictures a second: seconds a step are asked for",
        _step(put="pictures / (compute + network)"),
        "it is milliseconds: seconds are asked for",
        _step(put="1000 * (compute + network)"),
        "the two are returned one by one: add them",
        _step(put="compute, network"),
    ),
)


EXERCISES = (SPLIT_OF, MORE_PICTURES, NEAR_COPIES, WHOLE_GRADIENT, STEP_SECONDS)
