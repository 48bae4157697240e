"""What spread among agents: the reproduction number as a metric, and the mean course."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hartley.channel.bounds.degenerate_intervals import METRIC_LEVELS, mean_limits
from hartley.core import Trials
from hartley.infotheory.reproduction import reproduction

NAME = "reproduction"
"""The metric."""


def reproduced(trials: Trials) -> dict[str, dict[str, Any]]:
    """Return the reproduction number as a metric; n counts individuals, not outbreaks.

    Nothing is returned of fewer than two outbreaks, or where nobody was infected whom one saw to
    the end: whom they would infect is not known.
    """
    outbreaks = [one.offspring for one in trials.outbreaks]
    if len(outbreaks) < 2 or not any(outbreaks):
        return {}
    alpha = trials.spec.alpha / trials.spec.tries
    levels = [alpha * 2.0**-k for k in range(METRIC_LEVELS)]
    numbers = [reproduction(outbreaks, level) for level in levels]
    first = numbers[0]
    return {
        NAME: {
            "value": first.value,
            "low": first.low,
            "high": first.high if math.isfinite(first.high) else None,
            "n": first.n,
            "lows": [[level, one.low] for level, one in zip(levels, numbers, strict=True)],
        }
    }


def course(trials: Trials) -> dict[str, list[float]]:
    """Return the mean share that is infected after each step, with its limits over outbreaks."""
    curves = [one.curve for one in trials.outbreaks]
    if len(curves) < 2 or len({*map(len, curves)}) > 1:
        return {}
    sizes = np.array([one.population for one in trials.outbreaks], np.float64)
    shares = np.array(curves, np.float64) / sizes[:, None]
    ends = [
        mean_limits(step, None, trials.spec.alpha / 2, least=0.0, most=1.0) for step in shares.T
    ]
    return {
        "share": [float(mean) for mean in shares.mean(0)],
        "low": [float(low) for low, _ in ends],
        "high": [float(high) for _, high in ends],
    }
