"""How often the limits of an edge's gain are on the wrong side of the truth.

    python bench/gains.py [--pairs 300] [--seed 0]

Pairs of channels of known bits are dealt as in ``bench/compare.py``, on the same coins, victims and
records; the second is what the same attack reads with a loot. Each limit of the quotient may
be wrong in 2.5 % of pairs. Beside it: how often the difference is wrong where there is no quotient
(nothing certified of the first, or too uncertain), and, of 12 edges without any gain, how often one
is called above.
"""

from __future__ import annotations

import argparse

import compare
import numpy as np
from scipy.stats import beta

from hartley.channel.log_gain import log_gain, together
from hartley.channel.measure import measure
from hartley.core import spawn

CASES = (
    *(("score", s, 8, 200) for s in ((0.3, 0.3), (0.5, 0.5), (0.5, 1.0), (0.5, 2.0))),
    *(("score", s, 16, 200) for s in ((0.2, 0.2), (0.3, 1.0), (1.0, 1.5))),
    *(("symbol", s, 8, 40) for s in ((0.3, 0.3), (0.2, 0.6))),
    *(("rank", s, 16, 12) for s in ((0.5, 0.5), (0.5, 1.0))),
)
FAMILY = 12


def limits(count: int, n: int) -> str:
    if not n:
        return "–"
    low = 0.0 if count == 0 else beta.ppf(0.005, count, n - count + 1)
    high = 1.0 if count == n else beta.ppf(0.995, count + 1, n - count)
    return f"{count / n:.3f} ({low:.3f}–{high:.3f})"


def run(
    form: str, strengths: tuple[float, float], m: int, uses: int, *, pairs: int, seed: int
) -> str:
    first, second = (compare.true_bits(form, s, alone=uses == 1) for s in strengths)
    wrong, wrong_difference, logs, widths, p_values = [0, 0], [0, 0], 0, [], []
    for k in range(pairs):
        rng = np.random.default_rng(spawn(seed + k, form, *strengths, m, uses))
        shared = rng.normal(size=(m, uses + 1))
        a = compare.deal(form, strengths[0], m, uses, shared, spawn(k, "first"))
        b = compare.deal(form, strengths[1], m, uses, shared, spawn(k, "second"))
        read = [measure(trials).bits for trials in (a, b)]
        found = log_gain(a, b, (read[0].value, read[1].value), certified=read[0].lower, paired=True)
        is_log = found.scale == "log2"
        truth = np.log2(second / first) if is_log else second - first
        side = wrong if is_log else wrong_difference
        logs += is_log
        side[0] += found.low is not None and found.low > truth + 1e-9
        side[1] += found.high is not None and found.high < truth - 1e-9
        if is_log and None not in (found.low, found.high):
            widths.append(found.high - found.low)
        p_values.append(found.p_above)
    alone = ""
    if strengths[0] == strengths[1]:
        groups = len(p_values) // FAMILY
        calls = sum(
            bool(together(dict(enumerate(p_values[FAMILY * g : FAMILY * (g + 1)]))))
            for g in range(groups)
        )
        alone = limits(calls, groups)
    width = f"{np.median(widths):.2f}" if widths else "–"
    others = pairs - logs
    return (
        f"| {form} | {strengths[0]:g}, {strengths[1]:g} | {m} × {uses} | {second / first:.2f} | "
        f"{logs} | {limits(wrong[0], logs)} | {limits(wrong[1], logs)} | {width} | "
        f"{limits(sum(wrong_difference), others)} | {alone or '–'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        "| form | strengths | victims × uses | true quotient | quotients | low above it (99 %) | "
        "high below it (99 %) | width, log2 | difference wrong | one of 12 null edges above |"
    )
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for form, strengths, m, uses in CASES:
        print(run(form, strengths, m, uses, pairs=options.pairs, seed=options.seed), flush=True)


if __name__ == "__main__":
    main()
