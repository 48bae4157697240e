"""Strategy and Seed B's late words."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hartley.core import Kind, Quantity
from hartley.core.errors import UsageError
from hartley.infotheory import closed_forms, loops, semantic_capacity
from hartley.infotheory import decisions as sg
from hartley.infotheory.green_list import green_list


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_minimax_is_a_saddle_point(seed):
    rng = np.random.default_rng(seed)
    m, u = rng.random((4, 3)), rng.random(3)
    floor = float(np.median(u))
    found = sg.minimax(m, u, floor)
    assert found.mixture @ u >= floor - 1e-9
    assert found.value <= found.pure + 1e-9 and found.price_of_determinism >= -1e-9
    for p in rng.dirichlet(np.ones(3), 300):
        if p @ u >= floor:
            assert (m @ p).max() >= found.value - 1e-9
    assert sg.minimax(m).value <= found.value + 1e-9
    with pytest.raises(UsageError, match="best utility"):
        sg.minimax(m, u, 2.0)
    with pytest.raises(UsageError, match="finite"):
        sg.minimax([[math.nan]])


def test_loop_predicts_rounds():
    g = np.array([[0.0, 0.5], [0.4, 0.1]])
    rho = loops.loop_gain(g)
    x = np.linalg.matrix_power(g, 40) @ [1.0, 1.0]
    y = np.linalg.matrix_power(g, 41) @ [1.0, 1.0]
    assert (y / x).max() == pytest.approx(rho, rel=1e-3)
    assert loops.loop_gain(loops.in_units(g, [1.0, 60.0])) == pytest.approx(rho)
    with pytest.raises(UsageError, match="square"):
        loops.loop_gain([[0.1, 0.2]])


def test_best_of_n_is_not_homogeneous():
    """Trap: one rate for all prompts says 0.774 where 0.418 is true."""
    rng = np.random.default_rng(0)
    rates = rng.beta(0.3, 20, 400_000)
    assert sg.best_of_n(0.3, 20, 100) == pytest.approx((1 - (1 - rates) ** 100).mean(), abs=0.003)
    mean = sg.best_of_n(0.3, 20, 1)
    assert 1 - (1 - mean) ** 100 == pytest.approx(0.774, abs=1e-3)
    assert sg.best_of_n(0.3, 20, 0) == 0.0

    def failure(n):
        return math.log(1 - sg.best_of_n(0.3, 20, n))

    slope = (failure(401) - failure(399)) / (math.log(401) - math.log(399))
    assert sg.failure_slope(0.3, 20, 400) == pytest.approx(slope, abs=1e-3)
    assert sg.failure_slope(0.3, 20, 979.9) == pytest.approx(
        sg.failure_slope(0.3, 20, 980.1), abs=1e-5
    )
    assert sg.failure_slope(0.3, 20, 1e12) == pytest.approx(-0.3, abs=1e-9)


def test_pass_at_k_is_unbiased():
    for p in (0.1, 0.5):
        n, k = 10, 4
        weights = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
        mean = sum(w * sg.pass_at_k(n, c, k) for c, w in enumerate(weights))
        assert mean == pytest.approx(1 - (1 - p) ** k)
    with pytest.raises(UsageError):
        sg.pass_at_k(3, 4, 1)


def test_the_printed_query_bound_is_refuted():
    """Trap C40: fewer queries than it allows do suffice, while Fano's and the other bound hold."""
    for p in (0.05, 0.1, 0.2, 0.3):
        for error in (0.05, 0.01, 1e-4):
            w = closed_forms.bsc(p)
            enough = sg.queries_that_suffice(w, error)
            assert sg.error_after(w, enough) <= error < sg.error_after(w, max(1, enough - 1))
            bits = closed_forms.bsc_capacity(p)
            kl = (1 - 2 * p) * math.log2((1 - p) / p)
            assert sg.fano_queries(1.0, bits, error, 2) <= enough
            assert sg.bretagnolle_huber_queries(kl, error) <= enough
    assert sg.queries_that_suffice(closed_forms.bsc(0.1), 0.01) == 5
    assert sg.claimed_queries(closed_forms.bsc_capacity(0.1), 0.01) > 12
    with pytest.raises(UsageError, match="must be larger"):
        sg.queries_that_suffice(closed_forms.bsc(0.49), 1e-6, limit=5)


def test_unicity():
    assert sg.unicity_distance(10, 4, 2.0) == math.inf
    assert sg.permutation_entropy(26) == pytest.approx(math.log2(math.factorial(26)))


