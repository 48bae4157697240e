"""What is recorded of an attack's cost does not depend on which attack came first."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.membership.rmia import rmia
from hartley.core import Data, Ensemble, Modality, Scene, Trials
from hartley.engine.result.document import measured
from hartley.engine.run import answer_cache
from hartley.engine.run.play import deal, play
from hartley.games.membership.membership import membership
from hartley.store.table import trials_from_bytes, trials_to_bytes

NAP = 0.5
"""Seconds that training takes here, far more than what an attack does by itself."""


def _slow() -> Scene:
    scene = membership.live(Modality.TABULAR, np.random.default_rng(0))
    assert scene.model is not None
    fit = scene.model.fit
    assert fit is not None

    def slow(data: Data, include: Any, seed: int) -> Ensemble:
        time.sleep(NAP)
        return fit(data, include, seed)

    return replace(scene, model=scene.model.with_(fit=slow))


def _both(order: tuple[Any, ...]) -> dict[str, Trials]:
    scene = _slow()
    dealt = deal(lira, scene, seed=0, params={"rounds": 2})
    return {
        attack.name: play(
            attack, scene, seed=0, params={"references": 8}, game_params={"rounds": 2}, dealt=dealt
        )
        for attack in order
    }


def test_two_orders_of_two_attacks_that_share_references_book_the_same() -> None:
    answer_cache.forget()
    one, other = _both((lira, rmia)), _both((rmia, lira))
    for name in ("lira", "rmia"):
        first, second = one[name], other[name]
        for trials in (first, second):
            assert trials.spec.seconds is not None and trials.spec.seconds < NAP / 2
            assert trials.costs["cost_s"].sum() == pytest.approx(trials.spec.seconds)
            assert NAP < trials.shared_seconds["reference models"] < NAP * 1.5
            assert "answers of reference models" in trials.shared_seconds
            assert trials.cost["models"] == 8 / 2, "8 models over two rounds, whoever trained them"
        np.testing.assert_array_equal(first.guess, second.guess)
        assert first.shared_seconds.keys() == second.shared_seconds.keys()


def test_who_trains_no_references_has_none_of_their_time() -> None:
    scene = _slow()
    dealt = deal(lira, scene, seed=0, params={"rounds": 2})
    params = {"references": 4}
    play(lira, scene, seed=0, params=params, game_params={"rounds": 2}, dealt=dealt)
    bare = play(loss_threshold, scene, seed=0, game_params={"rounds": 2}, dealt=dealt)
    assert set(bare.shared_seconds) <= {"answers of victims"}
    assert "models" not in bare.cost


def test_an_answer_that_is_recalled_costs_both_attacks_its_time() -> None:
    answer_cache.forget()
    scene = membership.live(Modality.TABULAR, np.random.default_rng(0))
    dealt = deal(loss_threshold, scene, seed=0, params={"rounds": 1})
    (one,) = dealt.rounds
    query = one.view.model.query

    def slow(x: Any) -> Any:
        time.sleep(NAP)
        return query(x)

    view = replace(one.view, source=one.view.model.with_(query=slow))
    dealt = replace(dealt, rounds=(replace(one, view=view),))
    first, second = (
        play(loss_threshold, scene, seed=s, game_params={"rounds": 1}, dealt=dealt) for s in (0, 1)
    )
    for trials in (first, second):
        assert trials.spec.seconds is not None and trials.spec.seconds < NAP / 2
        assert trials.shared_seconds["answers of victims"] > NAP


def test_a_row_names_the_shared_work_and_its_rate_counts_it() -> None:
    from hartley.channel.measure import measure

    trials = trials_from_bytes(trials_to_bytes(_both((lira,))["lira"]))
    channel = measure(trials)
    row = measured(trials, channel)
    assert row["shared_seconds"] == dict(trials.shared_seconds)
    assert row["seconds"] == trials.spec.seconds
    whole = row["seconds"] + sum(row["shared_seconds"].values())
    assert row["rate_bits_per_s"] == pytest.approx(channel.bits.value * channel.n / whole)
