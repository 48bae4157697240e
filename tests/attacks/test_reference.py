"""Reference models are made once, nested, and measured in logits that keep their precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_data import reference_models
from hartley.attacks.model_to_data.membership.shadow_classifier import shadow_classifier
from hartley.attacks.model_to_data.reference_models import (
    confidence,
    halves,
    likelihood,
    references,
)
from hartley.core import Access, Data, Ensemble, Modality, Model, Output, View
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief
from hartley.kit.lazy_ensemble import one_by_one


def test_halves_are_halves_nested_and_complementary():
    rows = halves(7, 12, 31)
    assert rows.shape == (12, 31)
    assert (rows.sum(0) == 6).all()
    assert np.array_equal(rows[::2], ~rows[1::2])
    assert np.array_equal(halves(7, 5, 31), rows[:5])
    assert not np.array_equal(halves(8, 12, 31), rows)


def _view(count, n=20, offers=Access.SCORES | Access.TRAIN):
    rng = np.random.default_rng(0)
    data = Data("q", Modality.TABULAR, rng.random((n, 3)), rng.integers(0, 4, n))

    def fit(data, include, seed):
        count.append(len(include))
        answers = np.random.default_rng(seed).dirichlet(np.ones(4), (len(include), n))
        return Ensemble(
            len(include),
            lambda x: answers[:, : len(x)],
            lambda k: Model("m", data.modality, lambda x: answers[k, : len(x)], classes=4),
        )

    model = Model("v", Modality.TABULAR, lambda x: np.full((len(x), 4), 0.25), classes=4, fit=fit)
    return View(model, MembershipBrief(data, data, np.arange(len(data))), salt=3)


def test_two_attacks_share_one_fleet():
    calls = []
    view = _view(calls)
    big, small = references(view, 8), references(view, 4)
    assert calls == [8]
    assert np.array_equal(big.include[:4], small.include)
    assert np.array_equal(
        big.confidence(view.brief.question)[:4], small.confidence(view.brief.question)
    )
    references(view, 10)
    assert calls == [8, 10]


def test_whole_answers_stay_in_memory_while_there_is_room(monkeypatch):
    view = _view([])
    fleet = references(view, 4)
    whole = fleet.ensemble.query(view.brief.question.x).nbytes
    monkeypatch.setattr(reference_models, "ROOM", int(2.5 * whole))
    for k in range(6):
        fleet.predictions(replace(view.brief.question, x=view.brief.question.x + k))
    held = [key for key in fleet.answers if key.startswith("said")]
    assert len(held) == 2 and fleet.confidence(view.brief.question).shape == (4, 20)


def test_confidence_is_the_logit_also_where_p_is_nearly_one():
    p = np.array([0.5, 0.9, 1 - 1e-9, 1e-9], dtype=np.float64)
    answers = np.stack([p, (1 - p) / 2, (1 - p) / 2], 1)
    answers[2, 1:] = 0.5e-9
    data = Data("d", Modality.TABULAR, np.zeros((4, 1)), np.zeros(4, int))
    for output, said in ((Output.PROBABILITIES, answers), (Output.LOGITS, np.log(answers) + 3)):
        model = Model("m", Modality.TABULAR, lambda x, said=said: said, output, 3)
        np.testing.assert_allclose(
            confidence(model, data), [0, np.log(9), np.log(1e9), -np.log(1e9)], rtol=1e-6, atol=1e-9
        )


def test_rounded_answers_stay_finite():
    data = Data("d", Modality.TABULAR, np.zeros((2, 1)), np.array([0, 1]))
    model = Model("m", Modality.TABULAR, lambda x: np.array([[1.0, 0], [1, 0]]), classes=2)
    assert np.isfinite(confidence(model, data)).all()


def test_labels_have_no_confidence():
    data = Data("d", Modality.TABULAR, np.zeros((2, 1)), np.array([0, 1]))
    model = Model("m", Modality.TABULAR, lambda x: np.array([0, 1]), Output.LABELS, 2)
    with pytest.raises(UsageError, match="probabilities or logits"):
        confidence(model, data)


def test_a_pair_is_as_sure_as_its_halves_are_close():
    pairs = np.array([[1.0, 0, 2, 0], [1, 0, 0, 3], [1, 1, -1, -1], [0, 0, 1, 1]])
    data = Data("p", Modality.PAIRED, np.zeros((4, 6), np.float32), facts={"split": 3})
    model = Model("m", Modality.PAIRED, lambda x: pairs, Output.EMBEDDINGS, 4)
    np.testing.assert_allclose(confidence(model, data), [1, 0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(likelihood(model, data), [1, 0, -1, 0], atol=1e-12)


def test_likelihoods_of_references_are_those_of_each_model():
    view = _view([])
    fleet, data = references(view, 6), view.brief.question
    for k in range(6):
        said = fleet.ensemble.member(k).query(data.x)
        plain = np.log(said[np.arange(20), data.y])
        np.testing.assert_allclose(fleet.likelihood(data)[k], plain, rtol=1e-9)
    assert fleet.predictions(data).shape == (6, 20, 4)


def test_what_is_derived_is_made_once_a_fleet():
    made = []

    def make():
        made.append(1)
        return np.zeros(3)

    view = _view([])
    references(view, 4).derived("x", make)
    references(view, 4).derived("x", make)
    assert len(made) == 1
    references(view, 2).derived("x", make)
    references(view, 4).derived("y", make)
    assert len(made) == 3


def test_answers_that_are_kept_cost_no_model_to_read_their_units(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    fits = []

    def train(k):
        fits.append(k)
        answers = np.full(4, 0.1) + 0.6 * (np.arange(4) == k)
        return Model("m", Modality.TABULAR, lambda x: np.tile(answers, (len(x), 1)), classes=4)

    def fit(data, include, seed):
        names = [f"{seed} {row.tolist()}" for row in include]
        return one_by_one(train, names, output=Output.PROBABILITIES)

    def played():
        monkeypatch.setattr(reference_models, "_memo", type(reference_models._memo)())
        view = _view([])
        view = replace(view, source=view.model.with_(fit=fit))
        shadow_classifier(view, np.random.default_rng(0), references=4)
        return references(view, 4).confidence(view.brief.question)

    first, second = played(), played()
    assert fits == [0, 1, 2, 3]
    assert np.array_equal(first, second)
