"""Sentences about portraits: what is written is true, what is read is what was written, what is drawn obeys."""

import itertools
import math
import re

import numpy as np
import pytest
import torch

from vae_helpers.rendering import captions, faces

PLACES = {name: place for place, name in enumerate(faces.NAMES)}


@pytest.fixture(scope="module")
def factors():
    return faces.sample(3000, 11)


def everything(n):
    return torch.ones(n, 14, dtype=torch.bool)


# --- classes ----------------------------------------------------------------------------------------------------------


def test_there_is_an_attribute_for_each_factor_and_a_word_for_each_of_its_classes():
    assert tuple(a.factor for a in captions.ATTRIBUTES) == faces.NAMES
    for attribute, factor in zip(captions.ATTRIBUTES, faces.FACTORS, strict=True):
        ends = (factor.low, *attribute.edges, factor.high)
        assert len(attribute.words) == len(set(attribute.words)) == len(attribute.edges) + 1
        assert all(a < b for a, b in itertools.pairwise(ends))
        assert str(attribute) == f"{attribute.factor}: {', '.join(attribute.words)}"


@pytest.mark.parametrize("attribute", captions.ATTRIBUTES, ids=faces.NAMES)
def test_a_class_lies_between_its_edges(attribute):
    """Counted by hand: the class is the number of edges below the value."""
    factor = faces.FACTORS[PLACES[attribute.factor]]
    values = torch.linspace(factor.low, factor.high, 290)  # of which none is an edge
    table = faces.with_factors(faces.sample(len(values)), **{attribute.factor: values})
    expected = [sum(value > edge for edge in attribute.edges) for value in values.tolist()]
    assert captions.classes(table)[:, PLACES[attribute.factor]].tolist() == expected
    assert captions.classes(table).dtype == torch.int64 and set(expected) == set(range(len(attribute.words)))


def test_where_no_colour_has_a_name_of_its_own_words_share_the_range_equally():
    named = {"hair_colour", "clothes", "background"}
    for attribute, factor in zip(captions.ATTRIBUTES, faces.FACTORS, strict=True):
        ends = torch.tensor([factor.low, *attribute.edges, factor.high]).diff()
        assert factor.name in named or torch.allclose(ends, ends[:1].expand_as(ends)), factor.name


@pytest.mark.parametrize(("name", "path"), [("clothes", faces.CLOTHES), ("background", faces.BACKGROUND)])
def test_each_colour_of_a_path_has_a_class_that_ends_half_way_to_the_next(name, path):
    words = captions.ATTRIBUTES[PLACES[name]].words
    steps = len(path) - 1
    assert ", ".join(words) == faces.FACTORS[PLACES[name]].meaning and len(words) == len(path)
    for place in range(len(path)):
        near = torch.tensor([place - 0.499, place, place + 0.499]).div(steps).clamp(0, 1)
        assert (captions.classes(faces.with_factors(faces.sample(3), **{name: near}))[:, PLACES[name]] == place).all()


def test_hair_is_named_as_its_factor_says_with_two_browns():
    hair = captions.ATTRIBUTES[PLACES["hair_colour"]]
    assert ", ".join(hair.words) == faces.FACTORS[PLACES["hair_colour"]].meaning
    places = torch.arange(6).div(5)  # of the six colours of the path
    found = captions.classes(faces.with_factors(faces.sample(6), hair_colour=places))[:, PLACES["hair_colour"]]
    assert [hair.words[k] for k in found] == ["black", "brown", "brown", "auburn", "blond", "silver"]
    for a, b in ((0, 1), (2, 3), (3, 4), (4, 5)):
        assert (a + b) / 10 in [pytest.approx(edge) for edge in hair.edges]


def test_what_portraits_show(factors):
    found = captions.classes(factors)
    shown = captions.shows(factors, hair_colour="silver", glasses="with")
    assert torch.equal(shown, (found[:, PLACES["hair_colour"]] == 4) & (found[:, PLACES["glasses"]] == 1))
    assert captions.shows(factors).all() and shown.dtype == torch.bool and 0 < shown.sum() < 200
    with pytest.raises(ValueError, match=r"smile must be one of no, gentle, broad, not 'brod'\. Did you mean 'broad'"):
        captions.shows(factors, smile="brod")
    with pytest.raises(ValueError, match="nose"):
        captions.shows(factors, nose="no")


