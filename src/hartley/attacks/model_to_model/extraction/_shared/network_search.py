"""Search a ReLU network: its first hidden layer, then a second one, until a copy answers alike.

Lines at random come first. Short ones cross a unit of the second layer again of which too little is
known. Then come lines from records that the copy answers wrongly, near which a bend was missed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_model.extraction._shared import bends, relu_layers, second_layer
from hartley.core.errors import BudgetSpent
from hartley.kit import dense_layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.attacks.model_to_model.extraction._shared.exact_scores import Scores
    from hartley.core.parts import Rng
    from hartley.kit.dense_layers import Layers

QUIET, QUIET_DEEP = 7, 12
"""Lines in a row without anything new after which the search of first and of second units ends."""

ATTEMPTS = 20
"""Copies of two hidden layers that are made and compared with the victim at most."""

POLISHED = 400
"""Records that weights are moved to which no bend has shown."""

CHECKS, MANY, WRONG = 1000, 40_000, 1e-7
"""Records on which a copy of two hidden layers is compared with the victim, and those once it is
right on them; and the share of the largest score by which an answer may be off."""

STEP = 1e-4
"""Distance over which the slope of the gap between victim and copy is taken."""

LINE = 2000
"""Queries that one line may take; with fewer left none is begun."""

SHORT, AIMED = 2.0, 6
"""How far short lines go on both sides, and how often all that are of use are searched."""

SPREAD = 3.0
"""Deviation of the records that settle the last layer, in that of the attacker's."""


def searched(ask: Scores, scores: bends.Ask, d: int, rng: Rng, lines: int) -> Layers:
    """Return the layers of a network of at most two hidden layers, as far as they are found.

    Args:
        ask: counts the queries; what it leaves over limits the search.
        scores: standardised records (n, d) → scores (n, k), through ``ask``.
        d: numbers in a record.
        rng: draws lines and records.
        lines: lines that are searched at most, for each of both layers.
    """
    first = relu_layers.FirstLayer(np.zeros((0, d)), np.zeros(0))
    _search(ask, scores, first, rng, lines, explained=_never)
    if not first.deep:
        return _shallow_network(ask, scores, first, rng)
    relu_layers.settle_signs(scores, first, rng)
    units = second_layer.Units(first)
    units.take()
    _search(
        *(ask, scores, first, rng, lines),
        explained=units.explain,
        take=units.take,
        enough=QUIET_DEEP,
    )
    _search_again(ask, scores, first, units, rng)
    if len(units.rows()[0]):
        return _deep_network(ask, scores, first, units, rng)
    # What looked like a second layer was two bends of the first in one place.
    first.settled = False
    return _shallow_network(ask, scores, first, rng)


def _shallow_network(
    ask: Scores, scores: bends.Ask, first: relu_layers.FirstLayer, rng: Rng
) -> Layers:
    """Return the network of one hidden layer, after further lines where a copy answers wrongly."""
    while True:
        layers = _with_last_layer(ask, scores, first.rows, first.biases, rng)
        units = len(first.rows)
        if ask.left < CHECKS + 4 * LINE:
            return layers
        fresh = SPREAD * rng.standard_normal((CHECKS, first.rows.shape[1]))
        right = scores(fresh)
        error = np.abs(dense_layers.forward(layers, fresh) - right).max(1)
        if error.max() < WRONG * np.abs(right).max():
            return layers
        for row in np.argsort(-error)[:4].tolist():
            try:
                line = bends.on_line(scores, fresh[row], _towards(fresh[row], rng), rng)
                relu_layers.search_line(scores, first, line, rng, explained=_never)
            except BudgetSpent:  # answers with noise look bent everywhere
                return layers
        if len(first.rows) == units:
            return layers


def _towards(start: NDArray[np.float64], rng: Rng) -> NDArray[np.float64]:
    """Return the unit direction (d,) from a point to a record drawn at random."""
    along = rng.standard_normal(len(start)) - start
    return np.asarray(along / float(np.linalg.norm(along)))


def _deep_network(
    ask: Scores,
    scores: bends.Ask,
    first: relu_layers.FirstLayer,
    units: second_layer.Units,
    rng: Rng,
) -> Layers:
    """Return the network of two hidden layers, after further lines where a copy answers wrongly."""
    below, d = (first.rows, first.biases), first.rows.shape[1]
    rows, biases = units.rows()
    size = min(ask.left, 4 * (len(rows) + 1) * (len(first.rows) + 1))
    x = relu_layers.varied(first, rows, biases, rng, size)
    answers = scores(x)
    layers: Layers = ()
    stuck = False
    for _ in range(ATTEMPTS):
        states = np.maximum(first.states(x), 0)
        top = relu_layers.finished(states, answers, *units.rows())
        limit = WRONG * float(np.abs(answers).max())
        gaps = answers - dense_layers.forward(top, states)
        if units.fill(states, gaps, top, limit):
            top = relu_layers.finished(states, answers, *units.rows())
        elif stuck:  # no bend is missing, but weights that no bend has shown
            last = slice(-POLISHED, None)
            top = relu_layers.polished(top, states[last], answers[last], enough=limit)
        layers = (below, *top)
        for checks in (CHECKS, MANY):
            if ask.left < checks + 4 * LINE:
                return layers
            fresh = rng.standard_normal((checks, d)) * rng.uniform(1, SPREAD, (checks, 1))
            right = scores(fresh)
            error = np.abs(dense_layers.forward(layers, fresh) - right).max(1)
            if error.max() > limit:
                break
        else:
            return layers
        worst = np.argsort(-error)[:4]
        before = units.shown
        _search_towards(scores, first, units, rng, layers=layers, wrong=fresh[worst])
        _search_again(ask, scores, first, units, rng)
        stuck = units.shown <= before
        # Those that were answered wrongly settle the layers too, and some of the others.
        more = np.concatenate([np.flatnonzero(error > limit), np.arange(100)])[:400]
        x, answers = np.concatenate([x, fresh[more]]), np.concatenate([answers, right[more]])
    return layers


