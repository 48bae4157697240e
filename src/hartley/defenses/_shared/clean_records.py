"""Clean records of the owner: those that the deployed model was not trained on.

Defenses against poison are calibrated or fine-tuned on records that the owner trusts. An attacker
does not write into them.
"""

from __future__ import annotations

import numpy as np

from hartley.core import Data, Scene, spawn
from hartley.core.errors import UsageError


def clean_records(scene: Scene, count: int, name: str, *, each_class: bool = False) -> Data:
    """Return up to ``count`` of the owner's held-out records, the same ones every time.

    Args:
        scene: has ``holdout`` and ``train``.
        count: how many at most.
        name: of the defense, for the message.
        each_class: whether every class of the training records must be among them.

    Raises:
        UsageError: they are fewer than two, lack labels, are of one class only, or lack a class.
    """
    holdout, train = scene.holdout, scene.train
    assert holdout is not None and train is not None
    order = np.random.default_rng(spawn(0, "clean records")).permutation(len(holdout))[:count]
    if holdout.y is None or len(order) < 2:
        raise UsageError(
            f"{name} must have labelled held-out records to be calibrated on, got {len(order)} in "
            f"{holdout.name!r}"
        )
    clean = Data("clean records", holdout.modality, holdout.x[order], holdout.labels[order])
    present, due = np.unique(clean.labels), np.unique(train.labels)
    if len(present) < 2:
        raise UsageError(
            f"{name} must have held-out records of two classes or more, got class {present[0]} only"
        )
    absent = sorted(set(due.tolist()) - set(present.tolist()))
    if each_class and absent:
        raise UsageError(
            f"{name} must have held-out records of every class, got none of class "
            f"{', '.join(map(str, absent))}"
        )
    return clean
