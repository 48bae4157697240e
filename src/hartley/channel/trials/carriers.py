"""Whether what a channel is read through works: a zero behind something broken is not safety.

Bits are read through the owner's watermark detector, a victim that must learn the poison, a victim
that must hold its fingerprint. Where that carries nothing itself, every attack reads 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hartley.channel.bounds.degenerate_intervals import mean_limits
from hartley.core import Trials

SILENT = "SILENT CHANNEL"
"""The first words of every such doubt. A row with one is flagged and cannot decide a limit."""

LEAST = 0.05
"""Share of what it could carry below which it counts as carrying nothing."""

RATES = {
    "victim_carries": "the victims themselves answer right about their fingerprints",
    "clean_accuracy": "victims without poison classify right",
    "mark_reads": "owners read their marks in their own items",
}
"""Metrics of a deal that say how often what the channel is read through is right."""


def carries(low: float, high: float, chance: float, most: float) -> bool:
    """Whether an interval shows more than chance, and may reach a share of ``LEAST`` of the most.

    Args:
        low, high: the interval of what it carries.
        chance: what it carries where it does not work.
        most: the most that it could carry.
    """
    return low > chance and high >= chance + LEAST * (most - chance)


def silent_victims(trials: Trials) -> Iterator[str]:
    """Yield a doubt for each rate of the deal that does not differ from chance by its interval.

    The interval is a t interval over rounds, of which it takes two.
    """
    by_round, chance = trials.metrics_by_round, 1.0 / trials.spec.alphabet
    for name, words in RATES.items():
        rates = np.asarray(by_round.get(name, ()), np.float64)
        if name == "clean_accuracy":  # what the attack took away itself does not count
            rates = rates + np.asarray(by_round.get("clean_accuracy_drop", 0.0))
        if len(rates) < 2 or np.isnan(rates).any():
            continue
        low, high = mean_limits(rates, None, trials.spec.alpha / 2, least=0.0, most=1.0)
        if not carries(low, high, chance, 1.0):
            rate = f"at a rate of {rates.mean():.3g} [{low:.3g}, {high:.3g}]"
            if rates.mean() < chance + LEAST * (1.0 - chance):
                yield (
                    f"{SILENT}: {words} {rate}, and chance is {chance:.3g}: no attack could read "
                    "anything"
                )
            else:
                yield (
                    f"{SILENT}: {len(rates)} rounds do not show that {words} more often than "
                    f"chance, {chance:.3g}: {rate}; play more rounds"
                )
