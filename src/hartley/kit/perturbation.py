"""Perturbations of records within a budget: a norm ball around each record, cut by a box.

All lengths are in units of ``scale``, one number for each entry of a record: a table's budget is a
share of each column's range, and an entry of scale 0 (a category, say) never changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

Norm = Literal["linf", "l2"]

SLACK = 1e-5
"""Rounding of float32 that a change may exceed its budget or the box by, relative."""


@dataclass(frozen=True, slots=True, eq=False)
class Perturbation:
    """What an attacker may do to a record.

    Attributes:
        norm: ``linf`` (the largest entry of a change) or ``l2`` (its Euclidean length).
        epsilon: the largest norm of change / scale.
        low: (*record) or one number, the least values that a record may have.
        high: the largest.
        scale: (*record) or one number ≥ 0, the unit of a change of each entry.

    Raises:
        UsageError: an unknown norm, a negative or infinite epsilon or scale, or low above high.
    """

    norm: Norm
    epsilon: float
    low: NDArray[Any] | float = 0.0
    high: NDArray[Any] | float = 1.0
    scale: NDArray[Any] | float = 1.0

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise UsageError(f"norm must be linf or l2, got {self.norm!r}")
        if not 0.0 <= self.epsilon < np.inf:
            raise UsageError(f"epsilon must be a finite number from 0 on, got {self.epsilon}")
        scale = np.asarray(self.scale)
        if not np.isfinite(scale).all() or (scale < 0).any():
            raise UsageError("scale must be finite numbers from 0 on")
        if not (np.asarray(self.low) <= np.asarray(self.high)).all():
            raise UsageError("low must be at most high, for each entry of a record")

    def with_(self, norm: Norm | None = None, epsilon: float = 0.0) -> Perturbation:
        """The same with another norm or epsilon; what is None or 0 stays."""
        return replace(self, norm=norm or self.norm, epsilon=epsilon or self.epsilon)

    def box(self, clean: Array) -> tuple[Array, Array]:
        """Return the least and largest values of each entry (n, …), the clean ones among them."""
        low = np.minimum(np.asarray(self.low, np.float32), clean)
        high = np.maximum(np.asarray(self.high, np.float32), clean)
        if self.norm == "linf":
            reach = np.asarray(self.epsilon * np.asarray(self.scale), np.float32)
            low, high = np.maximum(low, clean - reach), np.minimum(high, clean + reach)
        else:
            fixed = np.broadcast_to(np.asarray(self.scale) == 0, clean.shape)
            low, high = np.where(fixed, clean, low), np.where(fixed, clean, high)
        return low, high

    def sizes(self, clean: NDArray[Any], changed: NDArray[Any]) -> NDArray[np.float64]:
        """Return the norm (n,) of each change, infinite where an entry of scale 0 changed."""
        scale = np.broadcast_to(np.asarray(self.scale, np.float64), clean.shape)
        change = np.asarray(changed, np.float64) - clean
        with np.errstate(divide="ignore", invalid="ignore"):
            units = np.where(change == 0, 0.0, np.abs(change) / scale).reshape(len(clean), -1)
        if self.norm == "linf":
            return np.asarray(units.max(1, initial=0.0))
        return np.asarray(np.sqrt((units**2).sum(1)))

    def allows(self, clean: NDArray[Any], changed: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which records (n,) are within the budget and the box, but for rounding."""
        flat = (len(clean), -1)
        clean = np.asarray(clean, np.float64)
        low = np.minimum(np.asarray(self.low, np.float64), clean)
        high = np.maximum(np.asarray(self.high, np.float64), clean)
        slack = SLACK * (1 + np.abs(clean))
        outside = (changed < low - slack) | (changed > high + slack)
        # An entry may be off by the rounding of the record itself, which a small scale magnifies.
        exceeds = np.abs(changed - clean) - slack > self.epsilon * np.asarray(self.scale)
        inside = ~(outside | exceeds).reshape(flat).any(1)
        if self.norm == "l2":
            inside &= self.sizes(clean, changed) <= self.epsilon * (1 + 1e-3) + SLACK
        return np.asarray(inside)

    def projected(self, x: Array, clean: Array, box: tuple[Array, Array]) -> Array:
        """Return records within the ball and the box, by one projection after the other.

        The box holds the clean record, so cutting by it never lengthens a change.
        """
        if self.norm == "linf":
            return np.clip(x, *box)
        x = np.clip(x, *box)
        units = self._units(x - clean)
        return clean + (x - clean) * self._times(
            np.minimum(1.0, self.epsilon / np.maximum(_lengths(units), 1e-12)), x
        )

    def moved(self, x: Array, slope: Array, lengths: NDArray[Any] | float) -> Array:
        """Return x after the steepest step of a norm of ``lengths`` (n,), in units of the scale."""
        scale = np.asarray(self.scale, np.float32)
        if self.norm == "linf":
            return x + np.sign(slope) * scale * self._times(lengths, x)
        units = slope * scale
        away = np.asarray(lengths) / np.maximum(_lengths(units), 1e-12)
        return x + units * scale * self._times(away, x)

    def random(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a random change of full norm (l2) or of uniform entries (linf), not yet cut."""
        scale = np.asarray(self.scale, np.float32)
        if self.norm == "linf":
            noise = rng.uniform(-1, 1, clean.shape).astype(np.float32)
            return clean + np.float32(self.epsilon) * noise * scale
        noise = rng.standard_normal(clean.shape, dtype=np.float32) * (scale > 0)
        away = self.epsilon / np.maximum(_lengths(noise), 1e-12)
        return clean + noise * scale * self._times(away, clean)

    def _units(self, change: Array) -> Array:
        scale = np.asarray(self.scale, np.float32)
        return np.asarray(change / np.where(scale > 0, scale, 1), np.float32)

    @staticmethod
    def _times(factors: NDArray[Any] | float, x: Array) -> Array:
        """A factor for each record (n,), in the shape of the records."""
        factors = np.asarray(factors, np.float32)
        return factors if factors.ndim == 0 else factors.reshape(-1, *(1,) * (x.ndim - 1))


def _lengths(rows: Array) -> NDArray[np.float32]:
    flat = rows.reshape(len(rows), -1)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", flat, flat)))
