"""The document of a run that nothing vouches for, as it is shown: its verdict is inconclusive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hartley.engine.result.gate import INCONCLUSIVE


def doubtful(document: Mapping[str, Any], reason: str, **more: Any) -> dict[str, Any]:
    """Return a run document with an inconclusive verdict.

    Args:
        document: the run document.
        reason: why nothing vouches for it.
        more: other fields of the verdict.
    """
    verdict = {"status": INCONCLUSIVE, "reasons": [reason], "checks": [], **more}
    return {**document, "verdict": verdict}
