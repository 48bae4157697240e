"""A jam: how much capacity of the owner's own channel an attack destroyed.

The owner's channel is finite and fully enumerated (one decoded symbol for each sent), so that
two-sided limits are legitimate: destroyed ≥ lower(before) − upper(after), each at alpha / 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel import binary, profile
from hartley.channel.clusters import grouped
from hartley.channel.reading import Reading
from hartley.channel.sequential import mean_interval
from hartley.channel.symbol import fano, plug_in, rate_of
from hartley.core import ChannelSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Side:
    """The owner's channel with or without the attack: point, certified and calibrated limits."""

    point: float
    raw: float
    lower: float
    upper: float
    low: float
    high: float


def measure_jam(
    truth: Whole,
    guess: Whole,
    reference: Whole,
    cluster: Whole | None,
    spec: ChannelSpec,
    *,
    full: bool = True,
) -> Reading:
    """Measure what an attack destroyed of the owner's channel, in bits per use.

    Args:
        truth: (n,) the owner's symbols 0..K−1.
        guess: (n,) what he decodes after the attack, −1 = erased.
        reference: (n,) what he decodes without it.
        cluster: (n,) integers 0..m−1 when rows of one cluster are dependent, else None.
        spec: the declaration.
        full: False leaves out the usual metrics.
    """
    plain = spec.alphabet == 2 and bool((guess >= 0).all() and (reference >= 0).all())
    side = _two if plain else _symmetric
    before, after = (side(truth, g, cluster, spec) for g in (reference, guess))
    units = "rows" if cluster is None else f"{int(cluster.max()) + 1} clusters"
    reading = Reading(
        point=max(0.0, before.point - after.point),
        raw=before.raw - after.raw,
        lower=max(0.0, before.lower - after.upper),
        high=max(0.0, before.high - after.low),
        calibrated=max(0.0, before.low - after.high),
        method=f"lower(before) − upper(after), {'2×2' if plain else 'symmetrised'}, by {units}",
        assumptions=(
            f"{units} independent",
            "bits at the uniform prior of the owner's decoded symbol",
            *(() if plain else ("owner codes with a shared random relabelling",)),
        ),
    )
    if not full:
        return reading
    usual: dict[str, Any] = {"capacity_before": before.point, "capacity_after": after.point}
    for word, column in (("before", reference), ("after", guess)):
        hit = column == truth
        if plain:
            usual[f"ber_{word}"] = rate_of(~hit, cluster, spec.alpha)
        else:
            usual[f"accuracy_{word}"] = rate_of(hit, cluster, spec.alpha)
    return replace(reading, usual=usual)


def _two(truth: Whole, got: Whole, cluster: Whole | None, spec: ChannelSpec) -> Side:
    """The 2×2 channel of one decoded bit."""
    one, flag = truth == 1, got == 1
    n1, n0 = int(one.sum()), int((~one).sum())
    tp, fp = int((flag & one).sum()), int((flag & ~one).sum())
    alpha, wide1, wide0, units = spec.alpha / 2, 1.0, 1.0, 0
    if cluster is None:
        lower = float(binary.lower(tp, n1, fp, n0, alpha, of=("bits",))["bits"])
        upper = binary.box_upper(tp, n1, fp, n0, alpha)
    else:
        by = [grouped(v, cluster) for v in (flag & one, one, flag & ~one, ~one)]
        a, b = (mean_interval(_rates(by[i], by[i + 1]), alpha / 2) for i in (0, 2))
        lower = float(binary.bits(a[0], b[1])) if a[0] > b[1] else 0.0
        upper = float(max(binary.bits(x, y) for x in a for y in b))
        wide1, wide0 = profile.design_effect(by[0], by[1]), profile.design_effect(by[2], by[3])
        units = int(cluster.max()) + 1
    limits = profile.bits_interval(
        tp / wide1, n1 / wide1, fp / wide0, n0 / wide0, alpha=alpha, clusters=units
    )
    point, raw, _ = plug_in(truth, got, 2, max(wide1, wide0), alpha)
    return Side(point, raw, lower, upper, *limits)


def _rates(hits: NDArray[Any], sizes: NDArray[Any]) -> NDArray[Any]:
    return hits[sizes > 0] / sizes[sizes > 0]


def _symmetric(truth: Whole, got: Whole, cluster: Whole | None, spec: ChannelSpec) -> Side:
    """The K-ary symmetric channel with erasures that a shared random relabelling makes of it."""
    k, n, alpha = spec.alphabet, len(truth), spec.alpha / 2
    hit, live = got == truth, got >= 0
    right, answered = int(hit.sum()), int(live.sum())
    # Right and wrong shares of all uses, two-sided, together at alpha.
    if cluster is None:
        rights = [float(v) for v in binary.clopper_pearson(right, n, alpha / 4)]
        wrongs = [float(v) for v in binary.clopper_pearson(answered - right, n, alpha / 4)]
    else:
        sizes = np.bincount(cluster)
        rights = list(mean_interval(grouped(hit, cluster) / sizes, alpha / 2))
        wrongs = list(mean_interval(grouped(live & ~hit, cluster) / sizes, alpha / 2))
    corners = [_spread(c, w, k) for c in rights for w in wrongs]
    forward = rights[0] * (k - 1) > wrongs[1]
    raw = _spread(right / n, (answered - right) / n, k)
    wide = 1.0
    if cluster is not None:
        wide = profile.design_effect(grouped(hit, cluster), np.bincount(cluster).astype(float))
    units = 0 if cluster is None else int(cluster.max()) + 1
    low, high = profile.accuracy_interval(right / wide, n / wide, alpha=alpha, clusters=units)
    wrong = (answered - right) / n
    return Side(
        point=raw,
        raw=raw,
        lower=_spread(rights[0], wrongs[1], k) if forward else 0.0,
        upper=max(corners),
        low=_spread(low, min(wrong, 1 - low), k) if low * (k - 1) > wrong else 0.0,
        high=max(raw, _spread(high, min(wrong, 1 - high), k)),
    )


def _spread(right: float, wrong: float, alphabet: int) -> float:
    """Capacity of the symmetric channel with these shares of right and wrong answers.

    Convex in (right, wrong) and homogeneous, hence largest at a corner of a box.
    """
    total = min(1.0, right + wrong)
    if total <= 0.0 or alphabet < 2:
        return 0.0
    return total * float(fano(right / (right + wrong), alphabet))
