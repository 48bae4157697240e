"""Radioactive data: each class's records are moved a little along a direction of the key.

A model that learns from such records takes the direction for a sign of the class, and its scores
rise along it (arXiv:2002.00937). The direction is drawn uniformly from the sphere of a feature
space, here the whitened principal components of the owner's records, so that the cosine of a
class's slope in any other model with it has a known law: the test of the paper, whose p-values over
classes are combined by Fisher's method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.core.errors import UsageError
from hartley.kit.ownership.ownership_mark import Claim, OwnershipMark

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR = 1e-6
"""Probabilities are raised to this before the logarithm."""


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Whitened principal components of records.

    Attributes:
        middle: (p,) mean record.
        into: (p, d) record − middle → components of variance 1.
        back: (d, p) the way back.
        low, high: (p,) range of the numbers of a record.
    """

    middle: NDArray[np.float64]
    into: NDArray[np.float64]
    back: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, x: NDArray[Any], most: int) -> Space:
        """Return the space of records (n, …), with the largest ``most`` components."""
        flat = np.asarray(x, np.float64).reshape(len(x), -1)
        middle = flat.mean(0)
        _, sizes, ways = np.linalg.svd(flat - middle, full_matrices=False)
        keep = min(most, int((sizes > 1e-6 * sizes[0]).sum()))
        spread = sizes[:keep] / np.sqrt(len(flat))
        back = ways[:keep] * spread[:, None]
        return cls(middle, (ways[:keep] / spread[:, None]).T, back, flat.min(0), flat.max(0))

    def directions(self, classes: int, key: int) -> NDArray[np.float64]:
        """Return the directions (classes, d) of a key, of length 1."""
        draws = np.random.default_rng(spawn(key, "radioactive"))
        rows = draws.standard_normal((classes, len(self.back)))
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def radioactive(
    x: NDArray[Any], classes: int, *, share: float, strength: float, components: int
) -> OwnershipMark:
    """Return the mark of an owner.

    Args:
        x: (n, …) the owner's records, which the feature space is made of.
        classes: number of labels.
        share: of the records that are moved.
        strength: by how many standard deviations they are moved along a direction.
        components: of the feature space, at most.

    Raises:
        UsageError: the records have fewer than two components, where a direction is a sign alone.
    """
    space = Space.of(x, components)
    if len(space.back) < 2:
        raise UsageError(
            f"radioactive data needs records with 2 components or more, got {len(space.back)}"
        )

    def records(
        rows: NDArray[Any], labels: NDArray[Any], key: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        draws = np.random.default_rng(spawn(key, "radioactive records"))
        moved = draws.permutation(len(rows))[: round(share * len(rows))]
        out = np.asarray(rows, np.float64).reshape(len(rows), -1).copy()
        out[moved] += strength * (space.directions(classes, key) @ space.back)[labels[moved]]
        # Numbers stay in the range of the owner's records.
        out = np.clip(out, space.low, space.high)
        targets = np.eye(classes, dtype=np.float32)[labels]
        return out.reshape(rows.shape).astype(rows.dtype), targets

    def test(claim: Claim, key: int) -> float:
        from scipy.stats import chi2

        logs = np.log(np.maximum(claim.suspect(claim.x), FLOOR))
        flat = np.asarray(claim.x, np.float64).reshape(len(claim.x), -1)
        table = np.column_stack([(flat - space.middle) @ space.into, np.ones(len(flat))])
        slopes = np.linalg.lstsq(table, logs, rcond=None)[0][:-1].T
        slopes = slopes - slopes.mean(0)
        tails = log_cosine_tails(slopes, space.directions(classes, key))
        return float(chi2.logsf(-2 * tails.sum(), 2 * len(tails)) / np.log(2))

    numbers = (share, strength, float(components))
    return OwnershipMark("radioactive", test, records=records, numbers=numbers)


def log_cosine_tails(slopes: NDArray[Any], ways: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logs (k,) of the chances that a random direction has at least these cosines.

    Of a uniform direction in d dimensions and any fixed one, (1 + cosine)/2 is Beta((d − 1)/2,
    (d − 1)/2). A slope of 0 has no direction and says nothing.

    Args:
        slopes: (k, d) of a suspect.
        ways: (k, d) of length 1.
    """
    from scipy.stats import beta

    sizes = np.linalg.norm(slopes, axis=1)
    cosines = (slopes * ways).sum(1) / np.where(sizes > 0, sizes, 1.0)
    half = (slopes.shape[1] - 1) / 2
    logs = beta.logsf((1 + cosines) / 2, half, half)
    return np.asarray(np.where(sizes > 0, logs, 0.0))
