"""Sentences about drawn portraits: a small grammar over the fourteen factors, and its inverse.

A sentence is "a portrait", or "a portrait with ..." and phrases in any order, each about one thing:

    a portrait with long curly auburn hair, eyes looking left, no glasses and a lilac wall

The range of each factor is cut into two to six classes with a word for each; what a sentence does not mention is left
open. Some words mean nothing by themselves: left and right are said of eyes and of heads, brown of skin and of hair, no
of glasses, of a smile and of a fringe.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import checking
from vae_helpers.rendering import faces


class Attribute(NamedTuple):
    """How a sentence speaks of a factor."""

    factor: str
    noun: str  # of the phrase that it stands in
    words: tuple[str, ...]  # of each class, from low to high
    edges: tuple[float, ...]  # between the classes

    def __str__(self) -> str:
        return f"{self.factor}: {', '.join(self.words)}"


THIRDS, THIRDS_OF_TWO = (1 / 3, 2 / 3), (-1 / 3, 1 / 3)
BETWEEN_COLOURS = {
    len(path): tuple((i + 0.5) / (len(path) - 1) for i in range(len(path) - 1))
    for path in (faces.CLOTHES, faces.BACKGROUND)
}
ATTRIBUTES = (
    Attribute("skin", "skin", ("light", "brown", "dark"), THIRDS),
    Attribute("hair_colour", "hair", ("black", "brown", "auburn", "blond", "silver"), (0.1, 0.5, 0.7, 0.9)),
    Attribute("hair_length", "hair", ("short", "chin-length", "long"), THIRDS),
    Attribute("hair_texture", "hair", ("straight", "wavy", "curly"), THIRDS),
    Attribute("fringe", "fringe", ("no", "light", "full"), THIRDS),
    Attribute("eye_size", "eyes", ("small", "normal", "large"), THIRDS),
    Attribute("gaze", "eyes", ("left", "ahead", "right"), THIRDS_OF_TWO),
    Attribute("brows", "brows", ("low", "level", "raised"), THIRDS_OF_TWO),
    Attribute("smile", "smile", ("no", "gentle", "broad"), THIRDS),
    Attribute("glasses", "glasses", ("no", "with"), (0.5,)),
    Attribute("face_width", "face", ("narrow", "oval", "wide"), THIRDS_OF_TWO),
    Attribute("tilt", "head", ("left", "upright", "right"), THIRDS_OF_TWO),
    Attribute("clothes", "clothes", ("navy", "teal", "green", "mustard", "coral", "plum"), BETWEEN_COLOURS[6]),
    Attribute("background", "background", ("sky", "mint", "cream", "peach", "lilac"), BETWEEN_COLOURS[5]),
)  # in the order of `faces.FACTORS`
OTHER_NOUNS = {"shirt": "clothes", "wall": "background", "spectacles": "glasses"}
ORDER = {"hair": ("hair_length", "hair_texture", "hair_colour")}  # of adjectives; else that of the factors
EMPTY = 0  # the token of no word
IGNORED = ("a", "an", "portrait", "looking", "leaning", "with")  # by the inverse
LENGTH = 48  # tokens of a sentence; the longest that `write` writes has 46
STOP = r"\s*[,;:.!?()\u2013\u2014\u2026][\s,;:.!?()\u2013\u2014\u2026]*"  # what separates phrases, with dashes
QUOTE = r"(?<!\w)[\"'`]|[\"'`](?!\w)|[\u2018-\u201f\u00ab\u00bb]"  # an apostrophe within a word is none
WITHOUT = r"\bwithout( (an?|any))?\b"


def classes(factors: Tensor) -> Tensor:
    """The class of each factor: (N, 14) -> `int64` (N, 14), 0 for the lowest."""
    columns = faces.check_factors(factors).T.contiguous()  # (14, N)
    cut = [torch.bucketize(column, column.new_tensor(a.edges)) for a, column in zip(ATTRIBUTES, columns, strict=True)]
    return torch.stack(cut, 1)


def shows(factors: Tensor, **words: str) -> Tensor:
    """Which portraits are all of this: `shows(factors, hair_colour="silver", glasses="with")`, (N,) of bool."""
    found = classes(factors)
    wanted = [
        found[:, faces.index(name)] == _class_of(ATTRIBUTES[faces.index(name)], word) for name, word in words.items()
    ]
    return torch.stack([torch.ones_like(found[:, 0], dtype=torch.bool), *wanted]).all(0)


def one_hot(asked: Tensor) -> Tensor:
    """What is asked, as zeros and ones: a place for each class of each factor, in their order.

    Args:
        asked: classes, `int64` (N, 14); -1 where nothing is asked. See `wanted` and `classes`.
    Returns:
        `float32` (N, 48); each row sums to the number of factors that it asks for.
    Raises:
        TypeError, ValueError: no such tensor, or a class that a factor has not.
    """
    checking.shape(asked, "asked", f"(N, {len(ATTRIBUTES)})", "captions.wanted makes it of sentences.")
    if asked.dtype != torch.int64:
        raise TypeError(f"asked must hold classes, int64, not {checking.kind_of(asked)}. See captions.classes.")
    for column, attribute in zip(asked.T, ATTRIBUTES, strict=True):
        low, high, most = int(column.min()), int(column.max()), len(attribute.words) - 1
        if low < -1 or high > most:
            raise ValueError(f"asked must be from 0 to {most} for {attribute.factor}, or -1, not from {low} to {high}.")
    columns = [F.one_hot(column + 1, 1 + len(a.words))[:, 1:] for column, a in zip(asked.T, ATTRIBUTES, strict=True)]
    return torch.cat(columns, 1).float()


def write(factors: Tensor, seed: int = 0, asked: Tensor | int | None = None) -> list[str]:
    """A sentence about each portrait, true of it.

    Args:
        factors: (N, 14), see `faces.sample`.
        seed: of which factors are mentioned, of the order of phrases and of the nouns.
        asked: bool (N, 14), which factors to mention; or a whole number from 0 to 14, so many of each portrait, drawn
            at random; by default a random number of them from none to all, each number as likely.
    Returns:
        N sentences.
    Raises:
        TypeError, ValueError: arguments of another kind or shape.
    """
    found, draw = classes(factors).tolist(), torch.Generator().manual_seed(checking.seed(seed))
    n, all_of_them = len(found), len(ATTRIBUTES)
    if asked is None or checking.is_integer(asked):
        places = torch.rand(n, all_of_them, generator=draw).argsort(1).argsort(1)
        if asked is None:
            asked = torch.randint(all_of_them + 1, (n, 1), generator=draw)
        else:
            asked = checking.integer(asked, "asked", 0, all_of_them)
        asked = places < asked
    elif not isinstance(asked, Tensor) or asked.dtype != torch.bool or asked.shape != (n, all_of_them):
        raise ValueError(
            f"asked must be a bool tensor ({n}, {all_of_them}), one for each factor of each portrait, or how many "
            f"factors of each, not {checking.shown(asked)}."
        )
    order = torch.rand(n, len(_nouns()), generator=draw).tolist()
    other = (torch.rand(n, len(_nouns()), generator=draw) < 0.5).tolist()
    return [_sentence(*row) for row in zip(found, asked.tolist(), order, other, strict=True)]


def say(**words: str) -> str:
    """A sentence that asks for this: `say(hair_colour="silver", glasses="with")`; phrases in the factors' order."""
    found, asked = [0] * len(ATTRIBUTES), [False] * len(ATTRIBUTES)
    for name, word in words.items():
        place = faces.index(name)
        found[place], asked[place] = _class_of(ATTRIBUTES[place], word), True
    nouns = len(_nouns())
    return _sentence(found, asked, range(nouns), [False] * nouns)