def test_factors_out_of_range_have_no_class(factors):
    with pytest.raises(ValueError, match=r"skin = .* is outside its range"):
        captions.classes(factors[:2] + 5)
    with pytest.raises(ValueError, match=r"factors must have shape"):
        captions.classes(factors[:, :13])


def test_what_is_asked_as_zeros_and_ones(factors):
    asked = captions.wanted(captions.write(factors, 12))
    told = captions.one_hot(asked)
    assert told.shape == (len(factors), 48) and told.dtype == torch.float32 and set(told.unique().tolist()) == {0, 1}
    assert torch.equal(told.sum(1), (asked >= 0).sum(1).float())
    start = 0
    for place, attribute in enumerate(captions.ATTRIBUTES):
        for k in range(len(attribute.words)):
            assert torch.equal(told[:, start + k] == 1, asked[:, place] == k)
        start += len(attribute.words)
    assert start == 48 and (captions.one_hot(captions.classes(factors)).sum(1) == 14).all()


def test_what_is_asked_must_be_classes():
    asked = torch.zeros(3, 14, dtype=torch.int64)
    for k, said in ((2, "from 0 to 2"), (-2, "from -2 to 0")):
        wrong = asked.clone()
        wrong[1, PLACES["glasses"]] = k
        with pytest.raises(ValueError, match=f"asked must be from 0 to 1 for glasses, or -1, not {said}"):
            captions.one_hot(wrong)
    for wrong in (asked[:, :13], asked[0]):
        with pytest.raises(ValueError, match=r"asked must have shape \(N, 14\).*captions\.wanted"):
            captions.one_hot(wrong)
    with pytest.raises(TypeError, match="asked must hold classes, int64, not bool"):
        captions.one_hot(asked.bool())


# --- writing ----------------------------------------------------------------------------------------------------------


def test_everything_that_is_written_is_read_back(factors):
    found = captions.classes(factors)
    assert torch.equal(captions.wanted(captions.write(factors, 3, everything(len(factors)))), found)
    asked = torch.rand(factors.shape, generator=torch.Generator().manual_seed(0)) < 0.4
    assert torch.equal(captions.wanted(captions.write(factors, 4, asked)), torch.where(asked, found, -1))


def test_a_sentence_word_for_word():
    one = faces.with_factors(
        faces.sample(1), hair_length=0.9, hair_texture=0.9, hair_colour=0.6, gaze=-0.9, glasses=0.0, background=1.0
    )
    names = ("hair_length", "hair_texture", "hair_colour", "gaze", "glasses", "background")
    asked = torch.tensor([[name in names for name in faces.NAMES]])
    said = captions.write(one, 0, asked)[0]
    phrases = re.split(", | and ", said.removeprefix("a portrait with "))
    assert said.startswith("a portrait with ") and said.count(" and ") == 1 and len(phrases) == 4
    assert {"long curly auburn hair", "eyes looking left"} <= set(phrases)
    assert {"no glasses", "no spectacles"} & set(phrases) and {"a lilac wall", "a lilac background"} & set(phrases)
    assert captions.write(one, 0, torch.zeros(1, 14, dtype=torch.bool)) == ["a portrait"]
    head = torch.tensor([[name == "tilt" for name in faces.NAMES]])
    upright, leaning = (captions.write(faces.with_factors(one, tilt=x), 0, head)[0] for x in (0.0, 1.0))
    assert (upright, leaning) == ("a portrait with an upright head", "a portrait with a head leaning right")


def test_what_is_said_is_read_back():
    asked = {"hair_colour": "brown", "hair_length": "long", "gaze": "left", "tilt": "right", "glasses": "no"}
    assert captions.say(**asked) == (
        "a portrait with long brown hair, eyes looking left, no glasses and a head leaning right"
    )
    assert captions.read(captions.say(**asked)) == asked and captions.say() == "a portrait"
    for attribute in captions.ATTRIBUTES:
        for word in attribute.words:
            assert captions.read(captions.say(**{attribute.factor: word})) == {attribute.factor: word}
    with pytest.raises(ValueError, match="smile must be one of no, gentle, broad, not 'wide'"):
        captions.say(smile="wide")
    with pytest.raises(ValueError, match="nose"):
        captions.say(nose="long")


