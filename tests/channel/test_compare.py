"""The difference of two channels: paired over victims, and no better than it is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hartley.channel.compare import difference, difference_of_ends, same_questions
from hartley.channel.measure import point_of
from hartley.core import AnswerForm, ChannelSpec, Role, Trials

SPEC = ChannelSpec(Role.TAP, AnswerForm.SCORE, 2, clustered=True)
VICTIMS, USES = 12, 60


def _deal(seed, shared, shift=0.8):
    """Scores of members that are higher by a shift, which differs between victims."""
    rng, coins = np.random.default_rng(seed), np.random.default_rng(int(1e6 * abs(shared[0, 0])))
    truth = coins.integers(0, 2, (VICTIMS, USES))
    noise = (3 * shared[:, 1:] + rng.normal(size=truth.shape)) / math.sqrt(10)
    guess = noise + shift * np.exp(0.3 * shared[:, :1]) * truth
    cluster = np.repeat(np.arange(VICTIMS), USES)
    return Trials(spec=SPEC, truth=truth.ravel(), guess=guess.ravel(), cluster=cluster)


def _shared(seed):
    return np.random.default_rng(seed).normal(size=(VICTIMS, USES + 1))


def _between(first, second, *, paired):
    return difference(first, second, (point_of(first), point_of(second)), paired=paired)


def test_ends_are_wrong_no_more_often_than_they_say():
    low_wrong, high_wrong, widths = 0, 0, []
    for k in range(36):
        first, second = _deal(2 * k + 1, _shared(k)), _deal(2 * k + 2, _shared(k))
        points = point_of(first), point_of(second)
        low, high = difference(first, second, points, paired=True).ends(0.05)
        low_wrong, high_wrong = low_wrong + (low > 0), high_wrong + (high < 0)
        if k < 6:
            other = difference(first, second, points, paired=False).ends(0.05)
            widths.append((high - low) / (other[1] - other[0]))
    # More than seven of 36 at 5 % happens in one of 5,000 studies.
    assert max(low_wrong, high_wrong) <= 7
    assert np.median(widths) < 0.6


def test_a_leak_that_grew_is_seen():
    first, second = _deal(1, _shared(0)), _deal(2, _shared(0), shift=1.2)
    assert same_questions(first, second)
    between = _between(first, second, paired=True)
    assert between.ends(0.05)[0] > 0.02
    assert between.p_above() < 1e-3 < 0.5 < between.p_below()


def test_the_same_answers_differ_by_exactly_nothing():
    first = _deal(1, _shared(0))
    between = _between(first, first, paired=True)
    assert between.ends(0.05) == (0.0, 0.0)
    assert between.p_above() == between.p_below() == 1.0


def test_perfect_channels_of_unlike_coins_do_not_differ():
    """Their bits on the sample differ by what the coins are off balance, without any spread."""
    trials = []
    for seed in (0, 1):
        truth = np.random.default_rng(seed).integers(0, 2, VICTIMS * USES)
        cluster = np.repeat(np.arange(VICTIMS), USES)
        trials.append(Trials(spec=SPEC, truth=truth, guess=truth.astype(float), cluster=cluster))
    low, high = _between(*trials, paired=False).ends(0.05)
    assert low < 0 < high < 0.01


def test_few_victims_settle_nothing():
    some = [
        replace(t, **{n: getattr(t, n)[: 4 * USES] for n in ("truth", "guess", "cluster")})
        for t in (_deal(1, _shared(0)), _deal(2, _shared(0), shift=3.0))
    ]
    between = _between(*some, paired=True)
    assert between.ends(0.05) == (-1.0, 1.0)
    assert "fewer than 8" in between.how


@pytest.mark.parametrize("form", [AnswerForm.SYMBOL, AnswerForm.RANK])
def test_guesses_and_ranks_are_compared_too(form):
    rng, k = np.random.default_rng(3), 10
    truth = (
        rng.integers(0, k, VICTIMS * USES)
        if form is AnswerForm.SYMBOL
        else np.zeros(VICTIMS * USES, int)
    )
    tables = []
    for known in (0.2, 0.4):
        lucky = rng.random(len(truth)) < known
        blind = rng.integers(0, k, len(truth))
        right = truth if form is AnswerForm.SYMBOL else np.ones_like(truth)
        guess = np.where(lucky, right, blind if form is AnswerForm.SYMBOL else blind + 1)
        cluster = np.repeat(np.arange(VICTIMS), USES)
        spec = ChannelSpec(Role.TAP, form, k, clustered=True)
        tables.append(Trials(spec=spec, truth=truth, guess=guess, cluster=cluster))
    assert _between(*tables, paired=True).ends(0.05)[0] > 0.1
    assert not same_questions(tables[0], replace(tables[1], spec=SPEC))


def test_intervals_alone_are_compared_too():
    first, second = ({"point": p, "low": p - 0.1, "high": p + 0.05} for p in (0.2, 0.6))
    low, high = difference_of_ends(first, second, 2, 0.05).ends(0.05)
    assert low == pytest.approx(0.4 - math.hypot(0.1, 0.05))
    assert high == pytest.approx(0.4 + math.hypot(0.1, 0.05))
    unknown = difference_of_ends(first, {**second, "high": None}, 2, 0.05)
    assert unknown.ends(0.05) == (-1.0, 1.0)
