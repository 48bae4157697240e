"""How much of a text a trigger may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hartley.core import View
    from hartley.games.poisoning.poisoning import PoisoningBrief

MARGIN = 0.95
"""Share of the rules' limit that is used: the owner's texts may be shorter than the attacker's."""


def allowed_words(view: View[PoisoningBrief], wanted: int) -> int:
    """Return how many words a trigger may insert, at most ``wanted`` and at least one."""
    lengths = np.array([len(str(text).split()) for text in view.data.x])
    limit = MARGIN * view.brief.cover
    fits = [n for n in range(1, wanted + 1) if (n / (lengths + n)).mean() <= limit]
    return max(fits, default=1)
