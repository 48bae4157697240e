import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hartley.channel.bounds import two_rates
from hartley.channel.bounds.region_minimum import Border
from hartley.infotheory import binary_channel
from hartley.infotheory.binary_channel import entropy

counts = st.tuples(st.integers(1, 400), st.integers(1, 400), st.floats(0, 1), st.floats(0, 1)).map(
    lambda t: (round(t[2] * t[0]), t[0], round(t[3] * t[1]), t[1])
)


def brute(name, tp, n1, fp, n0, alpha=0.05, delta=1e-5):
    """The minimum over the border on a fine grid, by the definition."""
    if tp == 0 or fp == n0:
        return 0.0
    z = two_rates.fisher_level(alpha)
    u = np.sin(np.linspace(0, math.pi / 2, 20_001)) ** 2
    a = binary_channel.rate_low(tp, n1, z**u)
    b = binary_channel.rate_high(fp, n0, np.minimum(z ** (1 - u), 1.0))
    value = binary_channel.functional(name, delta)(a, b)
    return max(0.0, float(np.where(a > b, value, 0.0).min()))


def test_the_audit_of_case_c49():
    box = two_rates.box_lower(150, 1000, 10, 1000, 0.05, delta=1e-5)
    assert box["epsilon"] == pytest.approx(1.9476412736329853, abs=1e-9)
    assert box["advantage"] == pytest.approx(0.11011156806106037, abs=1e-12)
    assert box["bits"] == pytest.approx(0.035889996329397045, abs=1e-12)
    assert box["capacity"] == pytest.approx(0.03652460175254295, abs=1e-9)
    assert box["min_capacity"] == pytest.approx(0.1507046771157724, abs=1e-12)
    assert box["mu"] == pytest.approx(0.9560345968090094, abs=1e-9)
    fisher = two_rates.lower(150, 1000, 10, 1000, 0.05, delta=1e-5)
    assert two_rates.fisher_level(0.05) == pytest.approx(0.008704940695901579, abs=1e-11)
    assert fisher["epsilon"] == pytest.approx(2.062818308487039, abs=1e-7)
    assert fisher["bits"] == pytest.approx(0.042068300899900324, abs=1e-9)
    assert fisher["advantage"] == pytest.approx(0.1162074218105764, abs=1e-9)


def test_the_low_rate_channel_of_case_c07():
    assert float(binary_channel.capacity(0.05, 0.001)) == pytest.approx(
        0.023404368752935424, abs=1e-12
    )
    assert float(binary_channel.bits(0.05, 0.001)) == pytest.approx(0.022393924326291836, abs=1e-12)
    assert float(binary_channel.min_capacity(0.05, 0.001)) == pytest.approx(
        0.06901467791518, abs=1e-12
    )
    assert float(binary_channel.epsilon(0.05, 0.001)) == pytest.approx(3.912023005428146, abs=1e-12)


@pytest.mark.parametrize("name", binary_channel.FUNCTIONALS)
@settings(derandomize=True, max_examples=20, deadline=None)
@given(c=counts)
def test_the_minimum_is_the_minimum(name, c):
    found = two_rates.lower(*c, 0.05)[name]
    seen = brute(name, *c)
    # The reference grid is blunter than the search, most where ε has a kink.
    slack = 1e-3 if name == "epsilon" else 1e-5
    assert seen - slack * (1 + seen) < found <= seen + 1e-10


@settings(derandomize=True, max_examples=60, deadline=None)
@given(c=counts, alpha=st.floats(1e-6, 0.5))
def test_bounds_stay_below_the_observed_channel(c, alpha):
    tp, n1, fp, n0 = c
    a, b = np.array(tp / n1), np.array(fp / n0)
    found = two_rates.lower(*c, alpha, delta=0.0)
    for name in binary_channel.FUNCTIONALS:
        seen = float(binary_channel.functional(name)(a, b)) if a > b else 0.0
        assert 0.0 <= found[name] <= seen + 1e-9


@settings(derandomize=True, max_examples=60, deadline=None)
@given(c=counts)
def test_more_true_positives_or_more_certainty_never_lower_a_bound(c):
    tp, n1, fp, n0 = c
    assume(tp < n1)
    bits = [
        two_rates.lower(k, n1, fp, n0, alpha, of=("bits",))["bits"]
        for k, alpha in ((tp, 0.01), (tp, 0.05), (tp + 1, 0.05))
    ]
    assert all(x <= y + 1e-9 for x, y in pairwise(bits))


@given(st.floats(0, 1), st.floats(0, 1))
def test_functionals_keep_their_order(a, b):
    bits, most = float(binary_channel.bits(a, b)), float(binary_channel.capacity(a, b))
    assert 0.0 <= bits <= most + 1e-9
    assert most <= float(binary_channel.min_capacity(a, b)) + 1e-9
    assert bits == pytest.approx(float(binary_channel.bits(b, a)), abs=1e-12)
    assert bits == pytest.approx(float(binary_channel.bits(1 - a, 1 - b)), abs=1e-12)


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_capacity_is_the_best_prior(a, b):
    prior = np.linspace(0, 1, 4001)
    over = entropy(prior * a + (1 - prior) * b) - prior * entropy(a) - (1 - prior) * entropy(b)
    assert float(binary_channel.capacity(a, b)) == pytest.approx(float(over.max()), abs=2e-7)


