import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hartley.channel.bounds import one_run_dp
from hartley.core import Kind
from hartley.infotheory import surprisal


def exact_binomial(k, n, p):
    with mp.workdps(60):
        p = mp.mpf(p)
        term = mp.binomial(n, k) * p**k * (1 - p) ** (n - k)
        total, i = term, k
        while i < n and term > total * mp.mpf(10) ** -40:
            term *= mp.mpf(n - i) / (i + 1) * p / (1 - p)
            total, i = total + term, i + 1
        return float(mp.log(total, 2))


@pytest.mark.parametrize(
    ("k", "n", "p"),
    [
        (620_000, 10**6, 0.5),
        (10**6, 10**6, 0.5),
        (900_000, 10**6, 0.1),
        (5_060_000, 10**7, 0.5),
        (3000, 10**5, 0.001),
        (10, 20, 1e-9),
        (600, 1000, 0.59),
        (1, 10, 0.3),
        (48, 48, 0.5),
        (500, 1000, 2.0**-20),
    ],
)
def test_binomial_tails_to_ten_digits_down_to_a_million_bits(k, n, p):
    assert surprisal.log2_binomial_tail(k, n, p) == pytest.approx(
        exact_binomial(k, n, p), rel=1e-10
    )


@pytest.mark.parametrize(
    ("n", "s"), [(1, 7e5), (10, 7e5), (1000, 9e5), (5, 3.0), (100, 300.0), (50_000, 9e5), (3, 0.1)]
)
def test_gamma_tails_to_ten_digits(n, s):
    with mp.workdps(40):
        exact = float(mp.log(mp.gammainc(n, s, regularized=True), 2))
    assert surprisal.log2_gamma_tail(n, s) == pytest.approx(exact, rel=1e-10)


def test_planted_secrets_of_cases_c53_c55_c57():
    c53 = surprisal.log2_binomial_tail(620, 1000, 0.5)
    assert c53 == pytest.approx(-45.873215304553646, abs=1e-9)
    made = surprisal.certificate(c53, 0.05, uses=1000)
    assert made.lower * 1000 == pytest.approx(41.551287209666285, abs=1e-9)
    assert made.kind is Kind.CERTIFIED
    assert made.upper is None
    assert surprisal.log2_binomial_tail(110, 200, 0.25) == pytest.approx(-62.49001314969932)
    assert surprisal.log2_binomial_tail(40, 48, 0.5) == pytest.approx(-19.20680187866739)


def test_the_normal_tail_would_overstate_a_text_watermark_by_eleven_bits():
    z = (110 - 50) / math.sqrt(200 * 0.25 * 0.75)
    normal = math.log2(math.erfc(z / math.sqrt(2)) / 2)
    assert surprisal.log2_binomial_tail(110, 200, 0.25) - normal > 11


def test_exposure_of_case_c41():
    assert float(surprisal.exposure(1, 10**6)) == pytest.approx(19.931568569324174)
    assert surprisal.expected_exposure(10**6) == pytest.approx(1.442683749356494, abs=1e-9)
    assert surprisal.log2_rank_tail(1, 10**6) == pytest.approx(-19.931568569324174)
    assert 2 ** surprisal.log2_rank_tail(976, 10**6) == pytest.approx(0.000976)


def test_mean_exposure_is_the_mean():
    ranks = np.arange(1, 501)
    assert surprisal.expected_exposure(500) == pytest.approx(
        float(surprisal.exposure(ranks, 500).mean())
    )


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 300), st.floats(0.01, 0.99), st.data())
def test_tails_are_chances_and_fall(n, p, data):
    k = data.draw(st.integers(0, n - 1))
    low, high = (surprisal.log2_binomial_tail(j, n, p) for j in (k, k + 1))
    assert high <= low + 1e-12
    assert low <= 0.0


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_one_rank_alone_keeps_its_exact_tail(rank, more):
    r = rank + more
    assert surprisal.log2_exposure_tail([rank], r) == surprisal.log2_rank_tail(rank, r)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: surprisal.log2_binomial_tail(3, 2, 0.5),
        lambda: surprisal.log2_binomial_tail(1, 2, 1.5),
        lambda: surprisal.log2_rank_tail(0, 5),
        lambda: surprisal.log2_gamma_tail(0, 1.0),
        lambda: surprisal.log2_gamma_tail(2, math.nan),
        lambda: one_run_dp.p_value(10, 11, 3, 0.0),
    ],
)
def test_impossible_counts_are_refused(bad):
    with pytest.raises(ValueError, match=r"counts|rank|tail"):
        bad()


def test_edges_of_tails():
    assert surprisal.log2_binomial_tail(0, 5, 0.3) == 0.0
    assert surprisal.log2_binomial_tail(3, 5, 1.0) == 0.0
    assert surprisal.log2_binomial_tail(1, 5, 0.0) == -math.inf
    assert surprisal.log2_gamma_tail(3, math.inf) == -math.inf
    assert surprisal.log2_gamma_tail(3, 0.0) == 0.0


def test_one_run_of_case_c51():
    assert one_run_dp.epsilon_lower(1000, 200, 160, 0.05) == pytest.approx(
        1.0866505194142242, abs=1e-9
    )
    assert one_run_dp.p_value(1000, 200, 160, 0.0) == pytest.approx(
        1.6920079887576423e-18, rel=1e-9
    )


def reference_p_value(m, r, v, eps, delta):
    """The published algorithm, term by term."""
    q = 1 / (1 + math.exp(-eps))
    pmf = [math.comb(r, i) * q**i * (1 - q) ** (r - i) for i in range(r + 1)]
    beta, alpha, total = sum(pmf[v:]), 0.0, 0.0
    for i in range(1, v + 1):
        total += pmf[v - i]
        alpha = max(alpha, total / i)
    return min(1.0, beta + alpha * delta * 2 * m)


@pytest.mark.parametrize("delta", [0.0, 1e-6, 1e-3])
@pytest.mark.parametrize(("m", "r", "v"), [(100, 40, 35), (60, 60, 40), (30, 5, 5), (50, 20, 1)])
@pytest.mark.parametrize("eps", [0.0, 0.7, 3.0])
def test_one_run_p_value_is_the_published_one(m, r, v, eps, delta):
    assert one_run_dp.p_value(m, r, v, eps, delta) == pytest.approx(
        reference_p_value(m, r, v, eps, delta), rel=1e-9
    )


def test_one_run_edges():
    assert one_run_dp.p_value(10, 5, 0, 1.0) == 1.0
    assert one_run_dp.epsilon_lower(100, 50, 25) == 0.0
    # A certain p-value even at enormous ε cannot happen: the bound stays finite.
    assert 0 < one_run_dp.epsilon_lower(1000, 1000, 1000) < 10
    assert one_run_dp.epsilon_lower(1000, 200, 160, delta=1e-3) < one_run_dp.epsilon_lower(
        1000, 200, 160
    )
