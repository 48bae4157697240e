import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from sklearn.metrics import roc_auc_score, roc_curve

from hartley.channel.bounds.degenerate_intervals import METRIC_LEVELS, share_interval
from hartley.channel.measure import measure
from hartley.channel.scores import roc
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.core import ChannelSpec, Trials
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.infotheory.e_values import units_lower

scores = st.lists(st.integers(-6, 6), min_size=4, max_size=60).flatmap(
    lambda s: st.tuples(st.just(s), st.lists(st.booleans(), min_size=len(s), max_size=len(s)))
)


def both(pair):
    score, truth = np.array(pair[0], float), np.array(pair[1], int)
    truth[0], truth[1] = 0, 1
    return truth, score


@settings(derandomize=True, deadline=None)
@given(scores)
def test_auc_is_the_usual_one_with_ties(pair):
    truth, score = both(pair)
    found = roc.area(ScorePair.of(truth, score)).interval(0.05)
    assert found.value == pytest.approx(roc_auc_score(truth, score))
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


@settings(derandomize=True, deadline=None)
@given(scores)
def test_only_the_order_of_scores_counts(pair):
    truth, score = both(pair)
    base = ScorePair.of(truth, score)
    for moved in (score * 3 - 7, np.exp(score), score**3):
        other = ScorePair.of(truth, moved)
        assert roc.area(other).interval(0.05) == roc.area(base).interval(0.05)
        assert roc.curve(other) == roc.curve(base)


@settings(derandomize=True, deadline=None)
@given(scores)
def test_swapped_classes_mirror_the_auc(pair):
    truth, score = both(pair)
    one, other = (roc.area(ScorePair.of(t, score)).interval(0.05) for t in (truth, 1 - truth))
    assert one.value == pytest.approx(1 - other.value)
    assert roc.area(ScorePair.of(truth, score).flipped()).interval(0.05).value == pytest.approx(
        1 - one.value
    )


def test_the_curve_lies_on_the_usual_one():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    score = rng.normal(size=2000) + truth
    mine = roc.curve(ScorePair.of(truth, score))
    fpr, tpr, _ = roc_curve(truth, score, drop_intermediate=False)
    assert len(mine["fpr"]) <= 200
    assert mine["fpr"] == sorted(mine["fpr"])
    at = [float(tpr[fpr <= f + 1e-12].max()) for f in mine["fpr"]]
    assert mine["tpr"] == pytest.approx(at)


def delong(truth, score):
    """DeLong's variance from the definition, pair by pair."""
    pos, neg = score[truth == 1], score[truth == 0]
    psi = (pos[:, None] > neg) + 0.5 * (pos[:, None] == neg)
    v10, v01 = psi.mean(1), psi.mean(0)
    return v10.var(ddof=1) / len(pos) + v01.var(ddof=1) / len(neg)


def test_delong_is_delong():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], [70, 50])
    score = np.round(rng.normal(size=120) + 0.8 * truth, 1)
    found = roc.area(ScorePair.of(truth, score)).interval(0.05)
    p = found.value
    half = (math.log(found.high / (1 - found.high)) - math.log(found.low / (1 - found.low))) / 2
    assert half * p * (1 - p) / 1.6448536269514722 == pytest.approx(
        math.sqrt(delong(truth, score)), rel=1e-9
    )


def test_clusters_of_one_row_are_rows():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 3000)
    score = rng.normal(size=3000) + truth
    rows = roc.area(ScorePair.of(truth, score)).interval(0.05)
    clusters = roc.clustered_area(truth, score, np.arange(3000)).interval(0.05)
    assert clusters.value == pytest.approx(rows.value)
    assert clusters.low == pytest.approx(rows.low, abs=1e-3)


