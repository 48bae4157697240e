"""Ceilings against mechanisms that reach them, and noise laws against quadrature."""

import math
from itertools import combinations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hartley.channel.bounds import ceilings as th
from hartley.core import Bound, ChannelSpec, Kind, Role
from hartley.core.errors import UsageError
from hartley.infotheory import channel_matrix as mx
from hartley.infotheory import differential_privacy, gaussian


def subset_mechanism(k, size, epsilon):
    """Rows: secrets; columns: all subsets of one size, e^ε as likely when they hold the secret."""
    w = np.array(
        [
            [math.exp(epsilon) if s in c else 1.0 for c in combinations(range(k), size)]
            for s in range(k)
        ]
    )
    return w / w.sum(1, keepdims=True)


@pytest.mark.parametrize("k", [2, 3, 4, 7])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 2.5, 6.0])
def test_dp_ceiling_is_reached(k, epsilon):
    best = max(mx.mutual_information(subset_mechanism(k, s, epsilon)) for s in range(1, k))
    assert th.dp_mi(epsilon, 0.0, k) == pytest.approx(best, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.floats(0.05, 4), st.floats(0, 0.2))
@example(0, 2, 1.0, 5e-324)
def test_no_private_channel_exceeds_it(seed, k, epsilon, delta):
    """A random ε-LDP channel, which besides shows the secret with chance δ, is (ε, δ)-DP."""
    rng = np.random.default_rng(seed)
    w = np.exp(rng.uniform(0, epsilon, (k, 5)))
    w = np.where(rng.random((k, 5)) < 0.5, np.exp(epsilon) * (w > w.mean()), w)
    w = np.clip(w, 1.0, np.exp(epsilon))
    w /= w.sum(1, keepdims=True)
    ratio = (w.max(0) / w.min(0)).max()  # after scaling the rows the true ε may differ
    true = math.log(ratio)
    assert mx.mutual_information(w) <= th.dp_mi(true, 0.0, k) + 1e-12
    shown = np.column_stack([(1 - delta) * w, delta * np.eye(k)])
    assert mx.mutual_information(shown) <= th.dp_mi(true, delta, k) + 1e-12
    assert th.dp_mi(true, delta, k) <= math.log2(k)
    assert mx.eta_tv(w) <= th.dp_contraction(true)[0] + 1e-12
    assert mx.eta_kl(w) <= th.dp_contraction(true)[1] + 1e-9
    assert mx.min_capacity(w) <= th.dp_min_entropy(true, k) + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 4), st.integers(2, 6))
def test_gaussian_ceiling_holds_for_many_symbols(mu, k):
    """K means at mutual distance at most μ: the worst spread of a μ-GDP release of one secret."""
    z = np.linspace(-14, 14, 5601)
    means = np.linspace(-mu / 2, mu / 2, k)
    w = np.exp(-0.5 * (z - means[:, None]) ** 2)
    bits = mx.mutual_information(w / w.sum(1, keepdims=True))
    assert bits <= th.gdp_mi(mu, k) + 1e-9
    assert bits <= th.zcdp_mi(mu * mu / 2, k) + 1e-9
    if k == 2:
        assert bits == pytest.approx(th.gdp_mi(mu), abs=1e-6)


def test_the_quoted_bound_is_nine_times_loose():
    assert 9 < th.quoted_dp_mi(1.0) / th.dp_mi(1.0) < 9.1
    assert th.dp_mi(1.0) == pytest.approx(0.160058, abs=1e-6)


def test_conversions_close():
    for mu in (0.1, 1.0, 3.0):
        for delta in (1e-9, 1e-5, 1e-2):
            e = differential_privacy.epsilon_of_mu(mu, delta)
            if e > 0:
                assert differential_privacy.delta_of_mu(mu, e) == pytest.approx(delta, rel=1e-6)
                assert differential_privacy.mu_of_epsilon(e, delta) == pytest.approx(mu, rel=1e-6)
            assert e <= differential_privacy.epsilon_of_rho(mu * mu / 2, delta)
    # δ(ε) is the largest gap between TPR and e^ε·FPR on the trade-off curve.
    f = np.linspace(1e-6, 1 - 1e-6, 20001)
    gap = max(differential_privacy.gdp_tpr(x, 1.0) - math.e * x for x in f)
    assert differential_privacy.delta_of_mu(1.0, 1.0) == pytest.approx(gap, abs=1e-6)
    curve = [differential_privacy.dp_tpr(x, 1.5, 1e-3) - x for x in f]
    assert differential_privacy.dp_advantage(1.5, 1e-3) == pytest.approx(max(curve), abs=1e-3)
    with pytest.raises(UsageError, match="δ = 0"):
        differential_privacy.epsilon_of_mu(1.0, 0.0)
    assert (
        differential_privacy.epsilon_of_mu(0.0, 0.0) == 0
        and differential_privacy.mu_of_epsilon(1.0, 0.0) == 0
    )


def spec(**changes):
    return ChannelSpec(**changes)


def test_ceiling_takes_the_least_and_names_it():
    one = th.ceiling(spec(), 100)
    assert (one.value, one.upper, one.kind, one.lower) == (1.0, 1.0, Kind.THEORY, None)
    assert "entropy" in one.method
    both = spec(bounds=(Bound("dp", {"epsilon": 1.0, "delta": 1e-5}), Bound("gdp", {"mu": 3.0})))
    found = th.ceiling(both, 100)
    assert found.value == pytest.approx(0.160067, abs=1e-6)
    assert found.method == "dp(delta=1e-05, epsilon=1)"
    assert th.ceiling(spec(alphabet=16), 5).value == 4.0
    assert th.ceiling(spec(alphabet=1), 5).value == 0.0


