"""Which records of a data set look like poison: detectors, calibrated on clean records.

Each record is judged by models that were not trained on it. The records are cut into ``FOLDS``
parts. For each part a *suspect* model is trained on the other parts, with whatever poison is in
them, and a *clean* model on one half of the trusted records; the other half calibrates. A detector
turns a record into a score, larger where it is more suspicious, by the same models for scanned and
for trusted records. So a clean record of the same kind is exchangeable with those that calibrate,
and the share of them that score as high is a p-value, exact in finite samples (conformal p-values,
arXiv:2104.08279). What several detectors say together is the least of a record's ranks, and that
is ranked among the calibrating records in the same way.

Without trusted records the suspect models do the work of the clean ones, and a part calibrates
itself. That share of all records is then flagged whatever is in them, and of the clean ones as many
more as poison passes for them; so their number says nothing, and poison hides poison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Fit, spawn
from hartley.core.errors import UsageError
from hartley.kit import kmeans
from hartley.models.activations import Reading, readings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FOLDS = 4
"""Parts of the records: each is judged by models of the others."""
NEIGHBOURS = 10
"""Records of each kind whose distance counts."""
COMPONENTS = 10
"""Principal components in which a class is split in two."""
STEPS = 25
"""Steps of 2-means at most."""
BLOCK = 2_000
"""Records whose distances are computed at once."""

TIES = 1e-6
"""Weight of the mean of all ranks beside the least: it settles ties and nothing else."""

TRUSTED = (
    "loss_filter",
    "deep_knn",
    "spectral_signatures",
    "activation_clustering",
    "disagreement",
)
"""Detectors, where there are trusted records."""
ALONE = TRUSTED[:4]
"""Those that need none."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What the detectors say of records.

    Attributes:
        p: (n,) share of clean records that look as suspicious to the detectors together.
        by: the same of each detector alone, by its name.
        calibrating: clean records that each record is ranked among, the fewest.
    """

    p: Floats
    by: Mapping[str, Floats]
    calibrating: int

    def flagged(self, false_alarms: float) -> NDArray[np.bool_]:
        """Return which records (n,) are flagged at a rate of false alarms."""
        return np.asarray(self.p <= false_alarms + 1e-12)


def scanned(
    training: Any,
    fit: Fit,
    data: Data,
    include: NDArray[Any],
    seed: int,
    *,
    clean: Data | None,
) -> list[Suspicion]:
    """Return what the detectors say of K selections of records.

    Args:
        training: the owner's ``Pipeline``, whose networks can be read, or None.
        fit: trains models, where ``training`` gives no access to a network.
        data: records, labelled.
        include: (K, n) booleans, the selections.
        seed: of the parts and of the training.
        clean: records that are trusted not to be poisoned, of the same kind; or None.

    Returns:
        for each selection a ``Suspicion`` of its records, in their order.

    Raises:
        UsageError: there are too few trusted records, or they are of one class.
    """
    rng = np.random.default_rng(spawn(seed, "scan"))
    fold = rng.permutation(len(data)) % FOLDS
    include = np.asarray(include, dtype=bool)
    parts = include[:, None, :] & (fold != np.arange(FOLDS)[:, None])
    suspects = readings(training, fit, data, parts.reshape(-1, len(data)), seed)
    halves: list[NDArray[np.int64]] = []
    references: Sequence[Reading] = ()
    if clean is not None:
        check_clean(clean, data)
        order = rng.permutation(len(clean))
        halves = [np.sort(order[0::2]), np.sort(order[1::2])]
        rows = np.stack([np.isin(np.arange(len(clean)), half) for half in halves])
        references = readings(training, fit, clean, rows, seed)
    out = []
    for k, chosen in enumerate(include):
        p, by = np.ones(len(data)), {n: np.ones(len(data)) for n in (TRUSTED if halves else ALONE)}
        for f in range(FOLDS):
            here = np.flatnonzero(chosen & (fold == f))
            if not len(here):
                continue
            rest = np.flatnonzero(parts[k, f])
            suspect = suspects[k * FOLDS + f]
            if clean is None:
                scores = _scores(
                    suspect, suspect, data, rest, votes=_picked(data, rest), sets=[(data, here)]
                )
                ranks = {name: _among_others(score[0]) for name, score in scores.items()}
                p[here] = _among_others(-_least([*ranks.values()]))
            else:
                learnt, calibrating = halves[f % 2], halves[1 - f % 2]
                scores = _scores(
                    suspect, references[f % 2], data, rest,
                    votes=_picked(clean, learnt), sets=[(data, here), (clean, calibrating)],
                )  # fmt: skip
                ranks = {name: conformal(*score) for name, score in scores.items()}
                p[here] = together([(of_records, others) for of_records, others in scores.values()])
            for name, values in ranks.items():
                by[name][here] = values
        sizes = [len(half) for half in halves] or np.bincount(fold[chosen], minlength=FOLDS)
        out.append(
            Suspicion(p[chosen], {name: v[chosen] for name, v in by.items()}, int(min(sizes)))
        )
    return out


def check_clean(clean: Data, data: Data) -> None:
    """Check trusted records.

    Raises:
        UsageError: they lack a class of the scanned records.
    """
    absent = sorted({*np.unique(data.labels).tolist()} - {*np.unique(clean.labels).tolist()})
    if absent:
        names = clean.facts.get("classes") or data.facts.get("classes") or ()
        words = ", ".join(str(names[k]) if k < len(names) else str(k) for k in absent)
        raise UsageError(
            f"the trusted records must have every class of the scanned ones, got none of {words}"
        )


def check_rate(trusted: int, false_alarms: float) -> None:
    """Check that trusted records can calibrate a rate of false alarms.

    Args:
        trusted: how many there are; half of them calibrate.
        false_alarms: the declared rate.

    Raises:
        UsageError: they are too few: the rate would be none that any number of them can have.
    """
    least = 2 * int(np.ceil(1.0 / false_alarms - 1.0 - 1e-9))
    if trusted < least:
        smallest = 1.0 / (trusted // 2 + 1.0)
        raise UsageError(
            f"a rate of false alarms of {false_alarms:g} must have at least {least} trusted "
            f"records, of which half calibrate it, got {trusted}; they can hold a rate of "
            f"{np.ceil(1000 * smallest) / 1000:g}"
        )


def conformal(scores: Floats, among: Floats) -> Floats:
    """Return the share of clean records (n,) that score as high as each, itself counted.

    Args:
        scores: (n,) of the records.
        among: (m,) of the clean ones.
    """
    ordered = np.sort(among)
    as_high = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return np.asarray((as_high + 1.0) / (len(ordered) + 1.0))


def together(scores: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Return p-values (n,) of the least of several ranks.

    For each record the clean ones are ranked with it, so that all are treated alike: the p-value is
    exact, whatever the detectors have to do with each other.

    Args:
        scores: of each detector, those of the records (n,) and of the clean ones (m,).
    """
    m = len(scores[0][1])
    # How many clean records score as high as each clean one, itself counted.
    high = [m - np.searchsorted(np.sort(among), among, side="left") for _, among in scores]
    of_records = _least([conformal(values, among) for values, among in scores])
    out = np.empty(len(of_records))
    for start in range(0, len(of_records), BLOCK):
        rows = slice(start, start + BLOCK)
        joined = _least(
            [
                (count + (values[rows, None] >= among)) / (m + 1.0)
                for (values, among), count in zip(scores, high, strict=True)
            ]
        )
        out[rows] = ((joined <= of_records[rows, None]).sum(1) + 1.0) / (m + 1.0)
    return out


