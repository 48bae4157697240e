"""How often the ends of ``hartley compare`` are on the wrong side of a known difference.

    python bench/compare.py [--pairs 400]
    python bench/compare.py --families 400  # how often a run is called worse, and by what change
    python bench/compare.py --families 600 --changes 0 --arms unpaired  # where nothing changed

Two channels of known bits are dealt, on the same coins, victims and records (paired) or on others.
A victim has a level of its own, which both channels share half of, and a record a difficulty of its
own. Each end is wrong in at most 5 % of pairs, where it is calibrated. The last column is the
median width of the interval, paired against not paired: what the pairing saves.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hartley.channel.compare import difference
from hartley.channel.log_gain import together
from hartley.channel.measure import point_of
from hartley.core import AnswerForm, ChannelSpec, Role, Trials, spawn
from hartley.infotheory.binary_channel import clopper_pearson

FORMS = {"score": AnswerForm.SCORE, "symbol": AnswerForm.SYMBOL, "rank": AnswerForm.RANK}
ALPHABET = {"score": 2, "symbol": 10, "rank": 100}
ALPHA = 0.05


def deal(
    form: str, strength: float, m: int, uses: int, shared: NDArray[np.float64], seed: int
) -> Trials:
    """Return the trials of one channel.

    Args:
        form: a key of ``FORMS``.
        strength: of the leak: a shift in standard deviations, or a share of answered secrets.
        m, uses: victims, and records of each; no clusters where a victim has one record.
        shared: (m, uses + 1) normal numbers of victims (first column) and records.
        seed: of the coins and of the noise of this channel alone.
    """
    coins = np.random.default_rng(spawn(int(1e6 * abs(shared[0, 0])), "coins"))
    rng = np.random.default_rng(seed)
    level = strength * np.exp(0.25 * (shared[:, :1] + rng.normal(size=(m, 1))) / np.sqrt(2))
    noise = (shared[:, 1:] + rng.normal(size=(m, uses))) / np.sqrt(2)
    k = ALPHABET[form]
    if form == "score":
        truth = coins.integers(0, 2, (m, uses))
        guess = noise + level * truth
    elif form == "symbol":
        truth = coins.integers(0, k, (m, uses))
        known = _percentile(noise) < np.minimum(level, 1.0)
        guess = np.where(known, truth, rng.integers(0, k, (m, uses)))
    else:
        truth = np.zeros((m, uses), dtype=np.int64)
        place = _percentile(noise) ** (1.0 + 2.0 * level)
        guess = 1 + np.minimum(k - 1, (k * place).astype(np.int64))
    spec = ChannelSpec(Role.TAP, FORMS[form], k, clustered=uses > 1)
    cluster = None if uses == 1 else np.repeat(np.arange(m), uses)
    return Trials(spec=spec, truth=truth.ravel(), guess=guess.ravel(), cluster=cluster)


def _percentile(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtr

    return np.asarray(ndtr(noise))


@cache
def true_bits(form: str, strength: float, *, alone: bool) -> float:
    """Return the bits of a channel, from a deal that is far larger than those of a study."""
    m, uses = (200_000, 1) if alone else (2_000, 200)
    shared = np.random.default_rng(7).normal(size=(m, uses + 1))
    return point_of(deal(form, strength, m, uses, shared, 8))


def wrong(
    form: str, strengths: tuple[float, float], m: int, uses: int, *, paired: bool, pairs: int
) -> tuple[float, float, float]:
    """Return how often the lower and the upper end are wrong, and the median width."""
    first, second = (true_bits(form, s, alone=uses == 1) for s in strengths)
    truth, low_wrong, high_wrong, widths = second - first, 0, 0, []
    for k in range(pairs):
        rng = np.random.default_rng(spawn(k, form, *strengths, m, uses))
        shared = rng.normal(size=(m, uses + 1))
        other = shared if paired else rng.normal(size=(m, uses + 1))
        a = deal(form, strengths[0], m, uses, shared, spawn(k, "first"))
        b = deal(form, strengths[1], m, uses, other, spawn(k, "second"))
        found = difference(a, b, (point_of(a), point_of(b)), paired=paired)
        low, high = found.ends(ALPHA)
        low_wrong += low > truth + 1e-9
        high_wrong += high < truth - 1e-9
        widths.append(high - low)
    return low_wrong / pairs, high_wrong / pairs, float(np.median(widths))


CASES = (
    *(("score", s, 16, 900) for s in ((0.0, 0.0), (0.5, 0.5), (0.5, 0.6), (1.0, 1.5))),
    *(("score", s, 8, 200) for s in ((0.5, 0.5), (0.5, 1.0))),
    *(("score", s, 1000, 1) for s in ((0.0, 0.0), (0.5, 0.5), (0.5, 1.0))),
    *(("symbol", s, 16, 20) for s in ((0.3, 0.3), (0.3, 0.5))),
    *(("rank", s, 16, 12) for s in ((0.5, 0.5), (0.5, 1.0))),
)


def lines(pairs: int) -> Iterator[str]:
    """Yield a table in Markdown."""
    yield "| form | strengths | victims × uses | lower wrong | upper wrong | not paired | width |"
    yield "|---|---|---|---|---|---|---|"
    for form, strengths, m, uses in CASES:
        with_pairs = wrong(form, strengths, m, uses, paired=True, pairs=pairs)
        without = wrong(form, strengths, m, uses, paired=False, pairs=pairs)
        yield (
            f"| {form} | {strengths[0]:g}, {strengths[1]:g} | {m} × {uses} | {with_pairs[0]:.1%} | "
            f"{with_pairs[1]:.1%} | {without[0]:.1%}, {without[1]:.1%} | "
            f"{with_pairs[2]:.4f}, {without[2]:.4f} |"
        )


ROWS = (*(("score", s, 16, 200) for s in (0.0, 0.3, 0.5, 0.7, 1.0, 1.5) * 2),)
"""Rows of one run."""


def called_worse(change: float, *, paired: bool, families: int) -> int:
    """Return of how many runs some row is called worse, where the last row's leak grew.

    Args:
        change: of the strength of the last row, in standard deviations.
        paired: whether the two runs have the same coins, victims and records.
        families: runs that are compared with an earlier one.
    """
    worse = 0
    for k in range(families):
        p_values = {}
        for i, (form, strength, m, uses) in enumerate(ROWS):
            rng = np.random.default_rng(spawn(k, "family", i))
            shared = rng.normal(size=(m, uses + 1))
            other = shared if paired else rng.normal(size=(m, uses + 1))
            after = strength + change * (i == len(ROWS) - 1)
            a = deal(form, strength, m, uses, shared, spawn(k, "first", i))
            b = deal(form, after, m, uses, other, spawn(k, "second", i))
            p_values[i] = difference(a, b, (point_of(a), point_of(b)), paired=paired).p_above()
        worse += bool(together(p_values, ALPHA))
    return worse


def family_lines(families: int, changes: tuple[float, ...], arms: tuple[str, ...]) -> Iterator[str]:
    """Yield how often a run of twelve rows is called worse, by the change of one row."""
    base = ROWS[-1][1]
    columns = " | ".join(f"{arm}: worse" for arm in arms)
    yield f"| change of one of {len(ROWS)} rows, bits | {columns} |"
    yield "|---" * (len(arms) + 1) + "|"
    for change in changes:
        bits = true_bits("score", base + change, alone=False) - true_bits(
            "score", base, alone=False
        )
        cells = []
        for arm in arms:
            k = called_worse(change, paired=arm == "paired", families=families)
            low, high = (float(end) for end in clopper_pearson(k, families, ALPHA / 2))
            cells.append(f"{k} of {families}: {k / families:.3f} [{low:.3f}, {high:.3f}]")
        yield f"| {bits:.3f} | {' | '.join(cells)} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--families", type=int, default=0)
    parser.add_argument("--changes", type=float, nargs="+", default=(0.0, 0.1, 0.2, 0.4))
    parser.add_argument("--arms", nargs="+", default=("paired", "unpaired"))
    given = parser.parse_args()
    families = family_lines(given.families, tuple(given.changes), tuple(given.arms))
    for line in families if given.families else lines(given.pairs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
