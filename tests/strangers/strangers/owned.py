"""A user's own model: no pipeline, only what it was trained on and what it was not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hartley.core import Access, Data, Modality, Model, Scene, recipe
from hartley.targets.sklearn import from_sklearn

WIDTH, CLASSES = 4, 3


@recipe(modality=Modality.TABULAR)
def owned(*, fault: str = "", n: int = 120) -> Scene:
    """A model that is surer of what it was trained on.

    Args:
        fault: what is wrong with the records, if anything.
        n: training records, and as many others.
    """
    rng = np.random.default_rng(3)
    n = 12 if fault == "few" else n

    def records(name: str, width: int = WIDTH) -> Data:
        x = rng.normal(size=(n, width)).astype(np.float32)
        return Data(name, Modality.TABULAR, x, rng.integers(0, CLASSES, n))

    train, holdout = records("train"), records("holdout", 7 if fault == "shape" else WIDTH)
    if fault == "twins":
        holdout = train
    elif fault == "shifted":
        holdout = Data("holdout", Modality.TABULAR, holdout.x + 1.5, holdout.y)
    elif fault == "labels":
        holdout = Data("holdout", Modality.TABULAR, holdout.x, holdout.y + CLASSES)
    elif fault == "modality":
        holdout = Data("holdout", Modality.AUDIO, holdout.x, holdout.y)
    elif fault == "nan":
        holdout = Data("holdout", Modality.TABULAR, holdout.x * np.nan, holdout.y)
    known = {row.tobytes(): int(y) for row, y in zip(train.x, train.y, strict=True)}
    mix = np.random.default_rng(4).normal(size=(WIDTH, CLASSES))

    def query(x):
        scores = np.exp(np.asarray(x, np.float64) @ mix)
        for i, row in enumerate(np.ascontiguousarray(x)):
            if row.tobytes() in known:
                scores[i, known[row.tobytes()]] *= 20
        return scores / scores.sum(1, keepdims=True)

    offers = Access.LABELS | Access.SCORES
    model = Model("mine", Modality.TABULAR, query, classes=CLASSES, offers=offers)
    return Scene("owned", Modality.TABULAR, model=model, train=train, holdout=holdout)


@recipe(modality=Modality.TABULAR)
def misread() -> Scene:
    """A classifier of 7 numbers, and records of 4."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier().fit(np.zeros((CLASSES, 7)), range(CLASSES))
    model = from_sklearn(tree, classes=CLASSES)
    return replace(owned(), name="misread", model=model)
