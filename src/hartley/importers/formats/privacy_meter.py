"""Results of Privacy Meter: the attack's score and the membership of each record.

Read in the source of Privacy Meter of April 2025 (``audit.py``): ``attack_result_<model>.npz`` and
``attack_result_average.npz`` have the arrays ``scores`` and ``memberships``, beside the points of a
ROC curve. Larger scores mean member. The average joins several models, one after the other, and
does not say how many: its records then count as those of one.
"""

from __future__ import annotations

from hartley.importers.formats.lira_arrays import ONE_MODEL, columns
from hartley.importers.outcomes import Columns
from hartley.importers.source import Source

READS = "Privacy Meter result (attack_result_*.npz)"


def recognises(source: Source) -> bool:
    """Whether the archive has scores and memberships."""
    return source.is_zip and {"scores", "memberships"} <= source.array_names()


def read(source: Source) -> Columns:
    """Return membership and score of each record."""
    arrays = source.arrays(("scores", "memberships"))
    return columns(source, arrays["scores"], arrays["memberships"], notes=(ONE_MODEL,))
