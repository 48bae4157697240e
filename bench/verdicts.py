"""Do two audits of one system agree? Pairs of independent re-deals, judged by ``hartley gate``.

    python bench/verdicts.py [--scale 0.1] [--only PATTERN] [--scene] [--seed 0]

Each line is a channel whose bits a use are known, at the number of victims and uses that its game
ships with. It is dealt twice (victims, coins and answers new), measured by ``measure`` as
``hartley measure`` does, and both rows are judged by ``judge`` at limits of a quarter to four times
the truth. Printed are, for each limit, the shares of runs that pass, are inconclusive and are over,
and the share of pairs of which one passes and the other is over.

The last lines are whole plans: 23 channels exactly at their limits (how often is the run over?),
and 22 far below with one at 1.5 times its limit (how often does the run pass?).

``--scene`` plays a real, cheap scene instead: the demo's digits, each deal with its own seed. The
truth is not known there; the mean of the points of all deals takes its place.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from hartley.channel.measure import measure
from hartley.core import AnswerForm, ChannelSpec, Trials, spawn
from hartley.engine.result.document import measured
from hartley.engine.result.gate import INCONCLUSIVE, OVER, PASS, judge
from hartley.infotheory import closed_forms, gaussian

PAIRS = 1000
LIMITS = (0.25, 0.5, 0.7, 0.85, 1.0, 1.15, 1.4, 2.0, 4.0)
"""Limits, as multiples of the true bits."""
SETTLED = (0.5, 2.0)
"""At these multiples at most a fifth of runs may be inconclusive."""
Rng = np.random.Generator


@dataclass(frozen=True)
class Law:
    """A channel: its true bits a use and how to draw trials of it."""

    name: str
    bits: float
    deal: Callable[[Rng], Trials]


def scores(victims: int, uses: int, shift: float, level: float) -> Law:
    """Members' scores are higher by a shift, which is larger or smaller by ``level`` in a victim.

    The bits are those of a reader who does not know the victim's own shift.
    """

    def deal(rng: Rng) -> Trials:
        n = victims * uses
        cluster = np.repeat(np.arange(victims), uses)
        truth = rng.integers(0, 2, n)
        spread = shift * (1.0 + level * rng.choice([-1.0, 1.0], victims))
        score = rng.normal(size=n) + truth * spread[cluster] - spread[cluster] / 2
        spec = ChannelSpec(clustered=victims < n, planted=True)
        return Trials(spec, truth, score, cluster=cluster if victims < n else None)

    signals = [shift * (1.0 + level), shift * (1.0 - level)]
    name = f"scores, {victims} × {uses}, shift {shift:g}" + (f" ± {level:.0%}" if level else "")
    return Law(name, _mixture(signals) if level else _shift(shift), deal)


def _shift(d: float) -> float:
    return float(gaussian.bpsk_capacity(d * d / 4))


def _mixture(shifts: Sequence[float]) -> float:
    """Bits of a score whose shift is one of several, which the reader does not know."""
    x = np.linspace(-12, 12, 48_001)
    ones, zeros = (
        np.mean([np.exp(-((x - sign * d / 2) ** 2) / 2) for d in shifts], axis=0)
        for sign in (1.0, -1.0)
    )
    both = (ones + zeros) / 2
    gain = [np.where(p > 0, p * np.log2(np.maximum(p, 1e-300) / both), 0.0) for p in (ones, zeros)]
    return float(np.trapezoid((gain[0] + gain[1]) / 2, x) / np.sqrt(2 * np.pi))


def symbols(victims: int, uses: int, k: int, right: float) -> Law:
    """Guesses among ``k`` are right with chance ``right``, wrong ones uniform."""

    def deal(rng: Rng) -> Trials:
        n = victims * uses
        truth = rng.integers(0, k, n)
        wrong = (truth + rng.integers(1, k, n)) % k
        guess = np.where(rng.random(n) < right, truth, wrong)
        clustered = uses > 1
        spec = ChannelSpec(form=AnswerForm.SYMBOL, alphabet=k, clustered=clustered)
        cluster = np.repeat(np.arange(victims), uses) if clustered else None
        return Trials(spec, truth, guess, cluster=cluster)

    bits = float(closed_forms.symmetric_capacity(k, right))
    return Law(f"symbols, {victims} × {uses}, 1 of {k}, {right:.0%} right", bits, deal)


def ranks(victims: int, uses: int, candidates: int, power: float = 1.0) -> Law:
    """The secret's rank has chance ∝ rank^−power."""
    law = np.arange(1.0, candidates + 1) ** -power
    law /= law.sum()

    def deal(rng: Rng) -> Trials:
        n = victims * uses
        rank = 1 + rng.choice(candidates, n, p=law)
        spec = ChannelSpec(form=AnswerForm.RANK, alphabet=candidates, clustered=True)
        truth = np.zeros(n, np.int64)
        return Trials(spec, truth, rank, cluster=np.repeat(np.arange(victims), uses))

    bits = float(np.log2(candidates) + (law * np.log2(law)).sum())
    return Law(f"ranks, {victims} × {uses}, {candidates} candidates, 1/rank^{power:g}", bits, deal)


def channels() -> list[Law]:
    """Return one or two channels for each answer form, at sizes that games ship with."""
    return [
        scores(1000, 1, 1.0, 0.0),
        scores(10_000, 1, 0.5, 0.0),
        scores(16, 900, 0.5, 0.0),
        # Between victims of the digits the shift of the calibrated loss, .43, varies by 0–12 %.
        scores(16, 900, 0.5, 0.12),
        symbols(16, 32, 10, 0.7),
        symbols(32, 4, 10, 0.6),
        symbols(48, 1, 10, 0.7),
        # Canaries of the digits nearly all rank first; of clothes (1.8 bits) it is near to 1/rank.
        ranks(16, 4, 100, 2.0),
        ranks(16, 12, 100, 1.0),
    ]


