"""Would "over" by one betting process, at every round and without shares of alpha, stop earlier?

    python bench/looks_by_code.py [--runs 1000] [--seed 0] [--code-alone]

The certified bound of clustered scores is the bet of ``bounds.prequential``: readers learn from
the clusters before, and the wealth against "at most μ bits" is a non-negative supermartingale. Two
things keep it from being one over looks: the weight of the hedge follows from the last number of
clusters, and the bound is at most a t limit of all clusters. Here the weight is that of the last
look, which the plan declares, at every round; the t limit is left out, which can only make the
process stop earlier. Printed beside the looks of ``bench/looks.py``: how often it is over at its
limit, and at half of the truth the mean round at which it is over, each way of judging alone.
"""

from __future__ import annotations

import argparse
import math

import looks as declared
import numpy as np
import verdicts
from scipy.stats import beta

from hartley.channel import power
from hartley.channel.bounds.prequential import cluster_gains
from hartley.channel.trials.validate import check_columns
from hartley.core import Trials, spawn
from hartley.infotheory.e_values import BETS, LN2, PRIOR

ALPHA, USES = declared.ALPHA, 32
PLANS = ((8, 16, 32), (8, 12, 16, 24, 32), (16, 32, 64))
SPREADS = (0.0, 0.3)


def wealth(log_ratios: np.ndarray, uses: int, last: int, limit: float) -> np.ndarray:
    """Return the log wealth after each cluster but the first, against "at most ``limit`` bits"."""
    share = 1.0 - ALPHA ** (1.0 / (last - 1))
    hedge = math.log2(share / (1.0 + share))
    rest = math.log2(-math.expm1(hedge * LN2))
    gains = np.logaddexp2(hedge, rest + log_ratios[1:]).mean(1) / uses
    stakes = np.outer(BETS, (gains - limit) / (limit - hedge / uses))
    with np.errstate(divide="ignore"):
        paths = np.cumsum(np.log1p(np.maximum(stakes, -1.0)), 1)
    return np.log(PRIOR @ np.exp(paths))


def first_over(path: np.ndarray) -> int | None:
    """Return the clusters after which the wealth is 1/alpha, or None."""
    over = np.flatnonzero(path >= math.log(1.0 / ALPHA))
    return int(over[0]) + 2 if over.size else None


def looked(
    trials: Trials, looks: tuple[int, ...], limit: float, rng: np.random.Generator, *, share: bool
) -> int | None:
    """Return the clusters of the first look whose certified bound is above the limit, or None."""
    for rounds in looks:
        part = declared.at_look(trials, USES, rounds, len(looks) if share else 1)
        question = power.Question("over", part.spec.alpha)
        if power.settling_end(check_columns(part), part.spec, question, rng) > limit:
            return rounds
    return None


def line(name: str, runs: int, null: int, stops: list[int | None], last: int) -> None:
    """Print one way: its false verdicts with a 99 % interval, and the rounds that it took."""
    low, high = (
        0.0
        if null == 0 and q < 0.5
        else float(beta.ppf(q, null + (q > 0.5), runs - null + (q < 0.5)))
        for q in (0.005, 0.995)
    )
    rounds = np.array([last if stop is None else stop for stop in stops], float)
    error = rounds.std(ddof=1) / math.sqrt(runs)
    print(
        f"  {name:34} over at its limit {null / runs:6.3f} ({low:.3f}–{high:.3f})   "
        f"rounds at ½ ×  {rounds.mean():5.1f} ± {1.96 * error:.1f}   "
        f"open {sum(stop is None for stop in stops) / runs:4.0%}",
        flush=True,
    )


WAYS = ("looks, alpha shared", "looks, alpha not shared", "code, at the looks", "code, every round")


def show(plan: tuple[int, ...], spread: float, runs: int, seed: int, ways: tuple[str, ...]) -> None:
    """Print ways of judging one plan."""
    last = plan[-1]
    law = verdicts.scores(last, USES, 1.0, spread)
    rng = np.random.default_rng(spawn(seed, "by code", last, len(plan), spread))
    null, stops = dict.fromkeys(ways, 0), {way: [] for way in ways}
    for _ in range(runs):
        trials = law.deal(rng)
        gains = cluster_gains(
            trials.truth, trials.guess, trials.cluster, 1, rng, exchangeable=False
        ).log_ratios
        for multiple in (1.0, 0.5):
            limit = multiple * law.bits
            path = wealth(gains, USES, last, limit)
            reached = [t for t in plan if path[t - 2] >= -math.log(ALPHA)]
            for way in ways:
                if way.startswith("looks"):
                    stop = looked(trials, plan, limit, rng, share=way == WAYS[0])
                else:
                    stop = first_over(path) if way == WAYS[3] else next(iter(reached), None)
                if multiple == 1.0:
                    null[way] += stop is not None
                else:
                    stops[way].append(stop)
    print(f"{runs} runs, {USES} uses, shift 1 ± {spread:.0%}, looks {', '.join(map(str, plan))}")
    for way in ways:
        line(way, runs, null[way], stops[way], last)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--code-alone", action="store_true", help="without the looks' own bounds")
    asked = parser.parse_args()
    for plan in PLANS:
        for spread in SPREADS:
            show(plan, spread, asked.runs, asked.seed, WAYS[2:] if asked.code_alone else WAYS)


if __name__ == "__main__":
    main()
