"""How often the certified bounds are wrong: the coverage suites, full size.

    python bench/coverage.py [--scale 1.0] [--only PATTERN] [--seed 0]

Each line draws a channel whose truth is known, measures it, and counts how often the bound passed
the truth. A line fails when even the 99 % Clopper–Pearson lower limit of that rate exceeds alpha.
``tests/channel/test_coverage.py`` runs the same suites, smaller.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from coverage_dependent import bootstrap, cascades, clustered, peeking
from coverage_rows import ALPHA, Rng, Row, Suite, times

from hartley.channel.bounds import cluster_code, one_run_dp, two_rates
from hartley.channel.bounds.prequential import cluster_gains
from hartley.channel.bounds.score_audit import certify_scores
from hartley.channel.readouts import many_symbols, rank
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.core import AnswerForm, ChannelSpec
from hartley.infotheory import binary_channel, surprisal


# (1) null: whatever the estimator, certified bits about nothing are 0.
def null(scale: float, rng: Rng) -> Iterator[Row]:
    for n in (50, 500, 5000):
        draws = times(2000, scale)
        wrong = dict.fromkeys(("score", "symbol", "erasures", "rank", "clusters", "surprisal"), 0)
        for _ in range(draws):
            truth, score = rng.integers(0, 2, n), rng.normal(size=n)
            guess, k = rng.integers(0, 10, n), rng.integers(0, 10, n)
            cluster = np.arange(n) * 10 // n
            wrong["score"] += score_lower(truth, score, "bits") > 0
            wrong["symbol"] += many_symbols.fano_lower(int((guess == k).sum()), n, 10) > 0
            answered = int((guess % 2).sum())
            right = int(((guess == k) & (guess % 2 == 1)).sum())
            wrong["erasures"] += many_symbols.erasure_lower(right, answered, n, 10) > 0
            ranks = rng.integers(1, 1001, n)
            spec = ChannelSpec(form=AnswerForm.RANK, alphabet=1000)
            wrong["rank"] += (
                rank.measure_rank(ranks, None, spec, rng, full=False, certify=True).lower > 0
            )
            gain = cluster_code.score_gains(
                truth, score, cluster, rng, exchangeable=False, ranges=True
            )
            code = cluster_gains(truth, score, cluster, 1, rng, exchangeable=False)
            wrong["clusters"] += code.lower(ALPHA) > 0
            wrong["surprisal"] += float(gain.sum()) > math.log2(1 / ALPHA)
        for name, count in wrong.items():
            yield Row("(1) null", f"{name}, n={n}", draws, int(count))


def score_lower(truth: np.ndarray, score: np.ndarray, what: str, delta: float = 1e-5) -> float:
    return certify_scores(ScorePair.of(truth, score), ChannelSpec(), delta=delta, of=(what,))[0][
        what
    ]


# (2) E1 on a grid of channels, every functional at once.
def grid(scale: float, rng: Rng) -> Iterator[Row]:
    rates = (0.002, 0.02, 0.1, 0.3, 0.6, 0.95)
    for n in (40, 300, 3000):
        draws, worst = times(20_000, scale), {}
        # All functionals share one region; the dear ones are only tried where tables are small.
        names = binary_channel.FUNCTIONALS if n == 40 else ("bits", "capacity", "advantage")
        for a in rates:
            for b in rates:
                pairs, count = np.unique(
                    np.column_stack([rng.binomial(n, a, draws), rng.binomial(n, b, draws)]),
                    axis=0,
                    return_counts=True,
                )
                found = two_rates.lower(pairs[:, 0], n, pairs[:, 1], n, ALPHA, delta=0.0, of=names)
                bad = np.zeros(len(pairs), dtype=bool)
                for name in names:
                    truth = float(binary_channel.functional(name)(np.array(a), np.array(b)))
                    if a <= b:
                        truth = 0.0
                    bad |= found[name] > truth + 1e-9
                worst[a, b] = int(count[bad].sum())
        at = max(worst, key=worst.__getitem__)
        yield Row("(2) E1", f"36 channels, n={n}, worst {at}", draws, worst[at])


# (3) ε and μ of mechanisms whose privacy is known, over all declared levels.
def mechanisms(scale: float, rng: Rng) -> Iterator[Row]:
    draws = times(2000, scale)
    for n in (200, 1000):
        cases: list[tuple[str, str, float, Callable[[np.ndarray], np.ndarray]]] = [
            ("Laplace ε=1", "epsilon", 1.0, lambda t: t + rng.laplace(size=len(t))),
            ("Laplace ε=0", "epsilon", 0.0, lambda t: rng.laplace(size=len(t))),
            (
                "randomised response ε=1",
                "epsilon",
                1.0,
                lambda t: np.where(rng.random(len(t)) < 1 / (1 + math.exp(-1)), t, 1 - t),
            ),
            ("Gaussian μ=1", "mu", 1.0, lambda t: t + rng.normal(size=len(t))),
            ("Gaussian μ=0.2", "mu", 0.2, lambda t: 0.2 * t + rng.normal(size=len(t))),
        ]
        for name, what, limit, mechanism in cases:
            wrong = 0
            for _ in range(draws):
                truth = np.repeat([0, 1], n)
                seen = mechanism(truth).astype(float)
                wrong += score_lower(truth, seen, what, delta=0.0) > limit + 1e-9
            yield Row("(3) ε, μ", f"{name}, n={n} a class", draws, int(wrong))
        wrong = 0
        for _ in range(draws):
            coins = rng.integers(0, 2, n)
            flip = rng.random(n) > 1 / (1 + math.exp(-1))
            right = int((np.where(flip, 1 - coins, coins) == coins).sum())
            wrong += one_run_dp.epsilon_lower(n, n, right, ALPHA) > 1.0
        yield Row("(3) ε, μ", f"one run, randomised response ε=1, m={n}", draws, int(wrong))


# (4) Fano with Clopper–Pearson on K-ary symmetric channels, where it is an equality.
def fano(scale: float, rng: Rng) -> Iterator[Row]:
    draws = times(20_000, scale)
    for k in (2, 10, 1000, 2**20):
        for accuracy in (0.6, 0.95):
            for n in (30, 300):
                right = rng.binomial(n, accuracy, draws)
                seen, count = np.unique(right, return_counts=True)
                low = np.array([many_symbols.fano_lower(int(c), n, k) for c in seen])
                bad = low > float(many_symbols.fano(accuracy, k)) + 1e-12
                yield Row("(4) Fano", f"K={k}, accuracy {accuracy}, n={n}", draws, count[bad].sum())
    for answered, accuracy, n in ((0.3, 0.6, 100), (0.9, 0.9, 40), (0.05, 1.0, 300)):
        draws, wrong = times(2000, scale), 0
        truth = answered * float(many_symbols.fano(accuracy, 10))
        for _ in range(draws):
            got = rng.binomial(n, answered)
            wrong += many_symbols.erasure_lower(rng.binomial(got, accuracy), got, n, 10) > truth
        yield Row(
            "(4) Fano", f"erasures: answered {answered}, right {accuracy}, n={n}", draws, wrong
        )


# (5) surprisal: all-or-nothing leaks of a block, and guessers who choose what to answer.
def surprise(scale: float, rng: Rng) -> Iterator[Row]:
    draws = times(20_000, scale)
    for m, q in ((100, 0.04), (100, 0.049), (30, 0.02)):
        leak = math.log2(2**m * q + (1 - q))
        lower = {
            c: surprisal.certificate(surprisal.log2_binomial_tail(c, m, 0.5), ALPHA).lower
            for c in range(m + 1)
        }
        right = np.where(rng.random(draws) < q, m, rng.binomial(m, 0.5, draws))
        wrong = sum(int((right == c).sum()) for c, low in lower.items() if low > leak)
        yield Row("(5) E4", f"block of {m} bits leaks w.p. {q}", draws, wrong)
    # A guesser who sees whether the block leaked, and answers one question only where it did not.
    for q in (0.04, 0.049):
        leak = math.log2(2**100 * q + (1 - q))
        leaked = rng.random(draws) < q
        full = surprisal.certificate(-100.0, ALPHA).lower
        one = surprisal.certificate(-1.0, ALPHA).lower
        wrong = int((np.where(leaked, full, one) > leak).sum())
        yield Row("(5) E4", f"abstains unless the block leaked, w.p. {q}", draws, wrong)


# (6) exposure: sums of log-ranks of secrets that were never planted.
def gamma(scale: float, rng: Rng) -> Iterator[Row]:
    draws = times(20_000, scale)
    for n, r in ((1, 1000), (8, 50), (8, 10**6), (200, 1000)):
        wrong = 0
        for _ in range(draws // 4):
            ranks = rng.integers(1, r + 1, n)
            tail = surprisal.log2_exposure_tail(ranks, r)
            wrong += (surprisal.certificate(tail, ALPHA).lower or 0.0) > 0
        yield Row("(6) exposure", f"{n} canaries of {r} candidates", draws // 4, wrong)


SUITES: dict[str, Suite] = {
    "null": null,
    "grid": grid,
    "mechanisms": mechanisms,
    "fano": fano,
    "surprise": surprise,
    "gamma": gamma,
    "peeking": peeking,
    "clustered": clustered,
    "bootstrap": bootstrap,
    "cascades": cascades,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    failed = 0
    for name, suite in SUITES.items():
        if args.only not in name:
            continue
        started = time.perf_counter()
        for row in suite(args.scale, np.random.default_rng([args.seed, len(name)])):
            print(row, flush=True)
            failed += not row.ok
        print(f"{'':12} {name}: {time.perf_counter() - started:.1f} s", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
