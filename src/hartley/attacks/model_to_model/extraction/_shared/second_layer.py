"""Put the units of a second hidden layer together from bends that each show a part of one.

At a bend of a second unit the slope jumps in a mixture of the weights of the first units that are
on there: the mixture is the second unit's weights, up to a factor (arXiv:2003.04884).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.attacks.model_to_model.extraction._shared.relu_layers import FirstLayer
    from hartley.kit.dense_layers import Layers

FITS = 1e-4
"""Largest share of a direction that the mixture may leave unexplained."""

ALIKE = 1e-5
"""Largest relative difference of what two bends of one unit both show."""

BESIDE, TURNED = 0.1, (0.2, 1.0)
"""How far beside a bend a line crosses its unit again, and how far on a first unit is turned."""

SAME = 1e-5
"""Largest relative distance of a bend from the unit that it is of."""


@dataclass(slots=True, eq=False)
class Unit:
    """A unit of the second layer as far as it is known.

    Attributes:
        weights: (h + 1,) weights of the first units and the bias; NaN where not shown yet.
        bends: number of bends that show it.
        at: (d,) where one of them is.
        way: (d,) in which direction the slope jumps there.
    """

    weights: NDArray[np.float64]
    bends: int = 1
    at: NDArray[np.float64] | None = None
    way: NDArray[np.float64] | None = None

    def explains(self, states: NDArray[np.float64]) -> bool:
        """Whether a bend with these first units, after the ReLU, is of this one.

        Two bends agree on it, and the weights of all first units that are on are known.
        """
        on = np.append(states > 0, True)
        terms = self.weights[on] * np.append(states, 1.0)[on]
        if self.bends < 2 or np.isnan(terms).any():
            return False
        return float(abs(terms.sum())) < SAME * float(np.abs(terms).sum())


@dataclass(slots=True, eq=False)
class Units:
    """The second layer as far as bends have shown it.

    Attributes:
        first: the first layer with its signs; its deep bends are taken from it.
        units: what is known.
    """

    first: FirstLayer
    units: list[Unit] = field(default_factory=list)

    def explain(self, at: NDArray[np.float64]) -> bool:
        """Whether a bend (d,) would show nothing that is not known of a unit."""
        states = np.maximum(self.first.states(at[None])[0], 0)
        return any(unit.explains(states) for unit in self.units)

    def take(self) -> bool:
        """Put the deep bends into the units; return whether there were any."""
        parts = [part_of(self.first, at, way) for at, way in self.first.deep]
        self.first.deep.clear()
        for part in parts:
            if part is not None:
                joined(self.units, part)
        self.units = merged(self.units)
        return any(part is not None for part in parts)

    def aims(
        self, rng: np.random.Generator
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return short lines, a middle (d,) and a direction (d,) each, that cross a unit again.

        One line crosses a unit of one bend beside it. The others cross a unit of more bends where a
        first unit is on whose weight is not known: a move that changes this one alone leads there.
        """
        first = self.first
        out: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        moves = np.linalg.pinv(first.rows)
        for unit in self.units:
            if unit.at is None or unit.way is None:
                continue
            if unit.bends == 1:
                out.append((unit.at + BESIDE * rng.standard_normal(len(unit.at)), unit.way))
                continue
            z = first.states(unit.at[None])[0]
            for c in np.flatnonzero(np.isnan(unit.weights[:-1])):
                step = moves[:, c] * (rng.uniform(*TURNED) - z[c])
                out.append((unit.at + step, unit.way))
        return out

    @property
    def shown(self) -> int:
        """How many weights are known of units on which two bends agree."""
        return sum(int((~np.isnan(unit.weights)).sum()) for unit in self._sure)

    def fill(
        self,
        states: NDArray[np.float64],
        gaps: NDArray[np.float64],
        top: Layers,
        limit: float,
    ) -> bool:
        """Compute weights that no bend has shown from answers that lack one unit's share.

        Where the scores are off by a multiple of what one unit adds, that says what the unit is
        there: an equation in its unknown weights.

        Args:
            states: (n, h) first units, after the ReLU.
            gaps: (n, k) the victim's scores minus those of a copy.
            top: the second layer of the copy, in the order of ``rows``, and the layer of scores.
            limit: gaps up to this count as none.

        Returns:
            Whether any weight was computed.
        """
        (rows, biases), (outer, _) = top
        wrong = np.abs(gaps).max(1) > limit
        before = self.shown
        for j, unit in enumerate(self._sure):
            unknown = np.isnan(unit.weights[:-1])
            if not unknown.any():
                continue
            size = outer[:, j]
            share = gaps @ size / max(float(size @ size), 1e-300)
            rest = np.abs(gaps - share[:, None] * size).max(1)
            z = states @ rows[j] + biases[j]
            active = np.maximum(z, 0) + share
            fits = wrong & (rest < FITS * np.abs(gaps).max(1) + limit) & (active > 0)
            columns = np.flatnonzero(unknown)
            columns = columns[(states[fits][:, columns] > 0).any(0)]
            if not len(columns):
                continue
            solved, *_ = np.linalg.lstsq(states[fits][:, columns], (active - z)[fits], rcond=None)
            known = np.nan_to_num(unit.weights)
            scale = float(known[:-1] @ rows[j]) / float(rows[j] @ rows[j])
            unit.weights[columns] = scale * solved
        return self.shown > before

    @property
    def _sure(self) -> list[Unit]:
        return [unit for unit in self.units if unit.bends > 1]

    def rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (h2, h) and biases (h2,) up to sign; what was not shown is 0.

        A bend that no other agrees with is left out: it may be of two units at one place.
        """
        sure = [unit.weights for unit in self._sure]
        table = np.nan_to_num(np.array(sure).reshape(len(sure), len(self.first.rows) + 1))
        table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-300)
        return table[:, :-1], table[:, -1]


def part_of(layer: FirstLayer, at: NDArray[Any], direction: NDArray[Any]) -> Unit | None:
    """Return what one bend shows of a second unit; None where it is not one of first units."""
    z = layer.states(at[None])[0]
    on = z > 0
    if on.sum() < 2:
        return None
    mixture, *_ = np.linalg.lstsq(layer.rows[on].T, direction, rcond=None)
    if np.linalg.norm(layer.rows[on].T @ mixture - direction) > FITS:
        return None
    weights = np.full(len(z) + 1, np.nan)
    weights[:-1][on] = mixture
    weights[-1] = -float(mixture @ z[on])
    return Unit(weights, at=np.asarray(at, np.float64), way=np.asarray(direction, np.float64))


def joined(units: list[Unit], part: Unit) -> None:
    """Put a part into the unit that it belongs to, or beside them."""
    for unit in units:
        if _same(unit.weights, part.weights):
            _absorb(unit, part)
            return
    units.append(part)


def merged(units: list[Unit]) -> list[Unit]:
    """Return the units with those that turned out to be one put together."""
    out: list[Unit] = []
    for unit in sorted(units, key=lambda unit: -unit.bends):
        for other in out:
            if _same(other.weights, unit.weights):
                _absorb(other, unit)
                break
        else:
            out.append(unit)
    return out


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    both = ~np.isnan(one) & ~np.isnan(other)
    if both.sum() < 3:
        return False
    a, b = one[both], other[both]
    scale = float(a @ b) / float(b @ b)
    return float(np.linalg.norm(a - scale * b)) < ALIKE * float(np.linalg.norm(a))


def _absorb(unit: Unit, part: Unit) -> None:
    both = ~np.isnan(unit.weights) & ~np.isnan(part.weights)
    a, b = unit.weights[both], part.weights[both]
    scale = float(a @ b) / float(b @ b)
    unit.weights = np.where(np.isnan(unit.weights), scale * part.weights, unit.weights)
    unit.bends += part.bends
