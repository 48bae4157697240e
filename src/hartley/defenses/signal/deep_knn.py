"""Deep k-NN: drop records whose neighbours in feature space mostly have another label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.defenses._shared import retrain_without
from hartley.defenses._shared.clean_records import clean_records
from hartley.kit import kmeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


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
        "paired": "neighbours vote for a label, and pairs have none; feature_filter asks the "
        "neighbours of a picture",
    },
    paper="arXiv:1909.13374",
    strongest={"false_alarms": 0.5},
    requires=("fit", "train", "holdout"),
)
def deep_knn(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.05,
    neighbours: Annotated[int, Range(1)] = 10,
    clean: Annotated[int, Range(2)] = 1000,
) -> Scene:
    """Train once, drop records whose clean neighbours do not share their label, and train again.

    The features are the last hidden layer of the first model, or the records themselves where the
    pipeline does not give access to a network. The neighbours of a training record are clean
    held-out records, so that poison cannot be its own neighbour (the paper, which has no clean
    records, looks among the training records). A record is dropped if fewer of its neighbours share
    its label than for all but a share ``false_alarms`` of the clean records themselves.

    Args:
        false_alarms: share of clean records that the threshold drops, at most.
        neighbours: clean records that vote on a record.
        clean: the owner's held-out records that are used, at most.
    """
    trusted = clean_records(scene, clean, "deep_knn")

    def flag(
        trained: retrain_without.Features, clean: retrain_without.Features
    ) -> NDArray[np.bool_]:
        count = min(neighbours, len(clean.y) - 1)
        usual = support(clean, clean, count, themselves=True)
        limit = np.quantile(usual, false_alarms, method="lower")
        return support(trained, clean, count) < limit

    return retrain_without.retrained(scene, rng, flag, trusted)


def support(
    rows: retrain_without.Features,
    among: retrain_without.Features,
    count: int,
    *,
    themselves: bool = False,
) -> NDArray[np.float64]:
    """Return the share of each row's nearest records that have its label.

    Args:
        rows: whose labels are checked.
        among: the records that vote.
        count: nearest records that vote.
        themselves: whether both are the same records; none then votes on itself.
    """
    away = kmeans.distances(rows.x, among.x)
    if themselves:
        np.fill_diagonal(away, np.inf)
    nearest = np.argpartition(away, count - 1, axis=1)[:, :count]
    return np.asarray((among.y[nearest] == rows.y[:, None]).mean(1))
