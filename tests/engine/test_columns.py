"""What a play keeps of each row: who may say it, what is checked, and what measure makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from hartley.attacks.data_to_data.watermark.compression import compression
from hartley.attacks.data_to_model.poisoning.badnets import badnets
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.channel.measure import measure
from hartley.core import (
    AnswerForm,
    Axis,
    ChannelSpec,
    Data,
    Deal,
    Modality,
    Outcome,
    Received,
    Round,
    Trials,
    View,
)
from hartley.core.errors import RunError
from hartley.engine.result.document import measured
from hartley.engine.run.play import play
from hartley.engine.run.trial_columns import complete
from hartley.games.membership.membership import MembershipBrief, live
from hartley.games.memorization import memorization
from hartley.games.poisoning import poisoning
from hartley.games.watermark import watermark
from hartley.store import trials_from_bytes, trials_to_bytes

WIRE = live(Modality.TABULAR, np.random.default_rng(0))
SPENT = [{"cost_queries": 6.0, "cost_s": 0.3}, {"cost_queries": 0.0, "cost_s": 0.1}]
NOISE = 0.15


@dataclass(frozen=True)
class Seen:
    """What an attacker knows.

    Attributes:
        question: records.
        seen: the secret bits, some of them flipped.
    """

    question: Data
    seen: np.ndarray


def dealt(sizes=(3, 2), alphabet=2):
    rng = np.random.default_rng(1)
    return [Round(View(None, None), rng.integers(0, alphabet, m), alphabet) for m in sizes]


def got(rounds, **more):
    return [
        Received(
            guess=np.zeros(len(one.truth)),
            **{
                name: {k: v[i] for k, v in value.items()} if name == "columns" else value[i]
                for name, value in more.items()
            },
        )
        for i, one in enumerate(rounds)
    ]


def test_rows_are_named_and_share_what_their_round_cost():
    rounds = dealt()
    found = complete(loss_threshold, rounds, got(rounds), SPENT)
    assert found["trial"].tolist() == found["order"].tolist() == [0, 1, 2, 3, 4]
    assert found["item"].tolist() == [0, 1, 2, 0, 1]
    assert found["costs"]["cost_queries"].tolist() == [2.0, 2.0, 2.0, 0.0, 0.0]
    assert found["costs"]["cost_s"] == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05])
    assert set(found) == {"trial", "item", "order", "costs"}


def test_the_judge_s_columns_are_joined_and_the_order_of_an_attack_is_kept_within_its_round():
    rounds = dealt()
    columns = {
        "item": [[7, 7, 7], [2, 2]],
        "order": [[0.3, 0.1, 0.2], [5.0, 4.0]],
        "p_null": [[1, 0.5, 1e-9], [1, 1]],
        "distortion": [[0.0, 2.0, 0.5], [1.0, 1.0]],
    }
    found = complete(loss_threshold, rounds, got(rounds, columns=columns), SPENT)
    assert found["item"].tolist() == [7, 7, 7, 2, 2]
    assert found["order"].tolist() == [2, 0, 1, 4, 3]
    assert found["p_null"].tolist() == [1, 0.5, 1e-9, 1, 1]
    assert found["costs"]["distortion"].tolist() == [0.0, 2.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"gain": [[0, 1, 2], [0, 0]]}, "gain must be at least 0 and at most 1, got 2"),
        ({"p_null": [[0, 1, 1], [1, 1]]}, "p_null must be above 0 and at most 1, got 0"),
        ({"observed": [[0, 0.5, 1], [1, 1]]}, "whole"),
        ({"observed": [[0, -1, 1], [1, 1]]}, "observed must be at least 0, got -1"),
        ({"cost_money": [[0, np.nan, 1], [1, 1]]}, "NaN"),
        ({"cost_tokens": [[0, 1], [1, 1]]}, r"must have shape \(3,\), got \(2,\)"),
        ({"item": [["a", "b", "c"], [1, 1]]}, "another type"),
        ({"logq": [[0, 0, 0], [0, 0]]}, "a column must be one of .*, got 'logq'"),
        ({"cost_queries": [[0, 0, 0], [0, 0]]}, "a column must be one of .*, got 'cost_queries'"),
    ],
)
def test_a_wrong_column_fails_the_play(columns, words):
    rounds = dealt()
    with pytest.raises(RunError, match=words):
        complete(loss_threshold, rounds, got(rounds, columns=columns), SPENT)


def test_a_column_of_some_rounds_fails_the_play():
    rounds = dealt()
    one, two = got(rounds)
    for part in ({"columns": {"gain": np.ones(3)}}, {"posterior": np.full(3, 0.5)}):
        with pytest.raises(RunError, match="in every round or in none"):
            complete(loss_threshold, rounds, [replace(one, **part), two], SPENT)


def test_the_engine_looks_up_the_true_symbol_of_a_posterior():
    for alphabet in (2, 5):
        rounds = dealt(alphabet=alphabet)
        rng = np.random.default_rng(2)
        laws = [rng.dirichlet(np.ones(alphabet), len(one.truth)) for one in rounds]
        truth = np.concatenate([one.truth for one in rounds])
        known = np.log2(np.concatenate(laws)[np.arange(len(truth)), truth])
        found = complete(loss_threshold, rounds, got(rounds, posterior=laws), SPENT)
        assert found["logq"] == pytest.approx(known)
    bits = dealt()
    ones = [np.array([0.9, 0.2, 0.0]), np.array([1.0, 0.5])]
    found = complete(loss_threshold, bits, got(bits, posterior=ones), SPENT)["logq"]
    truth = np.concatenate([one.truth for one in bits])
    chance = np.where(truth == 1, np.concatenate(ones), 1 - np.concatenate(ones))
    assert found == pytest.approx(np.log2(np.maximum(chance, 2.0**-1000)))


@pytest.mark.parametrize(
    "laws",
    [
        [np.full((3, 3), 1 / 3), np.full((2, 3), 1 / 3)],
        [np.full((3, 2), 0.4), np.full((2, 2), 0.5)],
        [np.array([1.2, 0, 0]), np.zeros(2)],
        [np.array([np.nan, 0, 0]), np.zeros(2)],
        [np.full(2, 0.5), np.full(2, 0.5)],
    ],
    ids=["alphabet", "sum", "above 1", "nan", "rows"],
)
def test_what_is_no_posterior_fails_the_play(laws):
    rounds = dealt()
    with pytest.raises(RunError, match="posterior"):
        complete(loss_threshold, rounds, got(rounds, posterior=laws), SPENT)


def _noisy(scene, rng, **_):
    """A bit sent through noise: its posterior is known exactly."""
    rounds = []
    for _ in range(40):
        truth = rng.integers(0, 2, 50)
        seen = np.where(rng.random(50) < NOISE, 1 - truth, truth)
        rounds.append(Round(replace(VIEW, brief=Seen(WIRE.extra["pool"], seen)), truth))
    return Deal(rounds=tuple(rounds), cluster=False)


VIEW = View(WIRE.model, None)
GAME = replace(loss_threshold.game, play=_noisy, brief=Seen, axis=Axis.MODEL_TO_DATA)


def _reader(sure):
    def run(view, rng, **_):
        seen = view.brief.seen.astype(float)
        view.model.query(view.brief.question.x[:5])
        return Outcome(
            guess=seen,
            asset=Data("seen", Modality.TABULAR, seen[:, None]),
            posterior=np.where(seen == 1, sure, 1 - sure),
            columns={"cost_tokens": np.full(50, 3.0)},
        )

    return replace(loss_threshold, run=run, game=GAME)


def test_a_posterior_of_an_attack_is_measured_as_its_cross_entropy():
    true = 1 - (-NOISE * np.log2(NOISE) - (1 - NOISE) * np.log2(1 - NOISE))
    played = play(_reader(1 - NOISE), WIRE, seed=3)
    channel = measure(played)
    told = channel.metrics["bits_posterior"]
    assert told["low"] < true < told["high"] and told["high"] - told["low"] < 0.15
    # An attacker who is too sure of himself knows less than he could.
    vain = measure(play(_reader(0.999), WIRE, seed=3))
    assert vain.metrics["bits_posterior"]["value"] < told["value"] - 0.3
    # Neither changes the bits.
    without = measure(replace(played, logq=None, costs={}, order=None))
    for name in ("value", "lower"):
        assert getattr(channel.bits, name) == getattr(without.bits, name)
        assert getattr(vain.bits, name) == getattr(without.bits, name)
    assert channel.metrics["cost_tokens"]["value"] == 3.0
    assert channel.uses == 200 and played.costs["cost_queries"].sum() == pytest.approx(200)
    assert played.costs["cost_s"].sum() == pytest.approx(played.spec.seconds)


def test_the_same_play_has_the_same_id_and_any_other_has_not():
    one = play(_reader(0.9), WIRE, seed=3)
    assert len(one.run_id) == 16 and one.run_id == play(_reader(0.9), WIRE, seed=3).run_id
    others = [
        play(_reader(0.9), WIRE, seed=4),
        play(_reader(0.9), WIRE, seed=3, budget=9000),
        play(_reader(0.9), WIRE, seed=3, undefended=WIRE),
        play(_reader(0.9), replace(WIRE, digest="other"), seed=3),
    ]
    assert len({one.run_id, *(o.run_id for o in others)}) == 5


def test_the_games_fill_what_they_know():
    rng = np.random.default_rng(0)
    removed = play(compression, watermark.live(Modality.VISION, rng), seed=1)
    photos = removed.item.reshape(-1, 32)
    assert (photos == photos[:, :1]).all() and len(np.unique(photos)) > 1
    error = removed.costs["distortion"].reshape(-1, 32)[:, 0]
    assert error.min() > 0
    assert -10 * np.log10(error).mean() == pytest.approx(removed.metrics["psnr"], rel=1e-6)
    assert measure(removed).metrics["distortion"]["value"] == pytest.approx(error.mean())

    poisoned = play(badnets, poisoning.live(Modality.VISION, rng), seed=1)
    spent = poisoned.costs["poison_n"]
    assert (
        spent.mean() == pytest.approx(poisoned.metrics["poisons_per_trigger"]) and spent.min() > 0
    )
    channel = measure(poisoned)
    per = channel.metrics["bits_per_poison"]
    assert per["value"] * spent.mean() == pytest.approx(channel.bits.value, abs=0.2)
    assert 0 < per["low"] <= per["value"]

    read = play(exposure, memorization.live(Modality.LANGUAGE, rng), seed=1)
    assert read.p_null == pytest.approx(read.guess / read.spec.alphabet)
    with_it, without = measure(read), measure(replace(read, p_null=None))
    assert with_it.leakage.lower == pytest.approx(without.leakage.lower, rel=1e-6)
    assert with_it.metrics["bits_posterior"]["value"] > 0.5 * with_it.bits.value


def test_a_play_survives_its_file():
    played = play(_reader(0.9), WIRE, seed=3)
    read = trials_from_bytes(trials_to_bytes(played))
    assert read.run_id == played.run_id
    for name in ("trial", "item", "order", "logq"):
        assert np.array_equal(getattr(read, name), getattr(played, name))
    assert {k: v.tolist() for k, v in read.costs.items()} == {
        k: v.tolist() for k, v in played.costs.items()
    }
    assert measure(read) == measure(played)


def test_a_game_hands_out_the_brief_that_it_declares():
    other = replace(_reader(0.9), game=replace(GAME, brief=MembershipBrief))
    with pytest.raises(RunError, match="the brief must be a MembershipBrief, got Seen"):
        play(other, WIRE, seed=3)


def test_the_document_prints_the_min_capacity_that_is_certified():
    # Perfect answers: without the price of the error level it would read log2 16 = 4.
    truth = np.arange(16) % 16
    spec = ChannelSpec(form=AnswerForm.SYMBOL, alphabet=16, clustered=False)
    trials = Trials(spec, truth, truth.copy())
    row = measured(trials, measure(trials))
    assert row["leakage"] == pytest.approx(4 - np.log2(20) / 16, abs=1e-9)


def test_bits_are_shares_of_the_entropy_of_the_secret():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 16, 400)
    guess = np.where(rng.random(400) < 0.9, truth, rng.integers(0, 16, 400))
    trials = Trials(ChannelSpec(form=AnswerForm.SYMBOL, alphabet=16), truth, guess)
    row = measured(trials, measure(trials))
    for end in ("point", "low", "high"):
        assert row["bits"]["share"][end] == row["bits"][end] / 4
    assert 0.5 < row["bits"]["share"]["low"] < row["bits"]["share"]["point"] < 0.9
