"""The trigram model of words against its definition, and the bags of words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hartley.defenses.noise.onion import suspicion
from hartley.kit.language.bags import Bags, split_words
from hartley.kit.language.word_model import UNKNOWN, WordModel, windows

TEXTS = ("the cat sat on the mat", "the dog sat on the log", "a cat and a dog", "on the mat")


def test_probabilities_of_the_next_word_sum_to_one_in_every_context() -> None:
    model = WordModel(TEXTS)
    every = np.arange(len(model.vocabulary))
    for a, b in itertools.product(every[::3], every[::2]):
        grams = np.stack([np.full_like(every, a), np.full_like(every, b), every], 1)
        assert np.exp(model.log_probabilities(grams)).sum() == pytest.approx(1, abs=1e-9)


def test_an_unseen_word_is_less_expected_than_one_that_was_seen_and_context_counts() -> None:
    model = WordModel(TEXTS)
    assert model.numbers("xyzzy")[2] == model.vocabulary[UNKNOWN]
    expected, other, odd = (model.surprise(f"sat on {word}")[2] for word in ("the", "dog", "xyzzy"))
    assert expected < other < odd


def test_two_grams_by_hand() -> None:
    """Kneser–Ney by its formula on a corpus of one bigram type each: (n₁, n₂) = (2, 0), D = 1."""
    model = WordModel(["a b"])
    v, grams = model.vocabulary, [["<begin>", "<begin>", "a"], ["<begin>", "a", "b"]]
    size, contexts = len(v), 3  # a, b and the end each follow one context
    uniform = 1 / size  # with D = 1 nothing is left of any count
    for gram in grams:
        p = np.exp(model.log_probabilities(np.array([v[w] for w in gram])[None]))[0]
        assert p == pytest.approx(uniform, rel=1e-9), (gram, contexts)


def test_suspicion_is_the_fall_of_perplexity_without_a_word() -> None:
    model = WordModel(TEXTS)

    def log_perplexity(words: list[str]) -> float:
        return float(model.surprise(" ".join(words)).mean())

    for text in ("the cat xyzzy sat on the mat", "the dog", "a cat and a dog sat"):
        words = text.split()
        slow = [
            log_perplexity(words) - log_perplexity([*words[:k], *words[k + 1 :]])
            for k in range(len(words))
        ]
        assert suspicion(model, text) == pytest.approx(slow, abs=1e-9)
    assert suspicion(model, "the cat xyzzy sat on the mat").argmax() == 2
    assert len(windows(model.numbers("a b"))) == 3


def test_bags_say_which_words_and_pairs_a_text_has() -> None:
    bags = Bags(512, 256)
    a, b, c = bags(["the cat sat", "sat cat the", "The cat sat"])
    assert np.array_equal(a[:512], b[:512]) and not np.array_equal(a[512:], b[512:])
    assert np.array_equal(a, c) and a[:512].sum() == 3
    assert a[512:].max() == np.float32(bags.weight)
    texts = ["the cat sat", "", "the the the"]
    places, values, begin = bags.sparse(texts)
    rows = np.zeros((3, bags.width), np.float32)
    np.add.at(rows, (np.repeat(range(3), np.diff([*begin, len(places)])), places), values)
    assert np.array_equal(rows, bags(texts)) and rows[1].sum() == np.float32(bags.weight)
    assert split_words("it's w-o a (small) dog, no?") == [
        "it's", "w-o", "a", "(", "small", ")", "dog", ",", "no", "?",
    ]  # fmt: skip
