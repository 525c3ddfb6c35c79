"""What is true of sentences whatever the portrait, and of any text that somebody takes for one."""

import re

import torch
from hypothesis import strategies as st

from tests.properties.calls import unit, varied
from tests.properties.ground import property_of
from vae_helpers.rendering import captions, faces


@property_of(seed=st.integers(0, 2**20), share=st.floats(0, 1))
def test_what_is_written_is_read_drawn_and_spoken_again(seed, share):
    factors, asked = varied(3, seed), unit(3, 14, seed=seed) < share
    found = captions.classes(factors)
    told = captions.write(factors, seed, asked)
    wanted = captions.wanted(told)
    assert torch.equal(wanted, torch.where(asked, found, -1))
    again = captions.draw(told, seed)
    assert captions.write(again, seed, asked) == told
    assert torch.equal(captions.classes(again)[asked], found[asked])
    assert torch.equal(again[~asked], faces.sample(3, seed)[~asked])
    words = captions.vocabulary()
    spoken = [" ".join(words[token] for token in row if token) for row in captions.tokens(told)]
    assert [s.replace(" ,", ",") for s in spoken] == told


@property_of(seed=st.integers(0, 2**20), order=st.randoms(use_true_random=False), shout=st.booleans())
def test_phrases_may_stand_in_any_order(seed, order, shout):
    (told,) = captions.write(varied(1, seed), seed)
    phrases = re.split(", | and ", told.removeprefix("a portrait").removeprefix(" with "))
    order.shuffle(phrases)
    other = order.choice([", ", " and ", ", and "]).join(phrases) + order.choice(["", ".", "!"])
    asked = captions.read(told)
    assert captions.read(other.upper() if shout else other) == asked == captions.read(captions.say(**asked))


WORDS = st.lists(st.sampled_from([*captions.vocabulary(), "nose", "left,", "And"]), max_size=9).map(" ".join)


@property_of(few=60, many=2000, text=WORDS | st.text(max_size=20))
def test_any_text_is_understood_or_refused_with_a_reason(text):
    try:
        asked = captions.read(text)
    except ValueError as error:
        assert re.search(r"word|about one of|cannot be said of|asked to be|say what the", str(error)), error
        return
    for name, word in asked.items():
        assert word in captions.ATTRIBUTES[faces.index(name)].words
    drawn = captions.draw([text], 1)
    assert captions.shows(drawn, **asked).all()
    assert torch.equal(captions.wanted(captions.write(drawn, 0, captions.wanted([text]) >= 0)), captions.wanted([text]))
