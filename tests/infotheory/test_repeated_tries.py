"""Best-of-N: against closed forms, exhaustive counting and populations whose rates are known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.infotheory.decisions import best_of_n
from hartley.infotheory.repeated_tries import rate_law, success_at


def test_the_estimate_is_the_mean_over_all_choices_of_n_tries():
    counts, tries = [0, 1, 3, 5], 5
    for n in range(1, 6):
        whole = [
            np.mean([any(i < c for i in chosen) for chosen in combinations(range(tries), n)])
            for c in counts
        ]
        assert success_at(counts, tries, n) == pytest.approx(np.mean(whole), abs=1e-12)


def test_many_prompts_give_the_law_of_their_rates():
    """Beta(.3, 20): .014778 at one try and .418369 at a hundred, where one rate says .774."""
    rng = np.random.default_rng(0)
    counts = rng.binomial(50, rng.beta(0.3, 20, 20_000))
    law, one_rate = rate_law(counts, 50), rate_law(counts, 50, uniform=True)
    assert law.share(1) == pytest.approx(0.014778325, rel=0.03)
    assert law.share(100) == pytest.approx(best_of_n(0.3, 20, 100), rel=0.03)
    assert law.share(100) == pytest.approx(0.418369196, rel=0.03)
    assert one_rate.share(100) == pytest.approx(0.774, abs=0.03)


@pytest.mark.parametrize("fresh", [0, 64])
def test_forecasts_cover_what_comes_at_their_level(fresh):
    """64 prompts, 16 tries: 95 % intervals of the next 100, over populations of known rates."""
    covered, beaten = [], []
    for seed in range(100):
        rng = np.random.default_rng([seed, fresh])
        a, b = np.exp(rng.normal([-0.5, 1.5], 0.5))
        rates = rng.beta(a, b, 64)
        counts = rng.binomial(16, rates)
        future = rng.beta(a, b, fresh) if fresh else rates
        share = (rng.binomial(100, future) > 0).mean()
        guess = rate_law(counts, 16).forecast(100, fresh=fresh, rng=rng)
        one_rate = rate_law(counts, 16, uniform=True).forecast(100, fresh=fresh, rng=rng)
        covered.append(guess.low <= share <= guess.high)
        beaten.append(abs(guess.value - share) < abs(one_rate.value - share))
    assert np.mean(covered) > 0.9 and np.mean(beaten) > 0.8


def test_prompts_of_one_rate_are_not_harmed_by_the_richer_law():
    rng = np.random.default_rng(1)
    counts = rng.binomial(32, np.full(200, 0.05))
    assert rate_law(counts, 32).share(10) == pytest.approx(1 - 0.95**10, abs=0.03)


@pytest.mark.parametrize("counts", [[], [1.5], [-1], [11]])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(UsageError, match="successes must be"):
        rate_law(np.array(counts), 10)
    with pytest.raises(UsageError, match="n must be from 1 to 10, got 11"):
        success_at([1], 10, 11)
