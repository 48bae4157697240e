"""What was not played: by reason and with its cure what could be, as a count what does not apply.

An audit of one model plays a tenth of the catalogue. A line for each of the others would hide what
was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FITS_NOT = ("modality", "scene", "adapts")
"""Causes of a row that was not played because it does not apply."""

CURES = {
    "train": "they need your training: give Hartley a function that trains the model",
    "weights": "they need the model's own files, not only its answers",
    "gradients": "a torch network gives them: --model FILE.py:NET --weights FILE with --opened",
    "scores": "they need scores: let the model return probabilities or log-probabilities",
    "embeddings": "they need embeddings: let the model return them",
    "tune": "they need to fine-tune the model: give Hartley a function that does",
}
"""What to do where an access is missing, by its word in the reason."""


@dataclass(frozen=True, slots=True)
class Unplayed:
    """Attacks that fit and were left out for one reason.

    Attributes:
        attacks: their names.
        reason: why, with the cure where there is one.
    """

    attacks: tuple[str, ...]
    reason: str

    @property
    def title(self) -> str:
        """The first of them, and how many more."""
        return listed(self.attacks)


def unplayed(rows: Sequence[Mapping[str, Any]]) -> list[Unplayed]:
    """Return what was skipped although it fits, by reason."""
    lacks: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["status"] == "skipped" and row.get("cause") not in FITS_NOT:
            key = (str(row.get("cause")), _without_name(row))
            lacks.setdefault(key, []).append(str(row["attack"]))
    return [
        Unplayed(tuple(names), reason + cure(cause, reason))
        for (cause, reason), names in lacks.items()
    ]


def _without_name(row: Mapping[str, Any]) -> str:
    """Return the reason of a row, without its own name at the end: others have the same reason."""
    reason = str(row.get("reason") or "no reason given")
    return reason.removesuffix(f": skip {row['attack']}")


def inapplicable(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the attacks that do not apply to what was attacked."""
    unfit = [row for row in rows if row["status"] == "skipped" and row.get("cause") in FITS_NOT]
    return [str(row["attack"]) for row in unfit]


def listed(names: Sequence[str], most: int = 6) -> str:
    """Write the first names, and how many more there are."""
    more = len(names) - most
    shown_names = ", ".join(names[:most])
    return f"{shown_names} and {more} more" if more > 0 else shown_names


def cure(cause: str, reason: str) -> str:
    """Return what to do about a row that was not played, to follow its reason; or nothing."""
    # A reason that names its own cure is in other words, or has it after a colon.
    if cause == "access" and ": " not in reason:
        after = "needs " if "needs " in reason else "offer "
        needed = reason.partition(after)[2].partition(";")[0]
        cures = [cure for word, cure in CURES.items() if word in needed]
        return f"; {cures[0]}" if cures else ""
    return "; let the plan play them" if cause == "plan" else ""