def read(sentence: str) -> dict[str, str]:
    """What a sentence asks for, the inverse of `say`: factor -> word; what it leaves open is not there.

    Phrases stand in any order, with commas, other punctuation or "and" between them; capitals and quotes do not matter,
    and "without" means "no".

    Raises:
        ValueError: a word that is not known, a phrase that is about nothing, or two that contradict each other.
    """
    asked: dict[str, str] = {}
    for phrase in _phrases(sentence):
        for factor, word in _read_phrase(phrase):
            if asked.setdefault(factor, word) != word:
                raise ValueError(f"{factor} is asked to be {asked[factor]} and {word}: leave out one of the two.")
    return asked


def wanted(sentences: Sequence[str]) -> Tensor:
    """The classes that sentences ask for, `int64` (N, 14); -1 where they leave a factor open."""
    rows = torch.full((len(check_sentences(sentences)), len(ATTRIBUTES)), -1)
    for row, sentence in zip(rows, sentences, strict=True):
        for factor, word in read(sentence).items():
            place = faces.index(factor)
            row[place] = _class_of(ATTRIBUTES[place], word)
    return rows


def draw(sentences: Sequence[str], seed: int = 0) -> Tensor:
    """Factors of portraits that do what sentences ask, a row for each: what is left open is as in `faces.sample`.

    With the same seed a sentence that asks for more changes nothing else.

    Returns:
        (N, 14), uniform within the classes.
    """
    asked = wanted(sentences)
    if not len(asked):
        raise ValueError("sentences must hold at least one.")
    factors = faces.sample(len(asked), seed)
    low, high = faces.ranges(factors)
    share = (factors - low) / (high - low)
    for place, attribute in enumerate(ATTRIBUTES):
        ends = torch.tensor([low[place], *attribute.edges, high[place]])
        rows = (asked[:, place] >= 0).nonzero()[:, 0]
        start, stop = (ends[asked[rows, place] + more] for more in (0, 1))
        factors[rows, place] = start + (stop - start) * (0.01 + 0.98 * share[rows, place])
    glasses = faces.index("glasses")
    factors[:, glasses] = factors[:, glasses].round()  # there or not
    return factors


