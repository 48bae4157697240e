"""The extraction attacks on real digits: more questions, more bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_model.extraction._shared.transfer import Transfer
from hartley.attacks.model_to_model.extraction._shared.unnoticed import Unnoticed, natural
from hartley.attacks.model_to_model.extraction.active_sampling import active_sampling
from hartley.attacks.model_to_model.extraction.copycat import copycat
from hartley.attacks.model_to_model.extraction.data_free_extraction import data_free_extraction
from hartley.attacks.model_to_model.extraction.distillation import distillation
from hartley.attacks.model_to_model.extraction.jacobian_sampling import jacobian_sampling
from hartley.attacks.model_to_model.extraction.knockoff import knockoff
from hartley.channel.measure import measure
from hartley.core import Applied, Data, Modality, Model, Output, View
from hartley.core.errors import RunError
from hartley.defenses._shared import wrap_answers
from hartley.engine.run.play import play
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.kit.answer_units import probabilities
from hartley.kit.query_distances import QueryDistances
from hartley.models.clone import clone, transfer_set
from hartley.testing import check_model


def test_on_digits_bits_and_fidelity_grow_with_the_questions(digits: Any) -> None:
    few, many = (
        play(knockoff, digits, seed=0, params={"queries": q}, game_params={"rounds": 8})
        for q in (20, 484)
    )
    assert few.metrics["queries"] == 20 and many.metrics["queries"] == 484
    assert many.metrics["fidelity"] > few.metrics["fidelity"] + 0.1
    assert many.metrics["fidelity"] > 0.85 > 0.3 > many.metrics["baseline"]
    low, high = measure(many).bits.lower, measure(few).high
    assert low is not None and high is not None and low > high


def test_a_victim_that_declares_logits_gives_the_same_copy_as_one_that_declares_probabilities(
    digits: Any,
) -> None:
    def in_logits(model: Model, who: str) -> Model:
        del who
        return model.with_(query=lambda x: 3.0 + np.log(model.query(x)), output=Output.LOGITS)

    rules: Any = {"seed": 0, "game_params": {"rounds": 2, "queries": 100}}
    for one in (knockoff, distillation, active_sampling, data_free_extraction):
        plain = play(one, digits, params=one.light, **rules).metrics
        logits = play(
            one, wrap_answers.models(digits, in_logits), params=one.light, **rules
        ).metrics
        assert logits["fidelity"] == pytest.approx(plain["fidelity"], abs=0.02), one.name


def test_probabilities_that_are_declared_as_logits_are_refused(digits: Any) -> None:
    def wrong(model: Model, who: str) -> Model:
        del who
        return model.with_(output=Output.LOGITS)

    with pytest.raises(RunError, match="declares logits, but its answers are not negative and sum"):
        play(knockoff, wrap_answers.models(digits, wrong), seed=0, game_params={"rounds": 1})


def test_a_high_temperature_and_choice_copy_more_with_the_same_questions(digits: Any) -> None:
    rules: Any = {"seed": 0, "game_params": {"rounds": 8, "queries": 100}}
    plain, soft, active = (
        np.array(play(one, digits, **rules).metrics_by_round["fidelity"])
        for one in (knockoff, distillation, active_sampling)
    )
    for better in (soft - plain, active - plain):
        assert better.mean() > 2.4 * better.std(ddof=1) / np.sqrt(8) > 0


def test_own_records_are_worth_more_than_none_and_none_more_than_a_stranger(digits: Any) -> None:
    rules: Any = {"seed": 0, "game_params": {"rounds": 4, "queries": 400}}
    none, labels = (play(one, digits, **rules) for one in (data_free_extraction, jacobian_sampling))
    assert none.metrics["queries"] == labels.metrics["queries"] == 400
    assert labels.metrics["fidelity"] > none.metrics["fidelity"] > 0.4 > none.metrics["baseline"]


def test_labels_alone_already_leak(digits: Any) -> None:
    heard = measure(play(copycat, digits, seed=0, game_params={"rounds": 8}))
    assert heard.bits.lower is not None and heard.bits.lower > 0.3


def test_the_copy_is_a_white_box_for_the_next_attack() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((60, 1, 4, 4), dtype=np.float32)
    answers = np.eye(3, dtype=np.float32)[(x.reshape(60, -1)[:, 0] * 3).astype(int)]
    copy = clone(Data("asked", Modality.VISION, x), answers, 0, steps=60)
    assert isinstance(copy, Model)
    check_model(copy, x[:5])
    assert copy.grad is not None and copy.weights is not None
    assert (copy.query(x).argmax(1) == answers.argmax(1)).mean() > 0.8


def test_a_transfer_set_uses_own_records_first_and_mixes_the_rest() -> None:
    held = np.random.default_rng(0).random((10, 1, 2, 2), dtype=np.float32)
    rng = np.random.default_rng
    own = {row.tobytes() for row in held}
    assert {row.tobytes() for row in transfer_set(held, 10, rng(1))} == own
    assert len(transfer_set(held, 25, rng(1), mix=False)) == 10
    mixed = transfer_set(held, 25, rng(1))
    assert mixed.shape == (25, 1, 2, 2) and mixed.dtype == held.dtype
    assert mixed.min() >= held.min() and mixed.max() <= held.max()
    assert {row.tobytes() for row in mixed[:10]} == own


@pytest.mark.parametrize("output", [Output.LABELS, Output.LOGITS, Output.PROBABILITIES])
def test_answers_in_any_units_become_probabilities(output: Output) -> None:
    logits = np.random.default_rng(0).standard_normal((6, 4)) * 50
    rows = np.exp(logits - logits.max(1, keepdims=True))
    rows /= rows.sum(1, keepdims=True)
    told = {Output.LABELS: logits.argmax(1), Output.LOGITS: logits, Output.PROBABILITIES: rows}
    got = probabilities(told[output], output, 4)
    assert np.allclose(got.sum(1), 1)
    if output is Output.LABELS:
        assert np.array_equal(got.argmax(1), logits.argmax(1))
    else:
        assert np.allclose(got, rows, atol=1e-6)


def test_a_thief_who_keeps_the_owners_history_is_not_seen_in_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((160, 6))
    model = Model("by the first number", Modality.TABULAR, _by_sign, Output.PROBABILITIES, 2)
    moved = np.concatenate([x[:40] + 0.01 * step for step in range(4)])
    lowest = {}
    for known in (False, True):
        applied = (Applied("prada", {}),) if known else ()
        brief = ExtractionBrief(Data("own", Modality.TABULAR, x), 2, 160)
        transfer = Transfer(View(model, brief, applied), 160)
        spare = natural(x[40:], np.random.default_rng(1))
        answers = Unnoticed.of(transfer, 0.9, lambda spare=spare: next(spare)).ask(moved)
        watch = QueryDistances(40)
        labels = transfer.answers.argmax(1)
        rows = zip(transfer.x, labels, strict=True)
        lowest[known] = min(watch.add(row, int(label)) for row, label in rows)
        assert transfer.left == 0
        # What was left out has no answer.
        assert np.isnan(answers).any() == known
    assert lowest[False] < 0.87 < 0.89 < lowest[True]


def _by_sign(x: Any) -> Any:
    right = np.where(np.asarray(x)[:, :1] > 0, 0.9, 0.1)
    return np.concatenate([right, 1 - right], 1)


def test_records_that_are_asked_again_cost_as_many_queries_and_are_averaged() -> None:
    draws = np.random.default_rng(0)

    def query(x: Any) -> Any:
        return _by_sign(x) + np.array([[1, -1]]) * draws.uniform(-0.1, 0.1, (len(x), 1))

    model = Model("noisy", Modality.TABULAR, query, Output.PROBABILITIES, 2)
    x = draws.standard_normal((50, 3))
    brief = ExtractionBrief(Data("own", Modality.TABULAR, x), 2, 100)
    gaps = {}
    for repeats in (1, 9):
        transfer = Transfer(View(model, brief), 100, repeats=repeats)
        got = transfer.ask(x)
        assert len(got) == (50 if repeats == 1 else 11)
        assert transfer.left == (50 if repeats == 1 else 0)
        gaps[repeats] = np.abs(got - _by_sign(x[: len(got)])).mean()
    assert gaps[9] < gaps[1] / 2
