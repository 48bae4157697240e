"""Seed B (arXiv:2411.11195): six information flows, and its table of 73 threats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hartley.core import taxonomy
from hartley.reference.tables import rows, tree

OBJECTIVES = {"model": "safety", "system": "security"}
"""What the paper calls attacks on a model, and those on the system around it."""
FLAGS = ("text", "image", "audio", "input", "model", "output", "white", "grey", "black")
TARGETS = ("encoder", "it2i", "it2t", "a2t")


@dataclass(frozen=True, slots=True)
class Flow:
    """One information flow.

    Attributes:
        flow: its name.
        level: ``model`` (safety) or ``system`` (security).
        path: the flow and its ends, in the paper's words.
        group: the group of threats that rides on it in the paper's table.
        classes: Hartley's bridge to threat classes.
    """

    flow: taxonomy.Flow
    level: str
    path: str
    group: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Threat:
    """One row of the paper's table.

    Attributes:
        name: the threat, as the table calls it.
        flow: the information flow it rides on.
        move: the one term of the formula it moves.
        goal, capability: the paper's columns.
        marks: the other columns: 0, 0.5 or 1 by name (``text`` … ``a2t``).
        cls: Hartley's class for it, or empty.
        paper: its id where that is known for certain, else empty.
    """

    name: str
    flow: taxonomy.Flow
    move: taxonomy.Term
    goal: str
    capability: str
    marks: Mapping[str, float]
    cls: str
    paper: str


def objective_of(flow: str | None) -> str:
    """Return ``safety`` or ``security`` for the name of a flow, or an empty string for none."""
    levels = {str(entry.flow): entry.level for entry in flows()}
    return OBJECTIVES.get(levels.get(flow or "", ""), "")


def flows() -> tuple[Flow, ...]:
    """Return the six flows in the paper's order."""
    return tuple(
        Flow(
            flow=taxonomy.Flow(row["name"]),
            level=row["level"],
            path=row["path"],
            group=row["group"],
            classes=tuple(row["classes"]),
        )
        for row in tree("seed_b.toml")["flow"]
    )


def threats() -> tuple[Threat, ...]:
    """Return the 73 rows of the paper's table (February 2025) in its order."""
    return tuple(
        Threat(
            name=row["threat"],
            flow=taxonomy.Flow(row["flow"]),
            move=taxonomy.Term(row["move"]),
            goal=row["goal"],
            capability=row["capability"],
            marks={name: float(row[name]) for name in FLAGS + TARGETS},
            cls=row["class"],
            paper=row["paper"],
        )
        for row in rows("seed_b_attacks.tsv")
    )


def implemented_by(threat: Threat, attacks: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Link one row of the table to the attacks that are there, at run time.

    Args:
        threat: the row.
        attacks: what ``hartley list attacks --json`` prints: ``name``, ``class`` and ``paper``.

    Returns:
        ``same_paper``: attacks that cite the row's own paper; ``same_class``: other attacks of the
        row's class, which measure the same channel by other means. Both empty: not implemented.
    """
    same_paper, same_class = [], []
    for attack in attacks:
        if threat.paper and attack.get("paper") == threat.paper:
            same_paper.append(str(attack["name"]))
        elif threat.cls and attack.get("class") == threat.cls:
            same_class.append(str(attack["name"]))
    return {"same_paper": sorted(same_paper), "same_class": sorted(same_class)}
