"""Coverage of the reproduction number's interval on branching processes whose number is known.

    python -m bench.reproduction [--simulations 2000]

Each simulation has several outbreaks that begin with one individual. Individuals infect Poisson or
geometric numbers of others, at steps drawn from the infectious period. ``generations``: the first
five generations are counted, all of which are whole. ``stopped``: the record ends after 12 steps,
when most outbreaks go on; counted is who was infected while fewer than eight were, and whose
period of 3 steps was seen whole, as in the game of infection.
"""

from __future__ import annotations

import argparse

import numpy as np

from hartley.infotheory.reproduction import counted, reproduction

NUMBERS = (0.5, 0.8, 1.0, 1.3, 2.0)
LAWS = ("poisson", "geometric")
OUTBREAKS = (10, 30, 100)
GENERATIONS, WINDOW, END, EARLY = 5, 3, 11, 8
MOST = 64
"""Individuals of a stopped outbreak that are drawn: far more than can count."""


def offspring(law: str, mean: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how many others each of ``count`` individuals infects."""
    if law == "poisson":
        return rng.poisson(mean, count)
    return rng.geometric(1 / (1 + mean), count) - 1


def whole(law: str, mean: float, rng: np.random.Generator) -> list[int]:
    """Return the numbers of an outbreak's first generations."""
    out, size = [], 1
    for _ in range(GENERATIONS):
        numbers = offspring(law, mean, size, rng)
        out += numbers.tolist()
        size = int(numbers.sum())
    return out


def stopped(law: str, mean: float, rng: np.random.Generator) -> list[int]:
    """Return what is counted of an outbreak whose record ends while it goes on."""
    times, by, k = [0], [-1], 0
    while k < len(times) and k < MOST:
        if times[k] <= END:
            number = int(offspring(law, mean, 1, rng)[0])
            times += (times[k] + rng.integers(1, WINDOW + 1, number)).tolist()
            by += [k] * number
        k += 1
    seen = [i for i, t in enumerate(times) if t <= END]
    place = {i: j for j, i in enumerate(seen)} | {-1: -1}
    return counted(
        [times[i] for i in seen],
        [place[by[i]] for i in seen],
        end=END,
        window=WINDOW,
        most_before=EARLY,
    )


def main() -> None:
    """Print the coverage and the median width of every cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("record       law        outbreaks  " + "  ".join(f"R = {r:<14g}" for r in NUMBERS))
    worst = 1.0
    for name, draw in (("generations", whole), ("stopped", stopped)):
        for law in LAWS:
            for size in OUTBREAKS:
                cells = []
                for mean in NUMBERS:
                    rng = np.random.default_rng([given.seed, size, int(100 * mean), len(law)])
                    inside, widths, values = 0, [], []
                    for _ in range(given.simulations):
                        found = reproduction([draw(law, mean, rng) for _ in range(size)])
                        inside += found.low <= mean <= found.high
                        widths.append(found.high - found.low)
                        values.append(found.value)
                    share = inside / given.simulations
                    worst = min(worst, share)
                    cells.append(f"{share:.4f} {np.median(widths):5.2f} {np.mean(values):5.2f}")
                print(f"{name:12} {law:10} {size:9}  " + "  ".join(cells), flush=True)
    print(f"least coverage {worst:.4f} (coverage, median width, mean of the estimate in each cell)")


if __name__ == "__main__":
    main()
