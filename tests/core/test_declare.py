"""What the decorators check, and what they read off a function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hartley.core import (
    Access,
    AnswerForm,
    Attack,
    Axis,
    Flow,
    Modality,
    Outcome,
    Role,
    Term,
    View,
    attack,
    defense,
    game,
)
from hartley.core.taxonomy import AXES, SEED_A_CLASSES, axis_of
from hartley.games.membership.membership import membership


def _attack(run: Any, **changes: Any) -> Attack:
    declared = {
        "game": membership,
        "access": Access.SCORES,
        "term": Term.NOISE,
        "modalities": (Modality.VISION,),
        "paper": "arXiv:1709.01604",
    }
    return attack(**{**declared, **changes})(run)


def test_parameters_are_read_from_the_signature_and_the_docstring() -> None:
    def one(view: View, rng: Any, *, floor: float = 1e-6, deep: bool = False) -> Outcome:
        """Guess by loss.

        Args:
            floor: probabilities below this are raised to it,
                before the logarithm.
            deep: look twice.
        """
        return Outcome()

    part = _attack(one)
    assert part.name == "one" and part.summary == "Guess by loss."
    assert [(p.name, p.default, p.kind) for p in part.parameters] == [
        ("floor", 1e-6, float),
        ("deep", False, bool),
    ]
    assert part.parameters[0].help.endswith("before the logarithm.")


def test_a_parameter_without_a_plain_default_is_refused() -> None:
    def one(view: View, rng: Any, *, net: object) -> Outcome:
        """Guess."""
        return Outcome()

    with pytest.raises(TypeError, match="plain default"):
        _attack(one)


@pytest.mark.parametrize("paper", ["", "Carlini 2022", "arXiv:22", "https://example.org"])
def test_a_paper_is_an_identifier(paper: str) -> None:
    def one(view: View, rng: Any) -> Outcome:
        """Guess."""
        return Outcome()

    with pytest.raises(TypeError, match="paper="):
        _attack(one, paper=paper)


def test_a_defence_stands_somewhere_known() -> None:
    with pytest.raises(TypeError, match="stage="):
        defense(
            term=Term.NOISE,
            stage="everywhere",
            protects=("membership",),
            modalities=(Modality.VISION,),
            paper="hartley",
            strongest={},
        )


def test_a_game_outside_the_taxonomy_declares_its_axis() -> None:
    def teleport(scene: Any, rng: Any) -> Any:
        """A class of its own."""

    declared: dict[str, Any] = {
        "flow": Flow.PREDICTION,
        "role": Role.TAP,
        "form": AnswerForm.SCORE,
        "unit": "leap",
        "live": lambda m, r: None,
        "dead": lambda m, r: None,
        "modalities": (Modality.VISION,),
    }
    with pytest.raises(TypeError, match="taxonomy"):
        game(**declared)(teleport)
    assert game(**declared, axis=Axis.DATA_TO_DATA)(teleport).axis() is Axis.DATA_TO_DATA


def test_four_axes_nine_classes_and_a_versioned_jailbreak() -> None:
    assert len(Axis) == 4 and len(SEED_A_CLASSES) == 9 and len(Flow) == 6
    assert len(AXES["arxiv-v1"]) == 14
    assert axis_of("jailbreak") is Axis.DATA_TO_MODEL
    assert axis_of("jailbreak", "openreview") is Axis.DATA_TO_DATA
    with pytest.raises(KeyError):
        axis_of("jailbreak", "v9")


def test_a_part_is_called_as_its_function() -> None:
    def one(view: View, rng: Any, *, shift: float = 0.0) -> Outcome:
        """Guess a constant."""
        return Outcome(guess=np.zeros(3) + shift)

    got = _attack(one)(View(source=None), np.random.default_rng(0), shift=2.0).guess
    assert got is not None and got.tolist() == [2.0, 2.0, 2.0]
