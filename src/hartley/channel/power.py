"""How many uses settle a limit, found by simulating the measurement of a channel like a pilot's.

A ``Likeness`` draws trials of a channel that has the shape of a pilot (how its scores, guesses or
ranks are distributed, how far its clusters differ, how many uses one has) and as many bits as are
planned for: its log-likelihood ratios are scaled, so that strength 0 leaks nothing and strength 1
is the pilot's sample. The bounds of the real measurement are then computed on trials of growing
size.

Above the limit a row must certify more than it; below, its upper end must be within. Both gaps fall
about as 1/√n, so a few sizes find the number at which a row is settled in ``POWER`` of runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds.ceilings import ceiling
from hartley.channel.readouts import information
from hartley.channel.readouts.jam import measure_jam
from hartley.channel.readouts.rank import measure_rank
from hartley.channel.readouts.score import measure_score
from hartley.channel.readouts.symbol import measure_symbol
from hartley.channel.scores.monotone import class_table, fit_posterior
from hartley.channel.trials.validate import Columns, check_columns, measured_rows
from hartley.core import AnswerForm, ChannelSpec, Role, Trials
from hartley.core.errors import BadTrials

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

POWER = 0.97
"""Chance of a settled row that a number is chosen for; the promise is 0.9."""
RUNS = 24
"""Simulated measurements at each size."""
MOST = 40_000
"""Uses that are simulated; beyond, the gap is taken to fall as 1/√n."""
STEPS = 7
"""Sizes that are tried."""
NEAR = 0.05
"""Share of the limit: bits that are nearer to it than this take too many uses to be settled."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """A channel to draw trials of.

    Attributes:
        spec: the declaration: answer form, alphabet, role, error level.
        uses: uses in a cluster; 1 where rows are independent.
        bits: bits a use that it moves.
        chances: (2, secrets, outcomes) chance of each outcome given the secret, in a weak and in a
            strong cluster; two secrets, or one where they are alike.
        values: (outcomes,) the scores or guesses of two secrets; else what ``draw`` makes of them.
        reference: chance that the owner decodes right without the attack, for a jam.
        balanced: clusters have as many ones as zeros, by design.
    """

    spec: ChannelSpec
    uses: int
    bits: float
    chances: Array
    values: NDArray[Any]
    reference: float = 1.0
    balanced: bool = False

    def draw(self, clusters: int, rng: np.random.Generator) -> Columns:
        """Return the columns of trials of ``clusters`` clusters (or rows)."""
        n, k = clusters * self.uses, self.spec.alphabet
        cluster = np.repeat(np.arange(clusters), self.uses)
        strong = rng.permutation(clusters) % 2
        secret = np.zeros(n, np.int64)
        if self.chances.shape[1] == 2:
            secret = rng.integers(0, 2, n)
            if self.balanced:
                alternating = np.tile(np.arange(self.uses) % 2, clusters)
                order = np.argsort(cluster + rng.random(n), kind="stable")
                secret = alternating[order]
        outcome, u = np.empty(n, np.int64), rng.random(n)
        for level in (0, 1):
            for s in range(self.chances.shape[1]):
                here = (strong[cluster] == level) & (secret == s)
                steps = np.cumsum(self.chances[level, s])
                outcome[here] = np.searchsorted(steps / steps[-1], u[here], side="right")
        outcome = np.minimum(outcome, self.chances.shape[2] - 1)
        dependent = cluster if self.spec.clustered else None
        if self.chances.shape[1] == 2 or self.spec.form is AnswerForm.RANK:
            guess = self.values[outcome]
            return Columns(secret, guess, None, dependent)
        truth = rng.integers(0, k, n)
        wrong = (truth + rng.integers(1, k, n)) % k
        guess = np.select([outcome == 0, outcome == 1], [truth, wrong], -1)
        decoded = None
        if self.spec.role is Role.JAM:
            other = (truth + rng.integers(1, k, n)) % k
            decoded = np.where(rng.random(n) < self.reference, truth, other)
        return Columns(truth, guess, decoded, dependent)


@dataclass(frozen=True, slots=True)
class Need:
    """How many clusters (or rows) settle a row against its limit.

    Attributes:
        side: ``over`` or ``pass``; empty where the bits are too near the limit.
        clusters, uses: how many; 0 where the side is empty.
        chance: with which chance, as simulated.
        simulated: False where the number is extrapolated from a smaller one.
        reason: why the side is empty, else an empty string.
    """

    side: str
    clusters: int = 0
    uses: int = 0
    chance: float = 0.0
    simulated: bool = True
    reason: str = ""


TOO_NEAR = "its bits are too near the limit"

Shape = Callable[[float], "Array"]
"""The chances (secrets, outcomes) at a strength."""


def from_pilot(trials: Trials, point: float, bits: float | None = None) -> Likeness:
    """Return a likeness of measured trials.

    Args:
        trials: the pilot's.
        point: its measured bits a use.
        bits: bits a use to plan for; default: the point.

    Raises:
        BadTrials: the trials cannot be measured, or show no leak that could be scaled.
    """
    trials = measured_rows(trials)
    columns = check_columns(trials).with_one_use_per_coin(trials.spec.form)
    spec, cluster = trials.spec, columns.cluster
    n = len(columns.truth)
    m = n if cluster is None else int(cluster.max()) + 1
    spec = replace(spec, clustered=cluster is not None)
    truth, guess, rng = columns.truth, columns.guess, np.random.default_rng(0)
    reference, balanced = 1.0, False
    values: NDArray[Any]
    if _is_bit(spec):
        score = np.asarray(guess, np.float64)
        if spec.form is AnswerForm.SYMBOL:
            score = np.where(guess < 0, 0.5, score)
        pieces = spec.pieces if spec.form is AnswerForm.SCORE else 2
        balanced = information.exchangeable(truth, cluster, spec) and spec.planted
        rows = information.weigh(truth, score, cluster, rng, coins=spec.planted and not balanced)
        _, gains = information.in_sample(rows, pieces)
        table = class_table(truth, rows.where, rows.bins, rows.weight)
        values = np.arange(rows.bins, dtype=np.float64)
        if spec.form is AnswerForm.SYMBOL:
            values = np.where(np.unique(score) == 0.5, -1, np.unique(score)).astype(np.int64)
        shape = _tilted(table.sum(1), fit_posterior(table, pieces))
    elif spec.form is AnswerForm.RANK:
        values = np.arange(1, spec.alphabet + 1)
        counts = np.bincount(guess, minlength=spec.alphabet + 1)[1:].astype(np.float64)
        shape = _steeper(_falling(counts))
        gains = np.log2(np.maximum(shape(1.0)[0], 1e-12) * spec.alphabet)[guess - 1]
    else:
        right, answered = guess == truth, guess >= 0
        shares = np.array([right.mean(), (answered & ~right).mean(), (~answered).mean()])
        values = np.arange(3)
        base = None
        if spec.role is Role.JAM:
            assert columns.reference is not None
            base = reference = float((columns.reference == truth).mean())
        shape = _rates(shares, spec.alphabet, base)
        # Right answers differ between clusters; what they are worth is scaled below.
        gains = _gains(shape(1.0), spec)[0][np.where(right, 0, np.where(answered, 1, 2))]
    spread = _between(gains, cluster)
    target = point if bits is None else bits
    chances = fitted(shape, spec, target, spread * min(1.0, target / max(point, 1e-9)), reference)
    return Likeness(spec, max(1, round(n / m)), target, chances, values, reference, balanced)


def declared(spec: ChannelSpec, bits: float, *, uses: int = 1, spread: float = 0.0) -> Likeness:
    """Return a channel of usual shape with declared bits a use.

    Two secrets: scores N(0, 1) and N(d, 1). Ranks: chance ∝ rank^−t. Symbols: one rate of right
    answers, wrong ones spread evenly.

    Args:
        spec: the declaration.
        bits: bits a use.
        uses: uses in a cluster; 1 where rows are independent.
        spread: standard deviation of the bits a use between clusters.

    Raises:
        BadTrials: no channel of that alphabet moves that number of bits.
    """
    k = spec.alphabet
    spec = replace(spec, clustered=uses > 1)
    values: NDArray[Any] = np.arange(3)
    if _is_bit(spec) and spec.form is AnswerForm.SCORE:
        values = np.linspace(-5.0, 5.0, 257)
        shape = _shifted(values)
    elif _is_bit(spec):
        values = np.array([0, 1])
        shape = _tilted(np.full(2, 0.5), np.array([0.1, 0.9]))
    elif spec.form is AnswerForm.RANK:
        values = np.arange(1, k + 1)
        shape = _steeper(1.0 / values / (1.0 / values).sum())
    else:
        base = 1.0 - 1e-3 if spec.role is Role.JAM else None
        right = 1.0 / k + 1e-3 if base else 0.5 + 0.5 / k
        shape = _rates(np.array([right, 1.0 - right, 0.0]), k, base)
    reference = 1.0 - 1e-3 if spec.role is Role.JAM else 1.0
    chances = fitted(shape, spec, bits, spread, reference)
    return Likeness(spec, uses, bits, chances, values, reference)


def _is_bit(spec: ChannelSpec) -> bool:
    score = spec.form is AnswerForm.SCORE
    return score or (
        spec.form is AnswerForm.SYMBOL and spec.alphabet == 2 and spec.role is not Role.JAM
    )


def _tilted(weight: Array, posterior: Array) -> Shape:
    """Two secrets: strength multiplies the log odds of each outcome."""
    clipped = np.clip(posterior, 1e-4, 1.0 - 1e-4)
    odds = np.log(clipped / (1.0 - clipped))

    def chances(strength: float) -> Array:
        ones = 1.0 / (1.0 + np.exp(-np.clip(strength * odds, -30, 30)))
        both = np.stack([weight * (1.0 - ones), weight * ones])
        return np.asarray(both / both.sum(1, keepdims=True))

    return chances


def _shifted(values: Array) -> Shape:
    """Two secrets: scores N(∓d/2, 1), d the strength."""

    def chances(strength: float) -> Array:
        both = np.exp(-((values[None] - np.array([[-0.5], [0.5]]) * strength) ** 2) / 2)
        return np.asarray(both / both.sum(1, keepdims=True))

    return chances


def _steeper(law: Array) -> Shape:
    """Ranks: strength is the power of their law."""

    def chances(strength: float) -> Array:
        power = np.maximum(law, 1e-12) ** strength
        return np.asarray(power / power.sum())[None]

    return chances


def _falling(counts: Array) -> Array:
    """The largest law of the rank that does not increase with it, and half a row beside."""
    from scipy.optimize import isotonic_regression

    law = isotonic_regression(counts + 0.5 / len(counts), increasing=False).x
    return np.asarray(law / law.sum())


def _rates(shares: Array, alphabet: int, base: float | None) -> Shape:
    """K symbols: strength moves the log odds of a right answer, from chance or a jam's base."""
    right, wrong, none = np.clip(shares, 1e-6, 1.0)
    start = 1.0 / alphabet if base is None else min(max(base, 1e-3), 1.0 - 1e-3)
    rate = min(max(right / (right + wrong), 1e-4), 1.0 - 1e-4)
    origin = math.log(start / (1.0 - start))
    step = math.log(rate / (1.0 - rate)) - origin
    none = 0.0 if shares[2] <= 0 else float(none)

    def chances(strength: float) -> Array:
        p = 1.0 / (1.0 + math.exp(-(origin + strength * step)))
        return np.array([[(1.0 - none) * p, (1.0 - none) * (1.0 - p), none]])

    return chances


