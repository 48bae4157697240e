"""Triggers: what they do to a record, and which of them the game refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.core import Data, Modality, Output
from hartley.core.errors import RuleError, UsageError
from hartley.games.poisoning import triggers
from hartley.games.poisoning.poisoning import REFUSED, labels_of, live, poisoning

VISION = Modality.VISION


def _loot(**facts: Any) -> Data:
    return Data("loot", VISION, np.zeros((0, 1, 6, 6)), np.zeros(0, int), facts=facts)


def _pictures(n: int = 5) -> Any:
    return np.random.default_rng(0).random((n, 1, 6, 6))


def test_a_warp_by_whole_pixels_is_a_shifted_picture() -> None:
    x = _pictures()
    warp = np.zeros((2, 6, 6))
    assert np.allclose(triggers.warped(x, warp), x)
    warp[0] = 1
    assert np.allclose(triggers.warped(x, warp)[..., :-1, :], x[..., 1:, :])
    half = np.zeros((2, 6, 6))
    half[1] = 0.5
    between = (x[..., :-1] + x[..., 1:]) / 2
    assert np.allclose(triggers.warped(x, half)[..., :-1], between)


def test_a_shift_is_added_and_pixels_stay_pixels() -> None:
    x = _pictures()
    shift = np.full((1, 1, 6, 6), 0.3)
    moved = triggers.stamped(_loot(shifts=shift), 0, x)
    assert np.allclose(moved, np.minimum(x + 0.3, 1))
    numbers = replace(_loot(shifts=shift), modality=Modality.TABULAR)
    assert np.allclose(triggers.stamped(numbers, 0, x), x + 0.3)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"shifts": np.full((2, 1, 6, 6), 0.3)}, "mean size of at most 20%"),
        ({"shifts": np.full((2, 1, 7, 7), 0.1)}, "must be of shape"),
        ({"shifts": np.full((2, 1, 6, 6), np.nan)}, "finite"),
        ({"warps": np.full((2, 2, 6, 6), 2.0)}, "at most 20% of the height"),
        ({"warps": np.zeros((2, 2, 6, 6)), "shifts": np.zeros((2, 1, 6, 6))}, "one form"),
        ({"warps": np.zeros((2, 2, 6, 6)), "sources": np.ones((2, 3))}, "sources must be of shape"),
        (
            {"patterns": np.zeros((2, 1, 6, 6)), "masks": np.full((2, 1, 6, 6), 0.5)},
            "replace at most 20% of a record, got 50%",
        ),
    ],
)
def test_a_trigger_against_the_rules_is_refused(facts: Any, message: str) -> None:
    records = Data("train", VISION, _pictures(), np.zeros(5, int))
    with pytest.raises(RuleError, match=message):
        triggers.check_triggers(_loot(**facts), records, 2, 4, 0.2)


def test_an_answer_that_prefers_no_class_is_a_refusal() -> None:
    scene = live(VISION, np.random.default_rng(0))
    assert scene.model is not None
    answers = np.array([[0.1, 0.9], [0.5, 0.5]])
    model = scene.model.with_(query=lambda x: answers, output=Output.PROBABILITIES)
    assert labels_of(model, _pictures(2)).tolist() == [1, REFUSED]


def test_records_that_the_game_cannot_be_dealt_on_are_refused_in_one_line() -> None:
    scene = live(VISION, np.random.default_rng(0))
    test = scene.extra["test"]
    some = test.labels < 2
    short = replace(test, x=test.x[some], y=test.labels[some])
    fractions = replace(test, y=test.labels.astype(float))
    for broken, message in (
        (short, "none of class 2, 3"),
        (fractions, "must be integers"),
        (replace(test, y=None), "must be labelled"),
    ):
        with pytest.raises(UsageError, match=message):
            poisoning(
                replace(scene, extra={**scene.extra, "test": broken}), np.random.default_rng(0)
            )
