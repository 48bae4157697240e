"""The records of a user's data set that look like poison, and how many of them chance explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, spawn
from hartley.games.poisoning.suspicion import FOLDS, check_rate, scanned
from hartley.kit.cache import cached, digest
from hartley.models.pipeline import Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

LISTED = 50
"""Records that are listed at most."""
BEYOND = 0.05
"""Share of a list that chance explains at which its records are beyond chance."""
LIKELY = 0.95
"""Share of clean data sets of which at most that many records are flagged."""


@dataclass(frozen=True, slots=True)
class SuspectRecords:
    """A part of a scene: what is to be scanned.

    Attributes:
        records: of the user's, labelled; ``name`` is that of their file.
        clean: those that they trust, or None.
        training: how a reference net is trained.
        false_alarms: the declared share of clean records that is flagged.
        files: of each record, its file in a folder; empty of a table.
        seed: of the parts and the training.
    """

    records: Data
    clean: Data | None
    training: Pipeline
    false_alarms: float
    files: tuple[str, ...] = ()
    seed: int = 0

    @property
    def identity(self) -> str:
        """A digest of all that the findings depend on."""
        return digest(self._recipe)

    @property
    def _recipe(self) -> dict[str, Any]:
        clean = self.clean
        return {
            "version": 1,
            "training": self.training.recipe,
            "records": [self.records.x, self.records.y],
            "clean": None if clean is None else [clean.x, clean.y],
            "seed": self.seed,
        }

    def p_values(self) -> tuple[dict[str, NDArray[np.float64]], int]:
        """Return p-values (n,) by the name of the detector, all together under "", and on how many.

        The second value is the number of clean records that a record is ranked among, the fewest.
        """
        if self.clean is not None:
            check_rate(len(self.clean), self.false_alarms)

        def compute() -> dict[str, NDArray[Any]]:
            everyone = np.ones((1, len(self.records)), dtype=bool)
            seed = spawn(self.seed, "records") % 2**31
            (suspicion,) = scanned(
                self.training,
                self.training.fit,
                self.records,
                everyone,
                seed,
                clean=self.clean,
            )
            return {
                "": suspicion.p,
                **suspicion.by,
                " calibrating": np.array([suspicion.calibrating]),
            }

        arrays = dict(cached("scan", self._recipe, compute))
        calibrating = int(arrays.pop(" calibrating")[0])
        return arrays, calibrating

    def findings(self) -> dict[str, Any]:
        """Return what a run document says of the records, by number and never by content.

        Raises:
            UsageError: the trusted records are too few for the declared rate.
        """
        by, calibrating = self.p_values()
        p = by.pop("")
        n, alpha = len(p), self.false_alarms
        flagged = p <= alpha + 1e-12
        order = np.lexsort((np.sum([np.log(v) for v in by.values()], axis=0), p))
        explained = share_by_chance(p[order])
        listed = []
        for place in range(min(LISTED, int(flagged.sum()))):
            row = int(order[place])
            listed.append(
                {
                    "source": self.records.name,
                    "row": row,
                    "file": self.files[row] if self.files else None,
                    "fpr": float(p[row]),
                    "detectors": [name for name, values in by.items() if values[row] <= alpha],
                    "chance": float(explained[place]),
                }
            )
        trusted = None if self.clean is None else len(self.clean)
        return {
            "n": n,
            "trusted": trusted,
            "calibrating": calibrating,
            "false_alarms": alpha,
            "flagged": int(flagged.sum()),
            "expected": n * np.floor(alpha * (calibrating + 1) + 1e-9) / (calibrating + 1)
            if trusted
            else alpha * n,
            "likely": None if trusted is None else likely(n, calibrating, alpha),
            "beyond": int((explained <= BEYOND).sum()) if trusted else 0,
            "detectors": {name: int((v <= alpha + 1e-12).sum()) for name, v in by.items()},
            "records": listed,
        }


def share_by_chance(ordered: NDArray[Any]) -> NDArray[np.float64]:
    """Return how much (n,) of a list, down to each record, chance explains at most.

    Of n clean records n·p have a p-value up to p; the share is that of Benjamini and Hochberg
    (1995), which for conformal p-values of one calibration holds (arXiv:2104.08279).

    Args:
        ordered: (n,) p-values, the least first.
    """
    n = len(ordered)
    share = np.minimum(1.0, n * np.asarray(ordered) / np.arange(1, n + 1))
    return np.asarray(np.minimum.accumulate(share[::-1])[::-1])


def likely(n: int, calibrating: int, false_alarms: float) -> int:
    """Return how many of n clean records are flagged at most in ``LIKELY`` of clean data sets.

    The threshold is an order statistic of the clean records that calibrate: the share of clean
    records beyond it has a beta law, their number a beta-binomial one. The two halves of the
    trusted records take turns, each with half of the records.

    Args:
        n: records.
        calibrating: clean records of each half.
        false_alarms: the declared rate.
    """
    from scipy.stats import betabinom

    rank = int(np.floor(false_alarms * (calibrating + 1) + 1e-9))
    if rank < 1:
        return 0
    turns = FOLDS // 2
    halves = [n // FOLDS * turns, n - n // FOLDS * turns]
    laws = [
        betabinom.pmf(np.arange(half + 1), half, rank, calibrating + 1 - rank) for half in halves
    ]
    total = np.convolve(*laws).cumsum()
    return int(np.searchsorted(total, LIKELY))
