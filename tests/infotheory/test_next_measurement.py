"""Which defense, how settled that is, and which cell to measure next."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from hartley.core.errors import UsageError
from hartley.infotheory.decisions import minimax
from hartley.infotheory.next_measurement import (
    next_measurements,
    stability,
    two_piece,
    worst_ends,
)


def normal_draws(mean, error, n=4000, seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(mean) + np.asarray(error) * rng.normal(size=(n, *np.shape(mean)))


def test_the_price_of_a_single_defense_by_hand():
    """Either of two defenses leaves 0.6 of one leak; a fair mixture leaves 0.5 of every one."""
    residuals = [[0.4, 0.6, 0.9], [0.6, 0.4, 0.9], [0.5, 0.5, 0.9]]
    choice = minimax(residuals)
    assert (choice.pure, choice.value) == (pytest.approx(0.6), pytest.approx(0.5))
    assert choice.price_of_determinism == pytest.approx(0.1)
    assert choice.mixture == pytest.approx([0.5, 0.5, 0.0])
    with pytest.raises(UsageError, match="1 of 4 without one, the first in row 1, column 0"):
        minimax([[0.1, 0.2], [math.nan, 0.3]])
    with pytest.raises(UsageError, match="best utility"):
        minimax(residuals, [0.9, 0.8, 0.7], 0.95)


def test_draws_reach_the_limits():
    u = np.random.default_rng(0).random((20_000, 1))
    x = two_piece([[0.5, 0.3, 0.9]], u)[:, 0]
    assert np.mean(x < 0.3) == pytest.approx(0.05, abs=0.006)
    assert np.mean(x > 0.9) == pytest.approx(0.05, abs=0.006)
    assert np.median(x) == pytest.approx(0.5, abs=0.01)
    assert (two_piece([[0.0, 0.0, 0.1]], u) >= 0).all()
    assert two_piece([[0.2, math.nan, math.nan]], u).std() < 1e-12


def test_stability():
    mean = np.array([[0.3, 0.5], [0.4, 0.2]])
    settled = stability(mean, normal_draws(mean, 0.001))
    assert settled.defense == 0 and settled.share == 1.0 and settled.worst[0] == 0.4
    tie = stability([[0.5, 0.5]], normal_draws([[0.5, 0.5]], 0.1))
    assert 0.45 < tie.share < 0.55 and tie.shares.sum() == pytest.approx(1)
    # The largest of many leaks that are 0 is 0, however far its noisy draws are above it.
    zero = worst_ends(np.zeros(9), np.abs(normal_draws(np.zeros(9), 0.1)))
    assert zero[0] == 0 < zero[1] < 0.35
    only = stability(mean, normal_draws(mean, 0.001), allowed=[False, True])
    assert only.defense == 1 and only.shares[0] == 0
    with pytest.raises(UsageError, match="not a leak of 0"):
        stability([[math.nan, 1]], np.ones((3, 1, 2)))
    with pytest.raises(UsageError, match="allowed"):
        stability(mean, normal_draws(mean, 0.1), allowed=[False, False])
    with pytest.raises(UsageError, match="shape"):
        stability(mean, np.ones((3, 2, 1)))


def test_the_ends_of_the_largest_of_many_hold_for_all_of_them_together():
    """Eight leaks alike: the largest of their own lower ends would be wrong in a sixth."""
    rng, noise = np.random.default_rng(5), normal_draws(np.zeros(8), 0.02, 1000)
    truth, wrong, alone, too_low = np.full(8, 0.3), 0, 0, 0
    for _ in range(400):
        points = truth + 0.02 * rng.normal(size=8)
        low, high = worst_ends(points, points + noise)
        wrong += low > 0.3
        too_low += high < 0.3
        alone += (points - norm.isf(0.025) * 0.02).max() > 0.3
    assert wrong <= 18 < alone and too_low == 0  # of 400, 10 are right; P(19 or more) = 0.7 %


def test_leaks_that_are_beyond_doubt_smaller_do_not_widen_the_largest():
    points = np.array([0.6, *np.linspace(0.05, 0.2, 60)])
    draws = normal_draws(points, 0.02, 4000)
    low, high = worst_ends(points, draws)
    one = np.quantile(draws[:, 0], [0.025, 0.975])
    assert low == pytest.approx(one[0], abs=0.002) and high == pytest.approx(one[1], abs=1e-9)


def test_the_worst_leak_of_the_defense_that_looks_best_is_not_too_small():
    """Eight defenses alike: the least of their own upper ends would be too low in a sixth."""
    rng, noise = np.random.default_rng(6), normal_draws(np.zeros((1, 8)), 0.02, 1000)
    wrong = alone = 0
    for _ in range(400):
        points = 0.3 + 0.02 * rng.normal(size=(1, 8))
        chosen = stability(points, points + noise).worst
        wrong += chosen[2] < 0.3
        alone += chosen[0] + norm.isf(0.025) * 0.02 < 0.3
    assert wrong <= 18 < alone


def test_the_value_of_one_measurement_has_a_closed_form():
    """One attack, two defenses: the unit normal loss of the difference."""
    mean, error, n = [[0.5, 0.6]], [[0.0001, 0.2]], [[100, 100]]
    (first, *_) = next_measurements(normal_draws(mean, error, 40_000), n, multiples=(1.0,))
    assert first.defense == 1
    spread = 0.2 * math.sqrt(0.5)  # as many uses again halve the variance
    u = 0.1 / spread
    loss = spread * (norm.pdf(u) - u * norm.sf(u))
    assert first.value == pytest.approx(loss, rel=0.08)
    assert first.changes == pytest.approx(norm.sf(u), abs=0.05)
    certain = 0.2 * (norm.pdf(0.5) - 0.5 * norm.sf(0.5))
    assert first.certain == pytest.approx(certain, rel=0.06)


def test_the_cell_that_is_picked_is_the_one_that_helps_most_when_really_measured():
    """Against brute force: draw the truth, measure each cell, choose anew, and look at the leak."""
    mean = np.array([[0.50, 0.44, 0.30], [0.20, 0.46, 0.52], [0.10, 0.30, 0.20]])
    error = np.array([[0.01, 0.01, 0.20], [0.10, 0.12, 0.01], [0.15, 0.02, 0.15]])
    uses = np.full((3, 3), 200)
    draws = normal_draws(mean, error, 3000)
    ranked = next_measurements(draws, uses, multiples=(1.0,))
    rng = np.random.default_rng(9)
    gain = np.zeros((3, 3))
    truths = normal_draws(mean, error, 1500, seed=3)
    now = int(draws.max(1).mean(0).argmin())
    for i, j in np.ndindex(3, 3):
        for truth in truths:
            result = truth[i, j] + error[i, j] * rng.normal()  # 200 further uses
            after = draws.copy()
            centre = 0.5 * (mean[i, j] + result)
            after[:, i, j] = centre + math.sqrt(0.5) * (draws[:, i, j] - mean[i, j])
            choice = int(after[:400].max(1).mean(0).argmin())
            gain[i, j] += (truth[:, now].max() - truth[:, choice].max()) / len(truths)
    best = np.unravel_index(gain.argmax(), gain.shape)
    assert (ranked[0].attack, ranked[0].defense) == best
    assert ranked[0].value == pytest.approx(gain[best], abs=0.006)
    for row in ranked:
        assert row.value == pytest.approx(gain[row.attack, row.defense], abs=0.008)


def test_nothing_is_worth_measuring_where_the_choice_is_settled():
    mean = np.array([[0.1, 0.9], [0.2, 0.8]])
    rows = next_measurements(normal_draws(mean, 0.01), np.full((2, 2), 100))
    assert max(row.value for row in rows) == 0.0 and not any(row.changes for row in rows)


def test_an_open_cell_is_worth_a_look_where_it_may_decide():
    rng = np.random.default_rng(0)
    draws = normal_draws([[0.5, 0.4], [0.3, 0.3]], 0.02)
    draws[:, 1, 1] = rng.uniform(0, 0.9, len(draws))
    unknown = np.array([[False, False], [False, True]])
    first = next_measurements(draws, [[100, 100], [100, 0]], open_cells=unknown)[0]
    assert (first.attack, first.defense, first.open) == (1, 1, True)
    assert 0.2 < first.changes < 0.8 and first.uses == 50
    # One use of a measured cell tells as much as one of the others.
    with pytest.raises(UsageError, match="every cell is open"):
        next_measurements(draws, np.ones((2, 2)), open_cells=np.ones((2, 2), bool))
    with pytest.raises(UsageError, match="uses must have shape"):
        next_measurements(draws, np.ones(2))


def test_more_uses_are_asked_for_where_few_say_little():
    near, far = (
        next_measurements(normal_draws([[0.5, rival]], [[0.0001, 0.1]]), [[100, 100]])[0]
        for rival in (0.51, 0.68)
    )
    assert far.uses > near.uses and near.value <= near.certain and far.defense == 1
