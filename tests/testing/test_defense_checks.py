"""The checks of a defence: like is compared with like, in every modality that is claimed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.core import Access, Defense, Modality, Model, Output, Scene, Term, defense
from hartley.core.capabilities import CAPABILITIES, Gives
from hartley.defenses._shared import wrap_answers
from hartley.defenses.bandwidth.label_only import label_only
from hartley.defenses.noise.embedding_noise import embedding_noise
from hartley.models.pipeline import Pipeline
from hartley.models.training_defense import retrained
from hartley.testing import check_defense, defense_checks
from hartley.testing.checks import CheckFailed

BOTH = (Modality.VISION, Modality.TABULAR)


def _declare(apply: Any, stage: str = "output", **more: Any) -> Defense:
    return defense(
        term=Term.NOISE,
        stage=stage,
        protects=("membership",),
        modalities=BOTH,
        paper="hartley",
        strongest={},
        **more,
    )(apply)


def _narrows(part: Defense, attacks: Any = (loss_threshold,)) -> None:
    checks = {check.name: check for check in defense_checks(attacks)}
    checks["narrows_membership"](part)


def trains_as_ever(scene: Scene, rng: Any) -> Scene:
    """Train the owner's net by the owner's recipe, which is no defence at all."""
    own = scene.training
    assert isinstance(own, Pipeline)
    return retrained(scene, rng, "trains_as_ever", own.with_(workers=1))


def minds_pictures_only(scene: Scene, rng: Any) -> Scene:
    """Answer about pictures at random, and about tables as ever."""

    def filter_(x: Any, answers: Any, output: Output, who: str) -> Any:
        return np.full_like(answers, 0.25) if scene.modality is Modality.VISION else answers

    return wrap_answers.answers(scene, filter_)


def test_a_net_is_no_defence_because_it_knows_less_than_a_table() -> None:
    with pytest.raises(CheckFailed, match="loses a bit on the live scene of vision"):
        _narrows(_declare(trains_as_ever, stage="training", requires=("training",)))


def test_a_claim_has_to_hold_in_every_modality_and_only_there() -> None:
    with pytest.raises(CheckFailed, match="live scene of tabular"):
        _narrows(_declare(minds_pictures_only))
    held = _declare(minds_pictures_only, covers_only={"membership": ("vision",)})
    _narrows(held)
    assert held.covers("membership", Modality.VISION)
    assert not held.covers("membership", Modality.TABULAR)
    assert not held.covers("extraction", Modality.VISION)


@pytest.mark.parametrize("only", [{"extraction": ("vision",)}, {"membership": ("audio",)}])
def test_a_claim_within_a_claim_names_what_is_claimed(only: Any) -> None:
    with pytest.raises(TypeError, match="covers_only must name games of protects"):
        _declare(minds_pictures_only, covers_only=only)


def test_an_excuse_for_one_game_spares_no_other() -> None:
    excused = replace(label_only, expected_failures={"narrows_extraction": "labels are enough"})
    _narrows(excused)
    check_defense(excused, attacks=(loss_threshold,))
    typo = replace(label_only, expected_failures={"narrows_extract": "a name of nothing"})
    with pytest.raises(CheckFailed, match="expected_failures must name checks"):
        check_defense(typo, attacks=(loss_threshold,))


def test_what_another_game_releases_is_lent_to_the_wire() -> None:
    """Membership's wire of pairs holds no store of embeddings, and the shield needs one."""
    from hartley.attacks.model_to_data.inversion.caption_inversion import caption_inversion

    _narrows(embedding_noise, (loss_threshold, caption_inversion))
    with pytest.raises(CheckFailed, match="live scene of paired"):
        _narrows(
            replace(embedding_noise, strongest={"scale": 1e-6}), (loss_threshold, caption_inversion)
        )


def test_a_filter_of_answers_reaches_every_call_that_gives_scores() -> None:
    row = np.array([0.1, 0.2, 0.3, 0.4])
    calls: dict[str, Any] = {
        "query": lambda t: np.tile(row, (len(t), 1)),
        "score": lambda t: np.full((len(t), t.shape[1] - 1), -2.0),
        "moments": lambda t: np.full((len(t), t.shape[1] - 1, 3), (-2.0, -2.0, 1.0)),
        "tail_score": lambda t, first, rough=False: np.full(len(t), -2.0),
        "top_logprobs": lambda t, k, biased, bias: np.tile([[3, np.log(0.4)]], (len(t), 1, 1)),
        "embed": lambda t: np.ones((len(t), 3)),
    }
    texts = {Gives.TOKENS, Gives.TEXTS}
    scored = {
        name
        for name, row in CAPABILITIES.items()
        if row.access & (Access.SCORES | Access.EMBEDDINGS) and row.gives not in texts
    }
    assert set(calls) == scored, "a new call that gives scores needs a place in wrap_answers"
    model = Model("m", Modality.LANGUAGE, calls=calls, classes=4, offers=Access.SCORES)
    scene = Scene("s", Modality.LANGUAGE, model=model)
    after = wrap_answers.answers(
        scene,
        lambda x, a, output, who: (
            np.full_like(a, 0.25) if output is Output.PROBABILITIES else a * 0
        ),
        score=lambda tokens, scores, who: scores * 0 - 0.3,
    ).model
    assert after is not None
    tokens, none = np.ones((2, 3), dtype=int), np.full((2, 1), -1)
    given = {"tail_score": (1,), "top_logprobs": (1, none, 0.0)}
    for name, call in calls.items():
        rest = given.get(name, ())
        assert not np.allclose(after.calls[name](tokens, *rest), call(tokens, *rest)), name
