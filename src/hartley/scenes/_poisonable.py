"""What poisoning needs of a user's own model: its training, and test records cut into three."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Fit, Modality, spawn
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = ("test", "public", "holdout")
"""What answers are judged on, what the attacker has, and what the owner trusts."""


def poisonable(
    fit: Fit | None, train: Data, test: Data, classes: Sequence[Any], cure: str
) -> dict[str, Any]:
    """Return the fields of a scene whose owner trains on poisoned records.

    Args:
        fit: the owner's training.
        train: what they train on.
        test: others, which are cut into three equal parts, each with its share of every class.
        classes: names of the labels, for messages.
        cure: how to give a training, for the message.

    Raises:
        UsageError: there is no training, too few test records of a class of them, or pictures
            whose pixels are not from 0 to 1.
    """
    if fit is None:
        raise UsageError(f"poisoning must train the model again, and it comes without: {cure}")
    if train.modality is Modality.VISION and (train.x.min() < 0 or train.x.max() > 1):
        raise UsageError(
            f"poisoning must have pixels from 0 to 1, got {train.x.min():.4g} to "
            f"{train.x.max():.4g}: scale them inside the network, not in the records"
        )
    counts = np.bincount(test.labels, minlength=len(classes))
    needed = np.unique(train.labels)
    if few := [f"{classes[k]} ({counts[k]})" for k in needed if counts[k] < len(PARTS)]:
        listed = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
        raise UsageError(
            f"--test must have at least {len(PARTS)} records of each class, which poisoning cuts "
            f"into {len(PARTS)} parts, got fewer of {listed}"
        )
    rng = np.random.default_rng(spawn(0, "poisoned parts"))
    rows: list[list[int]] = [[] for _ in PARTS]
    for label in np.unique(test.labels):
        order = rng.permutation(np.flatnonzero(test.labels == label))
        for k in range(len(PARTS)):
            rows[k] += order[k :: len(PARTS)].tolist()
    parts = {
        name: replace(test, name=name, x=test.x[np.sort(r)], y=test.labels[np.sort(r)])
        for name, r in zip(PARTS, rows, strict=True)
    }
    holdout = parts.pop("holdout")
    return {"fit": fit, "holdout": holdout, "extra": parts}
