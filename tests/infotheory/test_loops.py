"""Growth round a loop: gains by intervention, spectral radius, weakest cut, rounds."""

import math
from itertools import permutations

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.infotheory import loops

NAMES = ("data", "model", "clone")


DOSES = (0, 0.1, 0.2, 0.4)


def edge(gain, *, clusters=12, seed=0, bend=0.0, spread=0.1, noise=0.02, straight=True):
    """A gain measured from simulated interventions."""
    rng = np.random.default_rng(seed)
    dose, cluster = np.tile(DOSES, clusters), np.repeat(np.arange(clusters), len(DOSES))
    slope = gain * (1 + spread * rng.normal(size=clusters))[cluster]
    response = 0.05 + slope * dose - bend * dose**2 + noise * rng.normal(size=len(dose))
    return loops.dose_response(dose, response, cluster, seed=seed, resamples=400, straight=straight)


def matrix(g, **how):
    """The whole gain matrix, entries of 0 declared absent."""
    names = NAMES[: len(g)]
    edges, absent = {}, {}
    for i, j in np.ndindex(*np.shape(g)):
        if g[i][j]:
            edges[names[i], names[j]] = edge(g[i][j], seed=10 * i + j, **how)
        else:
            absent[names[i], names[j]] = "nothing passes"
    return loops.gain_matrix(names, edges, absent=absent)


def test_the_slope_is_that_at_dose_0_and_saturation_is_seen():
    straight, bent = edge(0.8, straight=False), edge(0.8, bend=1.0, straight=False)
    for gain in (straight, bent):
        assert gain.low < 0.8 < gain.high and gain.high - gain.low < 0.4
        assert gain.clusters == 12 and gain.n == 48 and gain.doses == (0, 0.1, 0.2, 0.4)
    assert not straight.saturates and bent.saturates
    assert bent.bend[1] < -1.0 < bent.bend[2] < 0
    # A straight line through the bent response would be far off.
    line = np.polyfit(np.tile((0, 0.1, 0.2, 0.4), 12), np.tile((0, 0.07, 0.12, 0.16), 12), 1)[0]
    assert line < bent.low
    # Doses in other units give the slope in these units.
    rng = np.random.default_rng(0)
    dose, cluster = np.tile([0.0, 1.0, 2.0], 6), np.repeat(np.arange(6), 3)
    y = 0.3 * dose + 0.05 * rng.normal(size=18)
    one, percent = (loops.dose_response(k * dose, y, cluster) for k in (1, 100))
    assert percent.value == pytest.approx(one.value / 100)
    assert percent.low == pytest.approx(one.low / 100)
    assert loops.dose_response(dose, y).clusters == 18


def test_doses_that_are_met_in_the_mean_are_resampled_with_the_responses():
    """Doses of one level differ between clusters by a half; the gain is 0.8 of what was met."""
    misses = fixed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        dose, cluster = np.tile(DOSES, 12), np.repeat(np.arange(12), len(DOSES))
        met = dose * rng.gamma(4.0, 1 / 4.0, 12)[cluster]
        response = 0.05 + 0.8 * met + 0.01 * rng.normal(size=len(dose))
        read = met + 0.01 * rng.normal(size=len(dose))
        found = loops.dose_response(dose, response, cluster, read=read, seed=seed, resamples=400)
        misses += not found.low < 0.8 < found.high
        # With each level's mean held fixed the interval is of another quantity, and far too wide.
        means = np.array([read[dose == level].mean() for level in DOSES])[np.tile(range(4), 12)]
        alone = loops.dose_response(
            np.maximum(means, 0), response, cluster, seed=seed, resamples=400
        )
        fixed += (found.high - found.low) < 0.7 * (alone.high - alone.low)
    assert misses <= 8 and fixed >= 50
    # Read exactly, it is the same fit.
    dose, cluster = np.tile(DOSES, 6), np.repeat(np.arange(6), len(DOSES))
    response = 0.3 * dose + 0.02 * np.random.default_rng(1).normal(size=len(dose))
    one = loops.dose_response(dose, response, cluster)
    other = loops.dose_response(dose, response, cluster, read=dose)
    assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))
    with pytest.raises(UsageError, match="different doses, got 0, 0, 0, 0"):
        loops.dose_response(dose, response, cluster, read=np.zeros_like(dose))
    with pytest.raises(UsageError, match="and read must have one shape"):
        loops.dose_response(dose, response, cluster, read=[0.1])


