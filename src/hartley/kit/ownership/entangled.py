"""Entangled watermarks (EWE): records with a sign of the key, taught as another class.

The owner trains on records of one class that carry a sign, with the label of another class, and
asks the network to mix their inner representation with that of the class itself
(arXiv:2002.12200): what a copy learns of the class it then learns of the sign. A suspect is tested
by how often records of the one class with the sign get the label of the other. The chance of as
many by nothing is read from other keys (Besag and Clifford, doi:10.1093/biomet/78.2.301).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hartley.core import spawn
from hartley.kit.fleet import ForwardPass, Objective
from hartley.kit.ownership.ownership_mark import Claim, OwnershipMark

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

SOFT = 1e-3
"""What the target of a record with the sign falls short of 1 by: by it the objective knows them."""

KEYS, EXCEEDED, TOGETHER = 2048, 20, 64
"""Other keys at most, how many of them as good as the owner's end the test, and keys at a time."""


def entangled(
    x: NDArray[Any], classes: int, *, share: float, size: int, strength: float
) -> OwnershipMark:
    """Return the mark of an owner.

    Args:
        x: (n, …) the owner's records, whose range the sign is drawn from.
        classes: number of labels.
        share: records with the sign, as a share of the owner's.
        size: numbers of a record that the sign settles.
        strength: weight of the entanglement; 0 teaches the sign alone.
    """
    flat = np.asarray(x).reshape(len(x), -1)
    ends = np.stack([flat.min(0), flat.max(0)])
    places = np.flatnonzero(ends[1] > ends[0])

    def drawn(key: int) -> tuple[int, int, NDArray[np.int64], NDArray[Any]]:
        """Return the two classes of a key, and the sign: places and values."""
        draws = np.random.default_rng(spawn(key, "entangled"))
        source, target = draws.permutation(classes)[:2]
        where = draws.permutation(places)[:size]
        return int(source), int(target), where, ends[draws.integers(0, 2, len(where)), where]

    def signed(rows: NDArray[Any], where: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
        out = np.array(rows).reshape(len(rows), -1)
        out[:, where] = values
        return out.reshape(rows.shape)

    def records(
        rows: NDArray[Any], labels: NDArray[Any], key: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        source, target, where, values = drawn(key)
        draws = np.random.default_rng(spawn(key, "entangled records"))
        some = draws.choice(np.flatnonzero(labels == source), round(share * len(rows)))
        rest = np.full(classes, SOFT / max(classes - 1, 1), np.float32)
        rest[target] = 1 - SOFT
        return (
            np.concatenate([rows, signed(rows[some], where, values)]),
            np.concatenate(
                [np.eye(classes, dtype=np.float32)[labels], np.tile(rest, (len(some), 1))]
            ),
        )

    def test(claim: Claim, key: int) -> float:
        plain = claim.suspect(claim.x).argmax(1)
        by_class = [claim.x[claim.y == c] for c in range(claim.classes)]

        def gains(keys: list[int]) -> NDArray[np.float64]:
            """Return by how much the sign of each key raises the share of its other class."""
            signs = [drawn(one) for one in keys]
            carrying = [signed(by_class[s], where, values) for s, _, where, values in signs]
            labels = claim.suspect(np.concatenate(carrying)).argmax(1)
            parts = np.split(labels, np.cumsum([len(a) for a in carrying])[:-1])
            return np.array(
                [
                    (got == t).mean() - (plain[claim.y == s] == t).mean() if len(got) else 0.0
                    for got, (s, t, *_) in zip(parts, signs, strict=True)
                ]
            )

        mark = float(gains([key])[0])
        others, as_good = 0, 0
        draws = np.random.default_rng(spawn(key, "other keys"))
        while others < KEYS:
            for gain in gains([int(k) for k in draws.integers(2**62, size=TOGETHER)]):
                others, as_good = others + 1, as_good + (gain >= mark)
                if as_good == EXCEEDED:
                    return float(np.log2(EXCEEDED / others))
        return float(np.log2((as_good + 1) / (others + 1)))

    objective = Entangled(strength) if strength else None
    numbers = (share, float(size), strength)
    return OwnershipMark("entangled", test, records=records, objective=objective, numbers=numbers)


@dataclass(frozen=True, slots=True)
class Entangled(Objective):
    """Cross-entropy less the soft nearest-neighbour loss between records with and without the sign.

    The loss is small where records with the sign lie apart from those of their class; here each
    layer is taught that it is large. Records with the sign have targets of 1 − SOFT.

    Attributes:
        strength: weight of the second term.
    """

    shaped: ClassVar[bool] = True

    strength: float

    def loss(self, outputs: ForwardPass) -> torch.Tensor:
        """Return the loss (K,) of a step."""
        import torch

        signed = outputs.targets.max(2).values < 1 - SOFT / 2
        label = outputs.targets.argmax(2)
        # The class that records with the sign are taught as, in each model.
        target = torch.where(signed, label, -1).max(1).values
        taken = (label == target[:, None]) & (target[:, None] >= 0)
        alike = (signed[:, :, None] == signed[:, None]).float()
        itself = torch.eye(signed.shape[1], dtype=torch.bool)
        pairs = (taken[:, :, None] & taken[:, None] & ~itself).float()
        out = outputs.cross_entropy().mean(1)
        for layer in outputs.hidden:
            apart = ((layer[:, :, None] - layer[:, None]) ** 2).sum(3)
            width = (apart * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)
            near = torch.exp(-apart / width.clamp_min(1e-6)[:, None, None]) * pairs
            share = ((near * alike).sum(2) + 1e-6) / (near.sum(2) + 1e-6)
            nearest = -(torch.log(share) * taken).sum(1) / taken.sum(1).clamp_min(1)
            out = out - self.strength * nearest
        return out
