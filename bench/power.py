"""Does the number that ``hartley plan --power`` names settle the limit? Fresh runs say how often.

    python bench/power.py [--runs 200] [--only PATTERN] [--seed 0]

For each channel a pilot is dealt, at limits of half and twice the true bits a number of clusters is
forecast from the pilot as the command does it, and fresh runs of that size are dealt from the
channel itself. At least 90 % must be settled: over, at half of the truth, and within, at twice it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase

import numpy as np
import verdicts

from hartley.channel import power
from hartley.channel.measure import measure
from hartley.channel.trials.validate import check_columns
from hartley.core import Trials, spawn
from hartley.engine.plan.power import doubted

CHANNELS: dict[str, tuple[Callable[[int], verdicts.Law], int]] = {
    "scores, 1 use, shift 1": (lambda m: verdicts.scores(m, 1, 1.0, 0.0), 1000),
    "scores, 1 use, shift 0.5": (lambda m: verdicts.scores(m, 1, 0.5, 0.0), 2000),
    "scores, 900 uses, shift 0.5": (lambda m: verdicts.scores(m, 900, 0.5, 0.0), 16),
    "scores, 900 uses, shift 0.5 ± 30%": (lambda m: verdicts.scores(m, 900, 0.5, 0.3), 16),
    "scores, 64 uses, shift 1 ± 30%": (lambda m: verdicts.scores(m, 64, 1.0, 0.3), 16),
    "symbols, 32 uses, 70% right": (lambda m: verdicts.symbols(m, 32, 10, 0.7), 16),
    "symbols, 4 uses, 60% right": (lambda m: verdicts.symbols(m, 4, 10, 0.6), 32),
    "symbols, 1 use, 70% right": (lambda m: verdicts.symbols(m, 1, 10, 0.7), 30),
    "ranks, 4 uses": (lambda m: verdicts.ranks(m, 4, 100), 16),
}
"""Channels by their number of clusters (or rows), and the pilot's number."""


def settled(trials: Trials, question: power.Question, limit: float, seed: int) -> bool:
    """Whether a fresh run of these trials is settled on the side that was forecast."""
    columns = check_columns(trials)
    end = power.settling_end(columns, trials.spec, question, np.random.default_rng(seed))
    return end > limit if question.side == "over" else end <= limit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--only", default="*", help="pattern of the channels' names")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    fine = True
    print("channel                            limit/truth  pilot  planned bits  clusters  settled")
    for name, (channel, few) in CHANNELS.items():
        if not fnmatchcase(name, asked.only):
            continue
        rng = np.random.default_rng(spawn(asked.seed, name))
        law = channel(few)
        pilot = law.deal(rng)
        row = measure(pilot)
        ends = {"point": row.bits.value, "low": row.bits.lower, "high": row.high}
        for multiple in (0.5, 2.0):
            limit = multiple * law.bits
            planned = doubted(ends, limit, row.ceiling.value)
            need = power.needed(power.from_pilot(pilot, row.bits.value, planned), limit)
            question = power.Question(need.side, pilot.spec.alpha)
            deal = channel(max(1, need.clusters)).deal
            share = (
                np.mean([settled(deal(rng), question, limit, k) for k in range(asked.runs)])
                if need.side
                else 0.0
            )
            fine &= share >= 0.9
            print(
                f"{name:34} {multiple:11g} {few:6} {planned / law.bits:11.2f} × {need.clusters:9} "
                f"{share:8.3f}{'' if share >= 0.9 else '   fewer than promised'}",
                flush=True,
            )
    sys.exit(not fine)


if __name__ == "__main__":
    main()
