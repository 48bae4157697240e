"""Seed A (arXiv:2603.24857): nine threat classes on four axes, edition by edition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hartley.core.taxonomy import AXES, EDITION, Axis
from hartley.reference.tables import tree


@dataclass(frozen=True, slots=True)
class ThreatClass:
    """One class of Seed A.

    Attributes:
        cls: the name of the class, a key of ``AXES``.
        title: the paper's name.
        axes: axis by edition of the paper.
        secret, received, unit: Hartley's reading of the class as a channel.
    """

    cls: str
    title: str
    axes: Mapping[str, Axis]
    secret: str
    received: str
    unit: str

    def axis(self, edition: str = EDITION) -> Axis:
        """The axis in one edition."""
        return self.axes[edition]


def seed_a() -> tuple[ThreatClass, ...]:
    """Return the nine classes in the paper's order."""
    return tuple(
        ThreatClass(axes={edition: table[row["cls"]] for edition, table in AXES.items()}, **row)
        for row in tree("seed_a.toml")["class"]
    )
