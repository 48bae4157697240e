import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hartley.infotheory import e_values as seq


def test_e_values_of_case_c65():
    assert seq.log2_kt(64, 100, 0.5) == pytest.approx(2.0801937209709553, abs=1e-12)
    assert seq.log2_fixed_bet(64, 100, 0.5, 0.4) == pytest.approx(5.24479055741776, abs=1e-12)
    assert 2 ** -seq.log2_kt(64, 100, 0.5) == pytest.approx(0.2364826553336101)


@given(st.lists(st.booleans(), max_size=60), st.floats(0.05, 0.95))
def test_the_breaker_adds_up_to_the_closed_form(events, p0):
    breaker = seq.Breaker(p0)
    for event in events:
        breaker.update(event)
    assert breaker.log2_e == pytest.approx(seq.log2_kt(sum(events), len(events), p0), abs=1e-9)


@pytest.mark.parametrize("p0", [0.1, 0.5])
def test_the_mixture_is_fair_under_the_null(p0):
    """Its mean over all sequences of n events is exactly 1."""
    n = 12
    total = sum(
        math.comb(n, k) * p0**k * (1 - p0) ** (n - k) * 2 ** seq.log2_kt(k, n, p0)
        for k in range(n + 1)
    )
    assert total == pytest.approx(1.0)


def test_the_trip_latches():
    breaker = seq.Breaker(0.1)
    assert not breaker.tripped
    while not breaker.update(True):
        pass
    p = breaker.p
    for _ in range(15):
        breaker.update(False)
    assert breaker.log2_e < breaker.peak
    assert breaker.tripped
    assert breaker.p == p <= breaker.alpha


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.integers(1, 200), st.data())
def test_the_confidence_sequence_holds_its_rates(n, data):
    k = data.draw(st.integers(0, n))
    low, high = seq.rate_sequence(k, n)
    assert 0.0 <= low <= k / n <= high <= 1.0
    for edge, inside in ((low, 1e-6), (high, -1e-6)):
        if 1e-5 < edge < 1 - 1e-5:
            assert seq.log2_kt(k, n, edge + inside) < math.log2(20) + 1e-3
            assert seq.log2_kt(k, n, edge - inside) > math.log2(20) - 1e-3


def test_before_any_event_everything_is_possible():
    assert seq.rate_sequence(0, 0) == (0.0, 1.0)
    assert seq.mean_lower([], 0.05) == 0.0


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.001, 0.3))
def test_betting_bounds_hold_the_mean(x, alpha):
    low, high = seq.mean_interval(x, alpha)
    assert -1e-9 <= low <= np.mean(x) + 1e-9
    assert np.mean(x) - 1e-9 <= high <= 1 + 1e-9
    assert seq.mean_lower(x, alpha / 2) <= seq.mean_lower(x, alpha) + 1e-9


@pytest.mark.parametrize("m", [1, 4, 16, 64])
def test_equal_units_come_near_the_best_possible_bound(m):
    """No valid bound for m equal units of value 1 exceeds alpha^(1/m): ours is near it."""
    best = 0.05 ** (1 / m)
    found = seq.mean_lower(np.ones(m), 0.05)
    assert 0.6 * best < found <= best


def test_wealth_is_fair_so_the_bound_is_valid_on_two_points():
    """Every outcome of four fair 0/1 units, by its chance: refuting the true mean is rare."""
    wrong = 0.0
    for code in range(16):
        x = [(code >> i) & 1 for i in range(4)]
        wrong += (seq.mean_lower(x, 0.1) > 0.5) / 16
    assert wrong <= 0.1


def test_sizes_weigh_and_floors_shift():
    total, size = np.array([2.0, 4.0, 6.0] * 8), np.array([1.0, 2.0, 3.0] * 8)
    assert 1.0 < seq.ratio_lower(total, size, 0.05) < 2.0
    x = np.full(20, 0.3)
    shifted = seq.mean_lower(x - 1.0, 0.05, floor=-1.0) + 1.0
    assert shifted == pytest.approx(seq.mean_lower(x, 0.05), abs=1e-9)


def test_the_filter_refuses_before_it_overruns():
    meter = seq.Odometer(limit=seq.filter_limit(64, 20))
    assert meter.limit == 44
    assert all(meter.charge(10) for _ in range(4))
    assert not meter.charge(4.5)
    assert meter.spent == 40
    assert meter.charge(4)
    assert meter.left == 0
    for bad in (-1.0, math.nan):
        with pytest.raises(seq.Overrun):
            meter.charge(bad)


def test_adaptive_queries_never_beat_the_filter():
    """An attacker who adapts to answers, against a 6-bit secret: success ≤ 2^limit · 2^−6."""
    limit, hits = 3.0, 0
    for secret in range(64):
        meter, low, high = seq.Odometer(limit=limit), 0, 64
        while high - low > 1 and meter.charge(1.0):
            middle = (low + high) // 2
            low, high = (middle, high) if secret >= middle else (low, middle)
        hits += low == secret
    assert hits / 64 <= 2**limit / 64
