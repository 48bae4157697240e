"""Records that an attacker changed within a budget: who is asked about them, and what is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Model, Outcome, Scene
from hartley.core.errors import RuleError
from hartley.games.extraction.fingerprint import labels_of
from hartley.games.jailbreak.certificate import Certificate, base_labels
from hartley.models.link_smoothing import LinkSmoothing
from hartley.models.smoothing import Smoothing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.graph.link_budget import LinkBudget
    from hartley.kit.perturbation import Perturbation

ALONE = 4
"""Rounds that the records of one victim are dealt into at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What a victim answers about the records of a round.

    Attributes:
        clean: (n, …) records.
        changed: the same after the attack; where a change is outside of the budget, the clean one.
        before: (n,) labels that are given to the clean records.
        after: (n,) those that are given to the changed ones.
        size: mean size of a change.
        outside: share of the records that were changed beyond the budget.
    """

    clean: NDArray[Any]
    changed: NDArray[Any]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    size: float
    outside: float


def asked(
    victim: Model, question: Data, outcome: Outcome, rules: Perturbation | LinkBudget
) -> Read:
    """Ask a victim about clean and changed records.

    Args:
        victim: of the round.
        question: the clean records.
        outcome: of the attack; its loot is the changed ones.
        rules: the budget.

    Raises:
        RuleError: the changed records are not as many, of another shape, or not finite.
    """
    clean = np.asarray(question.x)
    changed = _checked(outcome, clean)
    allowed = rules.allows(clean, changed)
    changed = np.where(allowed.reshape(-1, *(1,) * (clean.ndim - 1)), changed, clean)
    before = labels_of(victim, clean)
    after = before.copy()
    # Records that did not change keep their answer, also where a defense draws noise.
    differs = (changed != clean).reshape(len(clean), -1).any(1)
    if differs.any():
        after[differs] = labels_of(victim, changed[differs])
    size = float(rules.sizes(clean, changed).mean())
    return Read(clean, changed, before, after, size, float(1 - allowed.mean()))


def trained_victims(scene: Scene, rounds: int, rng: Rng) -> list[Model]:
    """Return a victim for each round, trained on all of the owner's records."""
    assert scene.train is not None
    everyone = np.ones((rounds, len(scene.train)), dtype=bool)
    trained = scene.victims(scene.train, everyone, int(rng.integers(2**31)))
    return [trained.member(k) for k in range(rounds)]


def certificates(
    scene: Scene, victims: list[Model], test: Data, rows: list[NDArray[np.int64]], seed: int
) -> list[Certificate] | list[None]:
    """Return what is proved of each round's clean records, where smoothing is all that defends."""
    smoothing = scene.find(Smoothing) or scene.find(LinkSmoothing)
    if smoothing is None or len(scene.defenses) != 1:
        return [None] * len(victims)
    return [
        Certificate(
            smoothing, base_labels(victim), test.x[chosen], test.labels[chosen], seed + number
        )
        for number, (victim, chosen) in enumerate(zip(victims, rows, strict=True))
    ]


def _checked(outcome: Outcome, clean: NDArray[Any]) -> NDArray[Any]:
    """Return the changed records of an outcome.

    Raises:
        RuleError: they are not as many, of another shape, or not finite.
    """
    loot = outcome.asset
    assert isinstance(loot, Data)  # the engine checks the kind
    changed = np.asarray(loot.x)
    if changed.shape != clean.shape or changed.dtype.kind not in "fiu":
        raise RuleError(
            f"changed records must be numbers of shape {clean.shape}, got {changed.dtype} of shape "
            f"{changed.shape}"
        )
    if not np.isfinite(changed).all():
        raise RuleError("changed records must be finite, got NaN or infinity")
    return changed.astype(clean.dtype)