def _gains(chances: Array, spec: ChannelSpec) -> Array:
    """Bits that the best reader of these chances gets from each outcome, (secrets, outcomes)."""
    k = spec.alphabet
    if chances.shape[0] == 2:
        baseline = chances.mean(0)
    elif spec.form is AnswerForm.RANK:
        baseline = np.full(k, 1.0 / k)
    else:
        answered = chances[0, :2].sum()
        baseline = np.array([answered / k, answered * (k - 1) / k, 1.0 - answered])
    ratio = np.maximum(chances, 1e-300) / np.maximum(baseline, 1e-300)
    return np.asarray(np.log2(ratio))


def _bits(chances: Array, spec: ChannelSpec, reference: float) -> float:
    """Bits a use of the channel; for a jam, those that it destroyed of the owner's."""
    moved = float((chances * _gains(chances, spec)).sum(1).mean())
    if spec.role is not Role.JAM:
        return moved
    before = np.array([[reference, 1.0 - reference, 0.0]])
    return float((before * _gains(before, spec)).sum()) - moved


def fitted(
    shape: Shape, spec: ChannelSpec, bits: float, spread: float, reference: float = 1.0
) -> Array:
    """Return (2, secrets, outcomes) chances in weak and strong clusters with given bits.

    Args:
        shape: chances by strength.
        spec: the declaration.
        bits: bits a use of both kinds of clusters together.
        spread: how far the mean gains of strong and weak clusters are from their middle.
        reference: of a jam.

    Raises:
        BadTrials: no strength has that number of bits.
    """

    def pair(strength: float, ratio: float) -> Array:
        return np.stack([shape(strength * math.exp(-ratio)), shape(strength * math.exp(ratio))])

    def at(ratio: float) -> Array:
        low, high = 0.0, 1.0
        while _bits(pair(high, ratio).mean(0), spec, reference) < bits and high < 64:
            high *= 2.0
        if high >= 64:
            raise BadTrials(
                f"bits to plan for must be fewer than this channel can move, got {bits:.4g}"
            )
        for _ in range(40):
            middle = (low + high) / 2
            enough = _bits(pair(middle, ratio).mean(0), spec, reference) >= bits
            low, high = (low, middle) if enough else (middle, high)
        return pair(high, ratio)

    def half_width(chances: Array) -> float:
        gains = _gains(chances.mean(0), spec)
        weak, strong = (float((c * gains).sum(1).mean()) for c in chances)
        return abs(strong - weak) / 2

    if spread <= 0.0 or bits <= 0.0:
        return at(0.0)
    low, high = 0.0, 1.5
    if half_width(at(high)) < spread:
        return at(high)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if half_width(at(middle)) >= spread else (middle, high)
    return at(low)


