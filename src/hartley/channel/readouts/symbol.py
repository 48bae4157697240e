"""E2: guesses out of K symbols → Fano bits, erasures kept apart."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import cluster_code, profile_likelihood
from hartley.channel.bounds.degenerate_intervals import share_interval
from hartley.channel.readouts import information
from hartley.channel.readouts.information import HALVINGS, coins_are_shared
from hartley.channel.readouts.many_symbols import (
    assumptions_of,
    fano,
    fano_lower,
    mean_of,
    measure_many,
)
from hartley.channel.readouts.reading import Lows, Reading
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.core import ChannelSpec
from hartley.infotheory.surprisal import certificate, log2_binomial_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LN2 = math.log(2.0)


def measure_symbol(
    truth: Whole,
    guess: Whole,
    cluster: Whole | None,
    spec: ChannelSpec,
    rng: np.random.Generator,
    *,
    reference: Whole | None = None,
    full: bool = True,
    certify: bool = False,
) -> Reading:
    """Measure guessed symbols about K-ary secrets.

    The bits are of what is known of each answer: right, wrong or abstained, with the classes
    weighing alike. Two symbols: of the whole table of guesses. More: of a guess that is right at
    one rate and wrong evenly, and of abstentions that depend on the class where there are 20 K²
    uses.

    Args:
        truth: (n,) symbols 0..K−1.
        guess: (n,) symbols, −1 = erased.
        cluster: (n,) integers 0..m−1 when rows of one cluster are dependent, else None.
        spec: the declaration; K = ``spec.alphabet``.
        rng: for dropping rows of frequent classes (``even``), and for folds.
        reference: (n,) what is received without the attack, for the base rate.
        full: False leaves out the metrics and the leakage (null arm).
        certify: with the certified bound at alpha, where ``full`` is False.
    """
    k, n = spec.alphabet, len(truth)
    halvings = HALVINGS if full else int(certify)
    if k == 2 and 0 < truth.sum() < n:
        reading = _binary(truth, guess, cluster, spec, rng, halvings=halvings)
    else:
        reading = measure_many(truth, guess, cluster, spec, rng, halvings=halvings)
    if not full:
        return reading
    right, answered = guess == truth, int((guess >= 0).sum())
    metrics = usual_metrics(truth, guess, cluster, spec, reference=reference)
    # Which rows are answered is fixed by the answers; each is right with chance 1/K.
    correct = int(right.sum())
    tail = log2_binomial_tail(correct, answered, 1.0 / k) if k > 1 else 0.0
    return replace(
        reading,
        leakage=None
        if not spec.planted or coins_are_shared(truth, cluster)
        else certificate(tail, spec.alpha, uses=n, method="surprisal of right guesses"),
        metrics=metrics,
    )


def usual_metrics(
    truth: Whole,
    guess: Whole,
    cluster: Whole | None,
    spec: ChannelSpec,
    *,
    reference: Whole | None = None,
) -> dict[str, Any]:
    """Return the usual metrics of guesses; the arguments are those of ``measure_symbol``."""
    k, n, right = spec.alphabet, len(truth), guess == truth
    answered = int((guess >= 0).sum())
    rate = share_interval(right, cluster, spec.alpha)
    metrics: dict[str, Any] = {"accuracy": rate, "chance": 1.0 / k}
    if answered < n:
        metrics["answered"] = answered / n
    if spec.role.value == "inject":
        metrics["asr"] = rate
    if reference is not None:
        metrics["base_rate"] = share_interval(reference == truth, cluster, spec.alpha)
    if k > 2 and n >= 20 * k * k and (table := table_bits(truth, guess, k, cluster, spec.alpha)):
        metrics["bits_confusion"] = table
    return metrics


def _binary(
    truth: Whole,
    guess: Whole,
    cluster: Whole | None,
    spec: ChannelSpec,
    rng: np.random.Generator,
    *,
    halvings: int,
) -> Reading:
    """Two symbols: a score of at most three values, read by any posterior (two pieces)."""
    score = np.where(guess < 0, 0.5, guess).astype(np.float64)
    scores = ScorePair.of(truth, score)
    spec = replace(spec, pieces=2)
    read = information.learned(truth, score, cluster, spec, rng, scores=scores, halvings=halvings)
    lows = read.lows
    if cluster is None and spec.planted and halvings and (guess >= 0).all():
        # Coins drew the secrets: Fano's bound, which needs one rate and not two, may be tighter.
        correct, n = int((guess == truth).sum()), len(truth)
        lows = information.falling(
            [(a, max(low, fano_lower(correct, n, 2, a / 2))) for a, low in _halved(lows)]
        )
    return Reading(
        read.point,
        read.raw,
        lows[0][1] if lows else 0.0,
        read.high,
        read.method,
        assumptions_of(cluster, spec.planted),
        lows=lows,
        quantity=f"bits a use of the table of guesses, secrets weighing alike{mean_of(cluster)}",
    )


def _halved(lows: Lows) -> list[tuple[float, float]]:
    """The bounds at half of each error level, which leaves the other half to another bound."""
    later = [*(low for _, low in lows[1:]), 0.0]
    return [(alpha, low) for (alpha, _), low in zip(lows, later, strict=True)]


def table_bits(
    truth: Whole, guess: Whole, k: int, cluster: Whole | None, alpha: float
) -> dict[str, float] | None:
    """Return the bits of the K × (K + 1) table at the uniform prior, None if a class is absent.

    Args:
        truth, guess: (n,) symbols.
        k: the alphabet.
        cluster: (n,) or None.
        alpha: error of each end.
    """
    if (np.bincount(truth, minlength=k) == 0).any():
        return None
    wide, _ = design((guess == truth).astype(float), cluster)
    point, raw, reach = plug_in(truth, guess, k, wide, alpha)
    most = min(math.log2(k), raw + reach)
    return {"value": point, "low": max(0.0, point - reach), "high": most, "n": len(truth)}


def plug_in(
    truth: Whole, guess: Whole, alphabet: int, wide: float, alpha: float
) -> tuple[float, float, float]:
    """Return bias-corrected bits, plug-in bits and the reach of a normal interval.

    The whole K × (K + 1) table at the uniform prior with Miller–Madow where the uses fill it
    (n ≥ 20 K²), otherwise Fano at the observed rates.
    """
    n, k = len(truth), alphabet
    sent = np.bincount(truth, minlength=k).astype(float)
    if k < 2:
        return 0.0, 0.0, 0.0
    if 20 * k * k > n or (sent == 0).any():
        answered = int((guess >= 0).sum())
        right = int((guess == truth).sum())
        acc = right / answered if answered else 1.0 / k
        raw = answered / n * float(fano(acc, k)) if acc > 1.0 / k else 0.0
        bias = wide / (2 * n * LN2) if 0.0 < acc < 1.0 else 0.0
        # Second moment of the bits of one use: the mean is the raw value, the spread its error.
        squares = (
            right * _log2(acc * k) ** 2 + (answered - right) * _log2((1 - acc) / (1 - 1 / k)) ** 2
        )
        reach = math.sqrt(
            profile_likelihood.quantile(alpha) * max(0.0, squares / n - raw * raw) * wide / n
        )
        return max(0.0, raw - bias), raw, reach
    table = np.bincount(truth * (k + 1) + guess + 1, minlength=k * (k + 1)).reshape(k, k + 1)
    rows = table / sent[:, None]
    out = rows.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.where(rows > 0, np.log2(rows / out), 0.0)
    raw = float((rows * density).sum() / k)
    bias = float((((table > 0).sum(1) - 1) / sent).mean() - ((out > 0).sum() - 1) / n)
    spread = float((rows * density**2).sum() / k) - raw * raw
    reach = math.sqrt(profile_likelihood.quantile(alpha)) * math.sqrt(max(spread, 0.0) * wide / n)
    point = raw - wide * bias / (2 * LN2)
    return min(max(0.0, point), math.log2(k)), raw, reach


def _log2(x: float) -> float:
    return math.log2(x) if x > 0.0 else 0.0


def design(x: Array, cluster: Whole | None, *, spread: bool = False) -> tuple[float, int]:
    """Return the design effect of a mean, and the clusters (0 when rows are independent)."""
    if cluster is None or cluster.max() == 0:
        return 1.0, 0 if cluster is None else 1
    sums = cluster_code.grouped(x, cluster)
    sizes = np.bincount(cluster).astype(float)
    m, n = len(sums), len(x)
    if not spread:
        return profile_likelihood.design_effect(sums, sizes), m
    variance = float(x.var())
    between = float(((sums - x.mean() * sizes) ** 2).sum()) * m / (m - 1)
    return (max(1.0, between / (n * variance)) if variance > 0 else 1.0), m
