"""Search a ReLU network: its first hidden layer, then a second one, until a copy answers alike.

Lines at random come first. Then those between the middle of the records and a record that the copy
answers wrongly, where a bend must be that was missed.
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

QUIET, QUIET_DEEP = 4, 12
"""Lines in a row without anything new after which the search of first and of second units ends."""

CHECKS, WRONG = 1000, 1e-7
"""Records on which a copy of two hidden layers is compared with the victim, and the share of the
largest score by which an answer may be off."""

LINE = 2000
"""Queries that one line may take; with fewer left none is begun."""

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
        return _with_last_layer(ask, scores, first.rows, first.biases, rng)
    relu_layers.settle_signs(scores, first, rng)
    units = second_layer.Units(first)
    units.take()
    _search(
        *(ask, scores, first, rng, lines),
        explained=units.explain,
        take=units.take,
        enough=QUIET_DEEP,
    )
    while len(units.rows()[0]):
        layers = _deep_network(ask, scores, first, units, rng)
        wrong = _wrong(ask, scores, layers, rng)
        if not len(wrong):
            return layers
        for row in range(len(wrong)):
            bad: NDArray[np.float64] = wrong[row, :]
            back = bad * (-1.0 / float(np.linalg.norm(bad)))
            # Between a record that is answered wrongly and the middle lies a bend that is missing.
            try:
                line = bends.on_line(scores, bad, back, rng)
                relu_layers.search_line(scores, first, line, rng, explained=units.explain)
            except BudgetSpent:
                return layers
        units.take()
    # What looked like a second layer was two bends of the first in one place.
    return _with_last_layer(ask, scores, first.rows, first.biases, rng)


def _deep_network(
    ask: Scores,
    scores: bends.Ask,
    first: relu_layers.FirstLayer,
    units: second_layer.Units,
    rng: Rng,
) -> Layers:
    """Return the network of two hidden layers as far as its units are known."""
    rows, biases = units.rows()
    below = (first.rows, first.biases)
    parameters = (len(rows) + 1) * (len(below[1]) + 1) * 2
    size = min(ask.left, 2 * parameters)
    x = relu_layers.varied(first, rows, biases, rng, size)
    answers, states = scores(x), np.maximum(first.states(x), 0)
    top = relu_layers.finished(states, answers, rows, biases)
    return (below, *relu_layers.polished(top, states, answers))


def _wrong(ask: Scores, scores: bends.Ask, layers: Layers, rng: Rng) -> NDArray[np.float64]:
    """Return records (n, d) that a copy answers wrongly; none where too few queries are left."""
    d = layers[0][0].shape[1]
    if ask.left < CHECKS + 8 * LINE:
        return np.zeros((0, d))
    x = rng.standard_normal((CHECKS, d)) * rng.uniform(1, SPREAD, (CHECKS, 1))
    answers = scores(x)
    error = np.abs(dense_layers.forward(layers, x) - answers).max(1)
    order = np.argsort(-error)[:4]
    return np.asarray(x[order[error[order] > WRONG * np.abs(answers).max()]])


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
