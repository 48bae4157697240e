"""Rates of attempts without a secret, as ``hartley measure`` prints them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.cli.terminal import print_json, print_table, say

if TYPE_CHECKING:
    from hartley.importers.outcomes import Rates

SCHEMA = "hartley.rates/1"
ALPHA = 0.05
NOT_BITS = "a rate of outcomes, not bits: without a secret a channel has no bits"
INDEPENDENT = "rows are independent of one another"


def print_rates(path: Path, rates: Rates, *, tries: int, json: bool) -> int:
    """Print each rate with its interval; return the exit code.

    Args:
        path: the file that was measured.
        rates: the outcomes.
        tries: how many rates were tried before this one was reported; every interval pays for it.
        json: print one JSON object instead.
    """
    from hartley.channel.bounds.clustered_rate import rate_interval

    level = ALPHA / tries
    measured = [
        (group.name, rate_interval(group.values, group.cluster, level)) for group in rates.groups
    ]
    clustered = any(rate.clusters < rate.n for _, rate in measured)
    grounds = f"{rates.shared} is a cluster; clusters are independent" if clustered else INDEPENDENT
    assumptions = [grounds, *rates.notes]
    if len(measured) > tries:
        assumptions.append(
            f"each of {len(measured)} intervals holds alone; --tries {len(measured)} makes all "
            "hold together"
        )
    if json:
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "file": path.name,
            "quantity": rates.quantity,
            "unit": rates.unit,
            "is_bits": False,
            "alpha": ALPHA,
            "tries": tries,
            "rates": [{"name": name, **asdict(rate)} for name, rate in measured],
            "assumptions": assumptions,
        }
        print_json(document)
        return 0
    rows = [
        (
            name,
            f"{rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}]",
            str(rate.n),
            str(rate.clusters),
        )
        for name, rate in measured
    ]
    say(f"{path.name}: {len(measured)} rates" if len(measured) > 1 else f"{path.name}: a rate")
    print_table(("of", f"rate [{1 - ALPHA:.0%} interval]", "n", "clusters"), rows, numbers=(2, 3))
    say(f"  which is         {rates.quantity}; n counts each {rates.unit}")
    say(f"  which is not     {NOT_BITS}")
    for method in dict.fromkeys(rate.method for _, rate in measured):
        say(f"  interval         {method}")
    for assumption in assumptions:
        say(f"  rests on         {assumption}")
    return 0
