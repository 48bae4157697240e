"""Draws of every cell of a leak matrix: what the numbers could as well have been.

Where the trials are at hand, victims are resampled by the jackknife's influence of each (one
linear step of the bootstrap), the same victims in all cells of one game: what cells share cancels
in their differences. Else a cell is drawn from its interval alone, whose certified lower end is
wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hartley.channel.compare import bits_without_each_part
from hartley.channel.readouts.information import FEW_CLUSTERS
from hartley.core import Trials, spawn
from hartley.core.errors import HartleyError
from hartley.engine.choice.leak_suite import KNOWLEDGES, Row, Suite
from hartley.infotheory.next_measurement import two_piece

Load = Callable[[Row], Trials | None]
Floats = NDArray[np.float64]
DRAWS = 2000
ALPHA = 0.05
"""Level of each end of a row where it does not say its own."""


@dataclass(frozen=True, slots=True)
class CellDraws:
    """What is known of each cell.

    Attributes:
        before: (B, A) draws of the leaks without a defense.
        static, adaptive: (B, A, D) of each attacker; NaN in cells that were not measured.
        worst: (B, A, D) of the stronger attacker at the points; an unclaimed cell is as without the
            defense, or as measured where the defense helps; an open one anything up to that.
        points: (A, D) points of ``worst``; an open cell counts as without the defense.
        weaker: (B, A, D) of the other attacker, who could be the stronger one in truth; as
            ``worst`` where only one was played.
        weaker_points: (A, D) points of ``weaker``.
        helped: (A, D) measured cells whose attack reads more than without the defense, beyond what
            chance explains over all attacks of the defense.
        uses: (A, D) uses that a cell rests on, 0 where it was not measured.
        resampled: cells whose trials were resampled, of all measured ones.
        cells: measured cells.
        few: cells whose trials are at hand and hold too few victims to resample.
    """

    before: Floats
    static: Floats
    adaptive: Floats
    worst: Floats
    points: Floats
    weaker: Floats
    weaker_points: Floats
    uses: Floats
    helped: NDArray[np.bool_]
    resampled: int
    cells: int
    few: int = 0

    @property
    def how(self) -> str:
        """How intervals are made, in words."""
        if self.resampled == self.cells:
            return f"victims resampled in all {self.cells} rows"
        why = (
            f"fewer than {FEW_CLUSTERS} victims in {self.few} of them" if self.few else "no trials"
        )
        if self.resampled:
            return (
                f"victims resampled in {self.resampled} of {self.cells} rows, else from the "
                f"intervals of the rows ({why})"
            )
        if self.few:
            return (
                f"from the intervals of the {self.cells} rows alone, since {self.few} of them have "
                f"fewer than {FEW_CLUSTERS} victims"
            )
        return "from the intervals of the rows alone, without their trials"


def draws_of(suite: Suite, load: Load | None = None, *, draws: int = DRAWS) -> CellDraws:
    """Draw every cell of a suite.

    Args:
        suite: of a run.
        load: returns the trials of a row, or None; None draws from the intervals alone.
        draws: B.
    """
    leaks = suite.whole
    a, d = leaks.unclaimed.shape
    drawer = _Drawer(load, draws)
    before = np.stack(
        [drawer.of(row, row, leaks.before[i], f"{row['id']}") for i, row in enumerate(suite.rows)],
        axis=1,
    )
    each = {knowledge: np.full((draws, a, d), np.nan) for knowledge in KNOWLEDGES}
    for (i, j, knowledge), row in suite.behind.items():
        ends = (leaks.static if knowledge == KNOWLEDGES[0] else leaks.adaptive)[i, j]
        each[knowledge][:, i, j] = drawer.of(row, suite.rows[i], ends, f"{i} {j} {knowledge}")
    static, adaptive = (each[knowledge] for knowledge in KNOWLEDGES)
    each_point = [table[:, :, 0] for table in (leaks.static, leaks.adaptive)]
    stronger = np.isnan(each_point[0]) | (np.nan_to_num(each_point[1], nan=-1.0) > each_point[0])
    worst = np.where(stronger, adaptive, static)
    uses = np.zeros((a, d))
    for i, j in np.ndindex(a, d):
        cell = suite.behind.get((i, j, KNOWLEDGES[int(stronger[i, j])]))
        if cell is not None:
            uses[i, j] = cell.get("n") or 0
        elif leaks.unclaimed[i, j]:
            worst[:, i, j] = before[:, i]
            uses[i, j] = suite.rows[i].get("n") or 0
        else:
            rng = np.random.default_rng(spawn(0, "open cell", i, j))
            worst[:, i, j] = rng.random(draws) * before[:, i]
    lacking = np.isnan(leaks.worst[:, :, 0])
    points = np.where(lacking, leaks.before[:, 0, None], leaks.worst[:, :, 0])
    helped = _helped(points - leaks.before[:, :1], worst - before[:, :, None], ~lacking)
    idle = suite.beside & ~helped
    worst = np.where(idle, before[:, :, None], worst)
    points = np.where(idle, leaks.before[:, :1], points)
    single = idle | np.isnan(each_point[0]) | np.isnan(each_point[1])
    return CellDraws(
        before=before,
        static=static,
        adaptive=adaptive,
        worst=worst,
        points=points,
        weaker=np.where(single, worst, np.where(stronger, static, adaptive)),
        weaker_points=np.where(single, points, np.where(stronger, each_point[0], each_point[1])),
        uses=uses,
        helped=helped,
        resampled=drawer.resampled,
        cells=len(suite.behind) + len(suite.rows),
        few=drawer.few,
    )


def _helped(more: Floats, draws: Floats, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(A, D) cells above what they are without the defense; their defense shares the level.

    Args:
        more: (A, D) points above those without the defense.
        draws: (B, A, D) the same, drawn.
        measured: (A, D) cells that were played.
    """
    limits = [
        NormalDist().inv_cdf(1 - ALPHA / (2 * max(1, int(played.sum())))) for played in measured.T
    ]
    return np.asarray(measured & (more > np.array(limits) * np.maximum(draws.std(0), 1e-12)))


