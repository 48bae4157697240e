import numpy as np
import pytest

from hartley.channel.audit import epsilon_audit
from hartley.channel.levels import folds, tabulate
from hartley.channel.roc import BINS, Sorted, order_statistics
from hartley.channel.score import certify_rows
from hartley.core import ChannelSpec

SHAPES = {
    "gaussian": lambda rng, n: rng.normal(size=n),
    "ties": lambda rng, n: np.round(rng.normal(size=n)),
    "two values": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "mostly one value": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.random(n)),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("shift", [0.0, 1.0, -2.0])
def test_it_is_the_report_s_own_epsilon(name, shift):
    rng = np.random.default_rng(len(name))
    for n in (3, 40, 900):
        truth = np.repeat([0, 1], [n, n + 7])
        score = SHAPES[name](rng, len(truth))
        if name == "two values":
            flip = rng.random(len(truth)) < abs(shift) / 4
            score = np.where(flip, truth if shift > 0 else 1.0 - truth, score)
        else:
            score = score + shift * truth
        spec = ChannelSpec()
        rules = tabulate(truth, score, folds(len(truth), None, rng), Sorted.of(truth, score), spec)
        known = certify_rows(rules, spec, delta=1e-5, of=("epsilon",))[0]["epsilon"]
        found = epsilon_audit(score[truth == 1], score[truth == 0])
        assert found == pytest.approx(known, abs=1e-9)
        if n == 900 and shift and name != "mostly one value":
            assert found > 0.1


@pytest.mark.parametrize("n", [1, 5, 4 * BINS, 30_000])
def test_order_statistics_are_those_of_the_sorted_values(n):
    rng = np.random.default_rng(n)
    at = np.concatenate([rng.integers(0, n, 20), [0, n - 1]])
    for values in (
        rng.normal(size=n),
        rng.standard_cauchy(n) ** 5,
        np.round(rng.normal(size=n)),
        np.zeros(n),
        np.where(rng.random(n) < 0.5, -1.7e308, 1.7e308 * rng.random(n)),
        np.where(rng.random(n) < 1e-3, 1e308, rng.random(n)),
    ):
        with np.errstate(over="ignore"):
            assert np.array_equal(order_statistics(values, at), np.sort(values)[at])


def test_the_truth_is_exceeded_no_more_often_than_declared():
    # Randomised response at ε = 1, and a Laplace mechanism at ε = 1: 400 audits of each.
    rng = np.random.default_rng(3)
    over = [0, 0]
    for _ in range(400):
        over[0] += epsilon_audit(rng.laplace(1.0, size=300), rng.laplace(size=300), delta=0) > 1.0
        p = np.e / (1 + np.e)
        told = epsilon_audit(rng.random(300) < p, rng.random(300) < 1 - p, delta=0)
        over[1] += told > 1.0
    assert max(over) <= 0.05 * 400 + 3 * np.sqrt(0.05 * 0.95 * 400)


def test_both_secrets_are_needed():
    with pytest.raises(ValueError, match="both"):
        epsilon_audit([], [1.0])
