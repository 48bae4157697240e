"""E1 at the declared levels: what a score certifies when its rows are independent.

One routine for the ε of a report and for an ε audit of scores alone. A few order statistics of the
negatives are the cuts and the positives beyond each are counted, so that scores which are not
sorted yet stay unsorted (``lazy_sort``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.channel.bounds import two_rates
from hartley.channel.scores.thresholds import declare
from hartley.core import ChannelSpec
from hartley.infotheory import binary_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hartley.channel.scores.lazy_sort import ScorePair

DELTA = 1e-5


def certify_scores(
    scores: ScorePair,
    spec: ChannelSpec,
    *,
    delta: float | None = None,
    of: Sequence[str] = binary_channel.FUNCTIONALS,
    alpha: float | None = None,
) -> tuple[dict[str, float], str, tuple[str, ...]]:
    """Return certified functionals over all rules, the method and what it rests on.

    Args:
        scores: of both secrets.
        spec: the declaration; its levels and its error level are used.
        delta: δ of the ε bound; the declared one if None.
        of: names out of ``binary_channel.FUNCTIONALS``.
        alpha: error level; the declared one if None.

    Raises:
        ValueError: there are no scores of one of the secrets.
    """
    positives, negatives = scores.positives, scores.negatives
    if not len(positives) or not len(negatives):
        raise ValueError("scores must cover both secrets, got scores of one secret only")
    rules = declare(scores, spec)
    k = len(rules.cut) // 2
    up, down = rules.cut[:k], rules.cut[k:]
    best = two_rates.highest(
        np.concatenate([positives.above(up), positives.below(down)]),
        len(positives),
        rules.claimed
        if rules.claimed is not None
        else np.concatenate([negatives.above(up), negatives.below(down)]),
        len(negatives),
        rules.alpha if alpha is None else rules.alpha * (alpha / spec.alpha),
        delta=declared_delta(spec) if delta is None else delta,
        of=of,
    )
    assumed = ["uses independent given their secrets"]
    rule = f"{k} pre-declared {'level' if k == 1 else 'levels'}"
    if rules.claimed is None:
        rule = "two-valued score"
        assumed.append("the score takes two values only")
    return best, f"Fisher product over {rule}, both directions", tuple(assumed)


def declared_delta(spec: ChannelSpec) -> float:
    """Return δ of the ε bound: the claimed one, else 1e-5."""
    return next((float(b.params.get("delta", 0.0)) for b in spec.bounds if b.kind == "dp"), DELTA)
