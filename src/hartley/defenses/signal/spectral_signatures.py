"""Spectral signatures: poison sticks out along one direction of what a network has learnt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Applied, Data, Ensemble, Fit, Modality, Move, Scene, defense
from hartley.core.taxonomy import Access
from hartley.kit import regions, wrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    moves=Move.SIGNAL,
    acts="training",
    protects=("poisoning",),
    fits=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1811.00636",
    strongest={"remove": 0.5},
    requires=("fit", "train"),
)
def spectral_signatures(scene: Scene, rng: Rng, *, remove: float = 0.2) -> Scene:
    """Train once, drop the records that stick out of their class, and train again.

    For each class of a model's own training records the representations of a first model (its last
    hidden layer; the records themselves where the pipeline shows no network) are centred, and the
    records with the largest squared projection on the top singular direction are dropped. The
    paper drops 1.5 times the expected share of poison. Poison that makes up most of a class is
    beyond it: then the honest records stick out.

    Args:
        remove: share of every class that is dropped.
    """
    assert scene.fit is not None and scene.train is not None
    pipeline = scene.tools.get("training")

    def around(fit: Fit) -> Fit:
        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            include = np.asarray(include, dtype=bool)
            kept = include.copy()
            for k, seen in enumerate(_representations(pipeline, data, include, seed)):
                rows = np.flatnonzero(include[k])
                kept[k, rows[_outliers(seen, np.asarray(data.y)[rows], remove)]] = False
            return fit(data, kept, seed)

        return defended

    owner, deployed = around(scene.fit), scene.model
    if deployed is not None:
        whole = np.ones((1, len(scene.train)), dtype=bool)
        again = owner(scene.train, whole, int(rng.integers(2**31))).member(0)
        deployed = replace(
            again,
            name=deployed.name,
            fit=None if deployed.fit is None else around(deployed.fit),
            offers=deployed.offers,
            lineage=(*deployed.lineage, "spectral_signatures"),
        )
    applied = Applied("spectral_signatures", {"remove": remove})
    return replace(wrap.recorded(scene, applied), model=deployed, fit=owner)


def _representations(
    pipeline: Any, data: Data, include: NDArray[np.bool_], seed: int
) -> list[NDArray[Any]]:
    """For each model, what it makes of its own training records: (rows, d)."""
    if pipeline is None:
        return [regions.flat(data.x[row]) for row in include]
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


def _outliers(seen: NDArray[Any], labels: NDArray[Any], remove: float) -> NDArray[np.bool_]:
    """Mark the share ``remove`` of each class with the largest top singular projection."""
    out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        centred = seen[rows] - seen[rows].mean(0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        score = (centred @ directions[0]) ** 2
        out[rows[np.argsort(-score, kind="stable")[: int(remove * len(rows))]]] = True
    return out
