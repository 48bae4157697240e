"""Do the rows keep what their bound assumes? Tests of a table before a number of it is believed.

Every bound rests on rows (or clusters) that are independent, and on a reading that was fixed before
the rows were seen. A table can show that it breaks this; it can never show that it keeps it. The
tests, their p-values and what they cannot see: ``docs/gate.md`` and ``design/measurement.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.trials import order_checks, repeat_checks
from hartley.channel.trials.order_checks import Signals, midranks, standardised
from hartley.channel.trials.validate import Columns
from hartley.core import AnswerForm, Trials, spawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]

BROKEN = "BROKEN ASSUMPTION"
"""The first words of a check that breaks the row's bound. The row is flagged and cannot decide a
limit."""

LEVEL = 0.001
"""p-value below which a check fails. There are at most five on a table: at most 0.5 %
of sound tables are flagged."""

FEWEST = 20
"""Rows, or clusters, that the checks of the order need."""

SOME = 1 << 18
"""Rows above which the order is checked on sixteen stretches of the file, evenly spread over it."""
STRETCHES = 16

RUN = 8
"""Mean length of the runs of equal secrets from which many rows seem to share a coin."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check that a table failed.

    Attributes:
        name: ``copies``, ``items``, ``order``, ``drift``, ``neighbours`` or ``coin``.
        p: the chance that a sound table looks like this, or more so.
        says: one sentence with the p-value, for the flags of a row.
        breaks: whether it breaks the row's bound, so that the row settles no limit.
    """

    name: str
    p: float
    says: str
    breaks: bool


def check_assumptions(trials: Trials, columns: Columns) -> tuple[Check, ...]:
    """Return the checks that a table fails, each at ``LEVEL``.

    The order of the rows is that of the column ``order`` where there is one, else that of the file.
    With a column ``cluster`` the clusters are compared instead of the rows.

    Args:
        trials: the rows that are measured, as ``validate.measured_rows`` returns them.
        columns: the same rows, checked.
    """
    # The seed depends on neither names nor settings: the same rows always get the same answer.
    rng = np.random.default_rng(spawn(0, "assumption_checks", len(columns.truth)))
    checks = [*_copies(trials, columns), *_items(trials, columns, rng)]
    checks += _ordered(trials, columns, rng)
    return tuple(checks)


def _failed(name: str, p: float, text: str, *, breaks: bool = True) -> Iterator[Check]:
    if p < LEVEL:
        chance = "p < 1e-12" if p < 1e-12 else f"p = {p:.1g}"
        says = f"{text} ({chance})"
        yield Check(name, p, f"{BROKEN}: {says}" if breaks else says, breaks)


def _copies(trials: Trials, columns: Columns) -> Iterator[Check]:
    """Equal rows: more alike in number than independent draws of discrete values are."""
    extras = [trials.logq, trials.gain, trials.p_null, *trials.costs.values()]
    # A column of one value, such as one query a row, says nothing about copies.
    extras = [column for column in extras if column is not None and np.ptp(column) > 0]
    unit = "rows" if columns.cluster is None else "clusters"
    informative = trials.spec.form is AnswerForm.SCORE or extras
    if informative or columns.cluster is not None:
        received = [columns.truth, columns.guess, columns.reference, *extras]
        codes = repeat_checks.row_codes(column for column in received if column is not None)
        if columns.cluster is not None:
            codes = repeat_checks.cluster_codes(codes, columns.cluster)
        p, times = repeat_checks.copies(repeat_checks.multiplicities(codes))
        text = (
            f"{unit} are copies of one another, often {times} times the same, which independent "
            f"{unit} are not: keep one of each, or name the rows that belong together in a column "
            "`cluster`"
        )
        yield from _failed("copies", p, text)
    elif trials.spec.form is AnswerForm.SYMBOL:
        p, factor = repeat_checks.common_factor(columns.truth, columns.guess)
        text = (
            f"every pair of secret and guess occurs a multiple of {factor} times, as in {factor} "
            "copies of one table: keep one of each"
        )
        yield from _failed("copies", p, text)


def _items(trials: Trials, columns: Columns, rng: np.random.Generator) -> Iterator[Check]:
    """Rows of one item, declared independent, that answer alike."""
    if trials.item is None or columns.cluster is not None:
        return
    item = np.unique(trials.item, return_inverse=True)[1]
    if item.max() + 1 == len(item):
        return
    p = order_checks.alike_in_groups(_signals(trials, columns, np.arange(len(item))), item, rng)
    text = (
        "rows of one `item` are alike, so that they are not independent: write the items as "
        "`cluster`"
    )
    yield from _failed("items", p, text)


def _ordered(trials: Trials, columns: Columns, rng: np.random.Generator) -> Iterator[Check]:
    """What the order of the rows gives away."""
    rows = _in_order(trials, columns)
    if columns.cluster is None:
        sort = _sorted_by_answer(columns.truth[rows], columns.guess[rows])
        if sort is not None:
            yield from _failed(*sort[:2], sort[2], breaks=sort[3])
            return
        signals = _signals(trials, columns, rows)
        unit, hint = "rows", "write what neighbouring rows share (a user, a file) as `cluster`"
    else:
        signals = _of_clusters(_signals(trials, columns, rows), columns.cluster[rows])
        unit, hint = "clusters", "write what neighbouring clusters share as `cluster`"
    if len(signals.group) < FEWEST:
        return
    if columns.cluster is None and _shares_coins(columns.truth[rows]):
        p, width = order_checks.neighbours(signals, rng)
        text = (
            "long runs of rows share secret and answer, as if one coin had been tossed for many "
            f"rows: {hint}"
        )
        yield from _failed("coin", p, text)
        return
    p = order_checks.drift(signals, rng)
    drifts = p < LEVEL
    text = (
        f"secrets and answers drift together along the {unit}, so that time alone may explain the "
        "bits: draw the secrets anew for each row, or play in random order and write it as `order`"
    )
    yield from _failed("drift", p, text)
    p, width = order_checks.neighbours(signals, rng)
    if p < LEVEL and not drifts:
        text = f"neighbouring {unit} are alike (about {width} in a row): {hint}"
        yield from _failed("neighbours", p, text)
    elif not drifts:
        p, lag = order_checks.period(signals, rng)
        text = f"the {unit} repeat themselves after {lag} {unit}: keep one copy of each"
        yield from _failed("copies", p, text)


def _in_order(trials: Trials, columns: Columns) -> Whole:
    """Return the numbers of the rows that the order is checked on, in that order."""
    n = len(columns.truth)
    rows = np.arange(n) if trials.order is None else np.argsort(trials.order, kind="stable")
    if n <= SOME:
        return rows
    length = SOME // STRETCHES
    starts = np.linspace(0, n - length, STRETCHES).astype(np.int64)
    places = (starts[:, None] + np.arange(length)).ravel()
    if columns.cluster is None:
        return np.asarray(rows[places])
    # A cluster is taken whole or not at all: it is where it begins.
    cluster = columns.cluster[rows]
    chosen = np.zeros(n, np.bool_)
    chosen[places] = True
    return np.asarray(rows[chosen[_begins(cluster)[cluster]]])


def _sorted_by_answer(truth: Whole, answer: NDArray[Any]) -> tuple[str, float, str, bool] | None:
    """Return the check of a file that is sorted by its answers, whose order is not that of play."""
    from scipy.special import gammaln

    if len(answer) < FEWEST:
        return None
    log_chance = 0.0
    for secret in np.flatnonzero(np.bincount(truth)):
        inside = answer[truth == secret]
        steps = np.diff(inside)
        if not ((steps >= 0).all() or (steps <= 0).all()):
            return None
        equal = np.unique(inside, return_counts=True)[1]
        if len(equal) > 1:
            # Two orders, up and down, out of all that differ.
            orders = gammaln(len(inside) + 1) - gammaln(equal + 1).sum()
            log_chance += min(0.0, float(np.log(2) - orders))
    p, steps = float(np.exp(log_chance)), np.diff(answer)
    if p >= LEVEL:
        return None
    if bool((np.abs(steps - steps[0]) <= 1e-9 * np.abs(steps[0])).all()):
        text = (
            "the answer is the number of the row in the file, so that the order of the rows alone "
            "gives the secrets away: write what the attacker answered"
        )
        return "order", p, text, True
    text = (
        "the rows are sorted by their answers, so that drift and neighbouring rows cannot be "
        "checked; a column `order` with the order of play makes that possible"
    )
    return "order", p, text, False


def _shares_coins(truth: Whole) -> bool:
    """Whether the secrets come in runs that no coin a row makes, although they are not sorted."""
    changes = int(np.count_nonzero(np.diff(truth)))
    kinds = len(np.flatnonzero(np.bincount(truth)))
    return changes >= max(5, 2 * kinds) and len(truth) >= RUN * (changes + 1)


def _signals(trials: Trials, columns: Columns, rows: Whole) -> Signals:
    """Return answers as signals, compared with those of the same secret."""
    truth, answer = columns.truth[rows], columns.guess[rows].astype(np.float64)
    whole = np.zeros(len(rows), np.int64)
    secret = midranks(truth.astype(np.float64), whole)
    if trials.spec.form is AnswerForm.RANK:
        # A rank says how well the row was answered, whatever the secret.
        return Signals(whole, midranks(answer, whole)[None], secret)
    group = np.unique(truth, return_inverse=True)[1]
    values = midranks(answer, group)
    if trials.spec.alphabet == 2:
        # A user may have high answers throughout, or answers that are right throughout.
        return Signals(group, np.stack([values, np.where(truth == 1, values, -values)]), secret)
    right = standardised((answer == truth).astype(np.float64), group)
    return Signals(group, np.stack([right, values]), secret)


def _begins(cluster: Whole) -> Whole:
    """Return (m,) the first row of each cluster, or the number of rows where it has none."""
    begin = np.full(int(cluster.max()) + 1, len(cluster))
    np.minimum.at(begin, cluster, np.arange(len(cluster)))
    return begin


def _of_clusters(signals: Signals, cluster: Whole) -> Signals:
    """Return sums over clusters as signals, in the order in which the clusters begin.

    Clusters of one secret are compared with others of that secret, mixed ones with mixed ones.
    """
    sizes = np.bincount(cluster)
    order = np.argsort(_begins(cluster), kind="stable")[: int((sizes > 0).sum())]
    least = np.full(len(sizes), np.iinfo(np.int64).max)
    most = np.full(len(sizes), -1)
    np.minimum.at(least, cluster, signals.group)
    np.maximum.at(most, cluster, signals.group)
    secret = np.where(least == most, most, -1)[order]
    group = np.unique(secret, return_inverse=True)[1]

    def summed(values: Floats) -> Floats:
        sums = np.bincount(cluster, weights=values)[order]
        return np.asarray(sums / np.sqrt(sizes[order]))

    values = np.stack([standardised(summed(signal), group) for signal in signals.values])
    whole = np.zeros(len(order), np.int64)
    share = summed(signals.secret) / np.sqrt(sizes[order])
    return Signals(group, values, midranks(np.round(share, 9), whole))