def _between(gains: Array, cluster: Whole | None) -> float:
    """Standard deviation between clusters of their mean gains, without that of their uses."""
    if cluster is None or cluster.max() == 0:
        return 0.0
    size = np.bincount(cluster)
    mean = np.bincount(cluster, gains) / size
    within = np.bincount(cluster, (gains - mean[cluster]) ** 2) / np.maximum(size - 1, 1) / size
    return math.sqrt(max(0.0, float(mean.var(ddof=1) - within.mean())))


@dataclass(frozen=True, slots=True)
class Question:
    """Which end of a row settles it: ``over`` by its certified lower bound, ``pass`` by its upper.

    Attributes:
        side: ``over`` or ``pass``.
        level: error level of that end.
        strict: the upper end also counts what clusters that showed nothing could hide.
    """

    side: str
    level: float
    strict: bool = False


def settling_end(
    columns: Columns, spec: ChannelSpec, question: Question, rng: np.random.Generator
) -> float:
    """Return the end of a row that settles it, as ``measure`` computes it.

    Args:
        columns: the row's secrets and answers.
        spec: its declaration.
        question: which end, at which level.
        rng: of folds and codes.
    """
    declared_spec, level = spec, question.level
    spec = replace(spec, alpha=level / spec.tries)
    truth, cluster, guess = columns.truth, columns.cluster, columns.guess
    over = question.side == "over"
    if spec.form is AnswerForm.SCORE:
        low, high = _score_ends(columns, spec, rng, over=over)
    else:
        symbols = np.asarray(guess, np.int64)
        if spec.form is AnswerForm.RANK:
            reading = measure_rank(symbols, cluster, spec, rng, full=False, certify=over)
        elif spec.role is Role.JAM:
            assert columns.reference is not None
            reading = measure_jam(
                truth, symbols, columns.reference, cluster, spec, rng=rng, full=False
            )
        else:
            reading = measure_symbol(truth, symbols, cluster, spec, rng, full=False, certify=over)
        low, high = reading.lower, reading.high
    top = ceiling(declared_spec, len(truth)).value
    if over:
        return min(low, top)
    units = len(truth) if cluster is None else int(cluster.max()) + 1
    silent = (1.0 - level ** (1.0 / units)) * top if question.strict else 0.0
    return min(max(high, silent), top)