def tokens(sentences: Sequence[str]) -> Tensor:
    """Sentences as numbers of `vocabulary()`, `int64` (N, `LENGTH`), filled up with `EMPTY`.

    All punctuation within a sentence counts as a comma, and "without a" as "no".

    Raises:
        ValueError: a word that is not known, or too many.
    """
    numbers = {word: place for place, word in enumerate(vocabulary())}
    rows = torch.full((len(check_sentences(sentences)), LENGTH), EMPTY)
    for row, sentence in zip(rows, sentences, strict=True):
        words = _words(sentence)
        if len(words) > LENGTH:
            raise ValueError(f"a sentence has at most {LENGTH} words and commas, not {len(words)}.")
        row[: len(words)] = torch.tensor([numbers[word] for word in words], dtype=torch.long)
    return rows


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """All words that sentences are made of, and the comma, in alphabetical order after the empty one."""
    words = {word for a in ATTRIBUTES for word in a.words} | set(_nouns()) | set(OTHER_NOUNS)
    return ("", *sorted(words | set(IGNORED) | {"and", ","}))


@functools.cache
def _nouns() -> dict[str, tuple[Attribute, ...]]:
    """Noun -> what its phrase speaks of, in the order of the words."""
    of_noun: dict[str, tuple[Attribute, ...]] = {}
    for attribute in ATTRIBUTES:
        of_noun[attribute.noun] = (*of_noun.get(attribute.noun, ()), attribute)
    for noun, order in ORDER.items():
        of_noun[noun] = tuple(sorted(of_noun[noun], key=lambda a: order.index(a.factor)))
    return of_noun


def _sentence(found: Sequence[int], asked: Sequence[bool], order: Sequence[float], other: Sequence[bool]) -> str:
    """One portrait's classes, which of them are mentioned, where each noun comes, and whether it is the other one."""
    phrases = []
    for place, use_other, (noun, attributes) in zip(order, other, _nouns().items(), strict=True):
        said = {
            a.factor: a.words[found[faces.NAMES.index(a.factor)]]
            for a in attributes
            if asked[faces.NAMES.index(a.factor)]
        }
        if said:
            phrases.append((place, _phrase(noun, said, use_other)))
    phrases = [phrase for _, phrase in sorted(phrases)]
    if not phrases:
        return "a portrait"
    return "a portrait with " + " and ".join(filter(None, (", ".join(phrases[:-1]), phrases[-1])))