def test_fisher_is_tighter_than_the_box_where_the_plan_says_so():
    for tp, n1, fp, n0 in ((50, 1000, 1, 1000), (120, 200, 80, 200), (210, 300, 90, 300)):
        box = two_rates.box_lower(tp, n1, fp, n0)["bits"]
        assert two_rates.lower(tp, n1, fp, n0)["bits"] > 1.2 * box


HARD = (
    (432, 432, 0, 11),  # the least advantage lies where nearly the whole level goes to one rate
    (14620, 14675, 0, 5),
    (21614, 21664, 0, 6),
    (3, 3, 5, 9746),
    (24336, 24345, 0, 17),
    (11961, 12479, 0, 2),
    (7938, 8422, 0, 1736),
    (986, 986, 173, 24362),
    (30, 30, 0, 30),
    (500, 1000, 480, 1000),
    (1, 50_000, 0, 50_000),
    (25_600, 50_000, 25_000, 50_000),
)


@pytest.mark.parametrize("name", binary_channel.FUNCTIONALS)
@pytest.mark.parametrize("c", HARD)
def test_no_point_of_the_border_is_worth_less(name, c):
    tp, n1, fp, n0 = c
    found, delta, z = two_rates.lower(*c, delta=1e-5)[name], 1e-5, two_rates.fisher_level(0.05)
    f = binary_channel.functional(name, delta)
    s = np.linspace(-36.0, 36.0, 40_001)
    for _ in range(3):  # by the definition, twice magnified about its least point
        u, v = 1 / (1 + np.exp(-s)), 1 / (1 + np.exp(s))
        a, b = binary_channel.rate_low(tp, n1, z**u), binary_channel.rate_high(fp, n0, z**v)
        value = np.where(a > b, f(a, b), 0.0)
        k = min(max(int(value.argmin()), 1), len(s) - 2)
        s = np.linspace(s[k - 1], s[k + 1], 1001)
    seen = max(0.0, float(value.min()))
    assert seen - 1e-8 <= found <= seen + 1e-10


def test_few_points_of_the_border_are_enough():
    rng = np.random.default_rng(5)
    for _ in range(300):
        n1, n0 = np.round(10 ** rng.uniform(0, 4.5, 2))
        row = max(1, round(n1 * rng.random())), n1, min(n0 - 1, round(n0 * rng.random() ** 4)), n0
        for name in binary_channel.FUNCTIONALS:
            border = Border(row, 0.0087)
            border.least(name, 1e-5)
            assert len(border.points) <= 80


def test_the_highest_of_rows_is_what_the_rows_give():
    rng = np.random.default_rng(0)
    for _ in range(30):
        n1, n0 = rng.integers(1, 500, 2)
        tp, fp = rng.integers(0, n1 + 1, 12), rng.integers(0, n0 + 1, 12)
        alphas = rng.choice([0.05, 0.001], 12)
        best = two_rates.highest(tp, n1, fp, n0, alphas)
        rows = [two_rates.lower(*c) for c in zip(tp, [n1] * 12, fp, [n0] * 12, alphas, strict=True)]
        for name in binary_channel.FUNCTIONALS:
            assert best[name] == pytest.approx(max(r[name] for r in rows), abs=1e-12)


def test_a_table_of_counts_gives_what_each_gives_alone():
    tp, fp = np.array([[3, 40], [90, 100]]), np.array([[0, 10], [5, 100]])
    both = two_rates.lower(tp, 100, fp, 100)
    for i in np.ndindex(2, 2):
        alone = two_rates.lower(int(tp[i]), 100, int(fp[i]), 100)
        for name in binary_channel.FUNCTIONALS:
            assert both[name][i] == pytest.approx(alone[name], abs=1e-12)


@pytest.mark.parametrize(
    "c", [(0, 10, 0, 10), (10, 10, 10, 10), (0, 0, 3, 10), (3, 10, 0, 0), (0, 0, 0, 0)]
)
def test_nothing_is_certified_about_nothing(c):
    assert all(v == 0.0 for v in two_rates.lower(*c).values())


def test_no_false_positive_at_all_is_still_finite():
    found = two_rates.lower(50, 100, 0, 100, delta=0.0)
    assert all(math.isfinite(v) and v > 0 for v in found.values())


def test_alpha_must_be_a_level():
    for alpha in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="alpha"):
            two_rates.lower(1, 2, 1, 2, alpha)


def test_the_upper_bound_covers_and_needs_both_classes():
    assert two_rates.box_upper(0, 0, 3, 10) == 1.0
    assert two_rates.box_upper(500, 1000, 500, 1000) < 0.02
    assert two_rates.box_upper(480, 500, 20, 500) > float(binary_channel.bits(0.96, 0.04))
