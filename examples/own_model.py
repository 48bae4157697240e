"""Measure what a model of your own tells about its training records.

Bring a scikit-learn classifier and records; Hartley trains victims on coins of its own, attacks
them, and says how many bits of "was this record in the training set" one answer gives away.
Run it with ``python examples/own_model.py``.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.tree import DecisionTreeClassifier

import hartley
from hartley import catalog
from hartley.targets.sklearn import SklearnPipeline


def scene() -> hartley.Scene:
    """Your records, and how your model is trained."""
    x, y = load_breast_cancer(return_X_y=True)
    pool = hartley.Data("pool", hartley.Modality.TABULAR, x.astype(np.float32), y)
    pipeline = SklearnPipeline(DecisionTreeClassifier(min_samples_leaf=2), classes=2)
    model = pipeline.fit(pool, np.ones((1, len(pool)), dtype=bool), 0).member(0)
    return hartley.Scene(
        name="own model",
        modality=hartley.Modality.TABULAR,
        model=model,
        fit=pipeline.fit,
        extra={"pool": pool},
    )


def main() -> None:
    """Play two attacks and print the bits."""
    mine = scene()
    for name in ("loss_threshold", "lira"):
        trials = hartley.play(catalog.load("attack", name), mine, game_params={"rounds": 8})
        channel = hartley.measure(trials)
        print(
            f"{name:15} {channel.bits.value:.3f} bit a record "
            f"[{channel.bits.lower:.3f} certified, {channel.high:.3f}], n {channel.n}"
        )


if __name__ == "__main__":
    main()
