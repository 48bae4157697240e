"""Capacity against solvers that share no code with it, and against its own certificate."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from hartley.core.errors import UsageError
from hartley.infotheory import channel_matrix as mx
from hartley.infotheory import closed_forms
from hartley.infotheory.capacity import capacity
from hartley.infotheory.capacity_cost import capacity_at_cost, capacity_per_unit_cost


@st.composite
def channels(draw, most=6):
    k, m = draw(st.integers(1, most)), draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.dirichlet(np.full(m, 10 ** draw(st.floats(-1.5, 1))), k)


def plain(w, rounds=30_000, goal=1e-7):
    """Textbook Blahut–Arimoto with the same duality bounds: slow and obvious."""
    w = w[:, w.any(0)]
    p = np.full(len(w), 1 / len(w))
    own = np.where(w > 0, w * np.log2(np.where(w > 0, w, 1)), 0).sum(1)
    for _ in range(rounds):
        d = own - w @ np.log2(p @ w)
        if d.max() - p @ d < goal:
            break
        p = p * 2 ** (d - d.max())
        p /= p.sum()
    return p @ d, d.max()


@settings(max_examples=60, deadline=None)
@given(channels())
def test_interval_holds_what_a_convex_solver_finds(w):
    """SLSQP on the primal bounds C from below, on the dual from above; both must fit."""
    found = capacity(w)
    assert 0 <= found.upper - found.lower <= 1e-6
    k, m = w.shape

    def short(p):
        p = np.abs(p) / np.abs(p).sum()
        return -mx.mutual_information(w, p)

    start = 0.7 * found.prior + 0.3 / k  # not at the answer, so that the solver has to move
    primal = minimize(short, start, method="SLSQP", bounds=[(0, 1)] * k, options={"ftol": 1e-12})
    assert -primal.fun <= found.upper + 1e-9
    assert -primal.fun >= found.lower - 1e-4
    for law in (np.full(m, 1 / m), found.prior @ w, w[0] * 0.5 + 0.5 / m):
        assert float(mx.divergences(w, law).max()) >= found.lower - 1e-9


@settings(max_examples=25, deadline=None)
@given(channels())
def test_agrees_with_the_textbook(w):
    low, high = plain(w)
    found = capacity(w, gap=1e-9)
    assert found.upper >= low - 1e-9 and found.lower <= high + 1e-9


def test_against_forty_digits():
    """The stationarity condition of a binary channel, solved by mpmath."""
    import mpmath as mp

    with mp.workdps(40):
        for a, b in ((0.05, 0.001), (0.9, 0.2), (0.5, 0.4999), (1.0, 0.3)):

            def h(p):
                return -sum(x * mp.log(x, 2) for x in (p, 1 - p) if x > 0)

            slope = (h(mp.mpf(a)) - h(mp.mpf(b))) / (mp.mpf(a) - mp.mpf(b))
            q = 1 / (1 + mp.mpf(2) ** slope)
            r = (q - b) / (mp.mpf(a) - b)
            exact = float(h(q) - r * h(mp.mpf(a)) - (1 - r) * h(mp.mpf(b)))
            found = capacity(closed_forms.binary(a, b), gap=1e-10)
            assert found.lower <= exact <= found.upper
            assert closed_forms.binary_capacity(a, b)[0] == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("kind", ["band", "flat", "sparse"])
def test_large_channels_are_certified(kind):
    rng = np.random.default_rng(1)
    n = 160
    apart = np.abs(np.arange(n)[:, None] - np.arange(n))
    w = {
        "band": np.exp(-0.5 * (apart / 4) ** 2) * (apart <= 12),
        "flat": rng.dirichlet(np.ones(n), n),
        "sparse": rng.dirichlet(np.full(n, 0.1), n),
    }[kind]
    w = w / w.sum(1, keepdims=True)
    found = capacity(w)
    assert found.upper - found.lower <= 1e-6
    assert found.rounds < 100
    q = found.prior @ w
    with np.errstate(divide="ignore", invalid="ignore"):
        d = np.nansum(np.where(w > 0, w * np.log2(w / q), 0), axis=1)
    assert float(found.prior @ d) == pytest.approx(found.lower, abs=1e-9)
    assert d.max() <= found.upper
    assert plain(w, rounds=300)[0] <= found.upper


@settings(max_examples=30, deadline=None)
@given(channels(), st.integers(0, 1000))
def test_invariances(w, seed):
    """Relabelling, copies, unused outputs and splitting an output change nothing."""
    rng = np.random.default_rng(seed)
    c = capacity(w, gap=1e-9).value
    shuffled = w[rng.permutation(len(w))][:, rng.permutation(w.shape[1])]
    copied = np.vstack([w, w[:1]])
    padded = np.column_stack([w, np.zeros(len(w))])
    split = np.column_stack([w, 0.3 * w[:, -1]])
    split[:, -2] *= 0.7
    for other in (shuffled, copied, padded, split):
        assert capacity(other, gap=1e-9).value == pytest.approx(c, abs=3e-9)
    assert c <= mx.min_capacity(w) + 1e-9 <= math.log2(min(w.shape)) + 2e-9


@settings(max_examples=20, deadline=None)
@given(channels(4), st.floats(0.05, 0.95), st.integers(0, 1000))
def test_cost_constraint(w, share, seed):
    cost = np.random.default_rng(seed).uniform(0, 2, len(w))
    budget = cost.min() + share * (cost.max() - cost.min())
    found = capacity_at_cost(w, cost, budget)
    assert found.upper - found.lower <= 1e-6
    assert found.prior @ cost <= budget + 1e-9
    assert mx.mutual_information(w, found.prior) == pytest.approx(found.lower, abs=1e-9)
    assert found.lower <= capacity(w).upper
    for p in np.random.default_rng(seed + 1).dirichlet(np.ones(len(w)), 200):
        if p @ cost <= budget:
            assert mx.mutual_information(w, p) <= found.upper + 1e-12


def test_cost_of_a_symmetric_channel_is_a_formula():
    """BSC(0.1) with mean weight at most b ≤ ½: h2(b∗0.1) − h2(0.1)."""
    for b in (0.01, 0.1, 0.3, 0.5):
        exact = closed_forms.h2(b * 0.9 + (1 - b) * 0.1) - closed_forms.h2(0.1)
        found = capacity_at_cost(closed_forms.bsc(0.1), [0, 1], b)
        assert found.lower - 1e-9 <= exact <= found.upper + 1e-9


def test_unit_cost_is_the_limit_of_small_budgets():
    w = closed_forms.bsc(0.1)
    best = capacity_per_unit_cost(w, [0, 1]).bits
    thin = capacity_at_cost(w, [0, 1], 1e-4, gap=1e-9).value / 1e-4
    assert 0.98 * best < thin < best


def test_closed_forms_meet_the_search():
    for form, w in (
        (closed_forms.bsc_capacity(0.2), closed_forms.bsc(0.2)),
        (closed_forms.erasure_capacity(5, 0.3), closed_forms.erasure(5, 0.3)),
        (closed_forms.z_capacity(0.6)[0], closed_forms.z_channel(0.6)),
        (closed_forms.symmetric_capacity(7, 0.4), closed_forms.symmetric(7, 0.4)),
        (closed_forms.typewriter_capacity(9, 0.2), closed_forms.typewriter(9, 0.2)),
    ):
        found = capacity(w)
        assert found.lower - 1e-9 <= form <= found.upper + 1e-9


@pytest.mark.parametrize(
    ("w", "why"),
    [
        ([[0.5, 0.4]], "must sum to 1, got 0.9"),
        ([[0.5, 0.5], [0, 0]], "row 1 of the channel must sum to 1, got 0.*without any output"),
        ([[1.5, -0.5]], "negative entries"),
        ([[float("nan"), 1]], "got NaN"),
        ([], "matrix"),
        ([0.5, 0.5], "matrix"),
    ],
)
def test_no_channel(w, why):
    with pytest.raises(UsageError, match=why):
        capacity(w)


def test_degenerate_channels():
    assert capacity([[1.0]]).upper < 1e-12
    assert capacity([[0.2, 0.8]]).upper < 1e-12
    assert capacity([[0.2, 0.8]] * 5).upper < 1e-12
    assert capacity(np.eye(8)).value == pytest.approx(3, abs=1e-12)
    assert capacity(np.eye(1000)[:, :]).value == pytest.approx(math.log2(1000), abs=1e-9)
    with pytest.raises(UsageError, match="double precision"):
        capacity(np.eye(2), gap=1e-18)
    with pytest.raises(UsageError, match="cheapest"):
        capacity_at_cost(np.eye(2), [1, 2], 0.5)
    with pytest.raises(UsageError, match="one free symbol"):
        capacity_per_unit_cost(np.eye(2), [1, 2])


def test_the_trap_of_an_absolute_tolerance():
    """A search that stops when rounds barely move is short of capacity; the gap does not lie.

    dit 2.3 at rtol = atol = 1e-7 stops 2e-5 to 5e-5 bit short.
    """
    rng = np.random.default_rng(0)
    w = rng.dirichlet(np.ones(64), 64)
    found = capacity(w, gap=1e-8)
    p, last = np.full(64, 1 / 64), -1.0
    while True:
        d = mx.divergences(w, p @ w)
        now = float(p @ d)
        if abs(now - last) < 1e-7:
            break
        last, p = now, p * 2**d / (p @ 2**d)
    assert found.lower - now > 1e-6
    assert d.max() > found.upper + 1e-6


def test_dispersion_and_short_blocks():
    rng = np.random.default_rng(0)
    w, p = rng.dirichlet(np.ones(4), 3), np.array([0.2, 0.5, 0.3])
    joint = p[:, None] * w
    density = np.log2(w / (p @ w))
    mean = (joint * density).sum()
    assert closed_forms.dispersion(w, p) == pytest.approx((joint * (density - mean) ** 2).sum())
    n = closed_forms.uses_for(20, 0.5, 0.9, 1e-3)
    assert closed_forms.normal_approximation(n, 0.5, 0.9, 1e-3) >= 20
    assert closed_forms.normal_approximation(n - 1, 0.5, 0.9, 1e-3) < 20
    with pytest.raises(UsageError, match="capacity 0"):
        closed_forms.uses_for(1, 0.0, 0.9, 1e-3)


def test_prices_far_apart():
    """Newton's model fails here; the fallback must not."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        k, m = rng.integers(2, 8, 2)
        w = rng.dirichlet(np.full(m, 0.3), k)
        cost = 10 ** rng.uniform(-3, 3, k)
        budget = cost.min() + 1e-3 * (cost.max() - cost.min())
        found = capacity_at_cost(w, cost, budget)
        assert found.upper - found.lower <= 1e-6
        assert found.prior @ cost <= budget * (1 + 1e-9)
