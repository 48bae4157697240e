"""How often intervals of a success rate miss it, and how wide they are, over clusters of attempts.

    python bench/rate_intervals.py [--draws 400]

Prompts differ: the rate of each is drawn from a beta law of correlation rho between its attempts.
Compared are Clopper–Pearson over rows, as if they were independent (what a table of attempts is
usually given), a t interval over the means of prompts, and ``channel.bounds.clustered_rate``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from scipy.special import stdtrit

from hartley.channel.bounds.clustered_rate import rate_interval
from hartley.infotheory.binary_channel import clopper_pearson

CASES = [(m, rate, rho) for m in (10, 50, 200) for rate in (0.05, 0.3) for rho in (0.1, 0.5, 1.0)]
ATTEMPTS = 10


def draws(m: int, rate: float, rho: float, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield outcomes and prompts of attempts."""
    rng = np.random.default_rng([m, int(1000 * rate), int(1000 * rho)])
    prompts = np.repeat(np.arange(m), ATTEMPTS)
    for _ in range(count):
        if rho == 1.0:
            chances = (rng.random(m) < rate).astype(float)
        else:
            size = (1 - rho) / rho
            chances = rng.beta(rate * size, (1 - rate) * size, m)
        yield (rng.random(len(prompts)) < chances[prompts]).astype(float), prompts


def intervals(outcomes: np.ndarray, prompts: np.ndarray) -> list[tuple[float, float]]:
    """Return the three intervals at 95 %."""
    low, high = clopper_pearson(outcomes.sum(), len(outcomes), 0.025)
    means = np.bincount(prompts, weights=outcomes) / np.bincount(prompts)
    reach = stdtrit(len(means) - 1, 0.975) * means.std(ddof=1) / np.sqrt(len(means))
    ours = rate_interval(outcomes, prompts)
    centre = means.mean()
    return [(float(low), float(high)), (centre - reach, centre + reach), (ours.low, ours.high)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    count = parser.parse_args().draws
    print("| prompts × attempts | rate | rho | rows miss | t misses | ours miss | widths |")
    print("|---|---|---|---|---|---|---|")
    for m, rate, rho in CASES:
        ends = np.array([intervals(*drawn) for drawn in draws(m, rate, rho, count)])
        missed = ((ends[..., 0] > rate) | (ends[..., 1] < rate)).mean(0)
        widths = (ends[..., 1] - ends[..., 0]).mean(0)
        shares = " | ".join(f"{share:.1%}" for share in missed)
        sizes = ", ".join(f"{width:.3f}" for width in widths)
        print(f"| {m} × {ATTEMPTS} | {rate:g} | {rho:g} | {shares} | {sizes} |")


if __name__ == "__main__":
    main()
