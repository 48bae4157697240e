"""Flaws of a member/non-member split; they are reported beside every number from that split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MARK = "FLAWED SPLIT"
"""The first words of every doubt. A row with one is flagged and cannot decide a limit."""

BLIND = f"{MARK}: a classifier that never queries the model"
"""The first words of the doubt that the blind baseline raises. It leaves a limit open only where
the baseline could explain by how much the row is over (``unsettling``)."""

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
    if _separates(metrics):
        blind, most = metrics["blind_auc"], blind_bits(metrics)["blind_bits"]["high"]
        yield (
            f"{BLIND} separates members from non-members, AUC {blind['value']:.3g} "
            f"[{blind['low']:.3g}, {blind['high']:.3g}]: their distributions differ, and up to "
            f"{most:.3g} of the bits measured here are not a leak of the model"
        )
    shared = metrics.get("duplicates", 0.0)
    if not planted and shared > SHARED:
        yield (
            f"{MARK}: {shared:.0%} of the non-members are also members: the bits measured here "
            "understate the leak"
        )


def _separates(metrics: Mapping[str, Any]) -> bool:
    """Whether the blind baseline separates the classes, surely and by more than the tolerance."""
    blind = metrics.get("blind_auc")
    if not isinstance(blind, Mapping):
        return False
    far = abs(blind["value"] - 0.5) > BLIND_TOLERANCE
    return bool(far and not blind["low"] <= 0.5 <= blind["high"])


def blind_bits(metrics: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return ``blind_bits``, the most bits a use that a classifier of this AUC can carry, or {}.

    About a fair bit, bits are at most the total variation, which is at most |2·AUC − 1| where the
    ROC is concave; a channel that shows the secret at times, and nothing else, has exactly that.

    Args:
        metrics: metrics of the deal, with ``blind_auc`` {value, low, high, n}.
    """
    blind = metrics.get("blind_auc")
    if not isinstance(blind, Mapping):
        return {}
    ends = [abs(2.0 * blind[end] - 1.0) for end in ("low", "high")]
    least = 0.0 if blind["low"] <= 0.5 <= blind["high"] else min(ends)
    value = abs(2.0 * blind["value"] - 1.0)
    return {"blind_bits": {"value": value, "low": least, "high": max(ends), "n": blind["n"]}}


def explained(row: Mapping[str, Any]) -> float:
    """Return the most bits a use of a row that the blind baseline could explain.

    It is 0 where the baseline does not separate the classes, or none was run.

    Args:
        row: a measured row of a run document.
    """
    metrics = row.get("metrics") or {}
    return float(blind_bits(metrics)["blind_bits"]["high"]) if _separates(metrics) else 0.0


def unsettling(
    row: Mapping[str, Any], limit: float, low: float | None, *, in_bits: bool = True
) -> list[str]:
    """Return the flags of a row that keep it from settling a limit.

    The flag of the blind baseline is left out unless it could explain the whole excess: of bits by
    what it can carry, of another metric always.

    Args:
        row: a measured row of a run document.
        limit: what the row is compared with.
        low: the row's certified lower end, or None.
        in_bits: whether limit and low are bits a use.
    """
    excess = -1.0 if low is None else low - limit
    explains = excess > 0.0 and (not in_bits or excess <= explained(row))
    return [flag for flag in row.get("flags") or () if explains or not flag.startswith(BLIND)]