def _least(ranks: Sequence[Floats]) -> Floats:
    """Return the logarithm of the least of several ranks; of equal ones the others decide.

    Each detector has a most suspicious clean record, so that without this a tie of as many records
    as there are detectors would be at the top.
    """
    logs = np.log(np.stack(ranks))
    return np.asarray(logs.min(0) + TIES * logs.mean(0))


def _among_others(scores: Floats) -> Floats:
    """Return the share of all (n,) that score as high as each of them, itself counted."""
    ordered = np.sort(scores)
    return np.asarray((len(ordered) - np.searchsorted(ordered, scores, side="left")) / len(ordered))


def _picked(data: Data, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    return data.x[rows], data.labels[rows]


def _scores(
    suspect: Reading,
    reference: Reading,
    data: Data,
    rest: NDArray[np.int64],
    *,
    votes: tuple[NDArray[Any], NDArray[Any]],
    sets: Sequence[tuple[Data, NDArray[np.int64]]],
) -> dict[str, list[Floats]]:
    """Return what each detector says of each set of records.

    Args:
        suspect: the model of the other parts.
        reference: one of trusted records; the same model where there are none.
        data: the scanned records.
        rest: rows of them that the suspect model was trained on.
        votes: records and labels of the neighbours.
        sets: records that are scored.
    """
    features, _ = suspect(data.x[rest])
    labels = data.labels[rest]
    classes = {int(c): _Class(features[labels == c]) for c in np.unique(labels)}
    near, _ = reference(votes[0])
    out: dict[str, list[Floats]] = {}
    for records, rows in sets:
        x, y = records.x[rows], records.labels[rows]
        hidden, learnt = suspect(x)
        judged, expected = reference(x)
        at = np.arange(len(y))
        scores = {
            "loss_filter": -expected[at, y],
            "deep_knn": strangeness(judged, y, near, votes[1]),
            "spectral_signatures": np.zeros(len(y)),
            "activation_clustering": np.zeros(len(y)),
        }
        for c, known in classes.items():
            of_class = y == c
            scores["spectral_signatures"][of_class] = known.projection(hidden[of_class])
            scores["activation_clustering"][of_class] = known.oddness(hidden[of_class])
        if reference is not suspect:
            scores["disagreement"] = learnt[at, y] - expected[at, y]
        for name, values in scores.items():
            out.setdefault(name, []).append(values)
    return out


def strangeness(
    x: NDArray[Any], y: NDArray[Any], among: NDArray[Any], labels: NDArray[Any]
) -> Floats:
    """Return how much nearer the neighbours of other labels are than those of a record's own.

    Args:
        x: (n, d) records.
        y: (n,) their labels.
        among: (m, d) records that vote.
        labels: (m,) theirs.

    Returns:
        (n,) log-ratios of mean squared distances to the nearest ``NEIGHBOURS`` of each kind.
    """
    out = np.zeros(len(x))
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        away = kmeans.distances(x[rows], among)
        same = labels == y[rows, None]
        near = [_nearest(np.where(kind, away, np.inf)) for kind in (same, ~same)]
        out[rows] = np.log(near[0] + 1e-12) - np.log(near[1] + 1e-12)
    return out


def _nearest(away: Floats) -> Floats:
    count = min(NEIGHBOURS, away.shape[1])
    nearest = np.partition(away, count - 1, axis=1)[:, :count]
    known = np.isfinite(nearest)
    total = np.where(known, nearest, 0.0).sum(1)
    return np.where(known.any(1), total / np.maximum(known.sum(1), 1), 1e12)


class _Class:
    """What the activations (n, d) of the records of one class look like."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self.mean = rows.mean(0)
        centred = rows - self.mean
        # Scores of classes are compared: each is in units of what is usual in its own.
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        self.directions = directions[:COMPONENTS]
        points = centred @ self.directions.T
        self.usual = float(np.median(points[:, 0] ** 2)) + 1e-12 if len(rows) else 1.0
        self.centres, self.share = _halves(points)

    def projection(self, rows: NDArray[Any]) -> Floats:
        """Squared projections (n,) on the top singular direction."""
        return np.asarray(((rows - self.mean) @ self.directions[0]) ** 2 / self.usual)

    def oddness(self, rows: NDArray[Any]) -> Floats:
        """How much nearer (n,) the centre of the smaller cluster is, the smaller the more."""
        points = (rows - self.mean) @ self.directions.T
        away = np.linalg.norm(points[:, None] - self.centres[None], axis=2)
        lead = (away[:, 0] - away[:, 1]) / np.maximum(away.max(1), 1e-12)
        return np.asarray(lead * (1.0 - 2.0 * self.share))


def _halves(points: Floats) -> tuple[Floats, float]:
    """Return the centres (2, d) of the larger and the smaller cluster, and the latter's share."""
    centres = points[[int(np.argmin(points[:, 0])), int(np.argmax(points[:, 0]))]]
    side = np.zeros(len(points), dtype=np.int64)
    for _ in range(STEPS):
        side = np.linalg.norm(points[:, None] - centres[None], axis=2).argmin(1)
        if side.all() or not side.any():
            break
        moved = np.stack([points[side == c].mean(0) for c in (0, 1)])
        if np.allclose(moved, centres):
            break
        centres = moved
    small = int(side.mean() < 0.5)
    return centres[[1 - small, small]], float((side == small).mean())