def test_clusters_that_differ_widen_the_interval():
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(10), 200)
    truth = rng.integers(0, 2, 2000)
    score = rng.normal(size=2000) + truth * rng.choice([0.0, 3.0], 10)[cluster]
    rows = roc.area(ScorePair.of(truth, score)).interval(0.05)
    wide = roc.clustered_area(truth, score, cluster).interval(0.05)
    assert wide.high - wide.low > 2 * (rows.high - rows.low)
    assert roc.clustered_area(truth, score, np.zeros(2000, int)).interval(0.05).low == 0.0


@pytest.mark.parametrize("level", [0.001, 0.01, 0.1, 0.5])
def test_a_level_never_flags_more_negatives_than_it_declares(level):
    rng = np.random.default_rng(4)
    for n in (1, 3, 10, 99, 1000):
        negatives = np.sort(rng.integers(0, 50, n).astype(float))
        j = int(roc.places([level], n)[0])
        assert (negatives > negatives[n - j]).sum() <= max(0, math.floor(level * n))


def test_true_false_positive_rate_is_within_its_exact_limit():
    """Clopper–Pearson with j − 1 holds for the j-th largest negative (no second split)."""
    from hartley.infotheory.binary_channel import rate_high

    rng = np.random.default_rng(5)
    n, j = 200, 5
    limit = float(rate_high(j - 1, n, 0.05))
    true = np.array([1 - np.sort(rng.random(n))[n - j] for _ in range(4000)])
    assert (true > limit).mean() == pytest.approx(0.05, abs=0.012)


def test_tpr_at_fpr_covers_what_resampling_covers():
    rng = np.random.default_rng(6)
    found = roc.tpr_at_fpr(ScorePair.split(rng.normal(1, 1, 4000), rng.normal(size=4000)), 0.1, rng)
    true = 1 - 0.5 * (1 + math.erf((1.2815515655446004 - 1) / math.sqrt(2)))
    assert found.low < true < found.high
    assert found.high - found.low < 0.08


def test_signal_and_noise_of_two_normals():
    rng = np.random.default_rng(7)
    s, n = roc.signal_noise(
        ScorePair.split(rng.normal(2, 1.5, 200_000), rng.normal(0, 1.5, 200_000))
    )
    assert s == pytest.approx(1.0, rel=0.02)
    assert n == pytest.approx(2.25, rel=0.02)


def test_perfect_and_constant_scores():
    truth = np.repeat([0, 1], 20)
    perfect = roc.area(ScorePair.of(truth, truth.astype(float))).interval(0.05)
    assert perfect.value == perfect.high == 1.0
    assert 0.7 < perfect.low < 1.0
    flat = roc.area(ScorePair.of(truth, np.zeros(40))).interval(0.05)
    assert flat.value == 0.5


@pytest.mark.parametrize("fpr", [0.0, 0.001, 0.01, 0.1, 0.5, 1.0])
def test_the_rates_without_each_cluster_are_those_of_a_loop_over_clusters(fpr):
    def plainly(truth, score):
        positives, negatives = score[truth == 1], score[truth == 0]
        if not len(positives) or not len(negatives):
            return np.nan
        j = int(roc.places([fpr], len(negatives))[0])
        return (positives > np.sort(negatives)[len(negatives) - j]).mean()

    rng = np.random.default_rng(0)
    for draw in range(60):
        n = int(rng.integers(4, 200))
        cluster = np.unique(rng.integers(0, rng.integers(1, 12), n), return_inverse=True)[1]
        truth = np.r_[0, 1, rng.integers(0, 2, n - 2)]
        score = rng.normal(size=n) if draw % 2 else rng.integers(0, 5, n).astype(float)
        value, without = roc._tpr_without_each(truth == 1, score, cluster, fpr)
        assert value == plainly(truth, score)
        kept = [cluster != c for c in range(cluster.max() + 1)]
        np.testing.assert_array_equal(without, [plainly(truth[k], score[k]) for k in kept])


