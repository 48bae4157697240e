"""Guessed symbols and ranks whose bits are known in closed form, and how they are measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from coverage_cases import Asked, Case, Ends
from coverage_rows import Rng
from scipy.special import xlogy

from hartley.channel.readouts.rank import measure_rank
from hartley.channel.readouts.symbol import measure_symbol
from hartley.channel.trials.validate import Columns
from hartley.core import AnswerForm, ChannelSpec

Array = np.ndarray
LN2 = math.log(2.0)


@dataclass(frozen=True)
class Guesser:
    """A channel from K symbols to a guess.

    Attributes:
        alphabet: K.
        right: (K,) chance of a right answer by class.
        abstains: (K,) chance of none; wrong answers are spread evenly.
        classes: (K,) shares of the classes where nobody drew them, or None: planted, uniform.
        m, spread: clusters (0: independent rows), and the spread of their logit of being right.
        constant: every guess is symbol 0, whatever the secret.
    """

    alphabet: int
    right: Array
    abstains: Array
    classes: Array | None = None
    m: int = 0
    spread: float = 0.0
    constant: bool = False

    def draw(self, n: int, rng: Rng) -> tuple[Array, Array, Array | None]:
        """Secrets, guesses (−1: none) and clusters."""
        k = self.alphabet
        if self.classes is None:
            secret = rng.integers(0, k, n)
        else:  # a table that nobody drew; each of its classes has a row
            seen = np.flatnonzero(self.classes)
            secret = np.append(seen, rng.choice(k, n - len(seen), p=self.classes))
            secret = rng.permutation(secret)
        cluster = np.arange(n) * self.m // n if self.m else None
        right = self.right[secret] / np.maximum(1.0 - self.abstains[secret], 1e-12)
        if cluster is not None and self.spread:
            logit = np.log(right / (1 - right)) + self.spread * rng.normal(size=self.m)[cluster]
            right = 1 / (1 + np.exp(-logit))
        wrong = (secret + rng.integers(1, k, n)) % k
        guess = np.where(rng.random(n) < right, secret, wrong)
        if self.constant:
            guess = np.zeros(n, int)
        return secret, np.where(rng.random(n) < self.abstains[secret], -1, guess), cluster

    def truth(self, n: int) -> float:
        """Bits a use, classes weighing alike, of what a row of n uses reads."""
        k = self.alphabet
        present = np.ones(k, bool) if self.classes is None else self.classes > 0
        right, abstains = self.right[present], self.abstains[present]
        if self.spread:
            answered = 1.0 - abstains[0]
            logit = math.log(right[0] / (answered - right[0]))
            nodes, weights = np.polynomial.hermite_e.hermegauss(80)
            rates = 1 / (1 + np.exp(-(logit + self.spread * nodes)))
            right = np.full_like(right, answered * float(rates @ weights / weights.sum()))
        wrong = 1.0 - right - abstains
        if k == 2:
            if self.constant:
                return 0.0
            table = np.array([[right[0], wrong[0], abstains[0]], [wrong[1], right[1], abstains[1]]])
            return float((xlogy(table, table) - xlogy(table, table.mean(0))).sum()) / 2 / LN2
        bits = 0.0
        hit, miss = (1 / k, 1 - 1 / k) if self.constant else (right.mean(), wrong.mean())
        total = hit + miss
        k = int(present.sum())  # classes that no row has are no secrets
        if hit / total > 1 / k + 1e-12:
            bits = (xlogy(hit, hit / total * k) + xlogy(miss, miss / total * k / (k - 1))) / LN2
        if n >= 20 * k * k and abstains.any() and k > 1:
            share = abstains / abstains.sum()
            bits += abstains.mean() * (math.log2(k) + float(xlogy(share, share).sum()) / LN2)
        return float(bits)

    def read(self, n: int, rng: Rng) -> Ends:
        secret, guess, cluster = self.draw(n, rng)
        return symbol_ends(secret, guess, cluster, self.alphabet, self.classes is None, rng)


def symbol_ends(
    secret: Array, guess: Array, cluster: Array | None, k: int, planted: bool, rng: Rng
) -> Ends:
    spec = ChannelSpec(
        form=AnswerForm.SYMBOL, alphabet=k, planted=planted, clustered=cluster is not None
    )
    columns = Columns(secret, guess, None, cluster, planted)
    columns = columns.with_one_use_per_coin(AnswerForm.SYMBOL)
    reading = measure_symbol(
        columns.truth, columns.guess, columns.cluster, spec, rng, full=False, certify=True
    )
    most = math.log2(k)
    value = min(max(reading.point, reading.lower), most)
    return Ends(reading.lower, value, min(max(reading.high, value), most))


def even(k: int, accuracy: float, abstains: float = 0.0) -> tuple[Array, Array]:
    return np.full(k, accuracy * (1 - abstains)), np.full(k, abstains)


def skewed(k: int) -> Array:
    """Shares of classes, the first of which is far more frequent than the others."""
    shares = np.ones(k)
    shares[0] += 0.6 * k
    return np.asarray(shares / shares.sum())


def symbols() -> Iterator[Case]:
    """Symbols, planted and not: guesses, abstentions, classes and clusters."""
    for k in (2, 3, 10, 100):
        for accuracy in (1 / k, 0.6):
            yield from plain(k, accuracy)
            yield from in_clusters(k, accuracy)
        yield from special(k)
    for k in (2, 3):
        for users, each in ((20, 50), (100, 10)):
            for mixed in (False, True):
                yield Case(
                    f"K={k}, one coin a user, {users} × {each}, null"
                    + (", one user mixed" if mixed else ""),
                    0.0,
                    lambda rng, k=k, u=users, e=each, x=mixed: one_coin(k, u, e, x, rng),
                    200,
                )


def guess_case(name: str, guesser: Guesser, n: int, asked: Asked | None = None) -> Case:
    if asked is None:
        asked = Asked(bias=0.1 if n >= 10_000 else None)
    truth, runs = guesser.truth(n), 200 if n < 10_000 else 60
    return Case(f"{name}, n={n}", truth, lambda rng: guesser.read(n, rng), runs, asked)


def plain(k: int, accuracy: float) -> Iterator[Case]:
    what = "null" if accuracy == 1 / k else f"right {accuracy}"
    for classes in (None, skewed(k)):
        name = f"K={k}, {'planted' if classes is None else 'skewed'}, {what}"
        for n in (40, 300, 1000, 10_000):
            if classes is None or n in (300, 10_000):
                yield guess_case(name, Guesser(k, *even(k, accuracy), classes), n)
        silent = Guesser(k, *even(k, accuracy, 0.4), classes)
        yield guess_case(f"{name}, 40 % abstain", silent, 3000)


def in_clusters(k: int, accuracy: float) -> Iterator[Case]:
    what = "null" if accuracy == 1 / k else f"right {accuracy}"
    for m in (8, 64):
        for classes in (None, skewed(k)):
            name = f"K={k}, {'planted' if classes is None else 'skewed'}, {what}, m={m}"
            yield guess_case(name, Guesser(k, *even(k, accuracy), classes, m), 1280)
        if what != "null":
            apart = Guesser(k, *even(k, accuracy), None, m, 0.5)
            yield guess_case(f"K={k}, planted, {what}, m={m}, rates apart", apart, 1280)


def special(k: int) -> Iterator[Case]:
    """Constant guesses, classes that no row has, abstentions that tell the class."""
    never = np.zeros(k)
    yield guess_case(
        f"K={k}, planted, constant guess", Guesser(k, never, never, constant=True), 3000
    )
    if k > 3:
        few = np.where(np.arange(k) < k * 7 // 10, 1.0, 0.0)
        seen = Guesser(k, *even(k, 1 / few.sum()), few / few.sum())
        yield guess_case(f"K={k}, {few.sum():.0f} classes seen and guessed", seen, 3000)
    if k < 100:
        tell = np.where(np.arange(k) == 0, 0.8, 0.1)
        told = Guesser(k, (1 - tell) / k, tell)
        yield guess_case(f"K={k}, telling abstentions", told, 2000, Asked(low=0.0))
        yield guess_case(f"K={k}, telling abstentions", told, 10_000, Asked(low=0.0, bias=0.1))
        rare = np.full(k, 0.95 / (k - 1))
        rare[-1] = 0.05
        silent = Guesser(k, never, np.full(k, 0.02), rare, constant=True)
        yield guess_case(f"K={k}, rare class, constant guess, 2 % abstain", silent, 2000)


def one_coin(k: int, users: int, each: int, mixed: bool, rng: Rng) -> Ends:
    """An independent coin and guess a user, copied over their rows."""
    secret = np.repeat(rng.integers(0, k, users), each)
    guess = np.repeat(rng.integers(0, k, users), each)
    secret[0], secret[-1] = 0, 1
    if mixed:
        secret[: each // 2] = 1 - secret[0]
    elif each > 1:
        secret[:each], secret[-each:] = 0, 1
    return symbol_ends(secret, guess, np.repeat(np.arange(users), each), k, False, rng)


def rank_law(name: str, candidates: int) -> Array:
    r = np.arange(1, candidates + 1)
    law = {
        "uniform": np.ones(candidates),
        "∝ 1/rank": 1.0 / r,
        "geometric": 0.7 ** (r - 1.0),
    }[name]
    return law / law.sum()


def read_ranks(law: Array, n: int, rng: Rng, m: int = 0) -> Ends:
    rank = np.searchsorted(law.cumsum(), rng.random(n)) + 1
    rank = np.minimum(rank, len(law))
    spec = ChannelSpec(form=AnswerForm.RANK, alphabet=len(law), clustered=m > 0)
    cluster = np.arange(n) * m // n if m else None
    reading = measure_rank(rank, cluster, spec, rng, full=False, certify=True)
    most = math.log2(len(law))
    value = min(max(reading.point, reading.lower), most)
    return Ends(reading.lower, value, min(max(reading.high, value), most))


def ranks() -> Iterator[Case]:
    """Ranks of the true secret."""
    for name in ("uniform", "∝ 1/rank", "geometric"):
        for candidates in (100, 10_000):
            law = rank_law(name, candidates)
            truth = max(0.0, math.log2(candidates) + float(xlogy(law, law).sum()) / LN2)
            truth = 0.0 if name == "uniform" else truth
            for n in (16, 64, 640, 10_000):
                for m in (0, 16):
                    if m and n < 64:
                        continue
                    least = 0.8 if name == "∝ 1/rank" and n == 640 and not m else None
                    yield Case(
                        f"{name}, R={candidates}, n={n}" + (f", m={m}" if m else ""),
                        truth,
                        lambda rng, law=law, n=n, m=m: read_ranks(law, n, rng, m),
                        200 if n < 10_000 else 60,
                        Asked(low=least, bias=0.1 if n == 10_000 else None),
                    )
