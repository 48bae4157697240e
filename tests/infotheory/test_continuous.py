"""KSG: two implementations with equal counts, known laws, the rounding trap, and its flag."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hartley.core import Kind
from hartley.core.errors import UsageError
from hartley.infotheory import ksg as ct
from hartley.infotheory import retrieval as rt
from hartley.infotheory.gaussian import gaussian_mi


def pair(n, d, rho, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(n, d))


def slow(x, y, k):
    """KSG-1 by its definition, one point at a time."""
    from scipy.special import digamma

    n, total = len(x), 0.0
    for i in range(n):
        dx, dy = np.abs(x - x[i]).max(1), np.abs(y - y[i]).max(1)
        radius = np.sort(np.maximum(dx, dy))[k]
        total += digamma((dx < radius).sum()) + digamma((dy < radius).sum())
    return (digamma(k) + digamma(n) - total / n) / math.log(2)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(6, 400),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 5),
    st.sampled_from(["normal", "cauchy", "lattice"]),
)
def test_tree_blocks_and_definition_agree(seed, n, dx, dy, k, law):
    rng = np.random.default_rng(seed)
    draw = {
        "normal": lambda size: rng.normal(size=size),
        "cauchy": lambda size: rng.standard_cauchy(size) ** 3,  # most points in one grid step
        "lattice": lambda size: rng.integers(0, 2**20, size) / 2**10,
    }[law]
    x = draw((n, dx))
    y = x[:, :1] + draw((n, dy))
    if law == "lattice" and len(np.unique(np.column_stack([x, y]), axis=0)) < n:
        return
    x, y = x - x.mean(0), y - y.mean(0)
    due = slow(x, y, k)
    assert ct.ksg(x, y, k, method="blocks").value == pytest.approx(due, abs=1e-9)
    if law == "normal":
        assert ct.ksg(x, y, k, method="tree").value == pytest.approx(due, abs=1e-9)


def test_blocks_with_folds_and_strays_agree_with_the_tree():
    """Enough points for the fold, several blocks of rows, and far-out points off the grid."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3000, 2))
    y = x + rng.normal(size=(3000, 2))
    x[:9] *= 1e5
    tree, blocks = (ct.ksg(x, y, method=m).value for m in ("tree", "blocks"))
    assert blocks == pytest.approx(tree, abs=1e-12)


def test_known_law_in_one_dimension():
    found = ct.ksg(*pair(4000, 1, 0.6))
    assert found.kind is Kind.ESTIMATE and found.lower is None
    assert found.value == pytest.approx(0.321928, abs=0.05)
    assert ct.gaussian_estimate(*pair(4000, 1, 0.6)).value == pytest.approx(0.321928, abs=0.05)
    null = ct.ksg(pair(4000, 1, 0.6)[0], pair(4000, 1, 0.6, seed=1)[0])
    assert abs(null.value) < 0.05


def test_the_trap_of_u_plus_r():
    """Without the shrink, rounding takes in the k-th neighbour and the estimate falls."""
    x, y = pair(4000, 1, 0.6)
    right = ct.ksg(x, y, method="tree").value
    # Blocks decide every doubtful pair by the same subtraction that gave the radius.
    assert right == pytest.approx(ct.ksg(x, y, method="blocks").value, abs=1e-12)
    kept, ct.SHRINK = ct.SHRINK, 0.0
    try:
        wrong = ct.ksg(x, y, method="tree").value
    finally:
        ct.SHRINK = kept
    assert right - wrong > 0.005


def test_invariances():
    x, y = pair(600, 3, 0.5)
    value = ct.ksg(x, y).value
    order = np.random.default_rng(0).permutation(600)
    assert ct.ksg(x[order], y[order]).value == pytest.approx(value, abs=1e-9)
    assert ct.ksg(y, x).value == pytest.approx(value, abs=1e-9)
    assert ct.ksg(4 * x + 2, 4 * y - 1).value == pytest.approx(value, abs=1e-9)
    assert ct.ksg(-x[:, ::-1], y).value == pytest.approx(value, abs=1e-9)


