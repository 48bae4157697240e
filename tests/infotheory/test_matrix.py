"""Matrices, series and looks: the data-processing suite and contraction."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hartley.channel.bounds import two_rates
from hartley.core.errors import UsageError
from hartley.infotheory import binary_channel, closed_forms, compositions
from hartley.infotheory import channel_matrix as mx
from hartley.infotheory.capacity import capacity


@st.composite
def pairs(draw):
    k, m, n = (draw(st.integers(2, 5)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sharp = 10 ** draw(st.floats(-1, 1))
    return (
        rng.dirichlet(np.full(m, sharp), k),
        rng.dirichlet(np.full(n, sharp), m),
        rng.dirichlet(np.ones(k)),
    )


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_a_second_stage_never_adds(stages):
    first, second, prior = stages
    whole = mx.cascade(first, second)
    before = mx.mutual_information(first, prior)
    after = mx.mutual_information(whole, prior)
    bounds = compositions.serial_bounds(
        before, mx.mutual_information(second, prior @ first), mx.eta_kl(second)
    )
    assert after <= bounds["bound"] + 1e-12
    assert mx.min_capacity(whole) <= min(mx.min_capacity(first), mx.min_capacity(second)) + 1e-12
    assert not compositions.breaks_dpi(after, bounds["bound"])
    assert mx.eta_kl(second) <= mx.eta_tv(second) + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_eta_kl_is_the_largest_ratio_of_divergences(seed, k):
    """No pair of input laws contracts less, and a close pair nearly reaches it."""
    rng = np.random.default_rng(seed)
    w = rng.dirichlet(np.ones(3), k)
    eta = mx.eta_kl(w)
    p, q = rng.dirichlet(np.ones(k), 200), rng.dirichlet(np.ones(k), 200)
    inputs = (p * np.log(p / q)).sum(1)
    outputs = ((p @ w) * np.log((p @ w) / (q @ w))).sum(1)
    assert (outputs <= eta * inputs + 1e-12).all()
    best = 0.0
    for i in range(k):
        for j in range(i):
            for b in np.linspace(0.001, 0.999, 400):
                mix = b * w[i] + (1 - b) * w[j]
                best = max(best, b * (1 - b) * ((w[i] - w[j]) ** 2 / mix).sum())
    assert eta == pytest.approx(best, abs=1e-4) and eta >= best - 1e-12


def test_certified_bound_of_a_cascade_trips_no_more_than_alpha():
    """Suite 11: bits certified end to end, held against the proved bound of random cascades.

    Where the stages are binary symmetric and the prior uniform the bound is met with equality by
    no cascade, so the sharpest test is the bound on the cascade's own information.
    """
    rng = np.random.default_rng(11)
    runs, n, alpha = 4000, 200, 0.05
    a, b = rng.uniform(0, 1, (2, runs)), rng.uniform(0, 1, (2, runs))
    tpr = a[0] * a[1] + (1 - a[0]) * b[1]
    fpr = b[0] * a[1] + (1 - b[0]) * b[1]
    proved = np.empty(runs)
    exact = np.empty(runs)
    for i in range(runs):
        one, two = closed_forms.binary(a[0, i], b[0, i]), closed_forms.binary(a[1, i], b[1, i])
        exact[i] = mx.mutual_information(mx.cascade(one, two))
        leg = closed_forms.binary_capacity(a[1, i], b[1, i])[0]
        eta = abs(a[1, i] - b[1, i])  # Dobrushin
        proved[i] = compositions.serial_bounds(mx.mutual_information(one), leg, eta)["bound"]
    assert (exact <= proved + 1e-12).all()
    tp, fp = rng.binomial(n, tpr), rng.binomial(n, fpr)
    certified = two_rates.lower(tp, n, fp, n, alpha, of=["bits"])["bits"]
    for limit in (proved, exact):
        trips = sum(compositions.breaks_dpi(c, u) for c, u in zip(certified, limit, strict=True))
        low = binary_channel.clopper_pearson(trips, runs, 0.01)[0]
        assert low <= alpha, f"{trips} of {runs}"
    assert (certified > 0).sum() > runs / 5  # half of the flags point the other way


def test_a_side_channel_trips_the_flag():
    """Stages declared as two BSC(0.3) in series, while the answer in truth passes one BSC(0.05)."""
    rng = np.random.default_rng(0)
    stage = closed_forms.bsc(0.3)
    proved = compositions.serial_bounds(
        mx.mutual_information(stage), mx.mutual_information(stage), mx.eta_kl(stage)
    )["bound"]
    tp, fp = rng.binomial(500, 0.95), rng.binomial(500, 0.05)
    assert compositions.breaks_dpi(two_rates.lower(tp, 500, fp, 500, of=["bits"])["bits"], proved)


def test_looks_are_the_tensor_power():
    """The sufficient statistic carries all bits of the full n-fold product."""
    rng = np.random.default_rng(3)
    w = rng.dirichlet(np.ones(3), 4)
    full = w
    for n in range(2, 5):
        full = np.einsum("xa,xb->xab", full, w).reshape(4, -1)
        short = mx.repeated(w, n)
        assert short.shape == (4, math.comb(n + 2, 2))
        assert mx.mutual_information(short) == pytest.approx(mx.mutual_information(full))
        assert mx.min_capacity(short) == pytest.approx(mx.min_capacity(full))
        eta = mx.eta_kl(w)
        assert mx.eta_kl(short) <= compositions.parallel_contraction(eta, n) + 1e-9
    assert (mx.repeated(np.eye(2), 3).max(1) == 1).all()
    with pytest.raises(UsageError, match="limit"):
        mx.repeated(np.full((2, 20), 0.05), 50)
    with pytest.raises(UsageError, match="once or more"):
        mx.repeated(w, 0)


def test_chernoff_is_the_exponent_of_the_error():
    p, q = np.array([0.8, 0.2]), np.array([0.3, 0.7])
    rate = mx.chernoff_information(p, q)
    grid = min(np.log2((p**t * q ** (1 - t)).sum()) for t in np.linspace(0, 1, 20001))
    assert rate == pytest.approx(-grid, abs=1e-8)
    assert mx.chernoff_information(p, p) == pytest.approx(0, abs=1e-12)
    assert mx.chernoff_information([1, 0], [0, 1]) == math.inf

    def error(n):
        w = mx.repeated([p, q], n)
        return 0.5 * np.minimum(*w).sum()

    assert -math.log2(error(400) / error(200)) / 200 == pytest.approx(rate, rel=0.02)


def test_bad_input_is_said():
    with pytest.raises(UsageError, match="stage 2 takes 3 inputs"):
        mx.cascade(np.eye(2), np.eye(3))
    with pytest.raises(UsageError, match="prior"):
        mx.mutual_information(np.eye(2), [0.5, 0.6])
    with pytest.raises(UsageError, match="shape"):
        mx.mutual_information(np.eye(2), [1.0])
    assert mx.eta_tv([[1.0]]) == mx.eta_kl([[1.0]]) == 0.0
    assert mx.divergences(np.eye(2), np.array([1.0, 0.0])).tolist() == [0, math.inf]


def test_vanishing_probabilities_cost_nothing():
    w = np.array([[0.5, 0.5, 5e-324], [0.4, 0.6, 0.0]])
    exact = mx.mutual_information(w[:, :2])
    assert mx.mutual_information(w) == pytest.approx(exact, abs=1e-15)
    assert capacity(w).value == pytest.approx(capacity(w[:, :2]).value, abs=1e-6)
    assert mx.mutual_information([[1 - 1e-200, 1e-200], [1, 0]], [1e-200, 1]) < 1e-100
