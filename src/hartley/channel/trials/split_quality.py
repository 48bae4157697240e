"""What is wrong with a split, whatever was read from it: told beside every number made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MARK = "FLAWED SPLIT"
"""How every doubt begins; a row with one is flagged and settles no limit."""

BLIND_TOLERANCE = 0.05
"""How far from ½ the AUC of the blind baseline may lie before the split counts as flawed."""

SHARED = 0.05
"""Share of the non-members that may stand among the members of a split that nobody tossed for."""


def doubts(usual: Mapping[str, Any], *, planted: bool) -> Iterator[str]:
    """Yield what speaks against a split of members and non-members.

    Args:
        metrics: metrics of the deal: ``blind_auc`` {value, low, high, n} and ``duplicates``.
        planted: whether the auditor's coins made the split. Then a record that stands in the pool
            twice has a coin for each and harms nothing; else its twin is called a non-member.
    """
    blind = usual.get("blind_auc")
    if isinstance(blind, Mapping):
        value, low, high = blind["value"], blind["low"], blind["high"]
        if abs(value - 0.5) > BLIND_TOLERANCE and not low <= 0.5 <= high:
            yield (
                f"{MARK}: a classifier that never asks the model tells members from non-members, "
                f"AUC {value:.3g} [{low:.3g}, {high:.3g}]: they are not of one law, and what is "
                "read here is no leak of the model"
            )
    shared = usual.get("duplicates", 0.0)
    if not planted and shared > SHARED:
        yield (
            f"{MARK}: {shared:.0%} of the non-members stand among the members as well: what is "
            "read here is less than what leaks"
        )
