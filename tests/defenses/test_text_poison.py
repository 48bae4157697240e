"""Defenses against poison in texts: what they find is what their rule says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Data, Modality, Scene
from hartley.core.errors import UsageError
from hartley.defenses.signal.deep_partition_aggregation import part_of
from hartley.defenses.signal.z_defense import SMOOTHING, _Grams, _Table
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.poisoning.poisoning import live


@pytest.fixture(scope="module")
def words() -> Scene:
    return live(Modality.LANGUAGE, np.random.default_rng(0))


def _metrics(scene: Scene, name: str, bare: Scene, **params: Any) -> Any:
    attack = catalog.load("attack", name)
    rules = {"rounds": 2, "poisons": 8}
    return play(attack, scene, params=params, game_params=rules, undefended=bare).metrics


def test_z_by_hand() -> None:
    """Of 12 other texts with the word 10 have the label, which a quarter of all texts has."""
    texts = [["cf", "x"]] * 13 + [["y"]] * 27
    labels = np.array([0] * 11 + [1] * 2 + [1] * 27)
    number: dict[str, int] = {}
    grams = _Grams.of(texts, number)
    size, everything = (3, 2), np.ones(40, bool)
    table = _Table(grams.counts(labels, everything, size), everything)
    nothing = _Table(np.zeros(size), ~everything)
    z = grams.statistic(labels, np.array([0.25, 0.75]), table, nothing)
    assert z[0] == pytest.approx((10 / 12 - 0.25) / np.sqrt(0.25 * 0.75 / 12))
    usual = np.zeros(size)
    usual[number["cf"]] = usual[number["x"]] = (30, 10)
    z = grams.statistic(labels, np.array([0.25, 0.75]), table, _Table(usual, ~everything))
    p0 = (30 + SMOOTHING * 0.25) / (40 + SMOOTHING)
    assert z[0] == pytest.approx((10 / 12 - p0) / np.sqrt(p0 * (1 - p0) / 12))


def test_z_defense_finds_words_and_not_what_it_is_declared_to_cost(words: Scene) -> None:
    for name in ("word_trigger", "style_trigger"):
        found = _metrics(defended(words, "z_defense", {"false_alarms": 0.1}), name, words)
        assert found["dropped_poison"] > 0.9, name
        assert found["dropped_clean"] <= 0.1 + 5 * np.sqrt(0.09 * (1 / 192 + 1 / 96)), name


def test_onion_takes_rare_words_out_for_every_model(words: Scene) -> None:
    after = defended(words, "onion", {"false_alarms": 0.02})
    rare = _metrics(after, "word_trigger", words)
    assert rare["removed_trigger"] > 0.9
    assert rare["removed_clean"] <= 0.02 + 5 * np.sqrt(0.0196 / 500)
    assert after.fit is not None and words.train is not None
    ensemble = after.fit(words.train, np.ones((1, len(words.train)), bool), 0)
    x = np.array([f"{words.train.x[0]} zk"])
    assert np.array_equal(ensemble.query(x)[0], ensemble.member(0).query(words.train.x[:1]))


def test_texts_are_partitioned_by_their_letters() -> None:
    x = np.array(["a b", "c", "a b", "d e f"])
    parts = part_of(x, 7)
    assert parts[0] == parts[2]
    wider = np.concatenate([x, np.array(["x" * 50])])
    assert np.array_equal(part_of(wider, 7)[:4], parts), "the width of the array plays no part"


def test_a_held_out_set_without_words_is_refused(words: Scene) -> None:
    empty = Data("holdout", Modality.LANGUAGE, np.array(["a", "b", "c"]), np.array([0, 1, 2]))
    with pytest.raises(UsageError, match="two words or more"):
        defended(replace(words, holdout=empty), "onion")