def _phrase(noun: str, said: dict[str, str], use_other: bool) -> str:
    """Such as "large eyes looking left", of {"eye_size": "large", "gaze": "left"}."""
    other = next((name for name, usual in OTHER_NOUNS.items() if usual == noun), noun) if use_other else noun
    words = list(said.values())
    if noun == "eyes":
        return " ".join(
            [
                *([said["eye_size"]] if "eye_size" in said else []),
                "eyes",
                *(["looking", said["gaze"]] if "gaze" in said else []),
            ]
        )
    if noun == "head":
        return "an upright head" if words == ["upright"] else f"a head leaning {words[0]}"
    if noun == "glasses":
        return f"no {other}" if words == ["no"] else other
    counted = noun in ("fringe", "smile", "face", "background") or other == "shirt"
    article = ("an " if words[0][0] in "aeiou" else "a ") if counted and words != ["no"] else ""
    return f"{article}{' '.join(words)} {other}"


def check_sentences(sentences: Sequence[str]) -> Sequence[str]:
    """A list of strings, unchanged; of anything else it is said what it should be."""
    if isinstance(sentences, str):
        shown = checking.shown([sentences])
        raise TypeError(f"sentences must be a list of them, not one string: {shown}.")
    if not isinstance(sentences, list | tuple) or not all(isinstance(sentence, str) for sentence in sentences):
        raise TypeError('sentences must be a list of them, such as ["a portrait with glasses"].')
    return sentences


def _words(sentence: str) -> list[str]:
    """The words of a sentence and the commas between them, all of them known."""
    if not isinstance(sentence, str):
        raise TypeError(f"a sentence must be a string, not {checking.shown(sentence)}.")
    words = re.sub(WITHOUT, "no", re.sub(STOP, " , ", re.sub(QUOTE, " ", sentence.lower())).strip(" ,\n")).split()
    for phrase in _split(words):
        for word in phrase:
            if word not in vocabulary():
                raise ValueError(_not_known(word, phrase))
    return words


def _not_known(word: str, phrase: Sequence[str]) -> str:
    """A message: what can be said of the thing that the phrase is about, if it is about one, then a guess."""
    nouns = [noun for other in phrase if (noun := OTHER_NOUNS.get(other, other)) in _nouns()]
    if nouns:
        fitting = [fit for noun in nouns for a in _nouns()[noun] for fit in a.words] + list(IGNORED)
    else:
        fitting = vocabulary()[1:]
    known = [f"Of {noun} can be said {'; '.join(map(str, _nouns()[noun]))}." for noun in dict.fromkeys(nouns)]
    return " ".join(filter(None, [f"the word {word!r} is not known.", *known, checking.guess(word, fitting), _usage()]))


def _split(words: Sequence[str]) -> list[list[str]]:
    """Phrases: what stands between commas and "and"s; a "no" begins one, too."""
    phrases: list[list[str]] = [[]]
    for word in words:
        if word in (",", "and", "no"):
            phrases.append([])
        if word not in (",", "and"):
            phrases[-1].append(word)
    return phrases


def _phrases(sentence: str) -> Iterator[list[str]]:
    """The phrases of a sentence, a list of words each, without those that mean nothing."""
    for phrase in _split(_words(sentence)):
        if said := [word for word in phrase if word not in IGNORED]:
            yield said


def _read_phrase(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(factor, word) for each thing that a phrase asks for."""
    nouns = [noun for word in words if (noun := OTHER_NOUNS.get(word, word)) in _nouns()]
    if len(nouns) != 1:
        raise ValueError(f"{' '.join(words)!r} must be about one of {', '.join(_nouns())}. {_usage()}")
    noun, said = nouns[0], [word for word in words if OTHER_NOUNS.get(word, word) not in _nouns()]
    for word in said or (["with"] if noun == "glasses" else []):
        fitting = [a for a in _nouns()[noun] if word in a.words]
        if not fitting:
            known = "; ".join(map(str, _nouns()[noun]))
            raise ValueError(f"{word!r} cannot be said of {noun}. It can be {known}.")
        yield fitting[0].factor, word
    if not said and noun != "glasses":
        raise ValueError(f"say what the {noun} should be: {'; '.join(map(str, _nouns()[noun]))}.")


def _class_of(attribute: Attribute, word: str) -> int:
    return attribute.words.index(checking.choice(word, attribute.factor, attribute.words))


def _usage() -> str:
    return 'A sentence is like "a portrait with long curly hair, eyes looking left, no glasses and a lilac wall".'
