"""The reproduction number against branching processes whose number is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.infotheory.reproduction import counted, reproduction


def generations(mean, law, rng, depth=4):
    """Return how many each individual of the first generations infects."""
    out, size = [], 1
    for _ in range(depth):
        drawn = rng.poisson(mean, size) if law == "poisson" else rng.geometric(1 / (1 + mean), size)
        numbers = drawn - (law == "geometric")
        out += numbers.tolist()
        size = int(numbers.sum())
    return out


@pytest.mark.parametrize(("mean", "law"), [(0.8, "geometric"), (1.3, "poisson")])
def test_the_interval_covers_the_number_of_a_branching_process(mean, law):
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(400):
        found = reproduction([generations(mean, law, rng) for _ in range(15)])
        inside.append(found.low <= mean <= found.high)
    # 0.93 less three standard errors of 400 simulations; bench/reproduction.py plays 2,000 a cell.
    assert np.mean(inside) >= 0.93 - 3 * math.sqrt(0.93 * 0.07 / 400)


def test_the_estimate_is_the_mean_and_the_interval_that_of_the_score():
    outbreaks = [[2, 0, 1], [1], [0, 0, 3, 1, 0]] * 20
    found = reproduction(outbreaks)
    x = np.array([n for one in outbreaks for n in one])
    assert found.value == x.mean() and found.n == len(x) and found.outbreaks == 60
    assert 0 < found.low < found.value < found.high
    # Both ends lie where the score is as far from 0 as its deviation allows: the same ratio.
    spread = (len(x) * (x.var(ddof=1) - x.mean()) / x.mean() ** 2 + 20) / (len(x) + 20)
    ratio = [(found.value - r) ** 2 / (r + spread * r**2) for r in (found.low, found.high)]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-9)


def test_without_a_single_transmission_the_upper_end_is_of_the_geometric_law():
    from scipy.special import stdtrit

    found = reproduction([[0]] * 40)
    reach = float(stdtrit(39, 0.975)) ** 2 / 40
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(reach / (1 - reach))
    # (R/(1+R))⁰ … all of 40 geometric numbers are 0 with chance (1 + R)^−40.
    assert (1 + found.high) ** -40 < 0.05


def test_few_individuals_allow_any_number():
    assert reproduction([[1], [0]]).high == math.inf


def test_outbreaks_that_differ_more_than_individuals_widen_the_interval():
    alike = reproduction([[0, 2, 2, 0], [2, 0, 0, 2]] * 20)
    apart = reproduction([[0] * 4, [2] * 4] * 20)
    assert apart.value == alike.value == 1
    assert apart.high - apart.low > 1.3 * (alike.high - alike.low)


def test_only_whole_periods_of_the_early_infected_count():
    # 0 infects 1 and 2 in its window and 3 after it; 4's window ends after the record.
    times, sources = [0, 1, 2, 5, 6], [-1, 0, 0, 0, 1]
    everybody = {"end": 9, "window": 3, "most_before": 9}
    assert counted(times, sources, **everybody) == [2, 0, 0, 0, 0]
    assert counted(times, sources, end=7, window=3, most_before=9) == [2, 0, 0]
    assert counted(times, sources, end=9, window=6, most_before=9) == [3, 1, 0]
    assert counted(times, sources, end=9, window=3, most_before=2) == [2, 0]
    assert counted([], [], **everybody) == []


def test_what_cannot_be_estimated_is_said():
    with pytest.raises(UsageError, match="two or more"):
        reproduction([[1]])
    with pytest.raises(UsageError, match="must have someone"):
        reproduction([[], []])
    with pytest.raises(UsageError, match="0 or more"):
        reproduction([[-1], [1]])
