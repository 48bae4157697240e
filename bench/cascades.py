"""How often does a chain that is what it says break its proved bound, and how often is a side
channel noticed?

    python bench/cascades.py [--runs 1000] [--n 300,1000] [--seed 0]

Every run draws two random stages, plays n secrets through both, certifies the bits end to end as
``hartley measure`` does, and compares them with the proved upper bound of the two stages. Without
a side channel at most 5 % may break it. With one, a share of the secrets passes round both stages.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy.stats import beta

from hartley.channel.measure import measure
from hartley.core import AnswerForm, ChannelSpec, Trials
from hartley.infotheory import closed_forms
from hartley.infotheory.channel_matrix import cascade, mutual_information
from hartley.infotheory.compositions import link_of, triple

KINDS = ("lossless second stage", "symmetric stages", "random stages", "second stage asks anew")
SIDES = (0.0, 0.1, 0.3, 0.6)


def stages(kind: str, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if kind == "random stages":
        return rng.dirichlet(np.full(k, 0.3), k), rng.dirichlet(np.full(k, 0.3), k)
    first = closed_forms.symmetric(k, rng.uniform(1 / k, 0.95))
    if kind == "lossless second stage":
        return first, np.eye(k)
    return first, closed_forms.symmetric(k, rng.uniform(1 / k, 0.95))


def through(w: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(len(x))[:, None] > np.cumsum(w[x], 1)).sum(1)


def run(kind: str, n: int, side: float, runs: int, seed: int) -> str:
    breaks, gaps = 0, []
    for r in range(runs):
        rng = np.random.default_rng([seed, n, r, int(100 * side), *kind.encode()])
        k = int(rng.integers(2, 6))
        w1, w2 = stages(kind, k, rng)
        truth = rng.integers(0, k, n)
        middle = through(w1, truth, rng)
        if kind == KINDS[3]:  # an answer to a question of its own, where the first is doubted
            again = through(w2, truth, rng)
            end = np.where(rng.random(n) < 0.5, middle, again)
            links = [link_of(w1, fresh=1), link_of(w2, fresh=1)]
        else:
            end = through(w2, middle, rng)
            links = [link_of(w1, fresh=1), link_of(w2)]
            exact = mutual_information(cascade(w1, w2))
            gaps.append(triple(links, math.log2(k)).upper.value - exact)
        end = np.where(rng.random(n) < side, truth, end)
        trials = Trials(ChannelSpec(form=AnswerForm.SYMBOL, alphabet=k), truth, end)
        found = triple(links, math.log2(k), end_to_end=measure(trials).bits)
        breaks += found.violation
    low = 0.0 if not breaks else beta.ppf(0.005, breaks, runs - breaks + 1)
    high = 1.0 if breaks == runs else beta.ppf(0.995, breaks + 1, runs - breaks)
    gap = f"{np.median(gaps):.3f}" if gaps else "–"
    share = f"{breaks / runs:.3f} | {low:.3f}–{high:.3f}"
    return f"| {kind} | {n} | {side:.0%} | {runs} | {share} | {gap} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--n", default="300,1000")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| stages | n | round both | runs | broken | 99 % | bound − bits (median) |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        for n in map(int, options.n.split(",")):
            for side in SIDES:
                runs = options.runs if not side else max(20, options.runs // 5)
                print(run(kind, n, side, runs, options.seed), flush=True)


if __name__ == "__main__":
    main()
