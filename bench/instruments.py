"""How often bounds of other tools and of Hartley pass the truth, on channels whose truth is known.

    python bench/instruments.py [--scale 1.0] [--seed 0]

Each line replays one formula on fresh draws and counts how often what it prints passes the truth,
with the 99 % Clopper–Pearson interval of that rate. The nominal level is 5 % everywhere. Exact
truths are those of ``tests/channel/channels.json``. The formulas of others are written here from
what their documents and papers state:

- PrivacyGuard (Meta): ε is the maximum over all thresholds of log((1 − FN⁺ − δ)/FP⁺) and of its
  mirror image, FN⁺ and FP⁺ being pointwise two-sided 95 % Clopper–Pearson ends.
- jax-privacy 2.0.0, ``epsilon_from_gdp``: μ is the largest |Φ⁻¹(1 − FP⁺) − Φ⁻¹(FN⁺)| over all
  thresholds with both ends below 1 − δ, without a correction for their number (arXiv:2302.07956).
- garak 0.17: percentiles of the bootstrapped rate of successful attempts, from 30 attempts.
- The code of arXiv:2411.11195: scores under attack are flagged by their own mean and standard
  deviation. What is counted is that it finds fewer than half of what separates without error.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from coverage_rows import ALPHA, Rng, Row, times
from scipy.special import betaincinv, ndtri

from hartley.channel.bounds.score_audit import certify_scores
from hartley.channel.readouts.symbol import fano_lower
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.core import ChannelSpec
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.infotheory.differential_privacy import epsilon_of_mu

DELTA = 1e-5
CASES = Path(__file__).parents[1] / "tests" / "channel" / "channels.json"
Scores = tuple[np.ndarray, np.ndarray]
Draw = Callable[[Rng, int], Scores]


def errors(positives: np.ndarray, negatives: np.ndarray, level: float) -> Scores:
    """Upper ends of both errors at every threshold, each at ``level``."""
    cuts = np.unique(np.concatenate([positives, negatives]))
    n1, n0 = len(positives), len(negatives)
    missed = np.searchsorted(np.sort(positives), cuts)
    flagged = n0 - np.searchsorted(np.sort(negatives), cuts)
    return tuple(
        np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - level), 1.0)
        for k, n in ((missed, n1), (flagged, n0))
    )


def pointwise_maximum(positives: np.ndarray, negatives: np.ndarray) -> float:
    fn, fp = errors(positives, negatives, ALPHA / 2)
    ratio = max(((1 - fn - DELTA) / fp).max(), ((1 - fp - DELTA) / fn).max())
    return max(0.0, math.log(max(ratio, 1e-30)))


def uncorrected_gaussian(positives: np.ndarray, negatives: np.ndarray) -> float:
    fn, fp = errors(positives, negatives, ALPHA / 2)
    usable = np.maximum(fn, fp) < 1 - DELTA
    if not usable.any():
        return 0.0
    return epsilon_of_mu(float(np.abs(-ndtri(fp[usable]) - ndtri(fn[usable])).max()), DELTA)


def certified(positives: np.ndarray, negatives: np.ndarray, of: str) -> float:
    scores = ScorePair.split(positives, negatives)
    return certify_scores(scores, ChannelSpec(), delta=DELTA, of=(of,))[0][of]


EPSILONS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "PrivacyGuard, ε": pointwise_maximum,
    "jax-privacy 2.0.0, ε": uncorrected_gaussian,
    "Hartley, ε": lambda p, n: certified(p, n, "epsilon"),
    "Hartley, Gaussian ε": lambda p, n: epsilon_of_mu(certified(p, n, "mu"), DELTA),
}

GAUSSIAN = ("jax-privacy 2.0.0, ε", "Hartley, Gaussian ε")
"""They assume a Gaussian trade-off, so they are not judged on other mechanisms."""


def gaussian(mu: float) -> Draw:
    return lambda rng, n: (rng.normal(mu, 1, n), rng.normal(size=n))


def laplace(rng: Rng, n: int) -> Scores:
    return rng.laplace(1, 1, n), rng.laplace(0, 1, n)


def response(rng: Rng, n: int) -> Scores:
    right = 1 / (1 + math.exp(-1))
    return (rng.random(n) < right) * 1.0, (rng.random(n) > right) * 1.0


def ties(rng: Rng, n: int) -> Scores:
    return np.round(rng.normal(size=n)), np.round(rng.normal(size=n))


def heavy(rng: Rng, n: int) -> Scores:
    return rng.standard_t(2, n), rng.standard_t(2, n)


def epsilons(scale: float, rng: Rng, exact: dict[str, dict[str, float]]) -> Iterator[Row]:
    """ε above the truth: 0 on three nulls, the proved ε of three mechanisms."""
    nulls = {"null, normal": gaussian(0), "null, ties": ties, "null, t₂": heavy}
    sizes = (200, 1000)
    cases = [(f"{name}, {n} a side", draw, n, 0.0) for name, draw in nulls.items() for n in sizes]
    cases.append(("null, normal, 5000 a side", gaussian(0), 5000, 0.0))
    laplace_truth = exact["C26-laplace"]["epsilon"] + 2 * math.log1p(-DELTA)
    right = exact["C28-rr"]["p_truth"]
    cases += [
        ("C30 μ = 1, 1000 a side", gaussian(1), 1000, exact["C30-gdp1"]["epsilon_at_delta"]),
        ("C26 Laplace ε = 1, 1000 a side", laplace, 1000, laplace_truth),
        (
            "C28 response ε = 1, 1000 a side",
            response,
            1000,
            math.log((right - DELTA) / (1 - right)),
        ),
    ]
    for case, draw, n, truth in cases:
        draws = times(1000 if n < 5000 else 400, scale)
        wrong = dict.fromkeys(EPSILONS, 0)
        for _ in range(draws):
            scores = draw(rng, n)
            for name, formula in EPSILONS.items():
                wrong[name] += formula(*scores) > truth + 1e-9
        for name, count in wrong.items():
            if name not in GAUSSIAN or truth == 0.0 or "μ" in case:
                yield Row(name, case, draws, count)


def bootstrap(right: int, n: int, rng: Rng) -> tuple[float, float]:
    rates = rng.binomial(n, right / n, 2000) / n
    return float(np.percentile(rates, 2.5)), float(np.percentile(rates, 97.5))


def rates(scale: float, rng: Rng, exact: dict[str, dict[str, float]]) -> Iterator[Row]:
    """The true rate outside the printed interval."""
    cases = {
        "C07 FPR .001": 0.001,
        "C43 success .0148": exact["C43-bon"]["mean_single_asr"],
        "C07 TPR .05": 0.05,
        "C01 error .11": 0.11,
        "C09 accuracy .7": 0.7,
    }
    for case, truth in cases.items():
        for n in (50, 200):
            draws, wrong = times(2000, scale), [0, 0]
            for right in rng.binomial(n, truth, draws):
                ends = bootstrap(int(right), n, rng), clopper_pearson(int(right), n, ALPHA / 2)
                for k, (low, high) in enumerate(ends):
                    wrong[k] += not low <= truth <= high
            for name, count in zip(("garak, rate", "Hartley, rate"), wrong, strict=True):
                yield Row(name, f"{case}, n = {n}", draws, count)


def flags(rate1: float, rate0: float) -> Draw:
    return lambda rng, n: ((rng.random(n) < rate1) * 1.0, (rng.random(n) < rate0) * 1.0)


def bits(scale: float, rng: Rng, exact: dict[str, dict[str, float]]) -> Iterator[Row]:
    """Certified bits above the bits of an exact channel."""
    cases: dict[str, tuple[Draw, float]] = {
        "C01 BSC": (flags(0.89, 0.11), exact["C01-bsc"]["mi_at_prior"]),
        "C05 Z": (flags(0.7, 0.0), exact["C05-z"]["mi_uniform"]),
        "C07 TPR .05, FPR .001": (flags(0.05, 0.001), exact["C07-mia-lowfpr"]["mi_uniform"]),
        "C18 BPSK 0 dB": (gaussian(2), exact["C18-bpsk-0db"]["capacity"]),
        "C25 uniform noise": (
            lambda rng, n: (rng.uniform(0.25, 1.75, n), rng.uniform(-0.75, 0.75, n)),
            exact["C25-uniform-noise"]["mi"],
        ),
        "C26 Laplace": (laplace, exact["C26-laplace"]["mi_uniform"]),
        "C28 response": (response, exact["C28-rr"]["mi_uniform"]),
        "C30 μ = 1": (gaussian(1), exact["C30-gdp1"]["mi_uniform"]),
    }
    draws = times(1000, scale)
    for case, (draw, truth) in cases.items():
        wrong = sum(certified(*draw(rng, 500), "bits") > truth + 1e-9 for _ in range(draws))
        yield Row("Hartley, bits", f"{case}, 500 a side", draws, wrong)
    right, truth = rng.binomial(500, 0.7, draws), exact["C09-kary"]["mi_uniform"]
    wrong = sum(fano_lower(int(k), 500, 10) > truth for k in right)
    yield Row("Hartley, bits", "C09 K = 10, n = 500", draws, wrong)


def detectors(scale: float, rng: Rng, exact: dict[str, dict[str, float]]) -> Iterator[Row]:
    """Less than half found of an attack that clean scores separate without error."""
    del exact
    draws, own, ours = times(1000, scale), 0, 0
    for _ in range(draws):
        attacked, clean = gaussian(12)(rng, 500)
        cut = np.percentile((clean - clean.mean()) / clean.std(), 95)
        own += float(((attacked - attacked.mean()) / attacked.std() > cut).mean()) < 0.5
        ours += certified(attacked, clean, "advantage") < 0.5
    case = "separated by 12 deviations, 500 a side"
    yield Row("arXiv:2411.11195, z", case, draws, own)
    yield Row("Hartley, advantage", case, draws, ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    exact = {case["id"]: case["expected"] for case in json.loads(CASES.read_text())["cases"]}
    rng = np.random.default_rng(settings.seed)
    print("| instrument | channel | draws | passes the truth | 99 % interval |")
    print("|---|---|---|---|---|")
    for suite in (epsilons, rates, bits, detectors):
        for row in suite(settings.scale, rng, exact):
            low, high = (float(end) for end in clopper_pearson(row.wrong, row.draws, 0.005))
            name = f"**{row.suite}**" if low > ALPHA else row.suite
            print(
                f"| {name} | {row.case} | {row.draws} | {row.wrong / row.draws:.1%} "
                f"| {low:.1%}–{high:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