def test_ksg_in_many_dimensions_is_flagged():
    x, y = pair(4000, 10, 0.8)
    true = 10 * gaussian_mi([[1, 0.8], [0.8, 1]], 1)
    found = rt.audited_ksg(x, y)
    assert found.value < 0.75 * true
    assert any("contradicted by InfoNCE" in a or "retrieval" in a for a in found.assumptions)
    fine = rt.audited_ksg(*pair(4000, 1, 0.6))
    assert not any("contradicted" in a for a in fine.assumptions)


@pytest.mark.parametrize(
    ("x", "y", "why"),
    [
        ([1.0, 2.0], [1.0], "paired"),
        ([1.0, 2.0], [1.0, 2.0], "k < n"),
        ([[math.nan]] * 9, [1.0] * 9, "finite"),
        ([], [], "finite"),
        ([0.0, 1.0] * 20, [0.0, 1.0] * 20, "coincide"),
        ([0.0] * 20, [0.0] * 20, "coincide"),
    ],
)
@pytest.mark.parametrize("method", ["tree", "blocks"])
def test_no_samples(x, y, why, method):
    with pytest.raises(UsageError, match=why):
        ct.ksg(x, y, method=method)


def test_retrieval_finds_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    wrong = 0
    for seed in range(300):
        r = np.random.default_rng(seed)
        places = r.integers(0, 10, 100)
        wrong += rt.n_way(r.random((100, 10)), places).lower > 0
    assert wrong <= 28  # 99.9 % of Binomial(300, 0.05) stay at or under this
    places = rng.integers(0, 16, 400)
    scores = 3.0 * np.eye(16)[places] + rng.normal(size=(400, 16))
    found = rt.n_way(scores, places)
    assert found.kind is Kind.CERTIFIED and 1.0 < found.lower < found.value <= 4.0
    grouped = rt.n_way(scores, places, cluster=np.repeat(np.arange(40), 10))
    assert 0.5 < grouped.lower < found.lower and grouped.clusters == 40
    assert rt.n_way(np.ones((50, 4)), np.zeros(50, dtype=int)).value == 0.0  # ties are misses
    assert rt.n_way(np.ones((5, 1)), np.zeros(5, dtype=int)).lower == 0.0
    for bad in (np.full((3, 2), math.nan), np.ones((3, 0)), np.ones(3)):
        with pytest.raises(UsageError):
            rt.n_way(bad, np.zeros(3, dtype=int))
    with pytest.raises(UsageError, match="place"):
        rt.n_way(np.ones((2, 2)), np.array([0, 2]))


def test_info_nce_with_the_best_critic():
    """C59 by simulation: 2 bits are there, the best critic sees 1.681 at batch 8."""
    rng = np.random.default_rng(1)
    s = rng.integers(0, 4, (4000, 8))
    scores = np.where(s[:, :, None] == s[:, None, :], 50.0, 0.0)
    found = rt.info_nce(scores)
    assert found.value == pytest.approx(rt.info_nce_optimum(4, 8), abs=0.02)
    assert found.lower < rt.info_nce_optimum(4, 8) and found.kind is Kind.CALIBRATED
    assert rt.info_nce(scores[:1]).kind is Kind.ESTIMATE
    assert rt.info_nce_optimum(10**6, 8) == pytest.approx(3.0, abs=1e-4)
    x, y = pair(20_000, 2, 0.9)
    critic = rt.gaussian_critic(x[:10_000], y[:10_000])
    batches = np.stack([critic(x[i : i + 200], y[i : i + 200]) for i in range(10_000, 20_000, 200)])
    true = 2 * gaussian_mi([[1, 0.9], [0.9, 1]], 1)
    assert true - 0.15 < rt.info_nce(batches).value < true + 0.05