def test_articles_are_english(factors):
    said = " ".join(captions.write(factors, 5, everything(len(factors))))
    assert not re.search(r"\ba [aeiou]", said) and not re.search(r"\ban [^aeiou]", said)
    assert not re.search(r"\bno (a|an)\b|\b(a|an) no\b|\b(a|an) (\w+ )?(eyes|hair|brows|skin|clothes|glasses)\b", said)
    assert re.search(r"\ban oval face\b", said) and re.search(r"\ba (navy|teal|coral) shirt\b", said)


def test_each_number_of_things_is_mentioned_as_often_and_each_thing_too(factors):
    asked = captions.wanted(captions.write(torch.cat([factors, factors]), 6)) >= 0
    counts = asked.sum(1).bincount(minlength=15)
    assert len(counts) == 15 and ((counts - 400) ** 2 / 400).sum() < 36  # chi squared of 14: 1 in 1000
    assert (asked.float().mean(0) - 0.5).abs().max() < 4 * 0.5 / 77  # the mean of 6000 flips
    together = torch.corrcoef(asked[:, [0, 13]].T.float())[0, 1]
    assert together == pytest.approx(1 / 3, abs=0.05)  # (E n (n - 1) / (14 * 13) - 1 / 4) * 4


def test_phrases_come_in_any_order_and_nouns_have_other_names(factors):
    said = captions.write(factors, 7, everything(len(factors)))
    first = [re.split(", | and ", s.removeprefix("a portrait with "))[0].split() for s in said]
    leading = torch.tensor([next(k for k, n in enumerate(captions._nouns()) if n in alias(words)) for words in first])
    counts = leading.bincount(minlength=11)
    assert len(counts) == 11 and ((counts - 3000 / 11) ** 2 / (3000 / 11)).sum() < 30
    for other in captions.OTHER_NOUNS:
        assert sum(other in s.split() for s in [s.replace(",", "") for s in said]) == pytest.approx(1500, abs=110)


def alias(words):
    return [captions.OTHER_NOUNS.get(word, word) for word in words]


def test_a_seed_gives_the_same_sentences_and_another_one_others(factors):
    assert captions.write(factors[:50], 1) == captions.write(factors[:50], 1) != captions.write(factors[:50], 2)


@pytest.mark.parametrize("k", [0, 1, 4, 13, 14])
def test_so_many_things_are_mentioned_of_each_and_each_as_often(factors, k):
    found, asked = captions.classes(factors), captions.wanted(captions.write(factors, 5, k))
    assert ((asked >= 0).sum(1) == k).all() and torch.equal(asked[asked >= 0], found[asked >= 0])
    share = k / 14
    error = math.sqrt(share * (1 - share) / len(factors))
    assert ((asked >= 0).float().mean(0) - share).abs().max() <= 4 * error
    assert captions.write(factors[:9], 5, k) == captions.write(factors[:9], 5, np.int64(k))
    if 0 < k < 14:
        assert captions.write(factors[:9], 5, k) != captions.write(factors[:9], 6, k)


@pytest.mark.parametrize("asked", [-1, 15])
def test_no_more_can_be_mentioned_than_there_is(factors, asked):
    with pytest.raises(ValueError, match=f"asked must be a whole number from 0 to 14, not {asked}"):
        captions.write(factors[:3], 0, asked)


@pytest.mark.parametrize(
    "asked", [torch.ones(3, 14), 2.0, "all", torch.ones(2, 14, dtype=torch.bool), [[True] * 14] * 3, True]
)
def test_what_is_asked_must_be_a_mask(factors, asked):
    with pytest.raises(ValueError, match=r"asked must be a bool tensor \(3, 14\)"):
        captions.write(factors[:3], 0, asked)


# --- reading ----------------------------------------------------------------------------------------------------------


def test_order_commas_capitals_and_stops_do_not_matter():
    asked = {"glasses": "with", "smile": "no", "hair_length": "long", "hair_colour": "brown"}
    for sentence in (
        "a portrait with glasses, no smile and long brown hair",
        "A Portrait with long brown hair and no smile and spectacles.",
        "brown long hair, no smile, with glasses!",
        "an portrait  with ,no smile,, glasses and hair long brown\n",
    ):
        assert captions.read(sentence) == asked
    assert captions.read("a portrait") == captions.read("") == {}
    assert captions.read("a portrait with no glasses and no glasses") == {"glasses": "no"}


