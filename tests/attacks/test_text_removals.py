"""Removals of marks from texts: which words they take, and how many edits a floor allows."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from hartley.attacks.data_to_data.watermark._shared.block_effects import effects
from hartley.attacks.data_to_data.watermark._shared.rewording import WordPairs, most_edits
from hartley.attacks.data_to_data.watermark._shared.stolen_rules import StolenRules, under_one_key
from hartley.attacks.data_to_data.watermark._shared.window_cover import cheapest_cover
from hartley.attacks.data_to_data.watermark.detector_walk import detector_walk
from hartley.attacks.data_to_data.watermark.text_dilution import text_dilution
from hartley.core import Applied, Data, Modality


def test_fitting_words_are_those_between_the_neighbours():
    pairs = WordPairs(("a red cat sat", "a blue cat sat", "a blue dog ran"))
    assert pairs.fitting("a", "red", "cat")[0] == "blue"
    assert "red" not in pairs.fitting("a", "red", "cat")
    assert pairs.surprise(["a", "zebra"])[1] > pairs.surprise(["a", "blue"])[1]


class Least:
    """A floor on how many words are as they were."""

    floor: ClassVar = {"same": 0.0}

    def __init__(self, words, least):
        self.words, self.least, self.asked = words, least, 0

    def holds(self, candidate):
        self.asked += 1
        same = sum(a == b for a, b in zip(candidate.split(), self.words, strict=True))
        return same >= self.least


@pytest.mark.parametrize("least", [0, 3, 17, 40])
def test_as_many_edits_as_the_floor_allows(least):
    words = [f"w{k}" for k in range(40)]
    brief = Least(words, least)
    text = most_edits(brief, words, [(k, "x") for k in range(40)])
    assert text.split().count("x") == 40 - least
    assert brief.asked <= 7


def test_stolen_rules_know_which_words_an_owner_prefers():
    rng = np.random.default_rng(0)
    words = np.array([f"w{k}" for k in range(40)])
    liked = rng.random(40) < 0.5
    law = np.where(liked, 3.0, 1.0)
    texts = [" ".join(rng.choice(words, 100, p=p / p.sum())) for p in [law] * 30]
    base = [" ".join(rng.choice(words, 100)) for _ in range(30)]
    rules = StolenRules(WordPairs(tuple(texts)), WordPairs(tuple(base)))
    prefers = np.array([rules.preference("", word) for word in words])
    assert prefers[liked].min() > prefers[~liked].max()
    before = rng.choice(words, 60).tolist()
    for sign in (1, -1):
        after = list(before)
        for place, word in rules.edits(before, sign):
            after[place] = word
        change = sum(liked[np.flatnonzero(words == w)[0]] for w in after) - sum(
            liked[np.flatnonzero(words == w)[0]] for w in before
        )
        assert sign * change > 10


def test_an_attacker_who_knows_of_several_keys_learns_from_the_texts_most_like_this_one():
    rng = np.random.default_rng(1)
    words = np.array([f"w{k}" for k in range(200)])
    laws = np.where(rng.random((3, 200)) < 0.5, 6.0, 1.0)
    keys = np.arange(60) % 3
    texts = [" ".join(rng.choice(words, 80, p=laws[k] / laws[k].sum())) for k in keys]
    others = Data("others", Modality.LANGUAGE, np.array(texts[3:]))
    several = (Applied("multi_key", {"keys": 3}),)
    for k in range(3):
        alike = under_one_key(others, texts[k], several).x.tolist()
        assert len(alike) == 19
        assert np.mean([keys[texts.index(text)] == k for text in alike]) > 0.6
    assert under_one_key(others, texts[0], ()) is others
    # Of more keys each has too few texts to learn from.
    assert under_one_key(others, texts[0], (Applied("multi_key", {"keys": 4}),)) is others


def test_questions_about_many_blocks_average_the_noise_of_answers():
    rng = np.random.default_rng(2)
    true = rng.normal(0, 1, 32)
    blocks = [[(k, "x")] for k in range(32)]
    asked = []

    def ask(tried):
        asked.append(len(tried))
        sums = [20 + sum(true[place] for place, _ in edits) for edits in tried]
        return np.array(sums) + rng.normal(0, 1, len(tried))

    one = effects(ask, blocks, 256, rng, noisy=False)
    many = effects(ask, blocks, 256, rng, noisy=True)
    assert asked == [32, 256]
    noise = [np.std(read - read.mean() - true + true.mean()) for read in (one, many)]
    # √(256 / 4) = 8 of a deviation, but for the ridge and for chance
    assert noise[1] < noise[0] / 4


def view_of(words, public, holds, detector=None, defenses=()):
    data = Data("text", Modality.LANGUAGE, np.array([" ".join(words)]))
    public = Data("public", Modality.LANGUAGE, np.array(public))
    brief = SimpleNamespace(public=public, floor={"any": 0.0}, holds=holds, detector=detector)
    return SimpleNamespace(data=data, brief=brief, defenses=defenses)


def test_a_dilution_adds_words_where_the_floor_lets_it_add_most():
    words, public = [f"w{k}" for k in range(40)], [f"p{k} q{k}" for k in range(30)]

    def diluted(holds):
        view = view_of(words, public, holds)
        return str(text_dilution(view, np.random.default_rng(0)).asset.x[0]).split()

    # A floor that reads the beginning alone lets everything stand behind it.
    text = diluted(lambda candidate: candidate.split()[:40] == words)
    assert text[:40] == words and len(text) == 400
    # One of the length lets as much stand around the pieces.
    text = diluted(lambda candidate: len(candidate.split()) <= 80)
    assert 77 <= len(text) <= 80 and text[:40] != words
    assert [word for word in text if word in words] == words


@pytest.mark.parametrize(("scale", "same"), [(0.1, True), (5.0, True), (50.0, False)])
def test_a_walk_does_not_give_up_its_questions_for_a_little_noise(scale, same):
    rng = np.random.default_rng(3)
    vocabulary = [f"w{k}" for k in range(30)]
    public = [" ".join(rng.choice(vocabulary, 60)) for _ in range(20)]
    words = rng.choice(vocabulary, 48).tolist()
    asked = []

    def query(texts):
        asked.append(texts.tolist())
        marked = [sum(int(word[1:]) % 2 for word in text.split()) for text in texts]
        return np.stack([-np.array(marked), np.array(marked)], axis=1)

    def walked(*defenses):
        view = view_of(
            words,
            public,
            lambda candidate: (
                sum(a != b for a, b in zip(candidate.split(), words, strict=True)) <= 16
            ),
            SimpleNamespace(calls={"query": query}),
            defenses,
        )
        return str(detector_walk(view, np.random.default_rng(4)).asset.x[0])

    static, before = walked(), [*asked]
    asked.clear()
    adaptive = walked(Applied("score_noise", {"scale": scale}))
    assert (adaptive == static) == same
    assert (asked == before) == same


def test_the_words_that_break_windows_are_the_cheapest_of_all_choices():
    rng = np.random.default_rng(2)

    def total(places, sizes, costs, worth, window):
        kept = [k not in places for k, size in enumerate(sizes) for _ in range(size)]
        whole = [all(kept[at : at + window]) for at in range(len(kept) - window + 1)]
        return sum(costs[k] for k in places) + worth * sum(whole)

    for _ in range(60):
        n, window = int(rng.integers(1, 8)), int(rng.integers(1, 6))
        rest = (rng.integers(1, 4, n), rng.exponential(1, n), float(rng.exponential(1)), window)
        rest[1][rng.random(n) < 0.1] = np.inf
        sets = [set(some) for size in range(n + 1) for some in combinations(range(n), size)]
        least = min(total(some, *rest) for some in sets)
        assert total(set(cheapest_cover(*rest)), *rest) == pytest.approx(least)
