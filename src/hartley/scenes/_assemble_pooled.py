"""What graph and tabular scenes share: parts, a deployed model, and its accuracy as utility."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

import hartley
from hartley.core import (
    Access,
    Data,
    Fit,
    Modality,
    Scene,
    Settings,
)
from hartley.kit.cache import digest
from hartley.models.pipeline import OPEN
from hartley.scenes._assemble_vision import accuracy, answered, labels, together

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Owner(Protocol):
    """How an owner trains, of whatever modality."""

    @property
    def offers(self) -> Access:
        """What his models offer an attacker."""
        ...

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on."""
        ...

    @property
    def fit(self) -> Fit:
        """His training."""
        ...


def assemble(
    name: str,
    modality: Modality,
    parts: Mapping[str, Data],
    owner: Owner,
    *,
    seed: int,
    held: Mapping[str, NDArray[Any]] | None = None,
    extra: Mapping[str, Data] | None = None,
    holdings: tuple[Any, ...] = (),
    rounds: Mapping[str, int] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Scene:
    """Train the deployed model on ``train`` and put the scene together.

    Args:
        name: the scene's name.
        modality: what its records are.
        parts: ``train``, ``holdout``, ``public`` and ``test``.
        owner: how the owner trains; the scene's ``training``.
        seed: of the deployed model.
        held: arrays that the digest has to name besides the parts (a graph).
        extra: more records, by name.
        holdings: the scene's typed parts.
        rounds: victims that a game deals, by its name.
        facts: what is worth reporting, besides accuracies and sizes.
    """
    train, holdout = parts["train"], parts["holdout"]
    model = owner.fit(train, np.ones((1, len(train)), dtype=bool), seed).member(0)
    kept = {**parts, **(extra or {})}
    return Scene(
        name=name,
        modality=modality,
        digest=digest(
            {
                "version": hartley.__version__,
                "owner": owner.recipe,
                "offers": list((owner.offers & OPEN).words),
                "parts": {part: [data.x, labels(data)] for part, data in kept.items()},
                "held": dict(held or {}),
                "seed": seed,
            }
        ),
        model=replace(model, name=name),
        train=train,
        holdout=holdout,
        fit=owner.fit,
        extra={
            "pool": together(train, holdout),
            "test": parts["test"],
            "public": parts["public"],
            **(extra or {}),
        },
        training=owner,
        parts=holdings,
        utility=answered,
        settings=Settings(rounds or {}),
        facts={
            "train accuracy": accuracy(model, train),
            "test accuracy": accuracy(model, parts["test"]),
            "parameters": model.facts.get("parameters"),
            **{f"{part} records": len(data) for part, data in kept.items()},
            **(facts or {}),
        },
    )
