"""What a part returns in the wrong form is named in one line, with what is expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hartley
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.core import Deal, Modality, Model, Output, Scene, View
from hartley.core.errors import RunError, UsageError
from hartley.defenses.signal.label_smoothing import label_smoothing
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.membership.membership import live, membership

SCENE = live(Modality.TABULAR, np.random.default_rng(0))
FEW = {"rounds": 2}


@pytest.mark.parametrize(
    ("returned", "kind"), [(None, "NoneType"), (np.zeros(3), "ndarray"), ((), "an empty tuple")]
)
def test_an_attack_that_returns_no_outcome_is_named(returned: Any, kind: str) -> None:
    attack = replace(loss_threshold, run=_named("forgetful", lambda view, rng: returned))
    with pytest.raises(RunError, match=f"^forgetful must return an Outcome, got {kind}$"):
        play(attack, SCENE, game_params=FEW)


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = name
    return function


def _wrong_game(change: Callable[[Deal], Any]) -> Any:
    def wrong(scene: Scene, rng: np.random.Generator) -> Any:
        return change(membership(scene, rng, rounds=2))

    return replace(loss_threshold, game=replace(membership, play=wrong))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda dealt: dealt.rounds, "the game wrong must return a Deal, got tuple"),
        (lambda dealt: None, "the game wrong must return a Deal, got NoneType"),
        (lambda dealt: replace(dealt, rounds=()), "at least one Round, got an empty tuple"),
        (lambda dealt: replace(dealt, rounds=(dealt.rounds[0].view,)), "be Rounds, got View"),
        (
            lambda dealt: replace(dealt, rounds=(replace(dealt.rounds[0], truth=np.int64(1)),)),
            r"the game wrong: truth of a Round must have shape \(m,\), .* got shape \(\)",
        ),
        (
            lambda dealt: replace(
                dealt, rounds=(replace(dealt.rounds[0], truth=dealt.rounds[0].truth * 7),)
            ),
            r"must be from 0 to 1, .* got 7; for more symbols .* Round\(…, alphabet=8 or more\)",
        ),
        (
            lambda dealt: replace(
                dealt, rounds=(replace(dealt.rounds[0], truth=dealt.rounds[0].truth - 3),)
            ),
            r"truth of a Round must be from 0 to 1, its alphabet of 2 symbols, got -[23]$",
        ),
    ],
)
def test_a_game_that_returns_no_deal_of_rounds_is_named(
    change: Callable[[Deal], Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        play(_wrong_game(change), SCENE)


def test_a_misspelt_capability_is_answered_with_the_nearest() -> None:
    def hasty(view: View, rng: np.random.Generator) -> Any:
        return view.model.calls["qery"](view.brief.question.x)

    with pytest.raises(RunError, match=r"no capability 'qery'; did you mean query\?"):
        play(replace(loss_threshold, run=hasty), SCENE, game_params=FEW)


def test_misspelt_knowledge_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"got 'adaptiv'; did you mean adaptive\?"):
        play(loss_threshold, SCENE, knowledge="adaptiv", game_params=FEW)


def _filtering(filter_: Callable[..., Any]) -> Any:
    def top_two(scene: Scene, rng: np.random.Generator) -> Scene:
        return hartley.wrap_answers(scene, filter_)

    return replace(label_smoothing, apply=top_two, strongest={}, requires=(), usual=None)


def test_a_filter_of_other_arguments_names_the_defense() -> None:
    expected = r"defense top_two: its filter must take \(x, answers, output, who\), got \(x, given"
    with pytest.raises(RunError, match=expected):
        defended(SCENE, _filtering(lambda x, given: given))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda given: given.max(1), r"shape \(128,\)"),
        (lambda given: given * 2, "rows that do not sum to 1"),
        (lambda given: given * np.nan, "NaN or infinity"),
        (lambda given: None, "NoneType"),
    ],
)
def test_bad_answers_of_a_filter_name_the_defense(change: Callable[[Any], Any], kind: str) -> None:
    scene = defended(SCENE, _filtering(lambda x, answers, output, who: change(answers)))
    with pytest.raises(RunError, match=f"the defense top_two: its filter must return .* {kind}"):
        play(loss_threshold, scene, game_params=FEW)


def test_bad_answers_of_a_model_are_not_the_defense_s() -> None:
    assert SCENE.model is not None
    broken = SCENE.model.with_(query=lambda x: np.full((len(x), 4), np.nan))
    scene = defended(
        replace(SCENE, model=broken), _filtering(lambda x, answers, output, who: answers)
    )
    assert scene.model is not None
    assert np.isnan(scene.model.query(np.zeros((2, 3)))).all()


def test_a_model_takes_the_words_of_its_enums() -> None:
    model = Model("m", "tabular", output="logits")  # type: ignore[arg-type]
    assert model.modality is Modality.TABULAR
    assert model.output is Output.LOGITS
    with pytest.raises(TypeError, match=r"got 'tabulr'; did you mean tabular\?"):
        Model("m", "tabulr")  # type: ignore[arg-type]
