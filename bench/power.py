"""Does the number that ``hartley plan --power`` names settle the limit? Fresh runs say how often.

    python bench/power.py [--runs 200] [--only PATTERN] [--seed 0]

For each channel a pilot is dealt, at limits of half and twice the true bits a number of clusters is
forecast from the pilot as the command does it, and fresh runs of that size are dealt from the
channel itself. At least 90 % must be settled: over, at half of the truth, and within, at twice it.

Limits on metrics are at half and twice of what the metric has above its value without a leak (½ for
AUC). Their channels are resampled from the pilot; a number of checks that share "over" is tried,
too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import verdicts
from scipy.optimize import brentq
from scipy.special import ndtr

from hartley.channel import metric_power, power
from hartley.channel.bounds.degenerate_intervals import rounds_interval
from hartley.channel.measure import measure
from hartley.channel.trials.validate import check_columns
from hartley.core import Trials, spawn
from hartley.engine.plan.power import doubted
from hartley.infotheory.surprisal import expected_exposure, exposure

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


@dataclass(frozen=True)
class Metric:
    """A metric whose true value is known.

    Attributes:
        deal: trials of a number of clusters, rounds or rows.
        name: of the metric.
        value: the true one.
        few: clusters of the pilot.
        chance: the value where nothing leaks.
        tests: checks that share the level of "over".
    """

    deal: Callable[[int, np.random.Generator], Trials]
    name: str
    value: float
    few: int
    chance: float = 0.0
    tests: int = 1


def _scores(uses: int, shift: float, level: float) -> Callable[[int, np.random.Generator], Trials]:
    return lambda m, rng: verdicts.scores(m, uses, shift, level).deal(rng)


def _shifts(shift: float, level: float) -> Sequence[float]:
    return (shift * (1.0 - level), shift * (1.0 + level))


def _auc(shift: float, level: float) -> float:
    """Of all members and all others, whose shifts are those of their own clusters."""
    pairs = [a + b for a in _shifts(shift, level) for b in _shifts(shift, level)]
    return float(np.mean([ndtr(both / 2 / np.sqrt(2)) for both in pairs]))


def _tpr(shift: float, level: float, fpr: float = 0.01) -> float:
    both = np.array(_shifts(shift, level)) / 2
    cut = brentq(lambda x: float(ndtr(-(x + both)).mean()) - fpr, -9, 9)
    return float(ndtr(both - cut).mean())


def _by_round(draw: Callable[[int, np.random.Generator], np.ndarray]):
    """Trials of one guessed symbol a round, whose judge gives a figure for each."""

    def deal(m: int, rng: np.random.Generator) -> Trials:
        trials = verdicts.symbols(m, 1, 10, 0.5).deal(rng)
        return replace(trials, metrics_by_round={"figure": tuple(draw(m, rng).tolist())})

    return deal


def _exposure() -> float:
    law = np.arange(1.0, 101) ** -1.0
    return float((law / law.sum() * exposure(np.arange(1, 101), 100)).sum())


METRICS: dict[str, Metric] = {
    "AUC, 1 use, shift 0.5": Metric(_scores(1, 0.5, 0), "auc", _auc(0.5, 0), 1000, 0.5),
    "AUC, 1 use, shift 0.5, 6 checks": Metric(
        _scores(1, 0.5, 0), "auc", _auc(0.5, 0), 1000, 0.5, 6
    ),
    "AUC, 64 uses, shift 0.5 ± 30%": Metric(_scores(64, 0.5, 0.3), "auc", _auc(0.5, 0.3), 16, 0.5),
    "AUC, 900 uses, shift 0.5 ± 30%": Metric(
        _scores(900, 0.5, 0.3), "auc", _auc(0.5, 0.3), 16, 0.5
    ),
    "TPR@1%, 1 use, shift 1": Metric(_scores(1, 1, 0), "tpr_at_fpr_1e2", _tpr(1, 0), 4000),
    "TPR@1%, 1 use, shift 1, 6 checks": Metric(
        _scores(1, 1, 0), "tpr_at_fpr_1e2", _tpr(1, 0), 4000, tests=6
    ),
    "TPR@1%, 64 uses, shift 1 ± 30%": Metric(
        _scores(64, 1, 0.3), "tpr_at_fpr_1e2", _tpr(1, 0.3), 64
    ),
    "TPR@1%, 900 uses, shift 0.5 ± 30%": Metric(
        _scores(900, 0.5, 0.3), "tpr_at_fpr_1e2", _tpr(0.5, 0.3), 16
    ),
    "accuracy, 4 uses, 40% of 10": Metric(
        lambda m, rng: verdicts.symbols(m, 4, 10, 0.4).deal(rng), "accuracy", 0.4, 32, 0.1
    ),
    "exposure, 4 uses of 100 candidates": Metric(
        lambda m, rng: verdicts.ranks(m, 4, 100).deal(rng),
        "exposure",
        _exposure(),
        16,
        expected_exposure(100),
    ),
    "rate by round, mean .3": Metric(
        _by_round(lambda m, rng: rng.beta(1.5, 3.5, m)), "figure", 0.3, 16
    ),
    "rate by round, 8 of each, 4 checks": Metric(
        _by_round(lambda m, rng: rng.binomial(8, 0.3, m) / 8), "figure", 0.3, 16, tests=4
    ),
    "count by round, mean 2": Metric(_by_round(lambda m, rng: rng.poisson(2.0, m)), "figure", 2, 8),
}
"""Metrics of channels, and the pilot's number of clusters."""


