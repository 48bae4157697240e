"""Which records a score exposes most, and how many of such a list chance alone would put there.

**Many victims**, each with coins of its own. Where nothing of a record leaks its scores are
independent of its fair coins: the ranks of the victims by its score, counted from the middle and
signed by the coins, add up like fair signs, whose tail Chernoff's bound limits. This compares a
record with itself, as attacks with reference models do: one that every model fits badly, and that
shows all the same, is not lost among others. Its bits are the mean over victims of
log2 2f(coin | score) with a posterior f that is fitted to the *other* records. **One victim**: a
record was seen or not, once. What is known is the rank of its score among non-members: the share of
them that score as high, (1 + number) / (n + 1), is a valid p-value where nothing leaks (conformal
p-values, arXiv:2104.08279).

The worst of many records look bad by chance. The share of a list that chance alone would put there
is estimated as Benjamini and Hochberg (1995) do: of n records at p or below, n·p are expected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.channel.bounds.degenerate_intervals import mean_limits
from hartley.channel.scores.monotone import (
    Reader,
    balanced,
    class_table,
    edges_of,
    fit_posterior,
    place,
    smoothed,
)
from hartley.core import AnswerForm, Trials, spawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LISTED = 50
"""Records that are listed at most."""
FOLDS = 10
"""Parts of the records, each read by what the others taught."""
SKEWED = 4
"""By how much the level of a record's interval is divided: gains are skewed and victims are few, so
that at the plain level the t interval misses up to twice as often (docs/privacy.md)."""
BEYOND = 0.05
"""Share of chance at which a record is exposed beyond it."""
SLOPES = np.exp2(np.arange(-8.0, 9.0, 0.5))
"""Slopes at which Chernoff's bound is evaluated, over the largest weight of a record."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One record, as an attack exposes it.

    Attributes:
        source: the data that it is a record of.
        row: its number in these data, from 0.
        bits: mean over victims of what the best reader of all scores gains about this record.
        low, high: its interval over victims, at a level that counts how many records are listed of
            how many; None for one victim.
        victims: models that were asked about it.
        members: those of them that were trained on it.
        auc: share of pairs of victims of which the one that was trained on it has the higher score;
            None of one victim, or where all or none were.
        fpr: share of non-members that score as high, of one victim; None of several.
        chance: largest share of the list down to this record's p-value that chance explains.
    """

    source: str
    row: int
    bits: float
    low: float | None
    high: float | None
    victims: int
    members: int
    auc: float | None
    fpr: float | None
    chance: float


@dataclass(frozen=True, slots=True)
class Exposures:
    """The most exposed records of one attack.

    Attributes:
        records: the worst first, at most ``LISTED``.
        n: records that were asked about; of one victim the members among them.
        nonmembers: of one victim, what their scores are ranked among; None of several.
        beyond: how many of all n are exposed beyond chance, a share of ``BEYOND`` by chance.
    """

    records: tuple[Exposure, ...]
    n: int
    nonmembers: int | None
    beyond: int


def exposures(trials: Trials) -> Exposures | None:
    """Return the most exposed records, or None where the trials do not say which records they are.

    Args:
        trials: scores about secret bits, whose ``item`` numbers the records of ``sources``.
    """
    if not trials.sources or trials.item is None or trials.spec.form is not AnswerForm.SCORE:
        return None
    used = np.ones(len(trials), bool) if trials.split is None else np.asarray(trials.split) == 1
    truth, score = np.asarray(trials.truth)[used], np.asarray(trials.guess)[used]
    truth, score = truth.astype(np.int64), score.astype(np.float64)
    if len(np.unique(truth)) < 2:
        return None
    numbers = np.asarray(trials.item, np.int64)[used]
    items, record = np.unique(numbers, return_inverse=True)
    log_odds = _log_odds(truth, score, record, trials)
    if len(items) == len(numbers):
        return _of_one_victim(trials, numbers, truth, score, log_odds)
    if not trials.spec.planted:
        return None  # not the auditor's coins, one for each record and victim
    return _of_many_victims(trials, items, record, truth=truth, score=score, log_odds=log_odds)


def _log_odds(truth: Whole, score: Array, record: Whole, trials: Trials) -> Array:
    """Return log2 f / (1 − f) of each row (n,), f fitted to records of the other folds."""
    fold, readers = others(truth, score, record, trials)
    out = np.zeros(len(truth))
    for k, reader in enumerate(readers):
        here = fold[record] == k
        f = reader.posterior[place(score[here], reader.edges)]
        out[here] = np.log2(f) - np.log2(1.0 - f)
    return out


def others(truth: Whole, score: Array, record: Whole, trials: Trials) -> tuple[Whole, list[Reader]]:
    """Return the fold (m,) of each record, and for each fold what the records of the others teach.

    Args:
        truth, score: (n,) of each row.
        record: (n,) integers 0..m−1, which record a row is about.
        trials: which give the seed of the folds, and how many pieces a posterior has.
    """
    rng = np.random.default_rng(spawn(trials.seed, "records", trials.attack, trials.scene))
    number = int(record.max()) + 1
    fold = rng.permutation(number) % min(FOLDS, number)
    edges = edges_of(score)
    where = place(score, edges)
    readers = []
    for k in range(int(fold.max()) + 1):
        rest = fold[record] != k
        if len(np.unique(truth[rest])) < 2:
            readers.append(Reader(edges, np.full(len(edges), 0.5)))
            continue
        table = balanced(class_table(truth[rest], where[rest], len(edges)))
        posterior = fit_posterior(table, trials.spec.pieces)
        # A few rows of the rarer secret are no more than that many of both.
        rows = 2.0 * min(int(truth[rest].sum()), int((1 - truth[rest]).sum()))
        readers.append(Reader(edges, smoothed(table, posterior, rows)))
    return fold, readers


def _bits(truth: Whole, log_odds: Array) -> Array:
    """Return log2 2f(truth) of each row."""
    signed = np.where(truth == 1, log_odds, -log_odds)
    return np.asarray(1.0 - np.log2(1.0 + np.exp2(-signed)))


def _of_one_victim(
    trials: Trials, numbers: Whole, truth: Whole, score: Array, log_odds: Array
) -> Exposures:
    """Rank members among the non-members of the one model that was asked.

    Args:
        trials: whose ``sources`` name the records.
        numbers: (n,) ``item`` of each row.
        truth, score, log_odds: (n,) of each row.
    """
    members, others = np.flatnonzero(truth == 1), np.sort(score[truth == 0])
    above = len(others) - np.searchsorted(others, score[members], side="left")
    p = np.asarray((1.0 + above) / (len(others) + 1.0), np.float64)
    bits, chance = _bits(truth, log_odds)[members], chance_of_list(p)
    worst = np.lexsort((numbers[members], -score[members]))[:LISTED]
    records = tuple(
        Exposure(
            *_named(trials, int(numbers[members[k]])),
            bits=float(bits[k]),
            low=None,
            high=None,
            victims=1,
            members=1,
            auc=None,
            fpr=float(above[k] / len(others)),
            chance=float(chance[k]),
        )
        for k in worst
    )
    return Exposures(records, len(members), len(others), int((chance <= BEYOND).sum()))


def _of_many_victims(
    trials: Trials, items: Whole, record: Whole, *, truth: Whole, score: Array, log_odds: Array
) -> Exposures:
    """Average what is read of each record over the victims.

    Args:
        trials: whose ``sources`` name the records, and whose ``alpha`` is that of intervals.
        items: (m,) ``item`` of each record.
        record: (n,) which record a row is about.
        truth, score, log_odds: (n,) of each row.
    """
    gains, victims = _bits(truth, log_odds), np.bincount(record)
    bits = np.bincount(record, weights=gains) / victims
    members = np.bincount(record, weights=truth).astype(int)
    rank = _ranks(record, score)
    p = _tails(record, np.where(truth == 1, rank, -rank))
    chance, aucs = chance_of_list(p), _aucs(record, truth, rank)
    worst = np.lexsort((items, -bits, p))[:LISTED]
    # Each interval misses more rarely, as these records are chosen (Benjamini & Yekutieli 2005).
    alpha = trials.spec.alpha * min(1.0, LISTED / len(items)) / SKEWED
    records = []
    for k in worst:
        low, high = mean_limits(gains[record == k], None, alpha / 2, most=1.0)
        records.append(
            Exposure(
                *_named(trials, int(items[k])),
                bits=float(bits[k]),
                low=low if math.isfinite(low) else None,
                high=high if math.isfinite(high) else None,
                victims=int(victims[k]),
                members=int(members[k]),
                auc=None if math.isnan(aucs[k]) else float(aucs[k]),
                fpr=None,
                chance=float(chance[k]),
            )
        )
    return Exposures(tuple(records), len(items), None, int((chance <= BEYOND).sum()))


def _ranks(record: Whole, score: Array) -> Array:
    """Return the rank of each row (n,) among those of its record, counted from their middle."""
    order = np.lexsort((score, record))
    sizes = np.bincount(record)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(score)) - starts[record[order]]
    # Equal scores of a record share their mean place.
    new = np.r_[True, (np.diff(record[order]) != 0) | (np.diff(score[order]) != 0)]
    run = np.cumsum(new) - 1
    mean = np.bincount(run, weights=place) / np.bincount(run)
    out = np.empty(len(score))
    out[order] = mean[run]
    return np.asarray(out - (sizes[record] - 1) / 2.0)


def _aucs(record: Whole, truth: Whole, rank: Array) -> Array:
    """Return the AUC (m,) of each record over its victims; NaN where all or none saw it."""
    victims, members = np.bincount(record), np.bincount(record, weights=truth)
    total = np.bincount(record, weights=rank * truth)
    pairs = members * (victims - members)
    # The sum of the members' places less the least that it can be counts the pairs they win.
    won = total + members * (victims - 1) / 2.0 - members * (members - 1) / 2.0
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(won / pairs)


def _tails(record: Whole, signed: Array) -> Array:
    """Return for each record the chance that its weights add up so high under fair signs.

    Chernoff's bound, at the best of ``SLOPES``: E exp(s·Σ ±w) = Π cosh(s·w).

    Args:
        record: (n,) integers 0..m−1.
        signed: (n,) weights, signed by the secret.
    """
    m, size = int(record.max()) + 1, np.abs(signed)
    scale = np.zeros(m)
    np.maximum.at(scale, record, size)
    scale = np.where(scale > 0, scale, 1.0)
    total, weights = np.bincount(record, weights=signed) / scale, size / scale[record]
    best = np.zeros(m)
    for slope in SLOPES:
        x = slope * weights
        # log cosh, without an overflow
        growth = np.bincount(record, weights=x + np.log1p(np.exp(-2.0 * x)) - math.log(2.0))
        best = np.minimum(best, growth - slope * total)
    return np.exp(best)


def chance_of_list(p: Array) -> Array:
    """Return for each p-value the largest share of a list down to it that chance explains.

    Benjamini and Hochberg's adjusted p-values: of n values the k least have n·p/k by chance.

    Args:
        p: (n,) in 0..1.
    """
    n = len(p)
    order = np.argsort(p, kind="stable")
    shares = p[order] * n / np.arange(1, n + 1)
    out = np.empty(n)
    out[order] = np.minimum(np.minimum.accumulate(shares[::-1])[::-1], 1.0)
    return out


def _named(trials: Trials, item: int) -> tuple[str, int]:
    """Return the source of a record, and its row there."""
    name, first = [s for s in trials.sources if s[1] <= item][-1]
    return name, item - first
