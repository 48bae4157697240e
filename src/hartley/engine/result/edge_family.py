"""Which edges of a run gain anything, judged all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hartley.channel.log_gain import together

ABOVE, BELOW, OPEN = "above", "below", "open"
ALPHA = 0.05


def with_family(edges: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the edges of a run with ``family``: above, below or open.

    If no loot changed anything, any edge would be called above, or any below, with chance at most
    5 % each, however many edges a run has (Holm 1979). Edges that gain nothing stay in the list.

    Args:
        edges: rows with ``log_gain``.
    """
    above, below = (
        together({k: edge["log_gain"][side] for k, edge in enumerate(edges)}, ALPHA)
        for side in ("p_above", "p_below")
    )
    return [
        {**edge, "family": ABOVE if k in above else BELOW if k in below else OPEN}
        for k, edge in enumerate(edges)
    ]