def test_a_case_of_the_plan_and_invariance_to_units():
    m = matrix([[0, 0.9, 0.2], [0.6, 0, 0.1], [0.3, 0.4, 0]], noise=0.0, spread=0.0)
    found = loops.spectral_radius(m)
    assert found.value == pytest.approx(0.8531746436535886)
    assert found.low == pytest.approx(found.high) == pytest.approx(found.value)
    assert found.grows == 0.0
    units = np.array([1.0, 60.0, 0.01])
    m = matrix([[0, 0.9, 0.2], [0.6, 0, 0.1], [0.3, 0.4, 0]])
    other = loops.GainMatrix(
        m.assets,
        loops.in_units(m.gains, units),
        loops.in_units(m.slopes, units),
        np.stack([loops.in_units(draw, units) for draw in m.draws]),
        m.absent,
        m.open,
    )
    found, again = loops.spectral_radius(m), loops.spectral_radius(other)
    for name in ("value", "low", "high", "grows"):
        assert getattr(again, name) == pytest.approx(getattr(found, name), rel=1e-6)
    assert found.low < 0.853 < found.high
    products = dict(loops.cycles(m))
    assert products == pytest.approx(dict(loops.cycles(other)))
    assert loops.weakest_cut(m).edge == loops.weakest_cut(other).edge


def test_limits_hold_where_the_matrix_is_defective():
    """A cut loop has ρ = 0; every resample of it has ρ > 0, and so have their percentiles."""
    misses = plain = 0
    for seed in range(40):
        m = loops.gain_matrix(
            NAMES[:2],
            {
                (i, j): edge(g, seed=4 * seed + k)
                for k, (i, j, g) in enumerate(
                    [("data", "model", 0.8), ("model", "data", 0.0),
                     ("data", "data", 0.0), ("model", "model", 0.0)]
                )
            },
        )  # fmt: skip
        found = loops.spectral_radius(m)
        misses += found.low > 1e-9
        radii = np.abs(np.linalg.eigvals(np.maximum(m.draws, 0))).max(-1)
        plain += np.quantile(radii, 0.025) > 1e-9
        assert found.high >= found.value >= found.low
    assert misses <= 5 < plain


def test_growth_is_certain_or_not():
    grows, shrinks, unsure = (
        loops.spectral_radius(matrix([[0, a], [b, 0]])) for a, b in ((2, 2), (0.3, 0.3), (1, 1))
    )
    assert grows.grows == 1.0 and grows.low > 1
    assert shrinks.grows == 0.0 and shrinks.high < 1
    assert 0.02 < unsure.grows < 0.98 and unsure.low < 1 < unsure.high


def test_an_edge_that_nobody_measured_is_not_zero():
    edges = {("data", "model"): edge(0.9), ("model", "data"): edge(0.9, seed=1)}
    with pytest.raises(UsageError, match="missing: data → data, model → model"):
        loops.gain_matrix(NAMES[:2], edges)
    half = loops.gain_matrix(NAMES[:2], edges, allow_open=True)
    assert half.open == (("data", "data"), ("model", "model"))
    found = loops.spectral_radius(half)
    assert found.high is None and found.grows is None and found.low > 0.7
    with pytest.raises(UsageError, match="open: data → data"):
        loops.forecast(half, [0.1, 0], np.zeros((4, 2)))
    reasons = {(n, n): "it does not train itself" for n in NAMES[:2]}
    whole = loops.gain_matrix(NAMES[:2], edges, absent=reasons)
    assert loops.spectral_radius(whole).low == pytest.approx(found.low)
    # An edge that adds can only raise the loop: the lower end was right.
    more = loops.gain_matrix(
        NAMES[:2],
        {**edges, ("data", "data"): edge(0.5, seed=2)},
        absent={("model", "model"): "it does not train itself"},
    )
    assert loops.spectral_radius(more).value > found.low