def test_rows_have_lower_ends_at_falling_levels_that_keep_them():
    # 20 of 420 rows have the secret: the ends at 0.05 are calibrated, those beyond are certified.
    rng, runs = np.random.default_rng(0), 300
    truths = ndtr(2 / math.sqrt(2)), ndtr(ndtri(0.1) + 2), 0.9
    truth = (np.arange(420) < 20).astype(int)
    passed = np.zeros((3, METRIC_LEVELS))
    for _ in range(runs):
        pair = ScorePair.of(truth, rng.normal(size=420) + 2 * truth)
        metrics = [
            roc.area(pair)
            .interval(0.05)
            .at_levels(0.05, roc.PairedArea.of(pair, rng).lower)
            .document(),
            roc.tpr_at_fpr(pair, 0.1, rng).document(),
            share_interval(rng.random(100) < truths[2], None, 0.05),
        ]
        for k, metric in enumerate(metrics):
            levels, lows = np.array(metric["lows"]).T
            assert levels[0] == 0.05 and lows[0] == metric["low"] <= metric["value"]
            assert (np.diff(lows) <= 0).all() and 0 < lows[-1] < lows[0]
            passed[k] += lows > truths[k]
    least = clopper_pearson(passed[:, 1:], runs, 0.005)[0]
    assert (least <= levels[1:]).all(), passed / runs


def test_a_rate_of_few_false_positives_keeps_its_level():
    # 10 of 1,000 negatives lie above the level: the bootstrap's low passed the truth in 9 %.
    rng, runs = np.random.default_rng(0), 400
    truth, rate = np.arange(2000) % 2, ndtr(ndtri(0.01) + 2)
    passed = 0
    for _ in range(runs):
        pair = ScorePair.of(truth, rng.normal(size=2000) + 2 * truth)
        interval = roc.tpr_at_fpr(pair, 0.01, rng, replicates=2000)
        passed += interval.low > rate
    assert clopper_pearson(passed, runs, 0.005)[0] <= 0.05, passed / runs


def test_means_of_rounds_have_certified_lower_ends():
    spec, rng = ChannelSpec(), np.random.default_rng(0)
    rounds = {"share": (0.9, 1.0, 0.95, 0.9, 1.0, 0.85), "loss": (-1.0, 2.0, 1.0)}
    truth = np.arange(60) % 2
    trials = Trials(spec, truth, rng.normal(size=60), metrics_by_round=rounds)
    metrics = measure(trials, redraws=1).metrics
    (level, low), *others = metrics["share"]["lows"]
    assert (level, low) == (0.05, metrics["share"]["low"]) and len(others) == METRIC_LEVELS - 1
    assert others == [
        [a, min(low, units_lower(rounds["share"], np.zeros(6), a))] for a, _ in others
    ]
    assert "lows" not in metrics["loss"]  # nothing says how low it can be


def test_clusters_have_one_level_since_their_ends_do_not_keep_others():
    rng = np.random.default_rng(0)
    truth, cluster = np.arange(400) % 2, np.arange(400) // 50
    score = rng.normal(size=400) + truth
    for metric in (
        roc.clustered_area(truth, score, cluster).interval(0.05).document(),
        roc.clustered_tpr(truth, score, cluster, 0.1).document(),
    ):
        assert "lows" not in metric


def test_shares_of_clusters_have_certified_lower_ends():
    # A share of 0.9 whose clusters differ: the calibrated end passes it in 12 % of tables at 0.05,
    # and would in 2 % at 0.0016.
    rng, runs, sizes = np.random.default_rng(0), 300, np.array([64, 64, 32, 64, 64, 16, 64, 64])
    cluster, passed = np.repeat(np.arange(8), sizes), np.zeros(METRIC_LEVELS)
    for _ in range(runs):
        rates = rng.beta(3.6, 0.4, 8)
        share = share_interval(rng.random(len(cluster)) < rates[cluster], cluster, 0.05)
        levels, lows = np.array(share["lows"]).T
        assert lows[0] == share["low"] and (np.diff(lows) <= 0).all()
        passed += lows > 0.9
    least = clopper_pearson(passed[1:], runs, 0.005)[0]
    assert (least <= levels[1:]).all() and passed[0] > 0, passed / runs
    assert lows[-1] > 0.3
