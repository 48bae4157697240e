"""How much of a suite of leaks a defense closes, and which defenses work together.

``dci_hartley`` is Hartley's own index: Seed B names a Defense Coverage Index, and its formula could
not be read. c(a, d) = clip(1 − R(a, d)/R(a, ∅), 0, 1); the index of d is Σ_a w_a·c(a, d), w equal
for classes, then for attacks in a class. It is relative to the suite of attacks that were run. A
cell that was not measured is open: it is never a leak of 0, and the index of a defense with open
cells is an interval from "nothing covered" to "all covered" there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError
from hartley.infotheory.compositions import collusion

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

BREADTH = 0.5
"""Coverage from which an attack counts as covered in the breadth."""
TERMS = ("signal", "noise", "bandwidth")


@dataclass(frozen=True, slots=True)
class Leaks:
    """What attacks read without a defense and behind each, of one kind and unit.

    Attributes:
        attacks, classes, attack_terms: (A) names of the attacks, their classes, and the term of
            C = B·log2(1 + S/N) that each works on.
        defenses, terms: (D) names of the defenses or sets of them, and their terms.
        before: (A, 3) point, lower and upper end without a defense; an end may be NaN.
        static: (A, D, 3) the same behind each defense, of attackers who do not know it; NaN where
            it was not measured.
        adaptive: (A, D, 3) of attackers who know it.
        unclaimed: (A, D) whether the defense does not claim to protect from the attack. Such a
            cell is not played: that it leaks as without the defense is an assumption.
    """

    attacks: tuple[str, ...]
    classes: tuple[str, ...]
    attack_terms: tuple[str, ...]
    defenses: tuple[str, ...]
    terms: tuple[str, ...]
    before: Floats
    static: Floats
    adaptive: Floats
    unclaimed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse tables that do not fit one another."""
        a, d = len(self.attacks), len(self.defenses)
        shapes = {
            "classes": ((len(self.classes),), (a,)),
            "attack_terms": ((len(self.attack_terms),), (a,)),
            "terms": ((len(self.terms),), (d,)),
            "before": (self.before.shape, (a, 3)),
            "static": (self.static.shape, (a, d, 3)),
            "adaptive": (self.adaptive.shape, (a, d, 3)),
            "unclaimed": (self.unclaimed.shape, (a, d)),
        }
        for name, (shape, wanted) in shapes.items():
            if shape != wanted:
                raise UsageError(f"{name} must have shape {wanted}, got {shape}")
        for name in ("before", "static", "adaptive"):
            if (getattr(self, name) < 0).any() or np.isinf(getattr(self, name)).any():
                raise UsageError(f"{name} must hold leaks of 0 or more, or NaN where not measured")

    @property
    def worst(self) -> Floats:
        """(A, D, 3) of the stronger of both attackers, end by end; NaN where neither was played."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.fmax(self.static, self.adaptive))

    @property
    def open(self) -> NDArray[np.bool_]:
        """(A, D) cells that a defense claims and that nobody measured."""
        return np.asarray(np.isnan(self.worst[:, :, 0]) & ~self.unclaimed)

    @property
    def static_only(self) -> NDArray[np.bool_]:
        """(A, D) cells whose leak rests on an attacker who does not know the defense."""
        return np.asarray(np.isnan(self.adaptive[:, :, 0]) & ~np.isnan(self.static[:, :, 0]))


def attack_weights(classes: Sequence[str]) -> Floats:
    """(A,) weights: equal for classes, then for the attacks of a class."""
    counts = {name: list(classes).count(name) for name in classes}
    return np.array([1.0 / (len(counts) * counts[name]) for name in classes])


def _mean(classes: Sequence[str], shares: Floats, rows: NDArray[np.bool_]) -> float:
    """Weighted mean over some attacks, each of their classes counting alike; NaN of none."""
    some = [name for name, counts in zip(classes, rows, strict=True) if counts]
    return float(shares[rows] @ attack_weights(some)) if some else math.nan


def cell_coverage(before: ArrayLike, after: ArrayLike) -> tuple[Floats, Floats]:
    """Return the share of each leak that is closed, and its conservative end.

    Args:
        before: (…, 3) point, lower and upper end without the defense.
        after: (…, 3) behind it.

    Returns:
        ``clip(1 − R/R₀, 0, 1)``, NaN where nothing leaked before or a point is NaN; and the same
        of the upper end behind against the lower end before, 0 where that lower end is 0 and NaN
        where the first is.
    """
    b, a = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    point_before, low_before = b[..., 0], b[..., 1]
    leaked = point_before > 0
    ratio = np.divide(a[..., 0], point_before, out=np.full(a[..., 0].shape, np.nan), where=leaked)
    share = np.clip(1 - ratio, 0, 1)
    sure = (low_before > 0) & np.isfinite(a[..., 2])
    bound = np.divide(a[..., 2], low_before, out=np.ones(share.shape), where=sure)
    return share, np.where(np.isnan(share), np.nan, np.clip(1 - bound, 0, 1))


@dataclass(frozen=True, slots=True)
class Coverage:
    """The index of one defense, ``dci_hartley``.

    Attributes:
        name, term: of the defense.
        value: mean coverage over the measured cells, against the stronger attacker; NaN of none.
        low: the same of conservative cells, open ones counting as not covered.
        least, most: index with every open cell counted as not covered, and as covered.
        static: against attackers who do not know the defense.
        breadth: share of attacks covered by ``BREADTH`` or more.
        worst, worst_attack: the least covered attack.
        by_class: class → mean coverage.
        by_term: term that the attack works on → mean coverage.
        open, unclaimed, static_only: attacks whose cell is open, is not claimed (coverage 0), or
            rests on a static attacker.
        silent: attacks that read nothing without a defense, so that nothing can be covered.
        relative_to_suite: the attacks that the index is relative to.
    """

    name: str
    term: str
    value: float
    low: float
    least: float
    most: float
    static: float
    breadth: float
    worst: float
    worst_attack: str
    by_class: Mapping[str, float]
    by_term: Mapping[str, float]
    open: tuple[str, ...]
    unclaimed: tuple[str, ...]
    static_only: tuple[str, ...]
    silent: tuple[str, ...]
    relative_to_suite: tuple[str, ...]


def dci_hartley(leaks: Leaks, *, breadth: float = BREADTH) -> tuple[Coverage, ...]:
    """Return the coverage index of every defense, in their order.

    Args:
        leaks: the suite.
        breadth: coverage from which an attack counts as covered.
    """
    leaked = leaks.before[:, 0] > 0
    indices = []
    for d, name in enumerate(leaks.defenses):
        point, low = cell_coverage(leaks.before, leaks.worst[:, d])
        static, _ = cell_coverage(leaks.before, leaks.static[:, d])
        claimed = ~leaks.unclaimed[:, d]
        for shares in (point, low, static):
            shares[~claimed & leaked] = 0.0
        measured = ~np.isnan(point)

        def mean(shares: Floats, rows: NDArray[np.bool_]) -> float:
            return _mean(leaks.classes, shares, rows)

        def over(labels: Sequence[str], of: Floats) -> dict[str, float]:
            column = np.array(labels)
            return {
                label: mean(of, (column == label) & measured)  # noqa: B023
                for label in dict.fromkeys(labels)
                if ((column == label) & measured).any()  # noqa: B023
            }

        bounds = [np.where(measured, point, end) for end in (0.0, 1.0)]
        least = int(np.nanargmin(point)) if measured.any() else -1

        def names(rows: NDArray[np.bool_]) -> tuple[str, ...]:
            return tuple(leaks.attacks[i] for i in np.flatnonzero(rows))

        indices.append(
            Coverage(
                name=name,
                term=leaks.terms[d],
                value=mean(point, measured),
                low=mean(np.nan_to_num(low), leaked),
                least=mean(bounds[0], leaked),
                most=mean(bounds[1], leaked),
                static=mean(static, ~np.isnan(static)),
                breadth=float((point[measured] >= breadth).mean()) if measured.any() else np.nan,
                worst=float(point[least]) if measured.any() else np.nan,
                worst_attack=leaks.attacks[least] if measured.any() else "",
                by_class=over(leaks.classes, point),
                by_term=over(leaks.attack_terms, point),
                open=names(leaks.open[:, d] & leaked),
                unclaimed=names(~claimed & leaked),
                static_only=names(leaks.static_only[:, d] & leaked),
                silent=names(~leaked),
                relative_to_suite=names(leaked),
            )
        )
    return tuple(indices)


@dataclass(frozen=True, slots=True)
class Interaction:
    """How two defenses work together on one leak.

    Attributes:
        kappa: log2(r12/(r1·r2)), r a residual over the undefended leak: 0 where each lets the same
            share through as alone, above 0 where they do the same work, below 0 where one makes
            the other stronger; None where one of the four leaks is 0.
        low, high: its interval; None where that end is open because a leak may be 0.
        predicted: residual that independent thinning predicts, r1·r2 of the undefended leak.
        measured: residual of both.
    """

    kappa: float | None
    low: float | None
    high: float | None
    predicted: float
    measured: float


def interaction(
    before: Floats, first: Floats, second: Floats, both: Floats, *, alpha: float = 0.05
) -> Interaction:
    """Return the interaction κ of two defenses from draws of the four leaks.

    Args:
        before, first, second, both: (1 + B,) point and then draws of the leak without a defense,
            behind each, and behind both together; paired draw by draw where they are paired.
        alpha: error level of the interval.

    Raises:
        UsageError: draws of unlike number, or nothing leaks without a defense.
    """
    r = np.stack([np.asarray(x, dtype=np.float64) for x in (before, first, second, both)])
    if r.ndim != 2 or not np.isfinite(r).all() or (r < 0).any():
        raise UsageError(f"leaks must be finite draws of 0 or more, (1 + B,), got shape {r.shape}")
    if r[0, 0] <= 0:
        raise UsageError("an interaction needs a leak without a defense, got 0")
    predicted = float(r[1, 0] * r[2, 0] / r[0, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log2(r)
        kappa = logs[3] + logs[0] - logs[1] - logs[2]
    ends: list[float | None] = [None, None]
    # A numerator that may be 0 opens the lower end, a denominator the upper one.
    for end, rows, level in ((0, (0, 3), alpha / 2), (1, (1, 2), 1 - alpha / 2)):
        if (r[rows, 1:] > 0).all(0).mean() > 1 - alpha / 2:
            finite = kappa[1:][np.isfinite(kappa[1:])]
            if len(finite):
                ends[end] = float(np.quantile(finite, level))
    point = float(kappa[0]) if np.isfinite(kappa[0]) else None
    return Interaction(point, ends[0], ends[1], predicted, float(r[3, 0]))


@dataclass(frozen=True, slots=True)
class Terms:
    """What the Gaussian channel of an attack has: R = W·½·log2(1 + S/N).

    Attributes:
        signal, noise: variance of the statistic between secrets, and within one.
        uses: W, uses in one unit (a second, a round, a budget).
        rate: bits per unit as measured, which the formula need not explain.
    """

    signal: float
    noise: float
    uses: float
    rate: float

    @property
    def modelled(self) -> float:
        """W·½·log2(1 + S/N)."""
        return self.uses * 0.5 * math.log2(1 + self.signal / self.noise)


@dataclass(frozen=True, slots=True)
class Attribution:
    """The effect of a defense, attributed to the three terms.

    Attributes:
        signal, noise, bandwidth: Shapley values: the mean effect of changing a term over all orders
            in which the three change. A statistic that is scaled moves signal against noise; their
            sum does not change.
        unexplained: the measured effect minus the sum of the three.
        scale: ``log2`` of the rates, or ``bits`` where a rate is 0 and has no logarithm.
    """

    signal: float
    noise: float
    bandwidth: float
    unexplained: float
    scale: str


def attribution(before: Terms, after: Terms) -> Attribution:
    """Attribute the change of an attack's rate to signal, noise and bandwidth (Shapley values).

    Raises:
        UsageError: noise or uses that are not above 0, or a negative signal or rate.
    """
    for terms in (before, after):
        if not (terms.noise > 0 and terms.uses > 0 and terms.signal >= 0 and terms.rate >= 0):
            raise UsageError(f"noise and uses must be above 0, signal and rate 0 or more: {terms}")
    rates = [before.modelled, after.modelled, before.rate, after.rate]
    logarithmic = min(rates) > 0
    of = math.log2 if logarithmic else float

    def value(changed: Iterable[str]) -> float:
        chosen = set(changed)
        s = after.signal if "signal" in chosen else before.signal
        n = after.noise if "noise" in chosen else before.noise
        w = after.uses if "bandwidth" in chosen else before.uses
        return of(Terms(s, n, w, 0.0).modelled)

    shares = shapley(TERMS, value)
    effect = of(after.rate) - of(before.rate)
    return Attribution(
        **shares,
        unexplained=effect - sum(shares.values()),
        scale="log2" if logarithmic else "bits",
    )


def shapley(players: Sequence[str], value: Callable[[Iterable[str]], float]) -> dict[str, float]:
    """Shapley values of a few players: the mean marginal value over all their orders.

    Args:
        players: their names, 8 at most.
        value: of a coalition.
    """
    if len(players) > 8:
        raise UsageError(f"Shapley values are exact for at most 8 players, got {len(players)}")
    sums = dict.fromkeys(players, 0.0)
    orders = list(permutations(players))
    for order in orders:
        reached = value(())
        for k, player in enumerate(order, 1):
            after = value(order[:k])
            sums[player] += (after - reached) / len(orders)
            reached = after
    return sums


def collusion_coverage(
    before: ArrayLike, after: ArrayLike, principals: int, *, prior: ArrayLike | None = None
) -> tuple[float, float]:
    """Return the coverage of a defense against one principal, and against k who collude.

    Args:
        before, after: (K, M) what one principal reads without and behind the defense.
        principals: k. Undefended, they collude too.
        prior: (K,) law of the secret; uniform when None.

    Raises:
        UsageError: one principal reads nothing without the defense.
    """
    left, right = (collusion(w, principals, prior=prior) for w in (before, after))
    if left.alone <= 0:
        raise UsageError("coverage needs a leak without the defense, got 0 bit")
    return (
        float(np.clip(1 - right.alone / left.alone, 0, 1)),
        float(np.clip(1 - right.bits / left.bits, 0, 1)),
    )


@dataclass(frozen=True, slots=True)
class PairSearch:
    """Which two defenses are best together.

    Attributes:
        single, single_value: the best one.
        greedy, greedy_value: it and its best partner among measured pairs; None without one.
        best, best_value: the best measured pair.
        predicted: unmeasured pairs → value that independent thinning predicts, an estimate.
        diminishing: share of measured pairs in which the second defense adds no more than alone.
        gains: (first, second) → what the second adds to the first, and what it adds alone.
    """

    single: str
    single_value: float
    greedy: tuple[str, str] | None
    greedy_value: float | None
    best: tuple[str, str] | None
    best_value: float | None
    diminishing: float | None
    gains: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    predicted: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @property
    def regret(self) -> float | None:
        """What greedy search loses against trying every pair."""
        if self.best_value is None or self.greedy_value is None:
            return None
        return self.best_value - self.greedy_value


def search_pairs(
    singles: Mapping[str, float],
    pairs: Mapping[tuple[str, str], float],
    *,
    predicted: Mapping[tuple[str, str], float] | None = None,
) -> PairSearch:
    """Compare greedy search with trying every pair; larger values are better.

    Args:
        singles: name → value, 0 being the value of no defense.
        pairs: two names in any order → value, where both were measured together.
        predicted: the same for pairs that were not measured.

    Raises:
        UsageError: no single defense, or a pair of one that was not measured alone.
    """
    if not singles:
        raise UsageError("a search of pairs needs at least 1 defense, got 0")
    measured = {(min(pair), max(pair)): value for pair, value in pairs.items()}
    for first, second in measured:
        for name in (first, second):
            if name not in singles:
                raise UsageError(f"{name} must be measured alone too, to judge {first}+{second}")
    single = max(singles, key=lambda name: singles[name])
    gains = {}
    for (first, second), value in measured.items():
        gains[first, second] = value - singles[first], singles[second]
        gains[second, first] = value - singles[second], singles[first]
    partners = {pair: value for pair, value in measured.items() if single in pair}
    greedy = max(partners, key=lambda pair: partners[pair]) if partners else None
    best = max(measured, key=lambda pair: measured[pair]) if measured else None
    slack = 1e-12
    return PairSearch(
        single=single,
        single_value=singles[single],
        greedy=greedy,
        greedy_value=partners[greedy] if greedy else None,
        best=best,
        best_value=measured[best] if best else None,
        diminishing=float(np.mean([add <= alone + slack for add, alone in gains.values()]))
        if gains
        else None,
        gains=gains,
        predicted={
            pair: value
            for pair, value in (predicted or {}).items()
            if (min(pair), max(pair)) not in measured
        },
    )


def thinned(leaks: Leaks, first: str, second: str) -> float:
    """Index that independent thinning predicts of two defenses: residuals multiply cell by cell."""
    left, right = (
        np.where(leaks.unclaimed[:, d], 0.0, cell_coverage(leaks.before, leaks.worst[:, d])[0])
        for d in (leaks.defenses.index(first), leaks.defenses.index(second))
    )
    rows = ~np.isnan(left + right) & (leaks.before[:, 0] > 0)
    together = 1 - (1 - left) * (1 - right)
    return _mean(leaks.classes, together, rows)


def all_pairs(defenses: Iterable[str]) -> list[tuple[str, str]]:
    """Every pair of single defenses, in order."""
    names = [name for name in defenses if "+" not in name]
    return list(combinations(names, 2))
