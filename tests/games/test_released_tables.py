"""Games on released tables: bits against closed forms, ceilings, and a table that says nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hartley
from hartley import catalog
from hartley.attacks.data_to_data.decryption._shared.match_weights import learnt_rates
from hartley.channel.bounds.ceilings import dp_mi
from hartley.core import Modality, Scene
from hartley.core.errors import HartleyError, RunError, UsageError
from hartley.engine.defend import defended
from hartley.games.decryption import linkability, released_tables
from hartley.games.decryption.singling_out import singling_out
from hartley.infotheory.gaussian import h2
from hartley.kit.releases.table_release import TableRelease
from hartley.scenes.released_tumours import released_tumours

PAIRED = ("row_predicates", "common_neighbour", "nearest_value", "closest_record", "density_ratio")


def live() -> Scene:
    return released_tables.live(Modality.TABULAR, np.random.default_rng(0))


def bits(name: str, scene: Scene, **params: Any) -> Any:
    return hartley.measure(hartley.play(name, scene, seed=0, **params), redraws=1)


def with_publish(scene: Scene, publish: Any) -> Scene:
    return scene.with_part(replace(scene.part(TableRelease), publish=publish))


def test_one_of_each_pair_is_in_the_table_and_the_other_is_not() -> None:
    scene = live()
    for one in released_tables.publications(scene, np.random.default_rng(3), 5):
        assert np.array_equal(one.release.x[one.rows], one.people[one.inside])
        assert len(set(one.inside) | set(one.outside)) == len(one.people) == 2 * len(one.coins)
        rows = {row.tobytes() for row in np.asarray(one.release.x)}
        assert not rows & {row.tobytes() for row in one.people[one.outside]}
        assert np.bincount(one.rows).max() == 1


def test_what_the_defense_is_the_people_and_the_coins_are_the_same() -> None:
    scene = live()
    other = defended(scene, catalog.load("defense", "dp_synthesis"))
    first, second = (
        released_tables.publications(s, np.random.default_rng(3), 3) for s in (scene, other)
    )
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.people, b.people) and np.array_equal(a.coins, b.coins)
        assert not np.array_equal(a.release.x, b.release.x)


def test_a_table_of_which_three_tenths_are_true_carries_three_tenths_of_a_bit() -> None:
    """A row is published as it is at rate 0.3, and is a stranger's otherwise: a = 0.3 and c = 0."""

    def publish(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        strangers = released_tables._random_table(len(table), rng)
        return np.where((rng.random(len(table)) < 0.3)[:, None], table, strangers)

    channel = bits("row_predicates", with_publish(live(), publish))
    assert channel.bits.value == pytest.approx(0.3, abs=0.04)
    assert channel.bits.lower < 0.3 < channel.high
    assert channel.metrics["attack_rate"]["value"] == pytest.approx(0.3, abs=0.04)
    assert channel.metrics["control_rate"]["value"] == 0.0


def test_rates_and_bits_agree_as_the_design_says() -> None:
    """Published rows of a quarter of those inside and of an eighth of the others."""
    scene = live()
    people = np.asarray(scene.extra["people"].x)

    def publish(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        inside = {row.tobytes() for row in table}
        others = np.array([row for row in people if row.tobytes() not in inside])
        return np.concatenate(
            [table[rng.random(len(table)) < 0.25], others[rng.random(len(others)) < 0.125]]
        )

    scene = with_publish(scene, publish)
    scene = scene.with_part(replace(scene.part(TableRelease), rows=False))
    u, v = 0.25 * 0.875, 0.125 * 0.75
    truth = (u + v) * (1 - h2(u / (u + v)))
    channel = hartley.measure(
        hartley.play("row_predicates", scene, seed=0, game_params={"rounds": 300}), redraws=1
    )
    assert channel.bits.value == pytest.approx(truth, abs=0.02)
    assert channel.bits.lower <= truth <= channel.high


@pytest.mark.parametrize("name", [*PAIRED, "multivariate_predicates", "univariate_predicates"])
def test_an_independent_draw_of_tumours_says_nothing(name: str) -> None:
    channel = bits(name, released_tumours(release="independent"), game_params={"rounds": 20})
    assert channel.bits.lower == 0.0 and channel.bits.value < 0.02


def test_a_copy_of_the_tumours_is_near_the_ceiling() -> None:
    scene = released_tumours()
    for name in ("row_predicates", "multivariate_predicates", "closest_record"):
        assert bits(name, scene, game_params={"rounds": 20}).bits.value > 0.95
    linked = bits("nearest_row", scene)
    assert linked.bits.value > 0.95 * math.log2(120) and linked.ceiling.value <= math.log2(120)


@pytest.mark.parametrize("rho", [0.02, 0.5])
def test_private_synthesis_stays_below_its_ceiling(rho: float) -> None:
    scene = defended(live(), catalog.load("defense", "dp_synthesis"), {"rho": rho})
    for name in ("closest_record", "row_predicates", "nearest_value"):
        channel = bits(name, scene)
        assert channel.ceiling.value == pytest.approx(min(1.0, rho / 2 / math.log(2)))
        assert channel.bits.lower <= channel.ceiling.value
        assert channel.bits.value <= channel.ceiling.value
    assert bits("nearest_row", scene).bits.lower == 0.0


def test_local_privacy_stays_below_its_ceiling_and_an_attacker_who_knows_it_links_more() -> None:
    scene = defended(live(), catalog.load("defense", "local_dp"), {"epsilon": 8.0})
    channel = bits("closest_record", scene)
    assert 0 < channel.bits.value <= channel.ceiling.value == pytest.approx(dp_mi(8.0))
    adaptive = bits("fellegi_sunter", scene)
    static = hartley.measure(
        hartley.play("fellegi_sunter", scene, seed=0, undefended=live(), knowledge="static"),
        redraws=1,
    )
    assert adaptive.bits.value > static.bits.value + 0.1
    assert adaptive.bits.value <= adaptive.ceiling.value <= 5.0


def test_a_proof_is_dropped_where_the_table_is_published_anew_without_it() -> None:
    local = defended(live(), catalog.load("defense", "local_dp"), {"epsilon": 1.0})
    after = defended(local, catalog.load("defense", "k_anonymity"), {"k": 4})
    assert [bound.kind for bound in after.bounds] == ["dp", "dp"]  # k-anonymity is processing
    again = defended(local, catalog.load("defense", "dp_synthesis"), {"rho": 1.0})
    assert [bound.kind for bound in again.bounds] == ["zcdp"]


@pytest.mark.parametrize(
    "column, value, message",
    [
        (0, math.nan, "a row must be a whole number from -1 to 63, got nan"),
        (0, 0.5, "a row must be a whole number from -1 to 63, got 0.5"),
        (0, 64, "a row must be a whole number from -1 to 63, got 64"),
        (1, math.nan, "must be a finite number"),
        (1, math.inf, "must be a finite number"),
        (1, 0.0, "a claim must be surer than 0"),
    ],
)
def test_claims_that_are_no_rows_are_refused(column: int, value: float, message: str) -> None:
    guess = np.stack([np.arange(64.0), np.ones(64)], 1)
    guess[3, column] = value
    with pytest.raises(RunError, match=message):
        linkability._claims(hartley.Outcome(guess=guess), 64)


def test_rates_of_agreement_are_those_of_all_pairs_at_any_width() -> None:
    """A mixture fitted on every pair by itself, without patterns."""
    rng = np.random.default_rng(0)
    for width in (5, 31, 70, 130):
        true = rng.random((12, 30, width)) < np.linspace(0.1, 0.4, width)
        true[np.arange(12), np.arange(12)] = rng.random((12, width)) < 0.95
        flat = true.reshape(-1, width).astype(float)
        share, others = 1 / 30, np.clip(flat.mean(0), 1e-4, 1 - 1e-4)
        pairs = np.maximum(0.9, others)
        for _ in range(10):
            logs = [
                math.log(part) + flat @ np.log(rate) + (1 - flat) @ np.log(1 - rate)
                for part, rate in ((share, pairs), (1 - share, others))
            ]
            weight = 1 / (1 + np.exp(np.clip(logs[1] - logs[0], -500, 500)))
            pairs = np.clip(flat.T @ weight / weight.sum(), 1e-4, 1 - 1e-4)
            share = min(weight.mean(), 1 / 30)
        learnt = learnt_rates(true, 10)
        np.testing.assert_allclose(learnt[0], pairs, rtol=1e-6)
        np.testing.assert_allclose(learnt[1], others, rtol=1e-9)


def test_what_cannot_be_played_is_said_in_one_line() -> None:
    scene = live()
    few = replace(
        scene, extra={**scene.extra, "people": replace(scene.extra["people"], x=np.zeros((6, 6)))}
    )
    with pytest.raises(UsageError, match="at least 8 pairs of people, got 3"):
        singling_out(few, np.random.default_rng(0))
    with pytest.raises(HartleyError, match="k must be at most the 32 rows"):
        bits("row_predicates", defended(scene, catalog.load("defense", "k_anonymity"), {"k": 33}))
