"""One cluster, and clusters all alike: no interval is narrower than what so few draws can say."""

from dataclasses import replace

import numpy as np
import pytest
from tests.channel.trials import EVERY, jam_trials, rank_trials, score_trials, symbol_trials

from hartley.channel.bounds.degenerate_intervals import (
    LONE,
    mean_limits,
    no_variance_limits,
    share_interval,
    skewed_mean_limits,
)
from hartley.channel.measure import measure
from hartley.engine.result.document import finite
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.report.format_numbers import quantity

ALPHA = 0.05
LONELY = {
    "score": lambda m: score_trials(1.5, 240, clusters=m),
    "symbol": lambda m: symbol_trials(10, 0.7, 240, clusters=m),
    "jam": lambda m: jam_trials(0.3, 240, clusters=m),
    "rank": lambda m: rank_trials(np.random.default_rng(2).integers(1, 50, 240), clusters=m),
}


@pytest.mark.parametrize("name", LONELY)
def test_one_cluster_says_no_more_than_two(name):
    """As wide at least, for the bits and for every usual metric, and in words."""
    one, two = (measure(LONELY[name](m)) for m in (1, 2))
    assert LONE in one.bits.assumptions and LONE not in two.bits.assumptions
    assert (one.bits.lower or 0.0) <= (two.bits.lower or 0.0) and one.high >= two.high - 1e-9
    compared = 0
    for key, found in one.metrics.items():
        if isinstance(found, dict) and found.get("low") is not None:
            other = two.metrics[key]
            width = found["high"] - found["low"]
            # What was seen is the same, so that only the number of clusters sets the width.
            assert width >= 0.9 * (other["high"] - other["low"]), key
            assert width > 0, key
            compared += 1
    assert compared


@pytest.mark.parametrize("n", [1, 2, 18])
def test_a_share_of_independent_rows_has_exact_limits(n):
    for k in range(n + 1):
        found = share_interval(np.arange(n) < k, None, ALPHA)
        exact = [float(end) for end in clopper_pearson(k, n, ALPHA)]
        assert [found["low"], found["high"]] == pytest.approx(exact)
    assert share_interval(np.ones(18, bool), None, ALPHA)["low"] == pytest.approx(0.05 ** (1 / 18))
    accuracy = measure(symbol_trials(10, 1.0, 18)).metrics["accuracy"]
    assert accuracy["low"] == pytest.approx(0.05 ** (1 / 18))  # 0.847


def test_many_uses_of_one_victim_are_one_draw():
    """All 18 right: 0.05 for one victim, as for one use; the root of it for two."""
    found = measure(symbol_trials(10, 1.0, 18, clusters=1)).metrics["accuracy"]
    assert (found["low"], found["high"]) == pytest.approx((0.05, 1.0))
    found = measure(symbol_trials(10, 1.0, 18, clusters=2)).metrics["accuracy"]
    assert (found["low"], found["high"]) == pytest.approx((0.05**0.5, 1.0))


def test_equal_exposures_are_not_an_exact_mean():
    for m, units in ((1, 1), (4, 4), (0, 20)):
        found = measure(rank_trials(np.ones(20, int), 100, clusters=m)).metrics["exposure"]
        assert found["value"] == found["high"] == pytest.approx(np.log2(100))
        assert found["low"] == pytest.approx(np.log2(100) * 0.05 ** (1 / units))


@pytest.mark.parametrize("m", [0, 3])
def test_a_perfect_score_has_limits_of_its_units(m):
    """The scores of either class are apart: no rate or area has a spread."""
    found = measure(score_trials(1000.0, 120, clusters=m)).metrics
    units = m or 50  # of rows, the rarer class holds some fifty to sixty
    # Sixty negatives do not resolve a rate of one in a hundred: nothing is said of it from below.
    rate = found["tpr_at_fpr_1e2"]
    assert rate["low"] == 0.0 < rate["value"] < 1.0 == rate["high"]
    for name in ("auc", "advantage"):
        assert found[name]["value"] == 1.0 > found[name]["low"], name
        assert found[name]["low"] < 0.1 ** (1 / (units + 20)), name


