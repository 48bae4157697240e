"""A defense names games, an attack scores truth 1 higher: what breaks that is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley import catalog
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.core import AnswerForm
from hartley.defenses.bandwidth.rounding import rounding
from hartley.games.membership.membership import membership
from hartley.testing import CheckFailed, check_defense
from hartley.testing.attacks import reads_the_live_scene


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("membershp", "did you mean membership?"),
        ("inversion", "inversion is a class; its games are attribute_inference, class_inversion"),
    ],
)
def test_check_defense_refuses_what_is_not_a_game(name: str, hint: str) -> None:
    defense = replace(rounding, protects=(name,), covers_only={}, unfit={}, expected_failures={})
    with pytest.raises(CheckFailed) as failure:
        check_defense(defense, attacks=(loss_threshold,))
    assert f"protects_games: protects must name games, got {name!r}" in str(failure.value)
    assert hint in str(failure.value)


def test_an_inverted_score_is_refused() -> None:
    def inverted(view: Any, rng: np.random.Generator) -> Any:
        outcome = loss_threshold(view, rng)
        return replace(outcome, guess=-outcome.guess)

    reads_the_live_scene(loss_threshold)
    with pytest.raises(CheckFailed, match=r"AUC on the live scene is 0\.\d\d .*sign .* inverted"):
        reads_the_live_scene(replace(loss_threshold, run=inverted))


def test_a_misspelt_class_is_answered_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"'inversoin' is not in the taxonomy; did you mean inv"):
        replace(membership, cls="inversoin")


def test_the_catalogue_keeps_python_s_own_hint() -> None:
    with pytest.raises(AttributeError) as absent:
        AnswerForm.SYMBOLS  # type: ignore[attr-defined]  # noqa: B018
    broken = catalog._broken(catalog.find("game", "membership"), absent.value)
    assert "AnswerForm has no SYMBOLS; did you mean SYMBOL?" in str(broken)
