"""Activation clustering: poison and honest records of one class excite a network differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.defenses._shared import retrain_without

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

STARTS = 4
STEPS = 50


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1811.03728",
    strongest={"smaller": 0.5, "distinct": 0.0},
    requires=("fit", "train"),
)
def activation_clustering(
    scene: Scene,
    rng: Rng,
    *,
    smaller: Annotated[float, Range(0, 0.5, open_low=True)] = 0.35,
    distinct: Annotated[float, Range(0, 1)] = 0.1,
    components: Annotated[int, Range(1)] = 10,
) -> Scene:
    """Train once, split each class in two by its activations, drop the odd part, and train again.

    The representations of a first model are reduced to their principal components (the paper uses
    independent ones) and split by 2-means. The smaller part is dropped where it is small enough and
    the two parts are distinct enough: an honest class splits about evenly, or hardly at all.

    Args:
        smaller: the largest share of a class that may be taken for poison.
        distinct: the least simplified silhouette of a split that is taken for poison.
        components: principal components kept.
    """

    def flag(seen: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.bool_]:
        out = np.zeros(len(labels), dtype=bool)
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            if len(rows) < 4:
                continue
            odd, silhouette = _split(_principal(seen[rows], components))
            if odd.mean() <= smaller and silhouette >= distinct:
                out[rows[odd]] = True
        return out

    return retrain_without.retrained(scene, rng, flag)


def _principal(seen: NDArray[Any], components: int) -> NDArray[Any]:
    centred = seen - seen.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(left[:, :components] * sizes[:components])


def _split(points: NDArray[Any]) -> tuple[NDArray[np.bool_], float]:
    """2-means from fixed starts along the main components: (smaller part, simplified silhouette).

    The simplified silhouette is the mean of (b − a)/max(a, b), with a and b the distances to a
    point's own and to the other centre.
    """
    best, found = np.inf, (np.zeros(len(points), dtype=bool), 0.0)
    for start in range(min(STARTS, points.shape[1])):
        low, high = np.argmin(points[:, start]), np.argmax(points[:, start])
        centres = points[[low, high]]
        for _ in range(STEPS):
            away = np.linalg.norm(points[:, None] - centres[None], axis=2)
            side = away.argmin(1)
            if side.all() or not side.any():
                break
            moved = np.stack([points[side == c].mean(0) for c in (0, 1)])
            if np.allclose(moved, centres):
                break
            centres = moved
        near, far = away.min(1), away.max(1)
        if (near**2).sum() < best:
            best = float((near**2).sum())
            odd = side == int(side.mean() < 0.5)
            found = odd, float(np.mean((far - near) / np.maximum(far, 1e-12)))
    return found
