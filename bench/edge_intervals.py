"""How often two intervals of a chain's edge leave the truth out: K1·K2, and the gain in AUC.

    python bench/edge_intervals.py [--runs 400] [--seed 0] [--only product|auc]

*Product.* A secret of k candidates is read of the loot by each victim with a share of its own, and what is read is
handed on with another share; both differ from victim to victim, independently or together. The truth is the quantity that
is named: bits of the product of the two *pooled* matrices (symmetric channels, in closed form). Where both shares rise
together the chain itself carries more than that. *AUC.* Scores of ``bench/compare.py``; a victim with the shift d has an
AUC of Φ(d/√2), and the truth is the mean over victims yet to come of the difference. Each end may be wrong in 2.5 %.
"""  # noqa: E501

from __future__ import annotations

import argparse
import math

import compare
import numpy as np
from scipy.stats import beta, norm

from hartley.core import AnswerForm, ChannelSpec, Role, Trials, spawn
from hartley.engine.result.edge_gain import auc_gain, product

SPREAD = 0.25
LEVELS = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
"""Levels of victims yet to come."""
PRODUCTS = tuple(
    (k, shares, m, uses, together)
    for k, shares, m, uses in (
        (2, (0.9, 0.9), 16, 40),
        (2, (0.5, 0.5), 16, 40),
        (2, (0.0, 0.9), 16, 40),
        (4, (0.8, 0.8), 16, 40),
        (10, (0.9, 0.9), 16, 40),
        (10, (0.8, 0.5), 16, 20),
        (10, (0.8, 0.8), 8, 20),
        (10, (0.3, 0.3), 16, 40),
        (10, (0.0, 0.8), 16, 40),
        (10, (0.8, 0.8), 32, 10),
    )
    for together in (False, True)
    if not (together and min(shares) == 0.0)
)
AUCS = (
    ((0.0, 0.0), 8, 40),
    ((0.0, 0.0), 16, 200),
    ((0.3, 1.0), 8, 40),
    ((0.5, 0.5), 16, 12),
    ((1.0, 3.0), 16, 40),
    ((3.0, 6.0), 8, 40),
    ((3.0, 6.0), 16, 200),
)


def limits(count: int, n: int) -> str:
    """A share with Clopper–Pearson limits at 99 %."""
    low = 0.0 if count == 0 else beta.ppf(0.005, count, n - count + 1)
    high = 1.0 if count == n else beta.ppf(0.995, count + 1, n - count)
    return f"{count / n:.3f} ({low:.3f}–{high:.3f})"


def mean_share(share: float) -> float:
    """The mean over victims of a share."""
    return float(np.minimum(share * np.exp(SPREAD * LEVELS), 1.0).mean())


def true_product(k: int, shares: tuple[float, float]) -> float:
    """Bits of a symmetric channel that hands the symbol on in both pooled stages."""
    right = math.prod(mean_share(share) for share in shares)
    right += (1 - right) / k
    wrong = (1 - right) / (k - 1)
    parts = [right * math.log2(right)] + [(1 - right) * math.log2(wrong)] * (wrong > 0)
    return math.log2(k) + sum(parts)


def chain(
    k: int, shares: tuple[float, float], m: int, uses: int, together: bool, rng: np.random.Generator
) -> Trials:
    levels = rng.normal(size=(2, m, 1))
    if together:
        levels[1] = levels[0]
    first, second = (
        rng.random((m, uses)) < np.minimum(share * np.exp(SPREAD * level), 1.0)
        for share, level in zip(shares, levels, strict=True)
    )
    truth, *noise = rng.integers(0, k, (3, m, uses))
    observed = np.where(first, truth, noise[0])
    guess = np.where(second, observed, noise[1])
    spec = ChannelSpec(Role.TAP, AnswerForm.SYMBOL, k, clustered=True)
    return Trials(
        spec, truth.ravel(), guess.ravel(), cluster=np.repeat(np.arange(m), uses),
        observed=observed.ravel(),
    )  # fmt: skip


def products(runs: int, seed: int) -> None:
    print(
        "| candidates | shares | victims × uses | shares rise together | truth, bits | runs | "
        "low above it (99 %) | high below it (99 %) | mean value | width |"
    )
    print("|---:|---|---|---|---:|---:|---:|---:|---:|---:|")
    for k, shares, m, uses, together in PRODUCTS:
        truth, above, below, values, widths = true_product(k, shares), 0, 0, [], []
        for run in range(runs):
            rng = np.random.default_rng(spawn(seed, "product", k, *shares, m, uses, run))
            found = product(chain(k, shares, m, uses, together, rng))
            assert found is not None and found["low"] is not None
            above += found["low"] > truth + 1e-9
            below += found["high"] < truth - 1e-9
            values.append(found["value"])
            widths.append(found["high"] - found["low"])
        print(
            f"| {k} | {shares[0]:g}, {shares[1]:g} | {m} × {uses} | "
            f"{'yes' if together else 'no'} | "
            f"{truth:.3f} | {runs} | {limits(above, runs)} | {limits(below, runs)} | "
            f"{np.mean(values):.3f} | {np.median(widths):.3f} |",
            flush=True,
        )


def mean_auc(strength: float) -> float:
    return float(norm.cdf(strength * np.exp(SPREAD * LEVELS) / math.sqrt(2)).mean())


def aucs(runs: int, seed: int) -> None:
    print(
        "| strengths | victims × uses | true gain in AUC | runs | low above it (99 %) | "
        "high below it (99 %) | mean value | width |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for strengths, m, uses in AUCS:
        truth = mean_auc(strengths[1]) - mean_auc(strengths[0])
        above, below, values, widths = 0, 0, [], []
        for run in range(runs):
            rng = np.random.default_rng(spawn(seed, "auc", *strengths, m, uses, run))
            shared = rng.normal(size=(m, uses + 1))
            arms = [
                compare.deal("score", strength, m, uses, shared, spawn(seed, run, str(k)))
                for k, strength in enumerate(strengths)
            ]
            found = auc_gain(arms[0], arms[1])
            above += found["low"] > truth + 1e-9
            below += found["high"] < truth - 1e-9
            values.append(found["value"])
            widths.append(found["high"] - found["low"])
        print(
            f"| {strengths[0]:g}, {strengths[1]:g} | {m} × {uses} | {truth:.4f} | {runs} | "
            f"{limits(above, runs)} | {limits(below, runs)} | {np.mean(values):.4f} | "
            f"{np.median(widths):.4f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("product", "auc"))
    options = parser.parse_args()
    if options.only != "auc":
        products(options.runs, options.seed)
        print()
    if options.only != "product":
        aucs(options.runs, options.seed)


if __name__ == "__main__":
    main()
