"""A jam: how much capacity of the owner's own channel an attack destroyed.

The owner's channel is finite and fully enumerated (one decoded symbol for each sent), so that
two-sided limits are valid: destroyed ≥ lower(before) − upper(after), each at alpha / 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import profile_likelihood, two_rates
from hartley.channel.bounds.cluster_code import grouped
from hartley.channel.bounds.degenerate_intervals import LONE, share_interval
from hartley.channel.readouts.information import HALVINGS, falling
from hartley.channel.readouts.many_symbols import even, fano
from hartley.channel.readouts.reading import Reading
from hartley.channel.readouts.symbol import design, plug_in
from hartley.channel.trials.carriers import SILENT, carries
from hartley.core import ChannelSpec
from hartley.infotheory import binary_channel
from hartley.infotheory.e_values import mean_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OwnerChannel:
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
    rng: np.random.Generator,
    full: bool = True,
) -> Reading:
    """Measure what an attack destroyed of the owner's channel, in bits per use.

    Symbols that nobody drew have classes of any size, about which a decoder that always says the
    frequent one is mostly right: one rate is then taken from rows of even classes (``even``).

    Args:
        truth: (n,) the owner's symbols 0..K−1.
        guess: (n,) what the owner decodes after the attack, −1 = erased.
        reference: (n,) what the owner decodes without it.
        cluster: (n,) integers 0..m−1 when rows of one cluster are dependent, else None.
        spec: the declaration.
        rng: for dropping rows of frequent classes.
        full: False leaves out the metrics.
    """
    every = truth, guess, reference, cluster
    # With few clusters one rate is estimated far better than two, so the symmetrised channel is
    # used.
    plain = (
        cluster is None and spec.alphabet == 2 and bool((np.minimum(guess, reference) >= 0).all())
    )
    measure_owner = _two if plain else _symmetric
    if not spec.planted and not plain:
        keep = even(truth, rng)
        truth, guess, reference = truth[keep], guess[keep], reference[keep]
        spec = replace(spec, alphabet=len(np.unique(truth)))
        if cluster is not None:
            cluster = np.unique(cluster[keep], return_inverse=True)[1]
    before, after = (measure_owner(truth, g, cluster, spec) for g in (reference, guess))
    most = math.log2(max(2, spec.alphabet))
    silent = () if carries(before.low, before.high, 0.0, most) else (_silent(before, most),)
    units = "rows" if cluster is None else f"{int(cluster.max()) + 1} clusters"
    reading = Reading(
        point=max(0.0, before.point - after.point),
        raw=before.raw - after.raw,
        lower=max(0.0, before.lower - after.upper),
        high=max(0.0, before.high - after.low),
        quantity="bits a use that the attack destroyed: the owner's channel before minus after",
        method=f"lower(before) − upper(after), {'2×2' if plain else 'symmetrised'}, by {units}",
        assumptions=(
            f"{units} independent",
            "bits at the uniform prior of the owner's decoded symbol",
            *(() if plain else ("owner codes with a shared random relabelling",)),
            *(() if cluster is None or cluster.max() else (LONE,)),
            *silent,
        ),
    )
    if not full:
        return reading
    lows = [(spec.alpha, reading.lower)]
    # Betting takes a while, so that every other level is left out: a p-value is larger for it.
    for k in range(2, HALVINGS, 2):
        at_level = replace(spec, alpha=spec.alpha / 2**k)
        ends = [measure_owner(truth, g, cluster, at_level) for g in (reference, guess)]
        lows.append((at_level.alpha, max(0.0, ends[0].lower - ends[1].upper)))
    n = len(truth)
    truth, guess, reference, cluster = every
    metrics: dict[str, Any] = {
        f"capacity_{word}": {
            "value": side.point,
            "low": min(side.low, side.point),
            "high": max(side.high, side.point),
            "n": n,
        }
        for word, side in (("before", before), ("after", after))
    }
    metrics |= error_rates(truth, guess, reference, cluster, spec)
    return replace(reading, metrics=metrics, lows=falling(lows))


def error_rates(
    truth: Whole, guess: Whole, reference: Whole, cluster: Whole | None, spec: ChannelSpec
) -> dict[str, Any]:
    """Return how often the owner decodes wrong (two symbols) or right, before and after a jam.

    Args:
        truth, guess, reference, cluster, spec: as of ``measure_jam``.
    """
    rates: dict[str, Any] = {}
    for word, column in (("before", reference), ("after", guess)):
        hit = column == truth
        if spec.alphabet == 2 and (column >= 0).all():
            rates[f"ber_{word}"] = share_interval(~hit, cluster, spec.alpha)
        else:
            rates[f"accuracy_{word}"] = share_interval(hit, cluster, spec.alpha)
    return rates


def _silent(before: OwnerChannel, most: float) -> str:
    """Word that there was nothing to destroy."""
    return (
        f"{SILENT}: without the attack the owner decodes {before.point:.3g} bit of {most:.3g} "
        f"[{before.low:.3g}, {before.high:.3g}]: there is nothing to destroy"
    )


def _two(truth: Whole, decoded: Whole, cluster: Whole | None, spec: ChannelSpec) -> OwnerChannel:
    """The 2×2 channel of one decoded bit, rows independent."""
    del cluster
    is_one, flag = truth == 1, decoded == 1
    n1, n0 = int(is_one.sum()), int((~is_one).sum())
    tp, fp = int((flag & is_one).sum()), int((flag & ~is_one).sum())
    alpha = spec.alpha / 2
    limits = (0.0, 1.0)
    if n1 and n0:
        limits = profile_likelihood.bits_interval(tp, n1, fp, n0, alpha=alpha)
    point, raw, _ = plug_in(truth, decoded, 2, 1.0, alpha)
    return OwnerChannel(
        point,
        raw,
        float(two_rates.lower(tp, n1, fp, n0, alpha, of=("bits",))["bits"]),
        two_rates.box_upper(tp, n1, fp, n0, alpha),
        *limits,
    )


def _symmetric(
    truth: Whole, decoded: Whole, cluster: Whole | None, spec: ChannelSpec
) -> OwnerChannel:
    """The K-ary symmetric channel with erasures that a shared random relabelling makes of it."""
    k, n, alpha = spec.alphabet, len(truth), spec.alpha / 2
    hit, miss = decoded == truth, (decoded >= 0) & (decoded != truth)
    right, wrong = int(hit.sum()), int(miss.sum())
    always = right + wrong == n
    # One rate where every use is answered, else two that share the error level.
    level = alpha if always else alpha / 2
    low = _limits(hit, cluster, level)[0]
    if always:
        least = _spread(low, 1.0 - low, k) if low > 1.0 / k else 0.0
        most = max(_spread(p, 1.0 - p, k) for p in _limits(hit, cluster, level / 2))
    else:
        more = _limits(miss, cluster, level)[1]
        least = _spread(low, more, k) if low * (k - 1) > more else 0.0
        limits = [_limits(column, cluster, level / 2) for column in (hit, miss)]
        most = max(_spread(r, w, k) for r in limits[0] for w in limits[1])
    wide, units = design(hit.astype(float), cluster)
    span = profile_likelihood.accuracy_interval(right / wide, n / wide, alpha=alpha, clusters=units)
    missed = wrong / max(1, n - right)
    raw = _spread(right / n, wrong / n, k)
    bias = wide / (2 * n * math.log(2)) if 0 < right < n else 0.0
    ends = [_spread(p, (1.0 - p) * missed, k) for p in span]
    return OwnerChannel(
        point=max(0.0, raw - bias),
        raw=raw,
        lower=least,
        upper=min(math.log2(max(k, 1)), most),
        low=ends[0] if span[0] > 1.0 / k else 0.0,
        high=max(*ends, raw),
    )


def _limits(hit: NDArray[Any], cluster: Whole | None, level: float) -> tuple[float, float]:
    """Certified limits of a rate, each one-sided at ``level``."""
    if cluster is None:
        low, high = binary_channel.clopper_pearson(int(hit.sum()), len(hit), level)
        return float(low), float(high)
    return mean_interval(grouped(hit, cluster) / np.bincount(cluster), 2 * level)


def _spread(right: float, wrong: float, alphabet: int) -> float:
    """Bits of the symmetric channel with these shares of right and wrong answers.

    Convex and homogeneous in (right, wrong), hence largest at a corner of a box.
    """
    total = right + wrong
    return total * float(fano(right / total, alphabet)) if total > 0.0 else 0.0