def test_rounds_all_alike_have_no_exact_mean():
    """A share keeps a limit of its rounds; a figure without bounds has none, told as such."""
    each = {"identified": (1.0,) * 4, "psnr": (100.0,) * 4, "missed": (0.0,) * 4}
    found = measure(replace(score_trials(1.0, 400), metrics={}, metrics_by_round=each)).metrics
    assert found["identified"]["low"] == pytest.approx(0.05**0.25)
    assert found["identified"]["high"] == 1.0
    assert found["missed"]["high"] == pytest.approx(1 - 0.05**0.25)
    assert found["psnr"] == {"value": 100.0, "low": None, "high": None, "n": 4}
    assert quantity(finite(found["psnr"])) == ("100.0", "no interval, n 4")


def test_a_cost_that_never_varied_has_no_interval():
    x = np.full(50, 3.0)
    assert mean_limits(x, None, ALPHA) == (-np.inf, np.inf)
    assert mean_limits(x, None, ALPHA, least=0.0, most=4.0) == pytest.approx(
        (3 * 0.05**0.02, 4 - 0.05**0.02)
    )


@pytest.mark.parametrize("m", [1, 2, 5])
@pytest.mark.parametrize("rate", [0.04, 0.3, 0.5, 0.8, 0.97])
def test_equal_units_are_wrong_no_more_often_than_alpha(m, rate):
    """Victims that leak all or nothing, or by halves: each side fails in ≤ alpha of the runs."""
    rng, runs = np.random.default_rng([m, int(100 * rate)]), 20_000
    for values in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0), (rate * 1e-3, 1.0)):
        x = np.where(rng.random((runs, m)) < rate, values[1], values[0])
        mean = rate * values[1] + (1 - rate) * values[0]
        alike = x.min(1) == x.max(1)
        ends = {v: no_variance_limits(v, m, ALPHA) for v in values}
        low = np.where(x[:, 0] == values[1], ends[values[1]][0], ends[values[0]][0])
        high = np.where(x[:, 0] == values[1], ends[values[1]][1], ends[values[0]][1])
        slack = 4 * (ALPHA / runs) ** 0.5
        assert (alike & (low > mean + 1e-12)).mean() <= ALPHA + slack
        assert (alike & (high < mean - 1e-12)).mean() <= ALPHA + slack


def test_every_wire_still_has_ends_that_hold_its_value():
    for name, made in EVERY.items():
        for key, found in measure(made(3)).metrics.items():
            if isinstance(found, dict) and found.get("low") is not None:
                assert found["low"] - 1e-9 <= found["value"] <= found["high"] + 1e-9, (name, key)


def test_a_skewed_mean_has_limits_that_students_t_does_not_give():
    """Eight values of a law that is 0 for most and rarely far from it: its mean is known."""
    rng = np.random.default_rng(3)
    draws = rng.lognormal(0.0, 1.0, (3000, 8))
    truth, level = np.exp(0.5), 0.025
    wrong = np.array(
        [[limits(x, level)[1] < truth for limits in (skewed_mean_limits, plain_t)] for x in draws]
    ).mean(0)
    assert wrong[0] < 0.13 < 0.16 < wrong[1]
    # Of a law that is not skewed both are right, and of one whose sign is turned the ends are.
    even = rng.normal(size=(2000, 8))
    ends = np.array([skewed_mean_limits(x, level) for x in even])
    assert (ends[:, 0] > 0).mean() < 0.035 and (ends[:, 1] < 0).mean() < 0.035
    low, high = skewed_mean_limits(-draws[0], level)
    assert (-high, -low) == pytest.approx(skewed_mean_limits(draws[0], level))
    assert skewed_mean_limits(draws[0], level, least=0.0, most=1.5)[1] <= 1.5
    # Nothing to straighten: three values or fewer, equal ones, and ones that lie evenly.
    for x in ([0.1, 0.4], [0.2, 0.2, 0.2], [0.0, 0.1, 0.2]):
        values = np.array(x)
        assert skewed_mean_limits(values, level, least=0.0, most=1.0) == pytest.approx(
            mean_limits(values, None, level, least=0.0, most=1.0)
        )


def plain_t(x, level):
    return mean_limits(x, None, level)
