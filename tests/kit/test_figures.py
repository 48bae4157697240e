import copy

import numpy as np
import pytest
from scipy import stats

from hartley.kit.interval_values import Figure, mean_figure, share_figure


def test_a_share_has_the_exact_interval():
    found = share_figure(np.arange(40) < 31)
    known = stats.binomtest(31, 40).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((known.low, known.high))
    assert (float(found), found.n) == (31 / 40, 40)
    assert (share_figure([True]).low, share_figure([True]).high) == (pytest.approx(0.025), 1.0)
    assert (share_figure([False] * 3).low, float(share_figure([False] * 3))) == (0.0, 0.0)


def test_a_mean_has_student_s_interval():
    x = np.random.default_rng(0).normal(3, 2, 25)
    found = mean_figure(x)
    known = stats.t.interval(0.95, 24, x.mean(), stats.sem(x))
    assert (found.low, found.high) == pytest.approx(known)
    assert mean_figure([2.0]).low is None and mean_figure([2.0]) == 2.0


def test_a_mean_over_tokens_is_covered_with_the_record_as_unit():
    rng = np.random.default_rng(1)
    hit = 0
    for _ in range(2000):
        size = rng.integers(1, 20, 60)
        each = rng.normal(-2.0, 0.5, 60)  # what a record's tokens share
        total = size * each + rng.normal(0, 0.1, 60) * np.sqrt(size)
        found = mean_figure(total, size)
        assert found == pytest.approx(total.sum() / size.sum())
        hit += found.low <= -2.0 <= found.high
    assert 0.925 < hit / 2000 < 0.97


def test_it_is_the_number_and_keeps_its_interval():
    one = Figure(0.8, 0.7, 0.9, 50)
    assert one == 0.8 and one < 0.81 and one + 0.1 == pytest.approx(0.9)
    other = copy.deepcopy(one)
    assert (other, other.low, other.high, other.n) == (0.8, 0.7, 0.9, 50)
