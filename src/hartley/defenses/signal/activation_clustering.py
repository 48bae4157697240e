"""Activation clustering: poison and clean records of a class have different activations."""

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
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.TABULAR,
        Modality.GRAPH,
    ),
    unfit={
        "paired": "it goes through the classes of labels, and pairs have none; feature_filter and"
        " loss_filter judge pairs",
    },
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
    """Train once, cluster each class by its activations, drop suspicious clusters, and train again.

    The activations of a first model are reduced to their principal components (the paper uses
    independent components) and split by 2-means. The smaller cluster is dropped if it is small
    enough and the two clusters are distinct enough: a clean class splits about evenly, or hardly
    at all.

    Args:
        smaller: largest share of a class that a dropped cluster may have.
        distinct: least simplified silhouette of a split at which a cluster is dropped.
        components: number of principal components.
    """

    def flag(
        trained: retrain_without.Features, clean: retrain_without.Features
    ) -> NDArray[np.bool_]:
        del clean
        activations, labels = trained.x, trained.y
        out = np.zeros(len(labels), dtype=bool)
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            if len(rows) < 4:
                continue
            odd, silhouette = _split(_principal(activations[rows], components))
            if odd.mean() <= smaller and silhouette >= distinct:
                out[rows[odd]] = True
        return out

    return retrain_without.retrained(scene, rng, flag)


def _principal(activations: NDArray[Any], components: int) -> NDArray[Any]:
    """Return the coordinates (n, components) of rows (n, d) along their principal components."""
    centred = activations - activations.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(left[:, :components] * sizes[:components])


def _split(points: NDArray[Any]) -> tuple[NDArray[np.bool_], float]:
    """Split points (n, d) by 2-means, started at the extremes of the first components.

    Returns:
        which points (n,) are in the smaller cluster, and the simplified silhouette: the mean of
        (b − a)/max(a, b), where a is a point's distance to its own centre and b to the other.
    """
    best, split = np.inf, (np.zeros(len(points), dtype=bool), 0.0)
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
            split = odd, float(np.mean((far - near) / np.maximum(far, 1e-12)))
    return split
