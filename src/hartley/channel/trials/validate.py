"""The columns of trials, checked once; trials that cannot be measured raise ``BadTrials``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import AnswerForm, Role, Trials
from hartley.core.errors import BadTrials
from hartley.core.parameters import Range
from hartley.core.records import COLUMNS, COSTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Trials as arrays of one length.

    Attributes:
        truth: (n,) int64 symbols.
        guess: (n,) float64 scores, or int64 symbols or ranks.
        reference: like ``guess``, or None.
        cluster: (n,) int64 0..m−1 in order of the given labels, or None when rows are independent.
        planted: the auditor drew the secrets uniformly.
    """

    truth: Whole
    guess: NDArray[Any]
    reference: NDArray[Any] | None
    cluster: Whole | None
    planted: bool = True

    def redrawn(self, form: AnswerForm, alphabet: int, rng: np.random.Generator) -> Columns:
        """Return the same columns with redrawn secrets, independent of what was received."""
        if form is AnswerForm.RANK:
            # A secret that was never planted has a uniform rank, whatever the attacker's scores.
            return replace(self, guess=rng.integers(1, alphabet + 1, len(self.guess)))
        if self.planted:
            # A shuffle would leave some secrets in place: of four in a cluster, one on average.
            truth = _drawn(alphabet, len(self.truth), rng)
            while form is AnswerForm.SCORE and truth.min() == truth.max():
                truth = _drawn(alphabet, len(self.truth), rng)
            return replace(self, truth=truth)
        if self.cluster is None or not _mixed(self.truth, self.cluster):
            return replace(self, truth=_shuffled(self.truth, alphabet, rng))
        # Shuffle inside clusters: sort by (cluster, noise), place by cluster.
        shuffled = np.lexsort((rng.random(len(self.truth)), self.cluster))
        truth = np.empty_like(self.truth)
        truth[np.argsort(self.cluster, kind="stable")] = self.truth[shuffled]
        return replace(self, truth=truth)

    def rows(self, keep: NDArray[np.bool_]) -> Columns:
        """Return some of the rows, their clusters numbered anew."""

        def cut(column: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if column is None else column[keep]

        cluster = cut(self.cluster)
        if cluster is not None:
            cluster = np.unique(cluster, return_inverse=True)[1]
        truth, guess = self.truth[keep], self.guess[keep]
        return replace(
            self, truth=truth, guess=guess, reference=cut(self.reference), cluster=cluster
        )

    def with_one_use_per_coin(self, form: AnswerForm) -> Columns:
        """Return one row a cluster where all rows of every cluster have one secret, else the same.

        Then one coin settled all rows of a cluster, and they are one use: its score is their mean,
        its symbol the one guessed most often (none where two are). Where the auditor's coins are
        known to be one a row, rows stay as they are.
        """
        if self.planted or self.cluster is None or form is AnswerForm.RANK:
            return self
        m = int(self.cluster.max()) + 1
        least, most = _ends(self.truth, self.cluster)
        if m < 2 or len(self.truth) == m or bool((least < most).any()):
            return self
        sizes = np.bincount(self.cluster)
        cluster = self.cluster

        def together(column: NDArray[Any]) -> NDArray[Any]:
            if form is AnswerForm.SCORE:
                return np.asarray(np.bincount(cluster, weights=column) / sizes)
            return _most_frequent(column, cluster)

        reference = None if self.reference is None else together(self.reference)
        return replace(
            self, truth=least, guess=together(self.guess), reference=reference, cluster=None
        )


def _most_frequent(guess: Whole, cluster: Whole) -> Whole:
    """Return the symbol guessed most often in each cluster, −1 where two are."""
    pairs, counts = np.unique(np.stack([cluster, guess]), axis=1, return_counts=True)
    order = np.lexsort((counts, pairs[0]))
    last = np.flatnonzero(np.diff(pairs[0][order], append=-1))
    best = pairs[1][order][last]
    before = np.maximum(last - 1, 0)
    same = (pairs[0][order][before] == pairs[0][order][last]) & (before < last)
    return np.where(same & (counts[order][before] == counts[order][last]), -1, best)


def _ends(truth: Whole, cluster: Whole) -> tuple[Whole, Whole]:
    """Return the least and the largest symbol of each cluster."""
    m = int(cluster.max()) + 1
    least, most = np.full(m, np.iinfo(np.int64).max), np.full(m, -1)
    np.minimum.at(least, cluster, truth)
    np.maximum.at(most, cluster, truth)
    return least, most


def _drawn(alphabet: int, n: int, rng: np.random.Generator) -> Whole:
    # Bytes are drawn ten times faster than words.
    small = np.int8 if alphabet <= 128 else np.int64
    return rng.integers(0, alphabet, n, dtype=small).astype(np.int64)


def _shuffled(truth: Whole, alphabet: int, rng: np.random.Generator) -> Whole:
    # Bytes stay in the processor's cache; the permutation is the same.
    small = np.int8 if alphabet <= 128 else np.int64
    return rng.permutation(truth.astype(small)).astype(np.int64)


def _mixed(truth: Whole, cluster: Whole) -> bool:
    """Whether most clusters hold more than one symbol, so that a shuffle inside changes them."""
    least, most = _ends(truth, cluster)
    return bool((least < most).mean() > 0.5)


def optional(name: str, values: Any, n: int) -> NDArray[Any]:
    """Return one column of ``core.records.COLUMNS``, checked.

    Raises:
        BadTrials: the column has another length, NaN, or values out of range.
    """
    low, high, whole = COLUMNS[name]
    if name == "logq":
        # The log of a posterior of 0 is −∞; the mixed-in prior keeps it finite. Rounding may push
        # the log of a certain answer slightly above 0.
        values = np.asarray(values)
        if values.dtype.kind in "iuf":
            values = np.where(np.isneginf(values) | (values < -1e9), -1e9, values)
            values = np.where((values > 0) & (values < 1e-6), 0.0, values)
    column = _column(name, values, n, whole=whole)
    below, above = low is not None and column.min() < low, high is not None and column.max() > high
    if below or above:
        odd = column.min() if below else column.max()
        raise BadTrials(f"{name} must be {_between(low, high)}, got {odd:g}")
    if name == "p_null" and column.min() <= 0:
        raise BadTrials(
            "p_null must be above 0, got 0: an event of chance 0 cannot happen by chance"
        )
    if name == "trial" and len(np.unique(column)) < n:
        raise BadTrials("trial must have one number for each row, got a number twice")
    return column


def measured_rows(trials: Trials) -> Trials:
    """Return the rows that count (split 1), their optional columns checked.

    Raises:
        BadTrials: an optional column is wrong, or the attacker tuned on every row.
    """
    n = len(trials.truth)
    if odd := [name for name in trials.costs if name not in COSTS]:
        raise BadTrials(f"a column of costs must be one of {', '.join(COSTS)}, got {odd[0]!r}")
    columns: dict[str, Any] = {
        name: optional(name, values, n)
        for name in COLUMNS
        if n and name not in COSTS and (values := getattr(trials, name)) is not None
    }
    costs = {name: optional(name, values, n) for name, values in trials.costs.items() if n}
    if "split" not in columns:
        return replace(trials, **columns, costs=costs) if columns or costs else trials
    keep = columns.pop("split") == 1
    if not keep.any():
        raise BadTrials(
            f"split must be 1 in some rows, got 0 in all {n}: the attacker tuned on all of them"
        )
    for name in ("truth", "guess", "reference", "cluster"):
        values = getattr(trials, name)
        if values is not None:
            columns[name] = np.asarray(values)
            if columns[name].shape != (n,):
                raise BadTrials(f"{name} must have shape ({n},), got {columns[name].shape}")
    kept_costs = {name: column[keep] for name, column in costs.items()}
    columns = {name: column[keep] for name, column in columns.items()}
    return replace(trials, split=None, costs=kept_costs, **columns)


def check_columns(trials: Trials) -> Columns:
    """Return the trials' columns, checked against the declaration; rows of split 0 are left out.

    Raises:
        BadTrials: the trials cannot be measured; the message says why.
    """
    trials = measured_rows(trials)
    spec, n = trials.spec, len(trials.truth)
    if n == 0:
        raise BadTrials("trials must have rows, got 0 rows to measure")
    if spec.role is Role.JAM and spec.form is not AnswerForm.SYMBOL:
        raise BadTrials(
            f"the answer form of a jam must be symbol, got {spec.form}: "
            "decode with the owner's threshold first"
        )
    guess = _column("guess", trials.guess, n, whole=spec.form is not AnswerForm.SCORE)
    truth = _column("truth", trials.truth, n, whole=True)
    low, high = (0, spec.alphabet - 1) if spec.form is not AnswerForm.RANK else (0, None)
    _within("truth", truth, low, high)
    reference = _reference(trials, n)
    for name, column in (("guess", guess), ("reference", reference)):
        if column is not None and spec.form is not AnswerForm.SCORE:
            shift = 0 if spec.form is AnswerForm.SYMBOL else 1
            _within(name, column, 2 * shift - 1, spec.alphabet - 1 + shift)
    if spec.form is AnswerForm.SCORE:
        if spec.alphabet != 2:
            raise BadTrials(f"alphabet must be 2 for scores, got {spec.alphabet}")
        if truth.min() == truth.max():
            raise BadTrials(
                f"truth must contain 0 and 1, got one class only: {truth[0]} in every row"
            )
    return Columns(truth, guess, reference, _clusters(trials, n), spec.planted)


def _reference(trials: Trials, n: int) -> NDArray[Any] | None:
    if trials.reference is not None:
        return _column(
            "reference", trials.reference, n, whole=trials.spec.form is not AnswerForm.SCORE
        )
    if trials.spec.role is Role.JAM:
        raise BadTrials(
            "a jam must have `reference` (what is received without the attack), got None"
        )
    return None


def _column(name: str, values: Any, n: int, *, whole: bool) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (n,):
        raise BadTrials(f"{name} must have shape ({n},), got {array.shape}")
    if array.dtype.kind not in "biuf":
        raise BadTrials(f"{name} must be numeric, got dtype {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadTrials(
            f"{name} must be finite, got NaN or infinity in {int((~np.isfinite(array)).sum())} rows"
            + ("; write a finite number beyond all others instead" if name == "guess" else "")
        )
    if not whole:
        return array.astype(np.float64)
    if array.dtype.kind == "f" and (array != np.round(array)).any():
        odd = array[array != np.round(array)][0]
        raise BadTrials(f"{name} must be whole numbers, got {odd:g}")
    return array.astype(np.int64)


def _within(name: str, column: NDArray[Any], low: int, high: int | None) -> None:
    if column.min() < low or (high is not None and column.max() > high):
        odd = column.min() if column.min() < low else column.max()
        raise BadTrials(f"{name} must be {_between(low, high)}, got {odd}")


def _between(low: float | None, high: float | None) -> str:
    """Return what a number must be, to follow "must be"."""
    return str(Range(-math.inf if low is None else low, math.inf if high is None else high))


def _clusters(trials: Trials, n: int) -> Whole | None:
    if not trials.spec.clustered:
        return None
    if trials.cluster is None:
        return np.zeros(n, np.int64)
    labels = np.asarray(trials.cluster)
    if labels.shape != (n,):
        raise BadTrials(f"cluster must have shape ({n},), got {labels.shape}")
    # Clusters of one row each are independent rows.
    values, where = np.unique(labels, return_inverse=True)
    return None if len(values) == n else where.astype(np.int64)