class _Drawer:
    """Draws rows one after another, with the same victims for all rows of one game."""

    def __init__(self, load: Load | None, draws: int) -> None:
        self.load, self.draws, self.resampled, self.few = load, draws, 0, 0
        self.weights: dict[tuple[Any, ...], Floats] = {}

    def of(self, row: Row, baseline: Row, ends: Floats, name: str) -> Floats:
        """(B,) draws of a row, as shares of the secret."""
        influence = self._influence(row)
        if influence is None:
            rng = np.random.default_rng(spawn(0, "cell", name))
            level = (row["bits"].get("alpha") if "bits" in row else None) or ALPHA
            drawn = two_piece(ends[None], rng.random((self.draws, 1)), alpha=level)[:, 0]
            return np.asarray(np.clip(drawn, 0.0, 1.0), dtype=np.float64)
        self.resampled += 1
        entropy = math.log2(max(2, baseline.get("alphabet") or 2))
        parts = len(influence)
        key = (baseline["game"], (baseline.get("experiment") or {}).get("replicate"), parts)
        if key not in self.weights:
            from scipy.special import ndtri, stdtrit

            rng = np.random.default_rng(spawn(0, "victims", *map(str, key)))
            counts = rng.multinomial(parts, np.full(parts, 1 / parts), self.draws)
            # Resampled means spread less than means do, and the spread of few is not well known.
            widen = math.sqrt(parts / (parts - 1)) * float(
                stdtrit(parts - 1, 1 - ALPHA / 2) / ndtri(1 - ALPHA / 2)
            )
            self.weights[key] = (counts - 1.0) * widen / parts
        # The answer of a single row could be another even where all victims show the same.
        rng = np.random.default_rng(spawn(0, "grain", name))
        grain = rng.normal(size=self.draws) / max(1, row.get("n") or 1)
        spread = self.weights[key] @ influence / entropy + grain
        return np.asarray(np.clip(ends[0] + spread, 0.0, 1.0), dtype=np.float64)

    def _influence(self, row: Row) -> Floats | None:
        """What each victim adds to the bits of a row; None where that is not known."""
        trials = None if self.load is None or "id" not in row else self.load(row)
        if trials is None:
            return None
        try:
            bits, _ = bits_without_each_part(trials)
        except HartleyError:
            return None
        if len(bits) < 2:
            self.few += 1
            return None
        return np.asarray((len(bits) - 1) * (bits.mean() - bits))