def test_green_list_normal_p_is_eleven_bits_too_small():
    found = green_list(200, 110, 0.25)
    assert found["log2_p"] - found["log2_p_normal"] == pytest.approx(11.39, abs=0.01)
    assert green_list(200, 20, 0.25)["bits_per_token"] == 0.0
    assert math.isfinite(green_list(10**6, 10**6, 0.25)["log2_p_normal"])
    with pytest.raises(UsageError):
        green_list(10, 11, 0.25)


def test_permutation_by_enumeration():
    k = math.factorial(4)
    right = 0.3 + 0.7 / k
    found = closed_forms.noisy_permutation(4, 0.3)
    assert found["mi"] == pytest.approx(closed_forms.symmetric_capacity(k, right))
    assert found["min_capacity"] == pytest.approx(math.log2(k * right))


def bits(value):
    return Quantity("mutual information", value)


def test_the_two_bandwidths_are_never_mixed():
    early = semantic_capacity.terms(
        semantic_capacity.Meaning.EARLY, bits(0.5), signal=3.0, noise=1.0, uses_per_second=7.0
    )
    assert (early.snr, early.bandwidth, early.unit) == (3.0, 7.0, "use/s")
    after = semantic_capacity.terms(semantic_capacity.Meaning.LATE, bits(0.5), authorised_bits=2.0)
    assert (after.snr, after.bandwidth, after.unit) == (None, 2.0, "bit")
    with pytest.raises(UsageError, match="authorised_bits"):
        semantic_capacity.terms(semantic_capacity.Meaning.EARLY, bits(0.5), authorised_bits=2.0)
    with pytest.raises(UsageError, match="uses_per_second"):
        semantic_capacity.terms(semantic_capacity.Meaning.LATE, bits(0.5), uses_per_second=2.0)
    assert (
        semantic_capacity.authorised_bits(8)
        == semantic_capacity.authorised_bits(np.full(8, 1 / 8))
        == 3.0
    )
    assert semantic_capacity.authorised_bits([0.9, 0.1]) == pytest.approx(closed_forms.h2(0.1))
    with pytest.raises(UsageError):
        semantic_capacity.authorised_bits(0)


def test_projection_accounts_for_all_energy():
    rng = np.random.default_rng(0)
    clean = np.array([3.0, 0, 0, 0]) + 0.1 * rng.normal(size=(50, 4))
    c = semantic_capacity.concept(clean)
    assert c @ c == pytest.approx(1)
    turned = clean + np.array([-2.0, 0, 2.0, 0])  # as when text is drawn as pixels
    passes = turned + 0.5 * rng.normal(size=(40, 50, 4))
    before, after = (
        semantic_capacity.project(clean, c),
        semantic_capacity.project(passes, 5 * c, clean),
    )
    assert after.signal.mean() < 0.2 * before.signal.mean()
    assert np.allclose(after.signal + after.noise, (passes**2).sum(2).mean(0))
    assert after.internal.mean() == pytest.approx(4 * 0.25, rel=0.1)
    assert after.external.mean() == pytest.approx(4.0, rel=0.2)
    assert after.snr < 1 < before.snr and (before.internal == 0).all()
    with pytest.raises(UsageError, match="concept"):
        semantic_capacity.project(clean, np.zeros(4))
    with pytest.raises(UsageError, match="cancel"):
        semantic_capacity.concept(np.array([[1.0, 0], [-1.0, 0]]))


def test_effective_capacity_is_a_lower_bound():
    """y through a symmetric channel: the best classifier reaches its bits, a wrong one fewer."""
    rng = np.random.default_rng(0)
    w = closed_forms.symmetric(4, 0.7)
    true = closed_forms.symmetric_capacity(4, 0.7)
    over = 0
    for _ in range(200):
        y = rng.integers(0, 4, 500)
        z = (rng.random((500, 1)) > np.cumsum(w[y], axis=1)).sum(1)
        over += (
            semantic_capacity.effective_capacity(np.log(w[:, z].T), y, prior=np.full(4, 0.25)).lower
            > true
        )
    assert over <= 20
    best = semantic_capacity.effective_capacity(np.log(w[:, z].T), y, prior=np.full(4, 0.25))
    assert best.kind is Kind.CALIBRATED and best.value == pytest.approx(true, abs=0.2)
    sure = semantic_capacity.effective_capacity(50.0 * np.log(w[:, z].T), y, prior=np.full(4, 0.25))
    assert sure.value < best.value
    guessed = semantic_capacity.effective_capacity(np.log(w[:, z].T), y, task=y % 2)
    assert guessed.kind is Kind.ESTIMATE and guessed.lower is None
    deaf = semantic_capacity.effective_capacity(np.zeros((500, 4)), y, prior=np.full(4, 0.25))
    assert deaf.value == pytest.approx(0) and deaf.lower == 0
    with pytest.raises(UsageError, match="targets"):
        semantic_capacity.effective_capacity(np.zeros((3, 2)), [0, 1, 2])
