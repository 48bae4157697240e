from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from hartley.core import Data, Modality
from hartley.models.forest import Forest, grow, same
from hartley.targets import sklearn as pipelines
from hartley.targets.sklearn import SklearnPipeline

SETTINGS = (
    {},
    {"max_depth": 3, "criterion": "entropy"},
    {"max_features": None},
    {"max_features": 0.4, "criterion": "log_loss"},
    {"max_features": 2, "n_estimators": 4},
    {"max_features": "log2"},
)


def records(n=90, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return rng.normal(size=(n, 7)) + y[:, None], y


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_it_is_the_forest_of_fit(setting):
    classifier = RandomForestClassifier(**{"n_estimators": 8, **setting})
    x, y = records()
    y = y * 2  # labels that are not 0..2
    assert same(classifier, x, y)
    for seed in (0, 2**31 - 1):
        known = RandomForestClassifier(**classifier.get_params()).set_params(random_state=seed)
        known.fit(x, y)
        found = grow(classifier, x, y, seed)
        assert np.array_equal(found.classes_, known.classes_)
        for a, b in zip(known.estimators_, found.trees, strict=True):
            mine, theirs = b.__getstate__(), a.tree_.__getstate__()
            assert np.array_equal(mine["nodes"], theirs["nodes"])
            assert np.array_equal(mine["values"], theirs["values"])
        unseen = records(50, seed=1)[0]
        assert np.array_equal(found.predict_proba(unseen), known.predict_proba(unseen))


@pytest.mark.parametrize(
    "classifier",
    [
        RandomForestClassifier(class_weight="balanced"),
        RandomForestClassifier(bootstrap=False),
        RandomForestClassifier(min_samples_leaf=3),
        RandomForestClassifier(max_leaf_nodes=4),
        ExtraTreesClassifier(),
        type("Own", (RandomForestClassifier,), {})(),
    ],
    ids=str,
)
def test_what_it_does_not_know_is_left_to_fit(classifier):
    assert not same(classifier, *records())


def test_missing_values_are_left_to_fit():
    x, y = records()
    x[3, 2] = np.nan
    assert not same(RandomForestClassifier(), x, y)


def pool():
    x, y = records()
    return Data("pool", Modality.TABULAR, x.astype(np.float32), y), x.astype(np.float32), y


def test_the_pipeline_s_models_are_those_of_fit(monkeypatch):
    data, x, _ = pool()
    include = np.random.default_rng(2).random((3, len(x))) < 0.5
    pipeline = SklearnPipeline(RandomForestClassifier(n_estimators=6), 3)
    quick = pipeline.fit(data, include, 5)
    answers = quick.query(x)
    with monkeypatch.context() as patch:
        patch.setattr(pipelines, "same", lambda *_: False)
        usual = pipeline.fit(data, include, 5)
        assert np.array_equal(usual.query(x), answers)
    assert np.ptp(answers, axis=0).max() > 0.1  # three models, not one


def test_a_model_tells_how_it_was_grown(monkeypatch):
    """Where scikit-learn's builder has moved, fit runs in its place, and not in silence."""
    data, x, _ = pool()
    include = np.ones((1, len(x)), dtype=bool)
    forest = SklearnPipeline(RandomForestClassifier(n_estimators=2), 3)

    def grown(pipeline, records=data):
        made = pipeline.fit(records, include, 5)
        assert made.facts["grown"] == made.member(0).facts["grown"]
        return made.facts["grown"]

    assert grown(forest) == "tree builder"
    assert grown(SklearnPipeline(DecisionTreeClassifier(), 3)) == "fit"
    hole = data.x.copy()
    hole[0, 0] = np.nan
    assert grown(forest, replace(data, x=hole)) == "fit"

    def gone(*_):
        raise ImportError("no such module")

    monkeypatch.setattr("hartley.models.forest.grow", gone)
    assert grown(forest) == "fit"


def test_a_builder_that_has_changed_is_noticed(monkeypatch):
    x, y = records()
    real = grow

    def other(classifier, x, y, seed):
        return real(classifier, x, y, seed + 1)

    def gone(*_):
        raise ImportError("no such module")

    def swapped(*arguments):
        made = real(*arguments)
        return Forest(made.trees[::-1], made.classes_)

    for broken in (other, gone, swapped):
        monkeypatch.setattr("hartley.models.forest.grow", broken)
        assert not same(RandomForestClassifier(), x, y)
