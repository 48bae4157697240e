"""Build a scene whose model refuses some classes that it knows; how well it does is its utility."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import hartley
from hartley.core import Data, Ensemble, Modality, Scene, Settings
from hartley.games.extraction.fingerprint import labels_of
from hartley.kit.cache import digest
from hartley.kit.graph.link_budget import LinkBudget
from hartley.kit.interval_values import Figure, share_figure
from hartley.models.class_tuning import ClassTuning
from hartley.models.gate import Gate
from hartley.models.graph import GraphPipeline
from hartley.models.pipeline import OPEN, Pipeline

if TYPE_CHECKING:
    from hartley.kit.perturbation import Perturbation


def gate_of(classes: int, blocked: int, epochs: int, keep: float, rate: float = 1.0) -> Gate:
    """Return a gate before every second class, until there are as many as are to be blocked."""
    order = (*range(0, classes, 2), *range(1, classes, 2))
    return Gate(tuple(sorted(order[:blocked])), classes, epochs, rate, keep)


def assemble(
    name: str,
    modality: Modality,
    parts: Mapping[str, Data],
    owner: Pipeline | GraphPipeline,
    budget: Perturbation | LinkBudget,
    *,
    seed: int,
    rounds: Mapping[str, int] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Scene:
    """Train and gate the deployed model on ``train`` and return the scene.

    Args:
        name: the scene's name.
        modality: of its records.
        parts: ``train``, ``holdout``, ``public`` and ``test``.
        owner: how the owner trains; it has a gate.
        budget: what an attacker may change of a record.
        seed: of the deployed model.
        rounds: number of victims that a game trains, by its name.
        facts: values for the report besides rates and sizes.
    """
    assert owner.gate is not None
    train = parts["train"]
    model = owner.fit(train, np.ones((1, len(train)), dtype=bool), seed).member(0)
    scene = Scene(
        name=name,
        modality=modality,
        digest=digest(
            {
                "version": hartley.__version__,
                "owner": owner.recipe,
                "offers": list((owner.offers & OPEN).words),
                "parts": {part: [data.x, data.labels] for part, data in parts.items()},
                "seed": seed,
            }
        ),
        model=replace(model, name=name),
        train=train,
        holdout=parts["holdout"],
        fit=owner.fit,
        extra={"test": parts["test"], "public": parts["public"]},
        training=owner,
        parts=(owner.gate, budget, ClassTuning()),
        utility=gated_utility,
        settings=Settings(
            rounds or {},
            opens=OPEN & ~owner.offers,
            pictures=True,
            seed=seed,  # public data
        ),
        facts={
            "blocked classes": len(owner.gate.blocked),
            "parameters": model.facts.get("parameters"),
            **{f"{part} records": len(data) for part, data in parts.items()},
            **(facts or {}),
        },
    )
    rates = {name.replace("_", " "): figure for name, figure in gated_utility(scene).items()}
    return replace(scene, facts={**{k: float(v) for k, v in rates.items()}, **scene.facts})


def gated_utility(scene: Scene) -> dict[str, Figure]:
    """Return how well a gated model serves its owner, each rate on test records with its interval.

    ``accuracy`` and ``answered`` are of records that are not blocked: the share that is answered
    rightly, and answered at all. ``refused`` is the share of blocked records that is refused.
    """
    assert scene.model is not None
    gate, test = scene.part(Gate), scene.extra["test"]
    answers, blocked = labels_of(scene.model, test.x), gate.blocks(test.labels)
    return {
        "accuracy": share_figure((answers == test.labels)[~blocked]),
        "answered": share_figure((answers != gate.refused)[~blocked]),
        "refused": share_figure((answers == gate.refused)[blocked]),
    }


def before_the_gate(scene: Scene, models: int, seed: int) -> Ensemble:
    """Return models that the owner trained and did not gate yet.

    They are those that ``fit`` with the same seed goes on from.
    """
    owner, train = scene.training, scene.train
    assert isinstance(owner, Pipeline | GraphPipeline) and train is not None
    bare = owner.with_(gate=None)
    return bare.fit(train, np.ones((models, len(train)), dtype=bool), seed)
