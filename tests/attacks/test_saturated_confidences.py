"""Confidences that round to 1: what they lack to 1 still tells members from others."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from hartley.attacks.model_to_data.inversion.attribute_confidence import attribute_confidence
from hartley.attacks.model_to_data.membership._shared.likelihood_ratio import log_ratio
from hartley.attacks.model_to_data.membership.entropy_metrics import entropy_metrics
from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_data.membership.node_neighbourhood import node_neighbourhood
from hartley.attacks.model_to_data.membership.rmia import rmia
from hartley.attacks.model_to_data.reference_models import confidence
from hartley.core import Access, Data, Ensemble, Modality, Model, Output, View
from hartley.games.inversion.attribute_inference import AttributeInferenceBrief
from hartley.games.membership.membership import MembershipBrief
from hartley.kit.answer_units import log_complements, log_probabilities

SURE, GAIN = 45.0, 4.0
"""Log-odds of a record that was not learnt, whose probability rounds to 1; nats gained by it."""


def auc(scores, member):
    high, low = scores[member][:, None], scores[~member]
    return float((high > low).mean() + (high == low).mean() / 2)


def sure_models(data, include, seed):
    """Models whose logits are above 45 for every label, and 4 more for what they learnt."""

    def member(k):
        known = {row.tobytes() for row in data.x[np.asarray(include)[k]]}

        def answer(rows):
            rng = np.random.default_rng([seed, k])
            learnt = np.array([row.tobytes() in known for row in rows])
            logits = np.zeros((len(rows), 2))
            logits[:, 1] = SURE + rows[:, 0] % 1 + GAIN * learnt + rng.standard_normal(len(rows))
            return logits

        return Model("sure", Modality.TABULAR, answer, Output.LOGITS, 2, fit=sure_models,
                     offers=Access.SCORES | Access.TRAIN)  # fmt: skip

    members = [member(k) for k in range(len(include))]
    return Ensemble(len(members), lambda x: np.stack([m.query(x) for m in members]),
                    members.__getitem__)  # fmt: skip


@pytest.mark.parametrize(
    ("attack", "params"),
    [(rmia, {}), (rmia, {"online": False}), (lira, {})],
)
def test_models_that_are_sure_of_everything_leak_by_their_logits(attack, params):
    rng = np.random.default_rng(0)
    question, public = (
        Data(name, Modality.TABULAR, rng.random((120, 3)), np.ones(120, int)) for name in "qp"
    )
    coins = rng.random((1, 120)) < 0.5
    victim = sure_models(question, coins, 1).member(0)
    view = View(victim, MembershipBrief(question, public, np.arange(120)), salt=3)
    assert auc(attack(view, rng, references=8, **params).guess, coins[0]) > 0.78


def test_ratios_are_those_of_the_probabilities_where_they_can_be_told_apart():
    rng = np.random.default_rng(1)
    victim, shadow = rng.normal(size=40) * 5, rng.normal(size=(6, 40)) * 5
    out = rng.random((6, 40)) < 0.5
    p, q = (1 / (1 + np.exp(-c)) for c in (victim, shadow))
    missing = np.where(out, q, 0).sum(0) / np.maximum(out.sum(0), 1)
    present = np.where(out, 0, q).sum(0) / np.maximum((~out).sum(0), 1)
    for online, prior in ((True, (missing + present) / 2), (False, (1.3 * missing + 0.7) / 2)):
        ratio = log_ratio(victim, shadow, out, online, 0.3, labelled=True)
        np.testing.assert_allclose(np.exp(ratio), p / prior, rtol=1e-9)


def test_a_vote_of_all_trees_is_no_outlier_among_log_odds():
    """A forest of 50 trees cannot say 99 %: its 1 is between that and 1."""
    votes = np.array([[1.0, 0], [0.98, 0.02], [0.5, 0.5], [0, 1]])
    data = Data("d", Modality.TABULAR, np.zeros((4, 1)), np.zeros(4, int))
    model = Model("m", Modality.TABULAR, lambda x: votes, classes=2)
    wanted = [np.log(1 / 0.01), np.log(0.98 / 0.02), 0, np.log(0.01)]
    np.testing.assert_allclose(confidence(model, data), wanted, rtol=1e-6, atol=1e-9)
    fine = Model("m", Modality.TABULAR, lambda x: np.array([[1, 1e-20]] * 4), classes=2)
    assert confidence(fine, data) == pytest.approx(np.log(1e12))


def test_lira_reads_a_random_forest():
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    from hartley.targets.sklearn import SklearnPipeline, from_sklearn

    x, y = load_breast_cancer(return_X_y=True)
    pool = Data("breast cancer", Modality.TABULAR, x.astype(np.float32), y)
    rng = np.random.default_rng(2)
    member = rng.permutation(len(y)) < len(y) // 2
    forest = RandomForestClassifier(30, random_state=0)
    victim = from_sklearn(
        forest.fit(x[member], y[member]),
        classes=2,
        offers=Access.LABELS | Access.SCORES | Access.TRAIN,
        fit=SklearnPipeline(RandomForestClassifier(30), 2).fit,
    )
    view = View(victim, MembershipBrief(pool, pool, np.arange(len(pool))), salt=2)
    scores = {
        attack.name: auc(attack(view, rng, references=16).guess, member) for attack in (lira, rmia)
    }
    # With zeros raised to 1e-12 instead of half a vote, LiRA read 0.60.
    assert scores["lira"] > 0.65 and abs(scores["lira"] - scores["rmia"]) < 0.05, scores


def test_what_a_sure_answer_lacks_to_1_is_exact():
    logits = np.array([[0.0, 800.0, 1.0], [2.0, -1.0, 0.5], [-400.0, 0.0, -500.0]])
    with mpmath.workdps(600):
        exact = [
            [float(mpmath.log(1 - mpmath.exp(v) / sum(mpmath.exp(w) for w in row))) for v in row]
            for row in logits.tolist()
        ]
    logs = log_probabilities(logits, Output.LOGITS)
    np.testing.assert_allclose(log_complements(logs), exact, rtol=1e-12)


@pytest.mark.parametrize("metric", ["modified", "confidence"])
def test_entropy_metrics_read_logits_that_are_sure_of_everything(metric):
    rng = np.random.default_rng(0)
    question = Data("q", Modality.TABULAR, rng.random((120, 3)), np.ones(120, int))
    coins = rng.random((1, 120)) < 0.5
    victim = sure_models(question, coins, 1).member(0)
    view = View(victim, MembershipBrief(question, question, np.arange(120)), salt=3)
    for per_class in (True, False):
        guess = entropy_metrics(view, rng, metric=metric, per_class=per_class).guess
        assert auc(guess, coins[0]) > 0.9  # with probabilities that round to 1: 0.5


def test_node_neighbourhood_reads_logits_that_are_sure_of_everything():
    """Logits that are all above 45 tell members; without links the answers are the node's own."""
    count = 160
    rng = np.random.default_rng(0)
    nodes, links = np.arange(count)[:, None], np.arange(count).reshape(2, -1)
    question = Data("nodes", Modality.GRAPH, nodes, np.ones(count, int), links)
    coins = rng.random((1, count)) < 0.5
    victim = sure_models(question, coins, 1).member(0)
    view = View(victim, MembershipBrief(question, question, np.arange(count)), salt=3)
    for hops in (0, 2):
        guess = node_neighbourhood(view, rng, references=4, hops=hops).guess
        assert auc(guess, coins[0]) > 0.9


def test_attribute_confidence_reads_logits_that_are_sure_of_everything():
    """The label is predicted with every value; only what the answer lacks to 1 differs."""
    codes = np.eye(3, dtype=np.float32)
    truth = np.arange(30) % 3
    x = np.column_stack([truth, np.zeros((30, 3))]).astype(np.float32)

    def answer(rows):
        logits = np.zeros((len(rows), 2))
        logits[:, 1] = SURE + GAIN * (rows[:, 1:].argmax(1) == rows[:, 0])
        logits += np.arange(len(rows))[:, None] % 3 * 9.0  # what all classes share says nothing
        return logits

    model = Model("sure", Modality.TABULAR, answer, Output.LOGITS, 2, offers=Access.SCORES)
    question = Data("q", Modality.TABULAR, x, np.ones(30, int))
    brief = AttributeInferenceBrief(question, np.arange(1, 4), codes, 2, None)
    guess = attribute_confidence(View(model, brief, salt=1), np.random.default_rng(0)).guess
    np.testing.assert_array_equal(guess, truth)
