"""Figures from optional columns and declarations.

Each column yields one figure beside the bits and never changes them: ``logq`` → ``bits_posterior``,
``gain`` → ``g_vulnerability``, ``p_null`` → ``leakage``, ``observed`` → ``capacity``, ``order`` →
``log2_e``, costs → their means, ``poison_n`` → ``bits_per_poison``; the declared judge →
``judge_bits``. The assumptions of each: ``design/measurement.md`` §8.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import cluster_code, two_rates
from hartley.channel.bounds.degenerate_intervals import mean_limits
from hartley.channel.readouts.reading import Reading
from hartley.channel.trials.validate import Columns
from hartley.core import AnswerForm, Kind, Quantity, Role, Trials, commitment, spawn
from hartley.core.errors import BadTrials, RunError
from hartley.infotheory.capacity import capacity
from hartley.infotheory.closed_forms import binary_capacity
from hartley.infotheory.e_values import LN2, log2_kt, ratio_lower
from hartley.infotheory.leakage import betting_lower
from hartley.infotheory.surprisal import certificate, log2_gamma_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

MIX = 0.01
"""Share of the prior mixed into every posterior, fixed beforehand: an answer costs at most
log2(1/0.01) = 6.6 bits."""
FILL = 20
"""Rows needed per cell of an observation matrix before its capacity is reported."""


def declared(trials: Trials) -> None:
    """Check that the run kept to its declaration.

    Raises:
        BadTrials: the seed is not the committed one, or the number of tries or the judge's rates
            are out of range.
    """
    spec = trials.spec
    if spec.commit is not None and spec.commit != commitment(trials.seed):
        raise BadTrials(f"seed must be the one committed to before the run, got {trials.seed}")
    if spec.tries < 1 or spec.tries != int(spec.tries):
        raise BadTrials(f"tries must be a whole number of 1 or more, got {spec.tries:g}")
    if spec.pieces not in (1, 2):
        raise BadTrials(f"pieces must be 1 or 2, got {spec.pieces}")
    if spec.judge is not None:
        right, clear, n = spec.judge
        if not (0.0 <= right <= 1.0 and 0.0 <= clear <= 1.0 and n >= 1):
            raise BadTrials(
                "judge must be (sensitivity in 0…1, specificity in 0…1, items of each class ≥ 1), "
                f"got {spec.judge}"
            )


def at_declared_tries(trials: Trials) -> Trials:
    """Return the trials at the error level of one of the declared tries (Bonferroni).

    All bounds of all tries then hold together with probability 1 − alpha, so the best of them may
    be reported.
    """
    spec = trials.spec
    if spec.tries == 1:
        return trials
    return replace(trials, spec=replace(spec, alpha=spec.alpha / spec.tries))


def enrich(reading: Reading, trials: Trials, columns: Columns) -> Reading:
    """Add the figures of the optional columns; without any, return the reading unchanged.

    Args:
        reading: the measured numbers.
        trials: rows that count, as ``validate.measured_rows`` returns them.
        columns: the same rows, checked.
    """
    spec, alpha = trials.spec, trials.spec.alpha
    time = None if trials.order is None else np.argsort(trials.order, kind="stable")
    metrics: dict[str, Any] = {}
    if trials.logq is not None:
        metrics["bits_posterior"] = posterior_bits(trials.logq, columns, spec.alphabet, alpha)
    if trials.gain is not None:
        metrics["g_vulnerability"] = mean_gain(trials.gain, columns.cluster, time, alpha)
    if time is not None and _guessed(trials) and spec.planted and spec.alphabet > 1:
        answered = columns.guess[time] >= 0
        hits = (columns.guess == columns.truth)[time][answered]
        end, peak = evidence(hits, 1.0 / spec.alphabet)
        metrics |= {"log2_e": end, "anytime_p": min(1.0, 2.0**-peak)}
    metrics |= prices(reading, trials, columns.cluster)
    assumptions = reading.assumptions
    if spec.tries > 1:
        line = (
            f"chosen out of {spec.tries} tries on these rows, each of which is bounded at alpha / "
            f"{spec.tries}"
        )
        assumptions = (*assumptions, line)
    if spec.judge is not None:
        metrics["judge_bits"], line = judged(spec.judge, alpha)
        assumptions = (*assumptions, line)
    leakage, top = reading.leakage, reading.capacity
    if trials.p_null is not None:
        leakage = fisher(trials.p_null, None if spec.planted else columns.cluster, alpha)
    if trials.observed is not None and top is None and spec.form is not AnswerForm.RANK:
        top = observed_capacity(columns.truth, trials.observed, spec.alphabet)
    if (
        not metrics
        and leakage is reading.leakage
        and top is reading.capacity
        and assumptions is reading.assumptions
    ):
        return reading
    return replace(
        reading,
        leakage=leakage,
        capacity=top,
        assumptions=assumptions,
        metrics={**reading.metrics, **metrics},
    )


def prices(reading: Reading, trials: Trials, cluster: Whole | None) -> dict[str, Any]:
    """Return the mean of each cost per row, with its t interval, and bits per poison record.

    Queries and seconds are left out: the declaration has their totals (``uses``, ``seconds``).
    """
    metrics: dict[str, Any] = {}
    for name, column in trials.costs.items():
        if name in ("cost_queries", "cost_s"):
            continue
        low, high = mean_limits(column, cluster, trials.spec.alpha)
        value = float(column.mean())
        metrics[name] = {"value": value, "n": len(column)}
        if math.isfinite(low):
            low = low if column.min() < 0 else max(low, 0.0)
            metrics[name] |= {"low": min(low, value), "high": max(high, value)}
    mean = metrics.get("poison_n", {"value": 0.0})["value"]
    if mean > 0:
        # The auditor fixes the budget: the mean is what was spent, not an estimate.
        bits = {"value": reading.point / mean, "low": reading.lower / mean}
        metrics["bits_per_poison"] = {**bits, "n": len(trials)}
    return metrics


def _guessed(trials: Trials) -> bool:
    return trials.spec.form is AnswerForm.SYMBOL and trials.spec.role is not Role.JAM


def posterior_bits(
    logq: Array, columns: Columns, alphabet: int, alpha: float = 0.05
) -> dict[str, float]:
    """Return H(S) + E log2 q, at most the bits of the attacker's posterior (Barber–Agakov).

    Where the secrets were not drawn, their frequencies are the prior; written row by row as
    log2(q / prior), the error of these frequencies is within the interval.

    Args:
        logq: (n,) log2 posterior of the true secret, at most 0.
        columns: secrets and clusters of the same rows.
        alphabet: K symbols, or R candidates.
        alpha: error level of a two-sided t interval over rows, or over clusters.
    """
    n = len(logq)
    prior = np.full(n, 1.0 / alphabet)
    if not columns.planted and len(counts := np.bincount(columns.truth)) > 1:
        prior = counts[columns.truth] / n
    log_ratios = np.log2((1.0 - MIX) * np.exp2(logq) / prior + MIX)
    # An answer costs at most the prior's share of the mixture and gains at most the whole secret.
    least, most = math.log2(MIX), float(np.log2((1.0 - MIX) / prior + MIX).max())
    low, high = mean_limits(log_ratios, columns.cluster, alpha, least=least, most=most)
    high = min(high, float(-np.log2(prior).mean()))
    value = float(log_ratios.mean())
    return {"value": value, "low": min(low, value), "high": max(high, value), "n": n}


def mean_gain(
    gain: Array, cluster: Whole | None, time: Any = None, alpha: float = 0.05
) -> dict[str, float]:
    """Return the mean gain with betting bounds (arXiv:2010.09686), both together at ``alpha``.

    The mean is at most the posterior g-vulnerability, so ``low`` bounds that from below; ``high``
    holds for this attacker only. A bet must not know what comes next, as it would in a file that is
    sorted by its gains: without an order of play the rows are taken at random.

    Args:
        gain: (n,) in 0..1.
        cluster: (n,) integers 0..m−1, or None when rows are independent.
        time: (n,) row numbers in the order of play, or None.
        alpha: error level.
    """
    n, value = len(gain), float(gain.mean())
    if cluster is None:
        if time is None:
            time = np.random.default_rng(spawn(0, "mean_gain", n)).permutation(n)
        x = gain[time]
        low = betting_lower(x, alpha=alpha / 2)
        high = 1.0 - betting_lower(1.0 - x, alpha=alpha / 2)
    else:
        total, size = cluster_code.grouped(gain, cluster), np.bincount(cluster).astype(float)
        low = ratio_lower(total, size, alpha / 2)
        high = 1.0 - ratio_lower(size - total, size, alpha / 2)
    return {"value": value, "low": min(low, value), "high": max(high, value), "n": n}


def evidence(hits: NDArray[np.bool_], chance: float) -> tuple[float, float]:
    """Return log2 of the KT e-value against ``chance`` at the end, and its peak on the way.

    Args:
        hits: (n,) right or wrong, in the order of play.
        chance: of a hit when nothing leaks.
    """
    n = np.arange(len(hits))
    before: Whole = np.cumsum(hits) - hits
    same_before = np.where(hits, before, n - before)
    steps = np.log2((same_before + 0.5) / (n + 1.0) / np.where(hits, chance, 1.0 - chance))
    peak = float(max(0.0, np.cumsum(steps).max(initial=0.0)))
    return log2_kt(int(hits.sum()), len(hits), chance), peak


def fisher(p_null: Array, cluster: Whole | None, alpha: float = 0.05) -> Quantity:
    """Return the min-capacity that Fisher's combination certifies, in bits per use (E4).

    −ln p of a valid p-value lies below a unit exponential, so the sum lies below a Gamma(m).

    Args:
        p_null: (n,) in (0, 1].
        cluster: clusters whose secrets were not drawn one by one, else None; such a cluster
            counts once, with its smallest p times its size.
        alpha: error level.
    """
    n, p = len(p_null), p_null
    if cluster is not None:
        p = np.full(int(cluster.max()) + 1, 1.0)
        np.minimum.at(p, cluster, p_null)
        p = np.minimum(1.0, p * np.bincount(cluster))
    tail = log2_gamma_tail(len(p), float(-np.log(p).sum()))
    quantity = certificate(tail, alpha, uses=n, method="Fisher's combination of stated chances")
    stated = "each stated chance holds for a secret independent of the observation"
    return replace(quantity, assumptions=(*quantity.assumptions, stated))


def observed_capacity(truth: Whole, observed: Whole, alphabet: int) -> Quantity | None:
    """Return the capacity of the observed K × M frequencies, an estimate; None if rows are few.

    Args:
        truth: (n,) symbols 0..K−1.
        observed: (n,) codes.
        alphabet: K.
    """
    n = len(truth)
    codes, codes_of_rows = np.unique(observed, return_inverse=True)
    m = len(codes)
    if n < FILL * alphabet * m:
        return None
    table = np.bincount(truth * m + codes_of_rows, minlength=alphabet * m).reshape(alphabet, m)
    if (table.sum(1) == 0).any():
        return None
    try:
        value = capacity(table / table.sum(1, keepdims=True), gap=1e-5).value
    except RunError:
        return None
    bias = (alphabet - 1) * (m - 1) / (2 * n * LN2)
    return Quantity(
        name="capacity",
        value=value,
        unit="bit/use",
        kind=Kind.ESTIMATE,
        n=n,
        method=f"plug-in {alphabet} × {m} matrix; Miller–Madow bias about +{bias:.1g} bit left in",
        assumptions=("rows independent given their secrets", "observation codes are complete"),
    )


def judged(judge: tuple[float, float, int], alpha: float = 0.05) -> tuple[dict[str, float], str]:
    """Return the capacity of the judge's channel, and the assumption that the bits depend on it.

    Args:
        judge: sensitivity, specificity, and the number of items of each class behind them.
        alpha: error level of the certified lower end.
    """
    right, clear, n = judge
    wrong = 1.0 - clear
    # A judge that is mostly wrong is as informative as one that is mostly right: invert the flag.
    a, b = (right, wrong) if right >= wrong else (wrong, right)
    low = two_rates.lower(math.floor(a * n + 1e-9), n, math.ceil(b * n - 1e-9), n, alpha)[
        "capacity"
    ]
    value = binary_capacity(right, wrong)[0]
    line = (
        f"success was decided by a judge of sensitivity {right:g} and specificity {clear:g} "
        f"({n} items of each class)"
    )
    return {"value": value, "low": min(float(low), value), "n": n}, line