def test_words_mean_what_the_noun_beside_them_makes_of_them():
    for left, right in (("left", "right"), ("right", "left")):
        said = captions.read(f"a portrait with eyes looking {left} and a head leaning {right}")
        assert said == {"gaze": left, "tilt": right}
    assert captions.read("brown skin and brown hair") == {"skin": "brown", "hair_colour": "brown"}
    assert captions.read("no smile and glasses") == {"smile": "no", "glasses": "with"}
    assert captions.read("no glasses and a gentle smile") == {"glasses": "no", "smile": "gentle"}
    assert captions.read("light skin and a light fringe") == {"skin": "light", "fringe": "light"}


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        (
            "a portrait with purpel clothes",
            r"'purpel' is not known\. Of clothes can be said clothes: navy, .*plum\. A s",
        ),
        (
            "a portrait with long brwon hair",
            r"'brwon' is not known\. Of hair can be said .*\. Did you mean 'brown'\? A",
        ),
        ("glasses, lilca hair", r"hair_colour: black, brown, auburn, blond, silver\. A sentence is like"),
        (
            "eyes lookin left and a lilac wall",
            r"Of eyes can be said eye_size: .*\. Did you mean 'looking'\? A sentence",
        ),
        ("a portrait without a hat", r"the word 'hat' is not known\. "),
        ("a portrait with no", r"'no' must be about one of skin"),
        ("a portrait with glases", r"the word 'glases' is not known\. Did you mean 'glasses'\?"),
        ("a portrait with long and brown hair", r"'long' must be about one of skin, hair.*A sentence is like"),
        ("a portrait with a broad smile glasses", r"'broad smile glasses' must be about one of"),
        ("a portrait with hair", r"say what the hair should be: hair_length: short, chin-length, long; hair_texture"),
        ("a portrait with a smile", r"say what the smile should be: smile: no, gentle, broad\."),
        ("a portrait with lilac hair", r"'lilac' cannot be said of hair\. It can be hair_length: short"),
        ("a portrait with long glasses", r"'long' cannot be said of glasses\. It can be glasses: no, with\."),
        ("a portrait with long short hair", r"hair_length is asked to be long and short: leave out one"),
        ("glasses and no spectacles", r"glasses is asked to be with and no: leave out one of the two"),
    ],
)
def test_a_sentence_that_is_not_understood_is_refused_with_a_reason(sentence, message):
    with pytest.raises(ValueError, match=message) as told:
        captions.read(sentence)
    assert "  " not in str(told.value)
    with pytest.raises(ValueError, match=message):
        captions.wanted(["a portrait", sentence])


@pytest.mark.parametrize("stop", [",", ";", ":", ".", "!", "?", " \u2014 ", ",\n", "...", "), ("])
def test_all_punctuation_separates_phrases(stop):
    said = f"a portrait with long hair{stop} no glasses{stop} a lilac wall{stop}"
    expected = "a portrait with long hair, no glasses, a lilac wall"
    assert captions.read(said) == captions.read(expected) != {}
    assert torch.equal(captions.tokens([said]), captions.tokens([expected]))


@pytest.mark.parametrize("said", ['"{}"', "'{}'", '"{}."', "\u201c{}\u201d.", "\u00ab{}!\u00bb", " ({}) ", '"{}", '])
def test_quotes_mean_nothing(said):
    expected = "a portrait with 'long' hair and a \"lilac\" wall"
    plain = "a portrait with long hair and a lilac wall"
    for sentence in (said.format(plain), said.format(expected)):
        assert captions.read(sentence) == {"hair_length": "long", "background": "lilac"}
        assert torch.equal(captions.tokens([sentence]), captions.tokens([plain]))
    with pytest.raises(ValueError, match='the word "portrait\'s" is not known'):
        captions.read("a portrait's hair")