def metric_of(trials: Trials, name: str, rng: np.random.Generator) -> Mapping[str, Any]:
    """Return a metric with its interval, without the bits."""
    source = metric_power.resampled(trials, name)
    if isinstance(source, metric_power.Rounds):
        return rounds_interval(source.values, source.spec.alpha)
    metric = source.of(source.columns, rng)
    assert metric is not None
    return metric


def metrics(runs: int, only: str, seed: int) -> bool:
    """Print the channels' lines with limits on metrics; return whether the promise is kept."""
    fine = True
    for name, kind in METRICS.items():
        if not fnmatchcase(name, only):
            continue
        truth = kind.value - kind.chance
        for multiple in (0.5, 2.0):
            rng = np.random.default_rng(spawn(seed, name, multiple))
            limit, results = kind.chance + multiple * truth, []
            for _ in range(PILOTS):
                need, planned = forecast(kind, limit, rng)
                results.append((need, planned, fresh(kind, need, limit, runs // PILOTS, rng)))
            needs = [need.clusters for need, *_ in results]
            share = float(np.mean([share for *_, share in results]))
            fine &= show(
                name,
                multiple,
                kind.few,
                float(np.median([planned for _, planned, _ in results]) - kind.chance) / truth,
                f"{min(needs)}–{max(needs)}",
                share,
            )
    return fine


PILOTS = 10
"""Pilots of each channel with a limit on a metric, among which its fresh runs are shared."""


def forecast(kind: Metric, limit: float, rng: np.random.Generator) -> tuple[power.Need, float]:
    """Return what a new pilot says is needed, and the value that it plans for."""
    pilot = kind.deal(kind.few, rng)
    metric = metric_of(pilot, kind.name, rng)
    excess = {
        end: metric[of] - kind.chance
        for end, of in (("point", "value"), ("low", "low"), ("high", "high"))
    }
    top = excess["high"] if metric["high"] == 1.0 else None
    planned = kind.chance + doubted(excess, limit - kind.chance, top)
    source = metric_power.resampled(pilot, kind.name)
    need = metric_power.needed(source, limit, planned=planned, chance=kind.chance, tests=kind.tests)
    return need, planned


def fresh(
    kind: Metric, need: power.Need, limit: float, runs: int, rng: np.random.Generator
) -> float:
    """Return the share of fresh runs of the size needed that are settled."""
    over = need.side == "over"
    count = 0
    for _ in range(runs if need.side else 0):
        trials = kind.deal(need.clusters, rng)
        alpha = trials.spec.alpha
        question = power.Question(need.side, alpha / kind.tests if over else alpha)
        end = metric_power.settling_end(metric_of(trials, kind.name, rng), question, alpha)
        count += end > limit if over else end <= limit
    return count / runs


def show(name: str, multiple: float, few: int, planned: float, clusters: str, share: float) -> bool:
    """Print a line; return whether the number settles as many runs as it promises."""
    lack = "" if share >= 0.9 else "   fewer than promised"
    print(
        f"{name:36} {multiple:11g} {few:6} {planned:11.2f} × {clusters:>13} {share:8.3f}{lack}",
        flush=True,
    )
    return share >= 0.9


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
    print(
        "channel                              limit/truth  pilot       planned  clusters  settled"
    )
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
            fine &= show(name, multiple, few, planned / law.bits, str(need.clusters), float(share))
    fine &= metrics(asked.runs, asked.only, asked.seed)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
