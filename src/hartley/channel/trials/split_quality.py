"""Flaws of a member/non-member split; they are reported beside every number from that split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MARK = "FLAWED SPLIT"
"""The first words of every doubt. A row with one is flagged and cannot decide a limit."""

BLIND_TOLERANCE = 0.05
"""How far from ½ the AUC of the blind baseline may lie before the split counts as flawed."""

SHARED = 0.05
"""Share of the non-members that may also be members, in a split that was not randomised."""


def doubts(metrics: Mapping[str, Any], *, planted: bool) -> Iterator[str]:
    """Yield the reasons to distrust a split of members and non-members.

    Args:
        metrics: metrics of the deal: ``blind_auc`` {value, low, high, n} and ``duplicates``.
        planted: whether the auditor's coins made the split. Then each copy of a duplicated record
            has its own coin, which is harmless; otherwise one copy may count as a non-member.
    """
    blind = metrics.get("blind_auc")
    if isinstance(blind, Mapping):
        value, low, high = blind["value"], blind["low"], blind["high"]
        if abs(value - 0.5) > BLIND_TOLERANCE and not low <= 0.5 <= high:
            yield (
                f"{MARK}: a classifier that never queries the model separates members from "
                "non-members, "
                f"AUC {value:.3g} [{low:.3g}, {high:.3g}]: their distributions differ, and the "
                "bits "
                "measured here are not a leak of the model"
            )
    shared = metrics.get("duplicates", 0.0)
    if not planted and shared > SHARED:
        yield (
            f"{MARK}: {shared:.0%} of the non-members are also members: the bits measured here "
            "understate the leak"
        )
