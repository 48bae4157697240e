"""The difference of the bits of two channels, paired where they were played on the same secrets.

Two runs of one plan and seed deal the same secrets to the same victims. Then the difference of the
bits is read victim by victim: what the two share (an easy pool, a lucky coin) cancels. The error is
that of a jackknife over victims, which needs no formula for the quantity: bits of a score, of
guesses, of ranks and of a jam are all smooth means over victims (Efron and Stein 1981). The ends
are calibrated, not certified: their coverage is measured in ``bench/compare.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.measure import bits_on_the_sample
from hartley.channel.readouts.information import FEW_CLUSTERS
from hartley.channel.trials.validate import check_columns
from hartley.core import Trials, spawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

GROUPS = 32
"""Parts that are left out one at a time: clusters one by one up to this many, else groups."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Bits of the second channel minus those of the first.

    Attributes:
        point: the difference of the two points.
        error: its standard error; infinite where there are too few victims to know it.
        freedom: degrees of freedom of the error.
        paired: whether both were played on the same secrets and victims.
        most: the largest difference that can be, the entropy of the secret.
        how: in words.
    """

    point: float
    error: float
    freedom: float
    paired: bool
    most: float
    how: str

    def ends(self, alpha: float) -> tuple[float, float]:
        """Return lower and upper end, each one-sided at ``alpha``."""
        from scipy.special import stdtrit

        if not math.isfinite(self.error):
            return -self.most, self.most
        reach = 0.0 if self.error == 0.0 else float(stdtrit(self.freedom, 1.0 - alpha)) * self.error
        return max(-self.most, self.point - reach), min(self.most, self.point + reach)

    def p_above(self) -> float:
        """Return the p-value of "the second has at most as many bits as the first"."""
        return self._p(self.point)

    def p_below(self) -> float:
        """Return the p-value of "the second has at least as many bits as the first"."""
        return self._p(-self.point)

    def _p(self, point: float) -> float:
        from scipy.special import stdtr

        if self.error == 0.0:
            return 1.0
        return 0.5 if math.isinf(self.error) else float(stdtr(self.freedom, -point / self.error))


def same_questions(first: Trials, second: Trials) -> bool:
    """Whether two tables ask about the same secrets of the same victims, row by row.

    Equal columns could be chance where there are few rows, and always are where the true answer of
    every row is the same: the caller knows whether both runs have one seed and one game.
    """
    same = first.spec.form == second.spec.form and first.spec.alphabet == second.spec.alphabet
    pairs = ((getattr(first, n), getattr(second, n)) for n in ("truth", "cluster", "item", "split"))
    return same and all(_equal(a, b) for a, b in pairs)


def difference(
    first: Trials,
    second: Trials,
    points: tuple[float, float],
    *,
    paired: bool,
) -> Difference:
    """Return the bits of the second table minus those of the first.

    Args:
        first: trials of one channel.
        second: trials of the other, of the same alphabet.
        points: bits per use of each, as ``measure`` reports them.
        paired: whether both have the same secrets and victims, row by row (``same_questions``).

    Raises:
        BadTrials: a table cannot be measured.
    """
    point, most = points[1] - points[0], math.log2(max(2, first.spec.alphabet))
    if paired and _equal(first.guess, second.guess) and _equal(first.reference, second.reference):
        return Difference(0.0, 0.0, math.inf, True, most, "the same answers, row by row")
    read = [bits_without_each_part(trials) for trials in (first, second)]
    bits, units = [part for part, _ in read], [number for _, number in read]
    if min(units) < FEW_CLUSTERS:
        few = f"fewer than {FEW_CLUSTERS} independent victims: the spread between them is not known"
        return Difference(point, math.inf, math.inf, paired, most, few)
    # Where all victims show the same, the answer of a single row could still be another.
    grain = most / min(len(first.truth), len(second.truth))
    if paired:
        error = math.hypot(_error(bits[1] - bits[0]), grain)
        how = f"paired over {units[0]} {_unit(first)}"
        return Difference(point, error, len(bits[0]) - 1.0, True, most, how)
    errors = [math.hypot(_error(part), grain) for part in bits]
    error = math.hypot(*errors)
    # Welch–Satterthwaite
    known = [len(part) - 1 for part in bits]
    freedom = error**4 / sum(e**4 / df for e, df in zip(errors, known, strict=True))
    how = f"not paired: {units[0]} and {units[1]} {_unit(first)}"
    return Difference(point, error, freedom, False, most, how)


def difference_of_ends(
    first: Mapping[str, Any], second: Mapping[str, Any], alphabet: int, alpha: float
) -> Difference:
    """Return the difference of two rows of which only the intervals are known.

    Each end of the difference adds the squares of the two reaches that lead to it (MOVER, Zou and
    Donner 2008). The larger of both is taken as the error on either side. The lower ends of rows
    are certified and so wider than calibrated ones: the difference is settled later than it
    would be with the trials.

    Args:
        first: {point, low, high}.
        second: the same of the other row.
        alphabet: candidates of the secret.
        alpha: error level of each end.
    """
    from scipy.special import ndtri

    point, most = second["point"] - first["point"], math.log2(max(2, alphabet))
    if None in (first["low"], first["high"], second["low"], second["high"]):
        how = "a row has no interval"
        return Difference(point, math.inf, math.inf, False, most, how)
    below = math.hypot(second["point"] - second["low"], first["high"] - first["point"])
    above = math.hypot(second["high"] - second["point"], first["point"] - first["low"])
    error = max(below, above) / -float(ndtri(alpha))
    how = "not paired: from the two intervals alone, without trials"
    return Difference(point, error, math.inf, False, most, how)


def _error(bits: Array) -> float:
    """Standard error by the jackknife, of what is left without each part."""
    g = len(bits)
    return math.sqrt((g - 1) / g * float(((bits - bits.mean()) ** 2).sum()))


def _unit(trials: Trials) -> str:
    return "rows" if trials.cluster is None else "victims"


def bits_without_each_part(trials: Trials) -> tuple[Array, int]:
    """Return the bits without each part of the rows, and how many independent units there are.

    Parts are the same for two tables of the same rows. There are none where there are fewer than 8
    clusters: their spread is not known.
    """
    columns = check_columns(trials).with_one_use_per_coin(trials.spec.form)
    n = len(columns.truth)
    if columns.cluster is None:
        units = n
        # The same parts for both tables of a pair, whatever their rows are.
        part = np.random.default_rng(spawn(0, "compare", n)).permutation(n) % GROUPS
    else:
        units = int(columns.cluster.max()) + 1
        part = columns.cluster % min(units, GROUPS)
    if units < FEW_CLUSTERS:
        return np.zeros(0), units
    keep = (part != k for k in range(int(part.max()) + 1))
    return bits_on_the_sample(trials, columns, keep), units


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))
