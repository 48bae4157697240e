"""How many reference models are enough, against simulated confidences whose AUC is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.metrics import roc_auc_score

from hartley.attacks.model_to_data import reference_models
from hartley.attacks.model_to_data.enough_references import LITTLE, Gain, gain
from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_data.reference_models import halves, references
from hartley.core import Access, Data, Ensemble, Modality, Model, Output, View
from hartley.games.membership.membership import MembershipBrief
from hartley.kit.shared_work import Ledger
from hartley.kit.training_news import listening

N = 300


def simulated(count, *, leak, spread=3.0, seed=0):
    """Confidences (count, N) of models whose members' are higher by ``leak``, and their members."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, spread, N)
    include = halves(5, count, N)
    return hard + leak * include + rng.normal(0, 1, (count, N)), include


def attacked(victims, references, *, leak):
    """LiRA's AUC on fresh victims by its own definition, with the variance known."""
    confidences, include = simulated(references + victims, leak=leak, seed=1)
    shadow, members = confidences[:references], include[:references]
    inside, outside = (
        np.where(who, shadow, 0).sum(0) / np.maximum(who.sum(0), 1) for who in (members, ~members)
    )
    aucs = []
    for victim, truth in zip(confidences[references:], include[references:], strict=True):
        ratio = (victim - outside) ** 2 - (victim - inside) ** 2
        aucs.append(roc_auc_score(truth, ratio))
    return np.array(aucs)


def test_it_says_what_twice_as_many_would_add():
    measured = gain(*simulated(32, leak=1.0))
    fresh = {count: attacked(200, count, leak=1.0) for count in (16, 32, 64)}
    error = fresh[16].std() / np.sqrt(32)
    assert abs(measured.half - fresh[16].mean()) < 3 * error
    assert abs(measured.whole - fresh[32].mean()) < 3 * error
    added = fresh[64].mean() - fresh[32].mean()
    assert added > LITTLE and 0.5 * added < measured.more < 2 * added
    assert not measured.enough


def test_it_is_enough_where_nothing_can_be_added():
    for leak in (0.0, 8.0):  # nothing leaks, or everything
        measured = gain(*simulated(128, leak=leak, spread=1.0))
        assert measured.enough, (leak, measured)
    assert abs(gain(*simulated(64, leak=0.0)).whole - 0.5) < 0.01


def test_its_words():
    some = Gain(16, 0.7, 0.701, 0.0004, 0.0)
    assert some.words(64).startswith(
        "16 reference models of at most 64 are enough: LiRA has an AUC"
    )
    assert some.words(16).startswith("16 reference models are enough")
    most = Gain(64, 0.7, 0.75, 0.03, 0.0).words(64)
    assert most.startswith("64 reference models, as many as the attacks order")
    assert most.endswith(
        "AUC of 0.750 on models whose members are known, and 128 would add about 0.0300"
    )


def _view(leak, sizes):
    """A view whose reference models leak, and the numbers of models that were ordered."""
    rng = np.random.default_rng(3)
    data = Data("q", Modality.TABULAR, rng.random((N, 3)), np.zeros(N, int))

    def fit(data, include, seed):
        sizes.append(len(include))

        def query(k, x):
            noise = np.random.default_rng(k).normal(0, 1, N)
            return np.stack([leak * include[k] + noise, np.zeros(N)], 1)

        def member(k):
            return Model("m", data.modality, lambda x: query(k, x), Output.LOGITS, 2)

        count = len(include)
        return Ensemble(count, lambda x: np.stack([query(k, x) for k in range(count)]), member)

    victim = Model(
        "v", Modality.TABULAR, lambda x: np.zeros((len(x), 2)), Output.LOGITS, 2, fit=fit,
        offers=Access.SCORES | Access.TRAIN,
    )  # fmt: skip
    brief = MembershipBrief(data, data, np.arange(N), sparing=True)
    return View(victim, brief, salt=3)


def test_an_attacker_trains_as_many_as_add_something(monkeypatch):
    monkeypatch.setattr(reference_models, "_memo", type(reference_models._memo)())
    sizes, news = [], []
    view = _view(8.0, sizes)
    with listening(news.append):
        lira(view, np.random.default_rng(0), references=64)
        assert len(references(view, 64).include) == 16
    assert sizes == [16] and len(news) == 1 and "of at most 64 are enough" in news[0]["words"]
    sizes.clear()
    weak = _view(1.0, sizes)
    assert len(references(weak, 64).include) == 64 and sizes == [16, 32, 64]
    assert len(references(weak, 64).include) == 64 and sizes == [16, 32, 64]
    # Who says how many gets as many, and no more are trained than an attack orders.
    brief = replace(view.brief, sparing=False)
    assert len(references(replace(view, brief=brief, salt=4), 64).include) == 64
    assert len(references(replace(view, salt=5), 12).include) == 12


def test_a_fleet_that_grows_counts_each_model_once(monkeypatch):
    monkeypatch.setattr(reference_models, "_memo", type(reference_models._memo)())
    sizes = []
    ledger = Ledger(lambda: {"models": float(sum(sizes))})
    with ledger.opened():
        references(_view(1.0, sizes), 64)
    assert sum(sizes) == 112 and ledger.shared()["reference models"]["models"] == 64