def _score_ends(
    columns: Columns, spec: ChannelSpec, rng: np.random.Generator, *, over: bool
) -> tuple[float, float]:
    """The certified lower bound of scores, or their upper end; the other is the trivial one."""
    truth, cluster = columns.truth, columns.cluster
    score = np.asarray(columns.guess, np.float64)
    if over:
        reading = measure_score(truth, score, cluster, spec, rng, full=False, certify=True)
        return reading.lower, 1.0
    fair = spec.planted and not information.exchangeable(truth, cluster, spec)
    rows = information.weigh(truth, score, cluster, rng, coins=fair)
    raw, gains = information.in_sample(rows, spec.pieces)
    return 0.0, information.upper_end(rows, raw, gains, spec.alpha)


def needed(
    likeness: Likeness, limit: float, *, tests: int = 1, strict: bool = False, seed: int = 0
) -> Need:
    """Return how many clusters settle a channel against a limit.

    Args:
        likeness: the channel, with the bits to plan for.
        limit: in bits a use.
        tests: checks that share the level of "over".
        strict: as in a plan's limits.
        seed: of the simulation.
    """
    if abs(likeness.bits - limit) < NEAR * max(limit, 1e-9):
        return Need("", reason=TOO_NEAR)
    side = "over" if likeness.bits > limit else "pass"
    level = likeness.spec.alpha / tests if side == "over" else likeness.spec.alpha
    question = Question(side, level, strict)
    size, top = likeness.uses, ceiling(likeness.spec, 1).value
    least = _least(side, limit, top, level, clustered=size > 1, strict=strict)

    def end(clusters: int, rng: np.random.Generator) -> float:
        return settling_end(likeness.draw(clusters, rng), likeness.spec, question, rng)

    sizes = Sizes(least, max(least, MOST // size), size)
    return search(end, side, planned=likeness.bits, limit=limit, sizes=sizes, seed=seed)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of clusters (or rows) to search.

    Attributes:
        least: with fewer no row is settled.
        most: the largest number that is simulated.
        uses: in a cluster; 1 where rows are independent.
    """

    least: int
    most: int
    uses: int


def search(
    end: Callable[[int, np.random.Generator], float],
    side: str,
    *,
    planned: float,
    limit: float,
    sizes: Sizes,
    seed: int,
) -> Need:
    """Return the number of clusters with which an end settles a limit in ``POWER`` of runs.

    Args:
        end: the end of one simulated row of that number of clusters.
        side: ``over`` or ``pass``.
        planned: what the simulated channel has.
        limit: in the same unit.
        sizes: where to look.
        seed: of the simulation.
    """
    distance, rng = abs(planned - limit), np.random.default_rng(seed)
    least, most, size = sizes.least, sizes.most, sizes.uses
    clusters = min(most, max(least, 32 if size > 1 else 400))
    need, constant = Need(""), set()
    for _ in range(STEPS):
        ends = np.array([end(clusters, rng) for _ in range(RUNS)])
        error = float(ends.std(ddof=1))
        gap = abs(planned - float(ends.mean())) + _z(POWER) * error
        share = gap / distance
        room = (float(ends.mean()) - limit) * (1 if side == "over" else -1)
        chance = _phi(room / error) if error > 0 else float(room > 0)
        constant.add(float(ends[0]) if error == 0 else math.nan)
        if chance >= POWER and (not need.side or clusters < need.clusters):
            need = Need(side, clusters, clusters * size, chance)
        if chance >= POWER and (share > 0.85 or clusters == least):
            break
        if clusters == most and chance < POWER:
            if len(constant) == 1 and error == 0:
                word = "lower" if side == "over" else "upper"
                reason = f"its {word} end is {ends[0]:.4g} with any number up to {most * size} uses"
                return Need("", reason=reason)
            further = math.ceil(clusters * share**2)
            return Need(side, further, further * size, POWER, simulated=False)
        step = min(4.0, max(0.25, share**2 * 1.05))
        further = min(most, max(least, math.ceil(clusters * step)))
        if further == clusters:
            further = min(most, clusters + max(1, clusters // 10))
        clusters = further
    return need if need.side else Need("", reason=TOO_NEAR)


def _least(
    side: str, limit: float, top: float, level: float, *, clustered: bool, strict: bool
) -> int:
    """Return the fewest clusters (or rows) with which any row could be settled."""
    if side == "over":
        # m units certify at most level^(1/m) of the ceiling.
        share = min(max(limit / top, 1e-12), 1.0 - 1e-9)
        return max(2, math.ceil(math.log(level) / math.log(share)) + 1)
    least = information.FEW_CLUSTERS if clustered else 2 * information.RARE
    if strict:
        share = min(max(1.0 - limit / top, 1e-12), 1.0 - 1e-9)
        least = max(least, math.ceil(math.log(level) / math.log(share)))
    return least


def _z(chance: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(chance))


def _phi(x: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(x))
