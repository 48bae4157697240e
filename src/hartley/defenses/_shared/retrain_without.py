"""Training twice: a first model shows which of its own records look like poison, then they go.

Several defences share everything but the rule that flags the records.
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
    """Return the scene whose pipeline trains once, drops what ``flag`` marks, and trains again.

    Args:
        scene: holds ``fit`` and ``train``; ``training`` shows the network, if it is one.
        rng: seeds the training of the model that is deployed anew.
        flag: the rule, given one model's own training records.
    """
    assert scene.fit is not None and scene.train is not None
    pipeline = scene.training

    def around(fit: Fit) -> Fit:
        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            include = np.asarray(include, dtype=bool)
            kept = include.copy()
            for k, seen in enumerate(_representations(pipeline, data, include, seed)):
                rows = np.flatnonzero(include[k])
                kept[k, rows[flag(seen, np.asarray(data.y)[rows])]] = False
            return fit(data, kept, seed)

        return defended

    owner, deployed = around(scene.fit), scene.model
    if deployed is not None:
        whole = np.ones((1, len(scene.train)), dtype=bool)
        again = owner(scene.train, whole, int(rng.integers(2**31))).member(0)
        deployed = again.with_(
            name=deployed.name,
            fit=None if deployed.fit is None else around(deployed.fit),
            offers=deployed.offers,
        )
    return replace(scene, model=deployed, fit=owner)


def _representations(
    pipeline: Any, data: Data, include: NDArray[np.bool_], seed: int
) -> list[NDArray[Any]]:
    """For each model, what it makes of its own training records: (rows, d)."""
    if pipeline is None:
        return [kmeans.flat(data.x[row]) for row in include]
    import torch

    # The owner looks into his own first models, whatever attackers may see of them.
    first = pipeline.with_(offers=pipeline.offers | Access.WEIGHTS).fit(data, include, seed)
    found = []
    for k, row in enumerate(include):
        weights = first.member(k).weights
        assert weights is not None
        body = pipeline.net.module(weights())[:-1]
        with torch.no_grad():
            found.append(body(torch.from_numpy(np.asarray(data.x[row], np.float32))).numpy())
    return found
