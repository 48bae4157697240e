import numpy as np
import pytest

from hartley.channel.bounds import two_rates
from hartley.channel.bounds.score_audit import certify_scores
from hartley.channel.measure import measure
from hartley.channel.scores import roc
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.channel.scores.thresholds import FORWARD
from hartley.core import ChannelSpec, Trials

SHAPES = {
    "gaussian": lambda rng, n: rng.normal(size=n),
    "ties": lambda rng, n: np.round(rng.normal(size=n)),
    "two values": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "mostly one value": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.random(n)),
}


def audit(pos, neg, delta=1e-5):
    return certify_scores(ScorePair.split(pos, neg), ChannelSpec(), delta=delta, of=("epsilon",))[0]


def by_definition(pos, neg, spec, of):
    """Each rule alone on the sorted scores, at its share of alpha."""
    if len(np.unique(np.concatenate([pos, neg]))) <= 2:
        least, most = min(pos.min(), neg.min()), max(pos.max(), neg.max())
        rules = [
            ((pos > least).sum(), (neg > least).sum(), FORWARD),
            ((pos < most).sum(), (neg < most).sum(), 1 - FORWARD),
        ]
    else:
        ordered, j = np.sort(neg), roc.places(spec.levels, len(neg))
        rules = [((pos > ordered[-k]).sum(), k - 1, FORWARD / len(j)) for k in j]
        rules += [((pos < ordered[k - 1]).sum(), k - 1, (1 - FORWARD) / len(j)) for k in j]
    found = [
        two_rates.lower(tp, len(pos), fp, len(neg), share * spec.alpha, delta=1e-5, of=of)
        for tp, fp, share in rules
    ]
    return {name: max(one[name] for one in found) for name in of}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("shift", [0.0, 1.0, -2.0])
def test_it_is_the_best_of_the_declared_rules_sorted_or_not(name, shift):
    rng = np.random.default_rng(len(name))
    of = ("bits", "epsilon")
    for n in (3, 40, 900):
        truth = np.repeat([0, 1], [n, n + 7])
        score = SHAPES[name](rng, len(truth))
        if name == "two values":
            flip = rng.random(len(truth)) < abs(shift) / 4
            score = np.where(flip, truth if shift > 0 else 1.0 - truth, score)
        else:
            score = score + shift * truth
        known = by_definition(score[truth == 1], score[truth == 0], ChannelSpec(), of)
        for ordered in (False, True):
            scores = ScorePair.of(truth, score)
            if ordered:
                scores.sort()
            found = certify_scores(scores, ChannelSpec(), delta=1e-5, of=of)[0]
            assert found == pytest.approx(known, abs=1e-9)
        if n == 900 and shift and name != "mostly one value":
            assert found["epsilon"] > 0.1


def test_the_report_s_epsilon_is_this_one():
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 3000)
    score = rng.normal(size=3000) + truth
    channel = measure(Trials(ChannelSpec(), truth, score))
    found = audit(score[truth == 1], score[truth == 0])["epsilon"]
    assert found == pytest.approx(channel.metrics["epsilon_lower"], abs=1e-9)
    assert found > 0.5


def test_the_truth_is_exceeded_no_more_often_than_declared():
    # Randomised response at ε = 1, and a Laplace mechanism at ε = 1: 400 audits of each.
    rng = np.random.default_rng(3)
    over = [0, 0]
    p = np.e / (1 + np.e)
    for _ in range(400):
        laplace = audit(rng.laplace(1.0, size=300), rng.laplace(size=300), delta=0)
        told = audit(rng.random(300) < p, rng.random(300) < 1 - p, delta=0)
        over[0] += laplace["epsilon"] > 1.0
        over[1] += told["epsilon"] > 1.0
    assert max(over) <= 0.05 * 400 + 3 * np.sqrt(0.05 * 0.95 * 400)


def test_both_secrets_are_needed():
    with pytest.raises(ValueError, match="both"):
        audit([], [1.0])
