"""Membership: was this record in the training set?

The auditor tosses a fair coin for every record of a pool and trains a victim on the heads, once a
round, so that each round is a fresh training run and an independent cluster. The attacker sees the
victim, the pool and how the victim was trained; it answers each record with a score.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    ALL,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Output,
    Role,
    Round,
    Scene,
    View,
    Wire,
    game,
)
from hartley.core.assets import Ensemble
from hartley.core.taxonomy import Access

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES = 4


def live(modality: Modality, rng: Rng) -> Scene:
    """A victim that is sure of every record it was trained on and of no other."""
    return _wire(modality, rng, remembers=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A victim that answers from the record alone, whatever it was trained on."""
    return _wire(modality, rng, remembers=False)


@game(
    flow=Flow.INFERRING,
    role=Role.TAP,
    wire=Wire.SCORE,
    unit="record",
    live=live,
    dead=dead,
    fits=ALL,
    requires=("fit", "pool"),
    usual=("auc", "tpr_at_fpr_1e2", "tpr_at_fpr_1e3", "epsilon_lower"),
    loot="data",
)
def membership(scene: Scene, rng: Rng, *, rounds: int = 16) -> Deal:
    """Deal a fair membership coin for every record of the pool, once a round.

    Args:
        rounds: victims to train, each on its own coins.
    """
    pool = scene.extra["pool"]
    assert scene.fit is not None and scene.model is not None
    coins = rng.random((rounds, len(pool))) < 0.5
    victims = scene.fit(pool, coins, int(rng.integers(2**31)))
    salt = int(rng.integers(2**31))
    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=_for_attacker(victims.member(k), scene.model),
                    public=pool,
                    question=pool,
                    defenses=scene.defenses,
                    salt=salt,
                    facts={"classes": scene.model.classes, "prior": 0.5},
                ),
                truth=coins[k].astype(np.int64),
            )
            for k in range(rounds)
        )
    )


def _for_attacker(victim: Model, deployed: Model) -> Model:
    """The victim with the training access that the deployed model grants."""
    return replace(victim, fit=deployed.fit, offers=deployed.offers)


def _wire(modality: Modality, rng: Rng, *, remembers: bool, n: int = 128) -> Scene:
    shape = {Modality.VISION: (1, 4, 4), Modality.LANGUAGE: (8,)}.get(modality, (8,))
    if modality is Modality.LANGUAGE:
        x: NDArray[Any] = rng.integers(0, 50, (n, *shape))
    else:
        x = rng.random((n, *shape), dtype=np.float32)
    pool = Data("pool", modality, x, rng.integers(0, CLASSES, n))
    fit = _lookup(modality, remembers=remembers)
    model = fit(pool, np.ones((1, n), dtype=bool), 0).member(0)
    return Scene(
        name="live" if remembers else "dead",
        modality=modality,
        model=model,
        train=pool,
        holdout=pool,
        fit=fit,
        extra={"pool": pool},
    )


def _lookup(modality: Modality, *, remembers: bool) -> Any:
    """A trainer of lookup tables: members get their label at 0.97, others an odd guess."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        labels = data.y
        assert labels is not None
        keys = [row.tobytes() for row in np.ascontiguousarray(data.x)]

        def member(k: int) -> Model:
            kept = {key: int(y) for key, y, i in zip(keys, labels, include[k], strict=True) if i}

            def query(x: NDArray[Any]) -> NDArray[Any]:
                flat = x.reshape(len(x), -1).astype(np.float64)
                waves = np.stack([np.sin(flat.sum(1) * (c + 1)) for c in range(CLASSES)], 1)
                out: NDArray[Any] = np.exp(waves) / np.exp(waves).sum(1, keepdims=True)
                if remembers:
                    for i, row in enumerate(np.ascontiguousarray(x)):
                        label = kept.get(row.tobytes())
                        if label is not None:
                            out[i] = 0.01
                            out[i, label] = 1 - 0.01 * (CLASSES - 1)
                return out

            return Model(
                "lookup",
                modality,
                query,
                Output.PROBABILITIES,
                CLASSES,
                fit=fit,
                offers=Access.LABELS | Access.SCORES | Access.TRAIN,
            )

        members = [member(k) for k in range(len(include))]
        return Ensemble(
            size=len(include),
            query=lambda x: np.stack([m.query(x) for m in members]),
            member=members.__getitem__,
        )

    return fit
