"""Vulnerabilities by enumeration, betting bounds by simulation."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hartley.core import Kind
from hartley.core.errors import UsageError
from hartley.infotheory import binary_channel, leakage
from hartley.infotheory import channel_matrix as mx


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_flow_by_enumeration(seed):
    rng = np.random.default_rng(seed)
    p, w, v = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(4), 3), rng.dirichlet(np.ones(2), 4)
    gain = rng.random((5, 3))
    joint = p[:, None] * w
    best = sum(max(gain[g] @ joint[:, o] for g in range(5)) for o in range(4))
    assert leakage.posterior_vulnerability(p, w, gain) == pytest.approx(best, abs=1e-12)
    orders = [
        min(
            sum((i + 1) * joint[s, o] for i, s in enumerate(order))
            for order in permutations(range(3))
        )
        for o in range(4)
    ]
    assert leakage.guessing_entropy(p, w) == pytest.approx(sum(orders), abs=1e-12)
    assert leakage.tries(p, 3, w) == pytest.approx(1.0)
    assert leakage.tries(p, 1, w) == pytest.approx(leakage.posterior_vulnerability(p, w))
    # A second stage never helps the attacker, whatever he wants; and min-capacity bounds all gains.
    after = leakage.multiplicative_leakage(p, mx.cascade(w, v), gain)
    assert 0 <= after + 1e-12 <= leakage.multiplicative_leakage(p, w, gain) + 2e-12
    assert leakage.multiplicative_leakage(p, w, gain) <= mx.min_capacity(w) + 1e-12
    assert leakage.multiplicative_leakage(np.full(3, 1 / 3), w) == pytest.approx(mx.min_capacity(w))


def test_work_and_cost():
    w = np.eye(4)
    u = np.full(4, 0.25)
    assert leakage.work_factor(u) == 1.0  # two guesses reach one half
    assert leakage.work_factor(u, w) == 0.0
    assert leakage.leakage_per_cost(u, w, 4.0) == 0.5
    for bad in (lambda: leakage.tries(u, 0), lambda: leakage.leakage_per_cost(u, w, 0.0)):
        with pytest.raises(UsageError):
            bad()
    with pytest.raises(UsageError, match="gain table"):
        leakage.vulnerability(u, np.ones((2, 3)))


@pytest.mark.parametrize("law", ["coin", "rare", "beta", "sure"])
@pytest.mark.parametrize("n", [20, 300])
def test_betting_bound_holds(law, n):
    rng = np.random.default_rng(7)
    mean, draw = {
        "coin": (0.5, lambda: (rng.random(n) < 0.5) * 1.0),
        "rare": (0.02, lambda: (rng.random(n) < 0.02) * 1.0),
        "beta": (0.25, lambda: rng.beta(0.5, 1.5, n)),
        "sure": (0.97, lambda: (rng.random(n) < 0.97) * 1.0),
    }[law]
    runs = 1000
    wrong = sum(leakage.betting_lower(draw()) > mean for _ in range(runs))
    assert binary_channel.clopper_pearson(wrong, runs, 0.01)[0] <= 0.05, wrong


def test_betting_bound_is_worth_having():
    rng = np.random.default_rng(0)
    x = (rng.random(1000) < 0.3) * 1.0
    exact = binary_channel.clopper_pearson(int(x.sum()), 1000, 0.05)[0]
    assert exact - 0.02 < leakage.betting_lower(x) < x.mean()
    assert leakage.betting_lower(np.ones(100)) > 0.93
    assert leakage.betting_lower(np.zeros(5)) == leakage.betting_lower([]) == 0.0
    for bad in ([1.2], [math.nan], [[0.5]]):
        with pytest.raises(UsageError):
            leakage.betting_lower(bad)


def test_held_out_leakage_is_certified():
    rng = np.random.default_rng(2)
    w = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    true = leakage.multiplicative_leakage(np.full(3, 1 / 3), w)
    hits = (rng.random(2000) < 0.8) * 1.0
    found = leakage.held_out_vulnerability(hits, 1 / 3)
    assert found.kind is Kind.CERTIFIED and true - 0.1 < found.lower < true
    none = leakage.held_out_vulnerability((rng.random(2000) < 1 / 3) * 1.0, 1 / 3)
    assert none.lower == 0.0
    assert leakage.held_out_vulnerability([], 0.5).lower == 0.0
    with pytest.raises(UsageError, match="prior vulnerability"):
        leakage.held_out_vulnerability([1.0], 0.0)
