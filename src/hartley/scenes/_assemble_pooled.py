"""Build a graph or tabular scene: its parts, a deployed model, and its accuracy as utility."""

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
from hartley.scenes._assemble_vision import accuracy, accuracy_utility, labels, together

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Owner(Protocol):
    """The training of an owner, of any modality."""

    @property
    def offers(self) -> Access:
        """What the trained models offer an attacker."""
        ...

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that the trained models depend on."""
        ...

    @property
    def fit(self) -> Fit:
        """Trains victims on subsets of records."""
        ...


def assemble(
    name: str,
    modality: Modality,
    parts: Mapping[str, Data],
    owner: Owner,
    *,
    seed: int,
    digested: Mapping[str, NDArray[Any]] | None = None,
    extra: Mapping[str, Data] | None = None,
    holdings: tuple[Any, ...] = (),
    rounds: Mapping[str, int] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Scene:
    """Train the deployed model on ``train`` and return the scene.

    Args:
        name: the scene's name.
        modality: of its records.
        parts: ``train``, ``holdout``, ``public`` and ``test``.
        owner: how the owner trains; the scene's ``training``.
        seed: of the deployed model.
        digested: arrays that the digest covers besides the parts (a graph).
        extra: more records, by name.
        holdings: the scene's typed parts.
        rounds: number of victims that a game trains, by its name.
        facts: values for the report besides accuracies and sizes.
    """
    train, holdout = parts["train"], parts["holdout"]
    model = owner.fit(train, np.ones((1, len(train)), dtype=bool), seed).member(0)
    records = {**parts, **(extra or {})}
    return Scene(
        name=name,
        modality=modality,
        digest=digest(
            {
                "version": hartley.__version__,
                "owner": owner.recipe,
                "offers": list((owner.offers & OPEN).words),
                "parts": {part: [data.x, labels(data)] for part, data in records.items()},
                "held": dict(digested or {}),
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
        utility=accuracy_utility,
        settings=Settings(
            {"class_inversion": 48, **(rounds or {})}, opens=OPEN & ~owner.offers, seed=seed
        ),
        facts={
            "train accuracy": accuracy(model, train),
            "test accuracy": accuracy(model, parts["test"]),
            "parameters": model.facts.get("parameters"),
            **{f"{part} records": len(data) for part, data in records.items()},
            **(facts or {}),
        },
    )
