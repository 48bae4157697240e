"""Quotients of bits: Fieller's limits, their coverage, and gains of several edges together."""

import numpy as np
import pytest

from hartley.channel.log_gain import fieller, log_gain, together
from hartley.channel.measure import measure
from hartley.core import ChannelSpec, Trials


def pair(first, second, *, victims=16, uses=100, seed=0):
    """Two tables of scores on the same coins and noise."""
    rng = np.random.default_rng(seed)
    truth, noise = rng.integers(0, 2, victims * uses), rng.normal(size=victims * uses)
    level = np.exp(0.2 * rng.normal(size=victims))
    cluster = np.repeat(np.arange(victims), uses)
    return [
        Trials(
            ChannelSpec(clustered=True), truth, noise + shift * level[cluster] * truth,
            cluster=cluster,
        )
        for shift in (first, second)
    ]  # fmt: skip


def gain_of(before, after, **how):
    read = [measure(trials).bits for trials in (before, after)]
    points = tuple(bits.value for bits in read)
    return log_gain(before, after, points, certified=read[0].lower, paired=True, **how)


def test_limits_of_a_quotient_hold_for_normal_estimates():
    """Also where the denominator is uncertain, which limits of a logarithm do not allow for."""
    rng = np.random.default_rng(0)
    for truth, error, rho in (((1.0, 2.0), 0.1, 0.5), ((0.4, 0.4), 0.12, 0.8)):
        covariance = error**2 * np.array([[1, rho], [rho, 1]])
        misses = np.zeros(2)
        draws = rng.multivariate_normal(truth, covariance, 2000)
        for draw in draws:
            limits = fieller(tuple(draw), covariance, np.inf, 0.1)
            if limits is not None:
                ratio = truth[1] / truth[0]
                misses += [limits[0] > ratio, limits[1] < ratio]
        assert (misses / len(draws) < 0.065).all() and (misses / len(draws) > 0.03).all()
    assert fieller((0.1, 1.0), np.eye(2) * 0.01, np.inf, 0.05) is None


def test_a_gain_is_a_logarithm_where_the_first_is_certified():
    found = gain_of(*pair(1.0, 1.5))
    assert found.scale == "log2" and found.low < np.log2(0.36 / 0.19) < found.high
    assert found.low < found.value < found.high and found.p_above < 1e-4 < found.p_below
    back = gain_of(*pair(1.5, 1.0))
    assert back.value == pytest.approx(-found.value) and back.p_below < 1e-4
    same = pair(1.0, 1.0)
    assert gain_of(*same).value == 0 and (gain_of(*same).low, gain_of(*same).high) == (0, 0)


def test_where_nothing_is_certified_there_is_no_quotient():
    found = gain_of(*pair(0.0, 1.5))
    assert found.scale == "bits" and "certified" in found.why
    assert found.low > 0.2 and found.p_above < 1e-4
    few = gain_of(*pair(2.0, 2.5, victims=4))
    assert few.scale == "bits" and few.low is None and few.p_above == 0.5


def test_several_gains_are_judged_together():
    assert together({}) == set()
    assert together({"a": 0.01, "b": 0.04, "c": 0.03}) == {"a"}
    assert together({"a": 0.01, "b": 0.02, "c": 0.03}) == {"a", "b", "c"}
    rng = np.random.default_rng(0)
    wrong = sum(bool(together(dict(enumerate(rng.random(12))))) for _ in range(2000))
    assert wrong / 2000 < 0.065