def test_ceiling_rules():
    labels = (Bound("alphabet", {"bits": 2.0}),)
    assert th.ceiling(spec(alphabet=1024, bounds=labels, uses=50), 100).value == 1.0
    assert th.ceiling(spec(alphabet=1024, bounds=labels, budget=100), 100).value == 2.0
    # Without a metered query the bits came another way: the bound says nothing, not 0 bits.
    assert th.ceiling(spec(bounds=labels, uses=0), 100).value == 1.0
    assert th.ceiling(spec(bounds=labels, uses=1, role=Role.JAM), 100).value == 1.0
    private = (Bound("dp", {"epsilon": 0.1}),)
    assert th.ceiling(spec(bounds=private, role=Role.JAM), 9).value == 1.0
    assert th.ceiling(spec(bounds=private, role=Role.INJECT), 9).value < 0.01
    ten = th.ceiling(spec(bounds=(Bound("dp", {"epsilon": 0.1, "group": 10}),)), 9)
    assert ten.value == pytest.approx(th.dp_mi(1.0))
    halved = th.ceiling(spec(bounds=(Bound("sdpi", {"eta": 0.25}),)), 9)
    assert halved.value == 0.25
    assert th.ceiling(spec(alphabet=8, bounds=(Bound("entropy", {"bits": 1.5}),)), 9).value == 1.5


@pytest.mark.parametrize(
    ("bound", "why"),
    [
        (Bound("magic", {}), "must be one of .*, got 'magic'"),
        (Bound("dp", {"mu": 1.0}), "must have 'epsilon'"),
        (Bound("dp", {"epsilon": -1.0}), "0 or more"),
        (Bound("dp", {"epsilon": 1.0, "delta": 2.0}), "δ must be in"),
        (Bound("gdp", {"mu": math.nan}), "0 or more"),
        (Bound("dp", {"epsilon": 1.0, "group": 0.0}), "1 record or more"),
    ],
)
def test_a_bound_is_never_dropped_in_silence(bound, why):
    with pytest.raises(UsageError, match=why):
        th.ceiling(spec(bounds=(bound,)), 10)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 12), st.floats(0.1, 1e6))
def test_shannon_hartley_is_an_identity(bits, uses):
    """W·I = B·log2(1 + SNR_eq) at B = W/2, to 1e-9."""
    rate = gaussian.shannon_hartley(gaussian.hertz(uses), gaussian.snr_equivalent(bits))
    assert rate == pytest.approx(uses * bits, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("snr", [1e-8, 1e-3, 0.3, 2.0, 9.0, 40.0, 1e4])
def test_bpsk_against_forty_digits(snr):
    with mp.workdps(30):
        a = mp.sqrt(snr)

        def lost(z):
            return mp.npdf(z) * mp.log1p(mp.exp(-2 * a * (a + z))) / mp.log(2)

        exact = 1 - mp.quad(lost, [-12, -6, -3, 0, 3, 6, 12])
    assert gaussian.bpsk_capacity(snr) == pytest.approx(float(exact), abs=1e-13)


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_laplace_against_quadrature(scale):
    with mp.workdps(20):

        def density(x, at):
            return mp.exp(-abs(x - at) / scale) / (2 * scale)

        def term(x):
            p, q = density(x, 0), density(x, 1)
            return 0.5 * sum(y * mp.log(2 * y / (p + q), 2) for y in (p, q))

        exact = mp.quad(term, [-60 * scale, 0, 0.5, 1, 1 + 60 * scale])
    found = gaussian.laplace_noise(scale)
    assert found["mi"] == pytest.approx(float(exact), abs=1e-12)
    assert found["mi"] <= th.dp_mi(found["epsilon"])
    assert gaussian.laplace_noise(1e-4)["mi"] == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.floats(0, 100))
def test_water_filling_is_optimal(noise, power):
    found = gaussian.water_fill(noise, power)
    assert found.power.sum() == pytest.approx(power, abs=1e-9)
    wet = found.power > 0
    n = np.array(noise)
    assert np.allclose((n + found.power)[wet], found.level)
    assert (n[~wet] >= found.level - 1e-9).all()
    for share in np.random.default_rng(0).dirichlet(np.ones(len(noise)), 50) * power:
        assert 0.5 * np.log2(1 + share / n).sum() <= found.capacity + 1e-9


def test_gaussian_vectors():
    cov = np.array([[2.0, 0.3, 0.5], [0.3, 1.0, 0.2], [0.5, 0.2, 1.5]])
    bits = gaussian.gaussian_mi(cov, 1)
    rho = gaussian.canonical_correlations(cov, 1)
    assert bits == pytest.approx(-0.5 * np.log2(1 - rho**2).sum())
    mix = np.diag([3.0, 1.0, 1.0])
    mix[1, 2] = 0.7  # any invertible map of either block
    assert gaussian.gaussian_mi(mix @ cov @ mix.T, 1) == pytest.approx(bits)
    assert gaussian.gaussian_rate([1, 4], [0.25, 9]) == pytest.approx(1.0)
    for bad, dx in (([[1, 2], [2, 1]], 1), ([[1, 0.5], [0.2, 1]], 1), ([[1.0]], 1), (cov, 3)):
        with pytest.raises(UsageError, match="covariance"):
            gaussian.gaussian_mi(bad, dx)


def test_bad_ratios():
    for call in (
        lambda: gaussian.gaussian_capacity(-1),
        lambda: gaussian.bpsk_capacity(math.nan),
        lambda: gaussian.water_fill([0.0], 1),
        lambda: gaussian.water_fill([], 1),
        lambda: gaussian.laplace_noise(0),
        lambda: gaussian.h2(1.5),
        lambda: gaussian.randomised_response(1.0, 0),
    ):
        with pytest.raises(UsageError):
            call()