def _search_towards(
    scores: bends.Ask,
    first: relu_layers.FirstLayer,
    units: second_layer.Units,
    rng: Rng,
    *,
    layers: Layers,
    wrong: NDArray[np.float64],
) -> None:
    """Search lines from records (n, d) that layers answer wrongly: a bend was missed near each.

    Where one unit alone is missing, the gap between victim and copy falls to 0 at its bend, down
    its own slope. A second line goes to a record drawn at random.
    """
    for row in range(len(wrong)):
        bad: NDArray[np.float64] = wrong[row, :]
        try:
            down, far = _down_the_gap(scores, layers, bad)
            lines = [bends.on_line(scores, bad + far * down, down, rng, reach=far + SHORT)]
            lines.append(bends.on_line(scores, bad, _towards(bad, rng), rng))
            for line in lines:
                relu_layers.search_line(scores, first, line, rng, explained=units.explain)
        except BudgetSpent:
            break
    units.take()


def _down_the_gap(
    scores: bends.Ask, layers: Layers, bad: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the unit direction (d,) in which the gap at a record falls, and how far it is to 0."""
    steps = STEP * np.concatenate([np.zeros((1, len(bad))), np.eye(len(bad))])
    gaps = scores(bad + steps) - dense_layers.forward(layers, bad + steps)
    most = int(np.abs(gaps[0]).argmax())
    slope = (gaps[1:, most] - gaps[0, most]) / STEP
    length = max(float(np.linalg.norm(slope)), 1e-300)
    sign = np.sign(gaps[0, most])
    return -sign * slope / length, min(abs(float(gaps[0, most])) / length, bends.REACH)


def _search_again(
    ask: Scores,
    scores: bends.Ask,
    first: relu_layers.FirstLayer,
    units: second_layer.Units,
    rng: Rng,
) -> None:
    """Search short lines that cross units of which too little is known, as long as it helps."""
    for _ in range(AIMED):
        if not _search_aimed(ask, scores, first, units, rng):
            return


def _search_aimed(
    ask: Scores,
    scores: bends.Ask,
    first: relu_layers.FirstLayer,
    units: second_layer.Units,
    rng: Rng,
) -> bool:
    """Search short lines that cross units again of which too little is known; whether it helped.

    Queries for the settling of the last layers are left over.
    """
    before = units.shown
    for middle, along in units.aims(rng):
        if ask.left < 2 * LINE:
            break
        try:
            line = bends.on_line(scores, middle, along, rng, reach=SHORT, pieces=4)
            relu_layers.search_line(scores, first, line, rng, explained=units.explain)
        except BudgetSpent:
            break
    units.take()
    return units.shown > before


def _never(at: NDArray[np.float64]) -> bool:
    del at
    return False


def _search(
    ask: Scores,
    scores: bends.Ask,
    first: relu_layers.FirstLayer,
    rng: Rng,
    lines: int,
    *,
    explained: Callable[[NDArray[np.float64]], bool],
    take: Callable[[], bool] | None = None,
    enough: int = QUIET,
) -> None:
    """Search random lines until ``enough`` in a row show nothing new, or too few queries are left.

    ``take`` uses what the last line showed of deeper units, and says whether it was new.
    """
    d, quiet = first.rows.shape[1], 0
    for _ in range(lines):
        # Twice as many records as the last layer has parameters are left for it.
        if quiet >= enough or ask.left < 4 * (d + len(first.rows) + 1) + LINE:
            return
        along = np.asarray(rng.standard_normal(d))
        along /= np.linalg.norm(along)
        before = len(first.rows)
        try:
            start = np.asarray(rng.standard_normal(d))
            line = bends.on_line(scores, start, along, rng)
            relu_layers.search_line(scores, first, line, rng, explained=explained)
        except BudgetSpent:
            return
        deeper = take is not None and take()
        quiet = 0 if deeper or len(first.rows) > before else quiet + 1


def _with_last_layer(
    ask: Scores,
    scores: bends.Ask,
    rows: NDArray[Any],
    biases: NDArray[Any],
    rng: Rng,
) -> Layers:
    """Return the network whose only hidden layer is known up to signs; linear without units."""
    d = rows.shape[1]
    size = min(ask.left, 2 * (len(rows) + d + 1))
    x = SPREAD * rng.standard_normal((size, d))
    if len(rows):
        return relu_layers.finished(x, scores(x), rows, biases)
    table = np.column_stack([x, np.ones(len(x))])
    solved = np.asarray(np.linalg.lstsq(table, scores(x), rcond=None)[0].T, dtype=np.float64)
    return ((solved[:, :-1], solved[:, -1]),)
