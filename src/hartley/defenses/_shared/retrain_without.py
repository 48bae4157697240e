"""Train twice: a first model shows which of its records look like poison; the second omits them.

The defenses that do so differ only in the rule that flags the records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Fit, Scene
from hartley.kit import kmeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

Flag = Callable[["NDArray[Any]", "NDArray[Any]"], "NDArray[np.bool_]"]
"""(representations (rows, d), labels (rows,)) → which rows to drop."""


def retrained(scene: Scene, rng: Rng, flag: Flag) -> Scene:
    """Return the scene whose pipeline trains, drops the flagged records, and trains again.

    Args:
        scene: has ``fit`` and ``train``; ``training`` gives access to the network, if there is one.
        rng: draws the seed of the new deployed model.
        flag: which of a model's training records to drop.
    """
    assert scene.fit is not None and scene.train is not None
    pipeline = scene.training

    def around(fit: Fit) -> Fit:
        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            include = np.asarray(include, dtype=bool)
            cleaned = include.copy()
            for k, activations in enumerate(_representations(pipeline, data, include, seed)):
                rows = np.flatnonzero(include[k])
                cleaned[k, rows[flag(activations, np.asarray(data.y)[rows])]] = False
            return fit(data, cleaned, seed)

        return defended

    owner, deployed = around(scene.fit), scene.model
    if deployed is not None:
        everyone = np.ones((1, len(scene.train)), dtype=bool)
        retrained_model = owner(scene.train, everyone, int(rng.integers(2**31))).member(0)
        deployed = retrained_model.with_(
            name=deployed.name,
            fit=None if deployed.fit is None else around(deployed.fit),
            offers=deployed.offers,
        )
    return replace(scene, model=deployed, fit=owner)


def _representations(
    pipeline: Any, data: Data, include: NDArray[np.bool_], seed: int
) -> list[NDArray[Any]]:
    """Return the last hidden layer (rows, d) of each model for its own training records."""
    if pipeline is None:
        return [kmeans.flat(data.x[row]) for row in include]
    import torch

    # Owners may read the weights of their first models, whatever attackers may see of them.
    first = pipeline.with_(offers=pipeline.offers | Access.WEIGHTS).fit(data, include, seed)
    activations = []
    for k, row in enumerate(include):
        weights = first.member(k).weights
        assert weights is not None
        body = pipeline.net.module(weights())[:-1]
        with torch.no_grad():
            x = torch.from_numpy(np.asarray(data.x[row], np.float32))
            activations.append(body(x).numpy())
    return activations
