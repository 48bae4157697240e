"""The interval of a rate keeps its level, over clusters too, whatever they have in common."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.channel.bounds.clustered_rate import BETTING, EXACT, betting_low, rate_interval
from hartley.infotheory.binary_channel import clopper_pearson


def test_independent_rows_have_the_exact_interval():
    values = np.repeat([1.0, 0.0], [7, 33])
    rate = rate_interval(values, None)
    low, high = clopper_pearson(7, 40, 0.025)
    assert (rate.low, rate.high, rate.method) == (low, high, EXACT)
    assert rate_interval(values, np.arange(40)).low == low
    assert rate_interval(values, np.arange(40) // 2).method == BETTING


@pytest.mark.parametrize(("m", "p"), [(3, 0.5), (12, 0.1), (40, 0.3)])
@pytest.mark.parametrize("spread", ["all or nothing", "two kinds", "as prompts differ"])
def test_the_level_holds_over_clusters(m, p, spread):
    rng = np.random.default_rng(m)
    missed, repeats = 0, 60
    for _ in range(repeats):
        sizes = rng.integers(1, 12, m)
        if spread == "all or nothing":
            chances = (rng.random(m) < p).astype(float)
        elif spread == "two kinds":  # fixed rates: those of half are twice those of the others
            chances = np.where(np.arange(m) % 2, p * 4 / 3, p * 2 / 3)
        else:
            chances = rng.beta(p, 1 - p, m)
        cluster = np.repeat(np.arange(m), sizes)
        values = (rng.random(len(cluster)) < chances[cluster]).astype(float)
        truth = p if spread != "two kinds" else chances @ sizes / sizes.sum()
        rate = rate_interval(values, cluster)
        assert 0 <= rate.low <= rate.value <= rate.high <= 1
        missed += not rate.low <= truth <= rate.high
    assert missed <= 9  # more has a chance of .08 % at the level of 5 %


def test_the_naive_interval_does_not_hold_where_this_one_does():
    rng = np.random.default_rng(0)
    naive, ours = 0, 0
    for _ in range(50):
        hits = np.repeat(rng.random(20) < 0.3, 10).astype(float)
        low, high = clopper_pearson(hits.sum(), 200, 0.025)
        naive += not low <= 0.3 <= high
        rate = rate_interval(hits, np.repeat(np.arange(20), 10))
        ours += not rate.low <= 0.3 <= rate.high
    assert naive > 15 and ours <= 8


def test_the_interval_narrows_with_clusters_and_not_with_their_rows():
    def width(m, size):
        hits = np.repeat(np.arange(m) % 4 == 0, size).astype(float)
        rate = rate_interval(hits, np.repeat(np.arange(m), size))
        return rate.high - rate.low

    assert width(200, 5) == pytest.approx(width(200, 50), rel=1e-6)
    assert width(800, 5) < 0.6 * width(200, 5)
    # Clusters without spread between them are worth more than their number.
    even = rate_interval(np.tile([1.0, 0, 0, 0], 200), np.repeat(np.arange(200), 4))
    assert even.high - even.low < 0.5 * width(200, 4)


def test_one_cluster_says_little_and_extremes_stay_in_range():
    rate = rate_interval(np.ones(500), np.zeros(500, np.int64))
    assert rate.low <= 0.05 and rate.high == 1.0 and rate.clusters == 1
    rate = rate_interval(np.zeros(12), np.arange(12) // 3)
    assert rate.low == 0.0 and 0.3 < rate.high < 1.0
    assert betting_low(np.array([1.0]), np.array([1.0]), 0.05) == pytest.approx(0.05, rel=0.4)