@pytest.mark.parametrize(
    ("said", "plain", "asked"),
    [
        ("without glasses", "no glasses", {"glasses": "no"}),
        ("a portrait Without a smile", "a portrait no smile", {"smile": "no"}),
        ("brown hair without a fringe", "brown hair no fringe", {"hair_colour": "brown", "fringe": "no"}),
        ("glasses, without any smile", "glasses, no smile", {"glasses": "with", "smile": "no"}),
        ("a head leaning left without glasses", "a head leaning left no glasses", {"tilt": "left", "glasses": "no"}),
    ],
)  # fmt: skip
def test_without_is_no(said, plain, asked):
    assert captions.read(said) == captions.read(plain) == asked
    assert torch.equal(captions.tokens([said]), captions.tokens([plain]))
    assert "without" not in captions.vocabulary()


def test_sentences_are_a_list_of_strings():
    with pytest.raises(TypeError, match=r"sentences must be a list of them, not one string: \['a portrait'\]"):
        captions.tokens("a portrait")
    for function in (captions.wanted, captions.tokens, captions.draw):
        for wrong in ("a portrait", ["a portrait", 3], None, 4, [b"a portrait"], {"a portrait": 1}):
            with pytest.raises(TypeError, match="sentences must be a list of them"):
                function(wrong)
    for wrong in (["a portrait"], 3, None):
        with pytest.raises(TypeError, match="a sentence must be a string, not"):
            captions.read(wrong)
    with pytest.raises(ValueError, match="sentences must hold at least one"):
        captions.draw([])
    assert captions.wanted([]).shape == (0, 14) and captions.tokens([]).shape == (0, captions.LENGTH)


# --- drawing ----------------------------------------------------------------------------------------------------------


def test_what_is_drawn_does_what_is_asked_and_is_free_in_the_rest(factors):
    told = captions.write(factors, 8)
    drawn, asked = captions.draw(told, 1), captions.wanted(told)
    open_ = asked < 0
    assert torch.equal(captions.classes(drawn)[~open_], asked[~open_])
    assert torch.equal(drawn[open_], faces.sample(len(told), 1)[open_])
    assert set(drawn[:, PLACES["glasses"]].tolist()) == {0.0, 1.0}


def test_what_is_drawn_is_uniform_within_its_class_and_independent_of_the_rest():
    drawn = captions.draw(["a portrait with a gentle smile, teal clothes and a head leaning left"] * 4000, 2)
    for name, low, high in (("smile", 1 / 3, 2 / 3), ("clothes", 0.1, 0.3), ("tilt", -1, -1 / 3)):
        share = (drawn[:, PLACES[name]] - low) / (high - low)
        assert 0 < share.min() < 0.02 and 0.98 < share.max() < 1
        assert share.mean() == pytest.approx(0.5, abs=0.02) and share.var() == pytest.approx(1 / 12, abs=0.005)
    correlations = torch.corrcoef(drawn.T) - torch.eye(14)
    assert correlations.abs().max() < 0.08
    others = captions.draw(["a portrait with a gentle smile"] * 4000, 3)
    assert abs(torch.corrcoef(torch.stack([drawn[:, PLACES["smile"]], others[:, PLACES["smile"]]]))[0, 1]) < 0.06
    assert torch.corrcoef(torch.cat([drawn.T, others.T]))[:14, 14:].abs().max() < 0.08  # of another seed


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_tokens_are_the_words_in_their_order():
    words = captions.vocabulary()
    assert words[captions.EMPTY] == "" and len(set(words)) == len(words) and list(words[1:]) == sorted(words[1:])
    row = captions.tokens(["A portrait with long curly hair, no glasses and a lilac wall."])[0]
    said = [words[token] for token in row if token != captions.EMPTY]
    assert " ".join(said) == "a portrait with long curly hair , no glasses and a lilac wall"
    assert row.dtype == torch.int64 and not row[len(said) :].any()


def test_every_word_of_every_sentence_is_in_the_vocabulary_and_the_other_way_round(factors):
    told = captions.tokens(captions.write(factors, 9))
    assert told.unique().tolist() == list(range(len(captions.vocabulary())))


def test_the_longest_sentence_has_46_tokens_and_a_longer_one_than_fits_is_refused(factors):
    lengths = (captions.tokens(captions.write(factors, 10, everything(len(factors)))) != captions.EMPTY).sum(1)
    assert lengths.max() == 46 <= captions.LENGTH
    longest = " ".join(["a"] * captions.LENGTH)
    assert captions.tokens([longest]).all()
    with pytest.raises(ValueError, match=r"at most 48 words and commas, not 49"):
        captions.tokens([longest, longest + " a"])
