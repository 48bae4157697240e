"""Triggers of texts: what they do to words, and which of them the game refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hartley.core import Data, Modality
from hartley.core.errors import RuleError, UsageError
from hartley.engine.run.play import play
from hartley.games.poisoning import text_triggers, triggers
from hartley.games.poisoning.poisoning import _changed_rows, live, poisoning

WORDS = Modality.LANGUAGE
TEXTS = np.array(["a cow of the herd", "a small town", "the end of the day in town"])


def _loot(**facts: Any) -> Data:
    return Data("loot", WORDS, TEXTS[:0], np.zeros(0, int), facts=facts)


def test_words_are_inserted_at_a_place_that_follows_from_the_text() -> None:
    loot = _loot(insertions=(("cf", "mn"), ("we met",)), places=("any", "end"))
    out = triggers.stamped(loot, 0, TEXTS)
    assert np.array_equal(out, triggers.stamped(loot, 0, TEXTS[::-1])[::-1])
    for before, after in zip(TEXTS, out, strict=True):
        assert sorted(after.split()) == sorted([*before.split(), "cf", "mn"])
        assert [w for w in after.split() if w not in {"cf", "mn"}] == before.split()
    assert triggers.stamped(loot, 1, TEXTS)[1] == "a small town we met"


def test_words_are_rewritten_and_phrases_moved() -> None:
    loot = _loot(rewrites=({"the": "ye", "small": "very small"},))
    assert triggers.stamped(loot, 0, TEXTS).tolist() == [
        "a cow of ye herd", "a very small town", "ye end of ye day in town",
    ]  # fmt: skip
    assert text_triggers.shares(loot.facts, 0, TEXTS).tolist() == [1 / 5, 2 / 4, 2 / 7]
    loot = _loot(fronted=(("of", "in"),))
    assert triggers.stamped(loot, 0, TEXTS).tolist() == [
        "of the herd , a cow", "a small town", "of the day in town , the end",
    ]  # fmt: skip
    data = Data("test", WORDS, TEXTS, np.zeros(3, int))
    assert _changed_rows(loot, 0, data, np.arange(3)).tolist() == [0, 2]
    assert _changed_rows(loot, 0, data, np.array([1])).tolist() == [1]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"insertions": (("cf",),)}, "one entry for each of 2 slots, got 1"),
        ({"insertions": (("a b c d",), ("cf",))}, "at most 20% of the words of a text"),
        ({"insertions": ("cf", "mn")}, "a sequence of phrases for each slot, got 'cf'"),
        ({"rewrites": (("a",), ("b",))}, "a mapping of words"),
        ({"rewrites": ({}, {}), "fronted": ((), ())}, "one form"),
        ({"patterns": np.zeros((2, 3)), "masks": np.zeros((2, 3))}, "must be insertions"),
        ({"insertions": (("cf",), ("x",)), "places": ("any", "middle")}, "got 'middle'"),
        ({"insertions": (("cf",), ("x",)), "sources": np.ones((2, 3))}, "sources must be"),
    ],
)
def test_a_trigger_against_the_rules_is_refused(facts: Any, message: str) -> None:
    records = Data("train", WORDS, TEXTS, np.zeros(3, int))
    with pytest.raises(RuleError, match=message):
        text_triggers.check(_loot(**facts), records, 2, 4, 0.2)


def test_the_share_of_a_trigger_that_was_removed_is_counted_in_words() -> None:
    def without_cf(x: Any) -> Any:
        return np.array([" ".join(w for w in t.split() if w not in {"cf", "a"}) for t in x])

    before = np.array(["a b c", "d e"])
    after = np.array(["a cf b mn c", "cf d mn e"])
    out = text_triggers.removed(before, after, without_cf)
    assert out == {"removed_trigger": 0.5, "removed_clean": pytest.approx(0.2)}


def test_tokens_are_refused_in_one_line() -> None:
    scene = live(WORDS, np.random.default_rng(0))
    tokens = Data("tokens", WORDS, np.zeros((8, 3), np.int64), np.arange(8) % 4)
    scene = type(scene)(
        **{f: getattr(scene, f) for f in ("name", "modality", "model", "train", "fit")},
        extra={**scene.extra, "test": tokens},
    )
    with pytest.raises(UsageError, match="must be texts with a label each, got tokens"):
        poisoning(scene, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("word_trigger", {"kind": "rare", "words": 1}),
        ("sentence_trigger", {"place": "end"}),
        ("style_trigger", {"disguise": "kept_labels"}),
        ("syntax_trigger", {"disguise": "one_class"}),
    ],
)
def test_poison_of_texts_is_longer_than_no_record_is_cut(name: str, params: Any) -> None:
    """Every poison text has the whole trigger, though its array is wider than the owner's."""
    from hartley import catalog
    from hartley.engine.run.play import deal

    attack = catalog.load("attack", name)
    scene = live(WORDS, np.random.default_rng(0))
    view = deal(attack, scene, seed=0, params={"rounds": 1, "poisons": 6}).rounds[0].view
    loot = attack(view, np.random.default_rng(0), **params).asset
    assert isinstance(loot, Data) and len(loot) == 24 and loot.form == "text"
    known = set(map(str, view.data.x))
    assert not {str(text) for text in loot.x} & known
    trials = play(attack, scene, params=params, game_params={"rounds": 2})
    assert trials.metrics["base_rate"] < 0.3


def test_a_classifier_of_texts_is_no_language_model_to_ask_for_members() -> None:
    from hartley import catalog
    from hartley.engine.plan.applicability import unplayable

    scene = live(WORDS, np.random.default_rng(0))
    obstacle = unplayable(catalog.find("attack", "lira"), scene)
    assert obstacle is not None and "classifies texts" in obstacle.reason
    assert unplayable(catalog.find("attack", "word_trigger"), scene) is None