@pytest.mark.parametrize("seed", range(6))
def test_the_weakest_cut_and_the_largest_mean_cycle_by_hand(seed):
    rng = np.random.default_rng(seed)
    n = 4
    g = np.where(rng.random((n, n)) < 0.6, rng.uniform(0.1, 1.5, (n, n)), 0.0)
    g[0, 1] = g[1, 0] = 0.7
    best = 0.0
    for k in range(1, n + 1):
        for path in permutations(range(n), k):
            pairs = zip(path, (*path[1:], path[0]), strict=True)
            best = max(best, math.prod(g[i, j] for i, j in pairs) ** (1 / k))
    assert loops.cycle_mean(g) == pytest.approx(best)
    assert loops.cycle_mean(g) <= loops.loop_gain(g) + 1e-12
    names = tuple("abcd")
    m = loops.GainMatrix(names, g, g, g[None], {}, ())
    listed = loops.cycles(m)
    assert listed[0][1] ** (1 / len(listed[0][0])) == pytest.approx(best)
    cut = loops.weakest_cut(m)
    falls = {}
    for i, j in np.argwhere(g > 0):
        left = g.copy()
        left[i, j] = 0
        falls[names[i], names[j]] = loops.loop_gain(left)
    assert cut.radius == pytest.approx(min(falls.values())) and cut.share == 1.0
    assert falls[cut.edge] == pytest.approx(cut.radius)
    assert dict(cut.falls) == pytest.approx(falls)


def test_one_cycle_is_cut_at_any_edge_and_both_ways_agree():
    cut = loops.weakest_cut(matrix([[0, 0.9], [0.4, 0]]))
    assert cut.radius == 0 and cut.agree
    none = loops.weakest_cut(matrix([[0, 0.9], [0, 0]]))
    assert none.edge is None and none.by_cycles is None
    # A short strong cycle beside a long weak one: the cut is in the strong one.
    cut = loops.weakest_cut(matrix([[0, 0.9, 0.1], [0.9, 0, 0.1], [0.1, 0.1, 0]]))
    assert cut.agree and set(cut.edge) == {"data", "model"} and cut.share > 0.3


def test_rounds_are_predicted_along_the_edges():
    """Round by round in a simulated loop, where data compromises models and not the reverse."""
    truth = np.array([[0.3, 0.9], [0.2, 0.1]])
    names = NAMES[:2]
    m = loops.gain_matrix(
        names,
        {(names[i], names[j]): edge(truth[i, j], seed=5 * i + j) for i, j in np.ndindex(2, 2)},
    )
    rng = np.random.default_rng(3)
    runs = np.zeros((20, 5, 2))
    runs[:, 0] = (0.2, 0.0)
    for r in range(1, 5):
        runs[:, r] = rng.binomial(400, np.clip(runs[:, r - 1] @ truth, 0, 1)) / 400
    seen = loops.forecast(m, [0.2, 0.0], runs)
    assert seen.predicted[1] == pytest.approx([0.06, 0.18], abs=0.03)
    assert seen.inside.all() and seen.linear.all()
    wrong = loops.forecast(m, [0.2, 0.0], runs[:, :, ::-1])
    assert not wrong.inside[1:].all()
    assert not loops.forecast(m, [2.0, 2.0], runs[0]).linear[0].any()


def test_mistakes():
    dose = np.tile([0.0, 0.1, 0.2], 4)
    with pytest.raises(UsageError, match="3 different doses"):
        loops.dose_response(np.minimum(dose, 0.1), dose)
    with pytest.raises(UsageError, match="4 clusters"):
        loops.dose_response(dose, dose, np.zeros(12))
    with pytest.raises(UsageError, match="one shape"):
        loops.dose_response(dose, dose[:3])
    with pytest.raises(UsageError, match="finite"):
        loops.dose_response(dose, np.full(12, np.nan))
    with pytest.raises(UsageError, match="weights"):
        loops.dose_response(dose, dose, weights=np.ones((9, 3)))
    gain = edge(0.5)
    with pytest.raises(UsageError, match="join assets"):
        loops.gain_matrix(("a",), {("a", "b"): gain})
    with pytest.raises(UsageError, match="measured and declared absent"):
        loops.gain_matrix(("a",), {("a", "a"): gain}, absent={("a", "a"): "why"})
    with pytest.raises(UsageError, match="different names"):
        loops.gain_matrix(("a", "a"), {})
    with pytest.raises(UsageError, match="resamples"):
        more = loops.dose_response(dose, dose, resamples=9)
        loops.gain_matrix(("a", "b"), {("a", "a"): gain, ("b", "b"): more}, allow_open=True)
    with pytest.raises(UsageError, match="3 rounds"):
        loops.forecast(matrix([[0.5]]), [0.1], np.zeros((3, 1)))
    with pytest.raises(UsageError, match="at most 8 assets"):
        loops.cycles(
            loops.GainMatrix(
                tuple("abcdefghi"), np.zeros((9, 9)), np.zeros((9, 9)), np.zeros((1, 9, 9)), {}, ()
            )
        )
