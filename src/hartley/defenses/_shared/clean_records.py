"""Clean records of the owner: those that the deployed model was not trained on.

Defenses against poison are calibrated or fine-tuned on records that the owner trusts. An attacker
does not write into them. Pairs of pictures and captions have no labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Data, Modality, Scene, spawn
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    order = _order(holdout, count)
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


def clean_pairs(scene: Scene, count: int, name: str) -> Data:
    """Return up to ``count`` of the owner's held-out pairs, the same ones every time.

    Args:
        scene: a paired one, with ``holdout``.
        count: how many at most.
        name: of the defense, for the message.

    Raises:
        UsageError: they are fewer than two, or do not say where a picture's features end.
    """
    holdout = scene.holdout
    assert holdout is not None
    order = _order(holdout, count)
    if len(order) < 2 or "split" not in holdout.facts:
        raise UsageError(
            f"{name} must have two or more held-out pairs, with their split, to be calibrated on, "
            f"got {len(order)} in {holdout.name!r}"
        )
    facts = {"split": holdout.facts["split"]}
    return Data("clean pairs", Modality.PAIRED, holdout.x[order], facts=facts)


def _order(holdout: Data, count: int) -> NDArray[np.int64]:
    return np.random.default_rng(spawn(0, "clean records")).permutation(len(holdout))[:count]
