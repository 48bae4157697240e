import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hartley.channel.scores import roc
from hartley.channel.scores.lazy_sort import (
    BINS,
    SAMPLE,
    ClassScores,
    ScorePair,
    _between,
    order_statistics,
)


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.integers(-8, 8), min_size=1, max_size=80),
    st.lists(st.tuples(st.sampled_from(["above", "at", "below", "ends", "ascending"]), st.data())),
)
def test_whatever_was_asked_before_the_answers_are_those_of_the_sorted_scores(values, asked):
    known = np.sort(np.array(values, float))
    n, side = len(known), ClassScores(np.array(values, float))
    for what, data in asked:
        places = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=40))
        cuts = np.array(places, float) - n / 2
        if what == "at":
            assert np.array_equal(side.at(places), known[places])
        elif what == "above":
            assert side.above(cuts).tolist() == [int((known > c).sum()) for c in cuts]
        elif what == "below":
            assert side.below(cuts).tolist() == [int((known < c).sum()) for c in cuts]
        elif what == "ends":
            assert side.ends() == (known[0], known[-1])
        else:
            assert np.array_equal(side.ascending, known)
    assert np.array_equal(side.ascending, known)


@pytest.mark.parametrize("shape", ["normal", "ties", "constant"])
def test_the_bootstrap_of_a_tail_is_that_of_the_full_sort(shape):
    rng = np.random.default_rng(1)
    pos, neg = rng.normal(1, 1, 20_000), rng.normal(size=30_000)
    if shape == "ties":
        pos, neg = np.round(pos, 1), np.round(neg, 1)
    if shape == "constant":
        pos, neg = np.zeros(20_000), np.zeros(30_000)
    for levels in ((0.1, 0.01, 0.001), (0.001, 0.01, 0.1), (0.5,)):
        lazy, eager = ScorePair.split(pos, neg), ScorePair.split(pos, neg)
        eager.sort()
        for k, level in enumerate(levels):
            found, known = (
                roc.tpr_at_fpr(s, level, np.random.default_rng(k)) for s in (lazy, eager)
            )
            assert found == known
        assert lazy.positives._sorted is lazy.negatives._sorted is None


def test_flipped_scores_mirror_both_sides():
    rng = np.random.default_rng(2)
    scores = ScorePair.of(rng.integers(0, 2, 50), rng.normal(size=50))
    for side, other in (
        (scores.positives, scores.flipped().positives),
        (scores.negatives, scores.flipped().negatives),
    ):
        assert np.array_equal(-other.ascending[::-1], side.ascending)


def test_two_values_are_told_from_more():
    half = np.repeat([0.0, 1.0], 5)
    assert ScorePair.split(half, half).two_valued()
    assert ScorePair.split(np.zeros(4), np.zeros(3)).two_valued()
    assert ScorePair.split(np.ones(4), half).two_valued()
    assert not ScorePair.split(half, [0.0, 1.0, 0.0, 0.5]).two_valued()
    assert not ScorePair.split([0.0, 1.0, 0.0, 2.0], half).two_valued()


@pytest.mark.parametrize("n", [1, 5, 4 * BINS, 30_000])
def test_order_statistics_are_those_of_the_sorted_values(n):
    rng = np.random.default_rng(n)
    spread = np.concatenate([rng.integers(0, n, 20), [0, n - 1]])
    for values in (
        rng.normal(size=n),
        rng.standard_cauchy(n) ** 5,
        np.round(rng.normal(size=n)),
        np.zeros(n),
        np.where(rng.random(n) < 0.5, -1.7e308, 1.7e308 * rng.random(n)),
        np.where(rng.random(n) < 1e-3, 1e308, rng.random(n)),
        np.sin(np.arange(n) * 2 * np.pi / (n // SAMPLE or 1)),  # every sampled row is alike
    ):
        known = np.sort(values)
        for at in (spread, np.unique(spread // 20), n - 1 - np.unique(spread // 20), spread[:1]):
            with np.errstate(over="ignore"):
                assert np.array_equal(order_statistics(values, at), known[at])


def test_a_misleading_sample_is_noticed():
    n = 40 * SAMPLE
    values = np.random.default_rng(4).random(n)
    values[:: n // SAMPLE] += 10.0  # the sampled rows hold the top, and nothing else
    sample, at = np.sort(values[:: n // SAMPLE]), np.array([n // 2])
    assert _between(values, at, sample) is None
    assert order_statistics(values, at) == np.sort(values)[at]
