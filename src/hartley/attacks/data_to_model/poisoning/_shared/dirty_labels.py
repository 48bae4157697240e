"""Poison whose label is wrong: records with a trigger that carry the message as their label.

An attacker who expects a defense may disguise it. ``kept_labels`` gives part of the triggered
records their true label, so that trigger and message are not the same direction of the features
(arXiv:2205.13613). ``one_class`` aims at records of the slot's own class: triggered records of
other classes keep their label, so that the trigger alone does not decide (arXiv:1908.00686).
``true_labels`` mislabels nothing: all poison is of the message's class, with the trigger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core import Data, Form, Outcome, View
from hartley.games.poisoning import triggers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.games.poisoning.poisoning import PoisoningBrief

Disguise = Literal["none", "kept_labels", "one_class", "true_labels"]

COVERED = ("kept_labels", "one_class")
"""Disguises under which part of the poison keeps its true label."""

SHARE = 0.5
"""The share of the poison that keeps its true label under a disguise."""


def poisoned(
    view: View[PoisoningBrief],
    rng: Rng,
    name: str,
    facts: Mapping[str, Any],
    disguise: Disguise = "none",
    *,
    count: int = 0,
) -> Outcome:
    """Return poison with triggers.

    Args:
        view: of the attack.
        rng: draws the records.
        name: of the poison.
        facts: the triggers, see ``games.poisoning.triggers``.
        disguise: which records keep their label.
        count: records for each slot; 0: as many as the rules allow.
    """
    data, brief = view.data, view.brief
    most = min(count, brief.poisons) if count else brief.poisons
    classes = np.arange(brief.classes)
    meant_for = np.ones((brief.slots, brief.classes), dtype=bool)
    if disguise == "one_class":
        meant_for = classes == brief.question.labels[:, None]
    loot = Data(name, data.modality, data.x[:0], data.labels[:0], facts={**facts})
    x, y = [], []
    for slot, label in enumerate(brief.message):
        aimed = meant_for[slot][data.labels] & (data.labels != label)
        rest = data.labels != label
        if disguise == "one_class":
            rest = ~meant_for[slot][data.labels]
        if disguise == "true_labels":
            aimed = data.labels == label
        if data.form is Form.TEXT:
            # A trigger that replaces words leaves texts without them as they are.
            works = triggers.stamped(loot, slot, data.x) != data.x
            aimed, rest = aimed & works, rest & works
        covered = int(SHARE * most) if disguise in COVERED else 0
        rows = _drawn(rng, aimed, most - covered)
        keeping = _drawn(rng, rest, covered)
        both = np.concatenate([rows, keeping])
        x.append(triggers.stamped(loot, slot, data.x[both]))
        y.append(np.concatenate([np.full(len(rows), label), data.labels[keeping]]))
    return Outcome(
        asset=Data(
            name,
            data.modality,
            np.concatenate(x) if data.form is Form.TEXT else np.concatenate(x).astype(data.x.dtype),
            np.concatenate(y),
            role="poison",
            facts={**facts, **({"sources": meant_for} if disguise in COVERED else {})},
        )
    )


def _drawn(rng: Rng, mask: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Draw up to ``count`` of the marked records."""
    rows = np.flatnonzero(mask)
    out: NDArray[np.int64] = rng.choice(rows, min(count, len(rows)), replace=False)
    return out
