"""How often does the evidence of decoys trip a group whose answers do not depend on them?

    python bench/guard_false_trips.py [--sessions 100000] [--answers 200] [--seed 0]

``law``: the exact chance that the e-process ever reaches 1/alpha within n events, by recursion over
the counts, and that rule T2 ever certifies a bit. ``sessions``: benign sessions, all at once, with
four models of what an answer names; each session that tripped, and as many that did not, are
played again by the code of the guard (``decoys.shown``, ``rules.take``), which must agree.

About a minute, one core.
"""

from __future__ import annotations

import argparse
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
from guard_charges import WARD, WORDS
from scipy.special import gammaln
from scipy.stats import beta

from hartley.guard import decoys
from hartley.guard.config import RuleSettings
from hartley.guard.rules import Evidence, take

KINDS = ("at random", "a favourite", "the likeliest so far", "the longest due")


def log2_e(k: Any, n: int, p0: float) -> Any:
    """log2 of the KT e-value after k successes in n events."""
    k = np.asarray(k, np.float64)
    mixed = gammaln(k + 0.5) + gammaln(n - k + 0.5) - gammaln(n + 1.0) - math.log(math.pi)
    return (mixed - k * math.log(p0) - (n - k) * math.log1p(-p0)) / math.log(2.0)


def law(p0: float, alpha: float, marks: tuple[int, ...]) -> list[float]:
    """The chance of a false trip within n events, for each n of ``marks``, exactly."""
    limit, start, alive = math.log2(1.0 / alpha), 0, np.array([1.0])
    tripped, out = 0.0, []
    for n in range(1, max(marks) + 1):
        step = np.zeros(len(alive) + 1)
        step[:-1] += alive * (1.0 - p0)
        step[1:] += alive * p0
        counts = np.arange(start, start + len(step))
        over = log2_e(counts, n, p0) >= limit
        tripped += float(step[over].sum())
        step[over] = 0.0
        kept = np.flatnonzero(step > 1e-25)
        start, alive = start + int(kept[0]), step[kept[0] : kept[-1] + 1]
        if n in marks:
            out.append(tripped)
    return out


def certified_from(n: int, k: int, alpha: float) -> int:
    """The least number of successes in n requests, each an event, that certifies a bit."""
    low, high = 0, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if decoys.certified_bits(middle, n, n, k, alpha) > 0.0:
            high = middle
        else:
            low = middle
    return high


def law_of_t2(k: int, alpha: float, marks: tuple[int, ...]) -> list[float]:
    """The chance that rule T2 ever certifies a bit within n events, exactly."""
    alive, tripped, out = np.array([1.0]), 0.0, []
    for n in range(1, max(marks) + 1):
        step = np.zeros(n + 1)
        step[:-1] += alive * (1.0 - 1.0 / k)
        step[1:] += alive / k
        over = np.arange(n + 1) >= certified_from(n, k, alpha)
        tripped += float(step[over].sum())
        alive = np.where(over, 0.0, step)
        if n in marks:
            out.append(tripped)
    return out


def named_by(kind: str, planted: Any, rng: np.random.Generator) -> Any:
    """What each answer names: (sessions, answers), from the values planted before it alone."""
    sessions, answers = planted.shape
    if kind == "at random":
        return rng.integers(0, 16, planted.shape, dtype=np.int8)
    if kind == "a favourite":
        return np.full_like(planted, 3)
    named = np.zeros_like(planted)
    score = np.zeros((sessions, 16), np.int32)
    rows = np.arange(sessions)
    for t in range(answers):
        if kind == "the likeliest so far":
            named[:, t] = score.argmax(1)
            score[rows, planted[:, t]] += 1
        else:
            named[:, t] = score.argmin(1)
            score[rows, planted[:, t]] = t + 1
    return named


def trips_of(success: Any, p0: float, alpha: float) -> Any:
    """Which sessions trip: (sessions,)."""
    sessions, answers = success.shape
    limit, counts = math.log2(1.0 / alpha), np.zeros(sessions, np.int32)
    tripped = np.zeros(sessions, bool)
    for t in range(answers):
        counts += success[:, t]
        table = log2_e(np.arange(t + 2), t + 1, p0) >= limit
        tripped |= table[counts]
    return tripped


def by_the_guard(planted: Any, named: Any) -> bool:
    """Whether one session trips T3 by the code of the guard."""
    settings: Any = SimpleNamespace(decoys=(WARD,), rules=RuleSettings())
    evidence, tripped = Evidence(), False
    for value, word in zip(planted, named, strict=True):
        text = [f"I would paint it {WORDS[word]}."]
        events = decoys.events(decoys.Planted((WARD,), (int(value),)), text)
        evidence.under(settings, ["ward"])
        tripped |= "T3" in take(evidence, ["ward"], events, 0)
    return tripped


def of_sessions(sessions: int, answers: int, seed: int) -> None:
    """Benign sessions, and the code of the guard on some of them."""
    rng = np.random.default_rng(seed)
    total, each = 0, sessions // len(KINDS)
    for kind in KINDS:
        planted = rng.integers(0, 16, (each, answers), dtype=np.int8)
        named = named_by(kind, planted, rng)
        tripped = trips_of(planted == named, 1 / 16, WARD.alpha)
        rest = np.flatnonzero(~tripped)[: max(25, int(tripped.sum()))]
        chosen = np.concatenate([np.flatnonzero(tripped), rest])
        again = np.array([by_the_guard(planted[s], named[s]) for s in chosen])
        assert np.array_equal(again, tripped[chosen]), "the guard disagrees"
        total += int(tripped.sum())
        print(
            f"names {kind}: false trips {tripped.sum()} of {each}; "
            f"{len(chosen)} of them by the guard too, without a difference"
        )
    n = each * len(KINDS)
    low = float(beta.ppf(0.025, total, n - total + 1)) if total else 0.0
    high = float(beta.ppf(0.975, total + 1, n - total))
    print(
        f"all: {total} of {n}: {total / n:.6f} [{low:.6f}, {high:.6f}] (two-sided, 95 %); "
        f"declared {WARD.alpha:g}; sessions of {answers} events"
    )


def of_laws() -> None:
    """Exact chances, by number of events."""
    marks = (50, 200, 1000, 10_000)
    print("exact chance of a false trip (T3) within n events, alpha .001")
    print("   K " + "".join(f"{n:>12}" for n in marks))
    for k in (2, 4, 8, 16):
        print(f"{k:4d} " + "".join(f"{chance:12.6f}" for chance in law(1 / k, 0.001, marks)))
    print("exact chance that T2 ever certifies a bit, alpha/2 = .0005, K = 16")
    few = (50, 200, 500)
    chances = law_of_t2(16, 0.0005, few)
    print("     " + ", ".join(f"{n}: {chance:.3g}" for n, chance in zip(few, chances, strict=True)))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    of_laws()
    of_sessions(options.sessions, options.answers, options.seed)


if __name__ == "__main__":
    main()
