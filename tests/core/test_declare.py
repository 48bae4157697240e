"""What the decorators check, and what they read off a function."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from hartley.core import (
    Access,
    AnswerForm,
    Attack,
    Axis,
    Data,
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
from hartley.core.brief import ADAPTIVE_ONLY, as_static_brief, brief_fields
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

    with pytest.raises(TypeError, match=r"attack one: .*plain default"):
        _attack(one)


@pytest.mark.parametrize("paper", ["", "Carlini 2022", "arXiv:22", "https://example.org"])
def test_a_paper_is_an_identifier(paper: str) -> None:
    def one(view: View, rng: Any) -> Outcome:
        """Guess."""
        return Outcome()

    with pytest.raises(TypeError, match=r"attack one: paper must be arXiv:NNNN\.NNNNN, doi:"):
        _attack(one, paper=paper)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"access": "scores"}, "access must be Access, got 'scores'"),
        ({"term": "noise"}, "term must be Term, got 'noise'"),
        ({"modalities": Modality.VISION}, "modalities must be a tuple of Modality, got <Modality"),
        ({"requires": ("fit", 3)}, r"requires must be a tuple of str, got \('fit', 3\)"),
        ({"game": "membership"}, "game must be Game, got 'membership'"),
        ({"game_params": ["rounds"]}, r"game_params must be a dictionary of str to any value, got"),
        ({"expected_failures": {"repeats": 1}}, "must be a dictionary of str to str, got"),
    ],
)
def test_a_declared_value_is_what_its_annotation_says(
    changes: dict[str, Any], message: str
) -> None:
    def one(view: View, rng: Any) -> Outcome:
        """Guess."""
        return Outcome()

    with pytest.raises(TypeError, match=message):
        _attack(one, **changes)


def test_an_unknown_keyword_gets_the_nearest_and_a_missing_one_its_name() -> None:
    with pytest.raises(TypeError, match="attack takes no keyword 'papre'; did you mean paper"):
        attack(papre="hartley")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="attack must declare access, term, modalities, paper"):
        attack(game=membership)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": "everywhere"}, "stage must be one of data, training, output, budget, marker"),
        ({"covers_only": {"poisoning": ("vision",)}}, "covers_only must name games of protects"),
        ({"covers_only": {"membership": ("audio",)}}, "covers_only must name games of protects"),
    ],
)
def test_a_defence_acts_somewhere_known_on_games_that_it_claims(
    changes: dict[str, Any], message: str
) -> None:
    def mist(scene: Any, rng: Any) -> Any:
        """Blur."""

    declared: dict[str, Any] = {
        "term": Term.NOISE,
        "stage": "output",
        "protects": ("membership",),
        "modalities": (Modality.VISION,),
        "paper": "hartley",
        "strongest": {},
    }
    assert defense(**declared)(mist).stage == "output"
    with pytest.raises(TypeError, match=f"defense mist: {message}"):
        defense(**{**declared, **changes})(mist)


@dataclass(frozen=True)
class Brief:
    """What an attacker knows.

    Attributes:
        public: records of
            their own.
        step: how the owner trains.
    """

    public: Data
    step: str | None = field(default=None, metadata=ADAPTIVE_ONLY)


@dataclass(frozen=True)
class Mute:
    """What an attacker knows.

    Attributes:
        public: records.
    """

    public: Data
    classes: int


@dataclass
class Open:
    """Attributes: none."""


LEAP: dict[str, Any] = {
    "flow": Flow.PREDICTION,
    "role": Role.TAP,
    "form": AnswerForm.SCORE,
    "unit": "leap",
    "live": lambda m, r: None,
    "dead": lambda m, r: None,
    "modalities": (Modality.VISION,),
}
"""What a game of a class of its own declares, but for its axis and its brief."""


def test_a_brief_is_a_frozen_dataclass_that_describes_its_fields() -> None:
    def leap(scene: Any, rng: Any) -> Any:
        """A class of its own."""

    declared = {**LEAP, "axis": Axis.DATA_TO_DATA}
    with pytest.raises(TypeError, match="brief must be a frozen dataclass, got Open"):
        game(**declared, brief=Open)(leap)
    with pytest.raises(TypeError, match="got nothing about classes"):
        game(**declared, brief=Mute)(leap)
    records, step = brief_fields(game(**declared, brief=Brief)(leap).brief)
    assert (records.name, records.type, records.help) == ("public", "Data", "records of their own.")
    assert step.adaptive_only and not records.adaptive_only
    known = Brief(Data("d", Modality.VISION, np.zeros((1, 2))), step="MixUp")
    assert as_static_brief(known) == replace(known, step=None)


def test_a_game_outside_the_taxonomy_declares_its_axis() -> None:
    def teleport(scene: Any, rng: Any) -> Any:
        """A class of its own."""

    declared = {**LEAP, "brief": Brief}
    with pytest.raises(TypeError, match="taxonomy"):
        game(**declared)(teleport)
    assert game(**declared, axis=Axis.DATA_TO_DATA)(teleport).axis_in() is Axis.DATA_TO_DATA


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

    got = _attack(one)(View(None, None), np.random.default_rng(0), shift=2.0).guess
    assert got is not None and got.tolist() == [2.0, 2.0, 2.0]