def row(trials: Trials, name: str = "a") -> dict[str, Any]:
    """Return the row that a run document would have of these trials."""
    common = {"id": name, "attack": name, "class": "membership", "game": "membership"}
    return {**common, "axis": None, "baseline": True, **measured(trials, measure(trials))}


def verdict(row: dict[str, Any], limit: float) -> str:
    """Return what the gate says of a run that has this row alone."""
    return judge({"channels": [row]}, {"membership": limit}).status


def tally(
    rows: Sequence[dict[str, Any]], bits: float
) -> Iterator[tuple[float, Counter[str], float]]:
    """Yield for each limit the verdicts of all rows, and the share of contradicting pairs."""
    for multiple in LIMITS:
        verdicts = [verdict(row, multiple * bits) for row in rows]
        pairs = list(zip(verdicts[::2], verdicts[1::2], strict=True))
        contrary = sum(set(pair) == {PASS, OVER} for pair in pairs) / len(pairs)
        yield multiple, Counter(verdicts), contrary


def show(name: str, bits: float, rows: Sequence[dict[str, Any]]) -> bool:
    """Print one channel's lines; return whether they are as the docs promise."""
    n, fine = len(rows), True
    flagged = sum(bool(r["flags"]) for r in rows)
    print(f"\n{name}: {bits:.4f} bit, {n // 2} pairs, {flagged} rows flagged")
    print("  limit/truth     pass  inconclusive   over   pairs {pass, over}   by the shares")
    for multiple, verdicts, contrary in tally(rows, bits):
        open_ = verdicts[INCONCLUSIVE] / n
        # The two deals are independent, so all runs together say how often they contradict.
        by_shares = 2 * verdicts[PASS] * verdicts[OVER] / n**2
        marks = ["pairs"] * (by_shares > 0.01) + ["open"] * (multiple in SETTLED and open_ > 0.2)
        fine &= not marks
        print(
            f"  {multiple:11g} {verdicts[PASS] / n:8.3f} {open_:13.3f} {verdicts[OVER] / n:6.3f} "
            f"{contrary:20.4f} {by_shares:15.4f}"
            + (f"   above what is promised: {', '.join(marks)}" if marks else "")
        )
    return fine


def families(runs: int, seed: int) -> bool:
    """Print the plans of 23 channels; return whether their errors are within 5 %."""
    at_limit, over, passes = scores(16, 64, 0.8, 0.0), 0, 0
    quiet = scores(16, 64, 0.0, 0.0)
    # Plans are drawn out of measured rows, since 23 rows are one plan and one row is not.
    pool, null = (
        [row(law.deal(rng)) for _ in range(max(69, runs))]
        for law, rng in ((at_limit, np.random.default_rng(seed)), (quiet, np.random.default_rng(1)))
    )
    rng, alone, plans = np.random.default_rng(seed + 1), 0, 2000
    limit = at_limit.bits
    for _ in range(plans):
        several = [
            pool[i] | {"id": f"r{k}"} for k, i in enumerate(rng.choice(len(pool), 23, False))
        ]
        alone += any(r["bits"]["low"] > limit for r in several)
        over += judge({"channels": several}, {"membership": limit}).status == OVER
        loud = pool[rng.integers(len(pool))] | {"id": "loud"}
        others = [null[i] | {"id": f"r{k}"} for k, i in enumerate(rng.choice(len(null), 22, False))]
        passes += judge({"channels": [loud, *others]}, {"membership": limit / 1.5}).status == PASS
    print(f"\nplans of 23 channels, drawn {plans} times from {len(pool)} rows of each kind")
    print(f"  all at their limits: over in {over / plans:.3f}", end=" ")
    print(f"(of {alone / plans:.3f} a row alone is above)")
    print(f"  one at 1.5 × its limit: passes in {passes / plans:.3f}")
    return over / plans <= 0.05 and passes / plans <= 0.05


def scene(pairs: int, seed: int) -> bool:
    """Deal membership on the digits again and again: new victims, coins and reference models."""
    from hartley import play

    fine = True
    for attack, params in (("loss_threshold", {}), ("calibrated_loss", {"references": 4})):
        rows = [
            row(play(attack, "digits", seed=spawn(seed, attack, k) % 2**31, **params))
            for k in range(2 * pairs)
        ]
        mean = float(np.mean([r["bits"]["point"] for r in rows]))
        fine &= show(f"digits, {attack}", mean, rows)
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of 1,000 pairs")
    parser.add_argument("--only", default="*", help="pattern of the channels' names")
    parser.add_argument("--scene", action="store_true", help="play the digits instead")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    pairs = max(4, round(PAIRS * asked.scale))
    if asked.scene:
        sys.exit(not scene(pairs, asked.seed))
    fine = True
    for law in channels():
        if not fnmatchcase(law.name, asked.only):
            continue
        began = time.process_time()
        rng = np.random.default_rng(spawn(asked.seed, law.name))
        fine &= show(law.name, law.bits, [row(law.deal(rng)) for _ in range(2 * pairs)])
        print(f"  {(time.process_time() - began) / (2 * pairs):.2f} s of processor a row")
    if asked.only in ("*", "plans"):
        fine &= families(pairs, asked.seed)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
