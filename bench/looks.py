"""Does a plan with looks keep its level, and how many rounds does it save?

    python bench/looks.py [--runs 1000] [--only PATTERN] [--seed 0]

Each run deals the rounds of a channel of known bits, and judges the first of them at each look, as
``hartley assess`` does: measured at alpha / looks, judged by the gate, and stopped at the first
look that passes or is over. A run is wrong where it is over although the channel is within its
limit, or passes although the channel is above it: both must be at most alpha. Rounds that are saved
are those of the last look less those that were played.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import verdicts
from scipy.stats import beta

from hartley.channel import power
from hartley.channel.trials.validate import check_columns
from hartley.core import Trials, spawn
from hartley.engine.result.gate import INCONCLUSIVE, OVER, PASS, judge

ALPHA = 0.05
WITHIN = (1.0, 2.0)
"""Limits as multiples of the true bits at which a run must not be over."""
ABOVE = (1 / 1.0001, 1 / 1.1, 1 / 1.25, 1 / 1.5, 1 / 2)
"""Limits as multiples of the true bits at which a run must not pass."""
CHANNELS: dict[str, tuple[Callable[[int], verdicts.Law], tuple[tuple[int, ...], ...]]] = {
    "symbols, 1 use, 70% right": (
        lambda m: verdicts.symbols(m, 1, 10, 0.7),
        ((24, 48, 96), (24, 48, 72, 96, 120)),
    ),
    "symbols, 4 uses, 60% right": (
        lambda m: verdicts.symbols(m, 4, 10, 0.6),
        ((16, 32, 64), (16, 24, 32, 48, 64)),
    ),
    "ranks, 4 uses": (
        lambda m: verdicts.ranks(m, 4, 100),
        ((16, 32, 64), (16, 24, 32, 48, 64)),
    ),
    "scores, 32 uses, shift 1 ± 30%": (
        lambda m: verdicts.scores(m, 32, 1.0, 0.3),
        ((8, 16, 32), (8, 12, 16, 24, 32)),
    ),
}
"""Channels by their number of rounds, and the rounds of three and of five looks."""


def at_look(trials: Trials, uses: int, rounds: int, looks: int) -> Trials:
    """Return the first rounds, with the share of alpha that one of the looks has."""
    n = rounds * uses
    cluster = None if trials.cluster is None else trials.cluster[:n]
    spec = replace(trials.spec, alpha=ALPHA / looks)
    return replace(
        trials, spec=spec, truth=trials.truth[:n], guess=trials.guess[:n], cluster=cluster
    )


def rows_of(
    trials: Trials, uses: int, looks: tuple[int, ...], template: dict, rng: np.random.Generator
) -> list[dict]:
    """Return the row that a run document has at each look: a measured one with other bounds.

    The bounds are those of ``measure``, without the null arm, the checks of what they assume and
    the metrics, which can make a run inconclusive and settle none.
    """
    rows = []
    for rounds in looks:
        part = at_look(trials, uses, rounds, len(looks))
        columns, level = check_columns(part), part.spec.alpha
        low, high = (
            power.settling_end(columns, part.spec, power.Question(side, level), rng)
            for side in ("over", "pass")
        )
        ends = {"alpha": level, "low": low, "high": max(low, high), "lows": [[level, low]]}
        rows.append({**template, "bits": {**template["bits"], **ends}})
    return rows


def stopped(rows: list[dict], looks: tuple[int, ...], limit: float) -> tuple[str, int]:
    """Return the verdict that a run stops with, and the rounds that it has played."""
    status = INCONCLUSIVE
    for look, row in enumerate(rows, 1):
        document = {"channels": [row], "looks": {"rounds": list(looks), "look": look}}
        status = judge(document, {"membership": limit}).status
        if status != INCONCLUSIVE:
            return status, looks[look - 1]
    return status, looks[-1]


def most(count: int, runs: int) -> float:
    """Return the upper Clopper–Pearson limit of a share at 99 %."""
    return 1.0 if count == runs else float(beta.ppf(0.99, count + 1, runs - count))


def show(name: str, law: verdicts.Law, looks: tuple[int, ...], runs: int, seed: int) -> bool:
    """Print one channel's line; return whether both shares of wrong runs are at most alpha."""
    rng = np.random.default_rng(spawn(seed, name, len(looks)))
    limits = {multiple * law.bits for multiple in (*WITHIN, *ABOVE)}
    ends: dict[float, list[tuple[str, int]]] = {limit: [] for limit in limits}
    trials = law.deal(rng)
    template, uses = verdicts.row(trials), len(trials) // looks[-1]
    for _ in range(runs):
        rows = rows_of(law.deal(rng), uses, looks, template, rng)
        for limit in limits:
            ends[limit].append(stopped(rows, looks, limit))

    def count(multiple: float, status: str) -> int:
        return sum(end == status for end, _ in ends[multiple * law.bits])

    def saved(multiple: float) -> str:
        played = float(np.mean([rounds for _, rounds in ends[multiple * law.bits]]))
        open_ = count(multiple, INCONCLUSIVE) / runs
        return f"{looks[-1] - played:5.1f} ({1 - played / looks[-1]:4.0%}, open {open_:4.0%})"

    over = max(count(multiple, OVER) for multiple in WITHIN)
    passed = [count(multiple, PASS) for multiple in ABOVE]
    fine = over <= ALPHA * runs + 2.33 * np.sqrt(ALPHA * (1 - ALPHA) * runs)
    fine &= max(passed) <= ALPHA * runs + 2.33 * np.sqrt(ALPHA * (1 - ALPHA) * runs)
    print(
        f"{name:31} {', '.join(map(str, looks)):20} {over / runs:6.4f} (≤ {most(over, runs):.3f})  "
        f"{' '.join(f'{share / runs:.3f}' for share in passed)} "
        f"(≤ {most(max(passed), runs):.3f})  {saved(0.5)}  {saved(2.0)}"
        + ("" if fine else "   above alpha"),
        flush=True,
    )
    return bool(fine)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--only", default="*", help="pattern of the channels' names")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    fine = True
    print(
        f"{asked.runs} runs; over: channel at its limit; pass: channel at 1.0001, 1.1, 1.25, 1.5 "
        "and 2 × its limit; rounds saved at limits of ½ and 2 × the truth"
    )
    for name, (channel, plans) in CHANNELS.items():
        for looks in plans if fnmatchcase(name, asked.only) else ():
            fine &= show(name, channel(looks[-1]), looks, asked.runs, asked.seed)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
