"""Random search over squares (arXiv:1912.00049): a black-box attack that asks for scores alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Model, Output
from hartley.games.jailbreak.evasion import EvasionBrief
from hartley.kit.answer_units import log_probabilities
from hartley.kit.evasion_losses import of_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Array = NDArray[np.float32]

SHRINKS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Steps of 10,000 at which the share of a record that a step changes is halved, as published."""


def random_squares(
    model: Model,
    brief: EvasionBrief,
    rows: NDArray[Any],
    rng: Rng,
    *,
    queries: int,
    share: float,
    ties: bool,
) -> tuple[Array, NDArray[np.bool_]]:
    """Return records (k, …) changed by random squares that do not lower the loss, and successes.

    Of L2 budgets the square is added and the whole change scaled back to the budget, which is
    simpler than the paper's bookkeeping of mass. Records that are not pictures are changed at
    random entries instead of squares.

    Args:
        model: the victim.
        brief: of the game.
        rows: (k,) records of the question.
        rng: of the search.
        queries: asked about each record at most.
        share: of a record that the first steps change.
        ties: take a change that leaves the loss as it is.
    """
    rules = brief.rules
    clean = np.asarray(brief.question.x, np.float32)[rows]
    box = rules.box(clean)
    signs = _signs(clean.shape if clean.ndim != 4 else (*clean.shape[:2], 1, clean.shape[-1]), rng)
    now = rules.projected(_added(clean, clean, signs, 1.0, brief), clean, box)
    loss, success = _asked(model, brief, now, rows)
    out, done, left = now.copy(), success.copy(), np.arange(len(rows))
    for t in range(1, queries):
        if success.any():
            stay = ~success
            left, now, loss, clean = left[stay], now[stay], loss[stay], clean[stay]
            box = (box[0][stay], box[1][stay])
        if not len(left):
            break
        window = _window(now.shape, _share(t, queries, share), rng)
        tried = rules.projected(_added(now, clean, window, 0.0, brief), clean, box)
        value, success = _asked(model, brief, tried, rows[left])
        taken = (value > loss) | success | (ties & (value == loss))
        now[taken], loss[taken] = tried[taken], value[taken]
        out[left], done[left] = now, success
    return out, done


def _added(now: Array, clean: Array, signs: Array, start: float, brief: EvasionBrief) -> Array:
    """Records in which the change has these signs where they are not 0."""
    rules = brief.rules
    reach = np.float32(rules.epsilon) * np.asarray(rules.scale, np.float32)
    if rules.norm == "linf":
        return np.where(signs != 0, clean + signs * reach, now)
    size = np.sqrt((signs.reshape(len(signs), -1) != 0).sum(1).clip(1))
    size = size if not start else np.full(len(now), np.sqrt(now[0].size))
    return now + signs * reach / size.astype(np.float32).reshape(-1, *(1,) * (now.ndim - 1))


def _signs(shape: tuple[int, ...], rng: Rng) -> Array:
    return rng.choice(np.array([-1, 1], np.float32), shape)


def _share(t: int, queries: int, share: float) -> float:
    at = t / queries * 10_000
    return float(share / 2 ** sum(at > step for step in SHRINKS))


def _window(shape: tuple[int, ...], share: float, rng: Rng) -> Array:
    """Signs (k, …) in a random square of each picture, one a channel, or at random entries."""
    if len(shape) != 4:
        mask = rng.random(shape) < max(share, 1 / shape[-1])
        return _signs(shape, rng) * mask
    count, channels, height, width = shape[0], shape[1], shape[-2], shape[-1]
    side = int(np.clip(round((share * height * width) ** 0.5), 1, min(height, width)))
    top, first = (rng.integers(0, room - side + 1, (count, 1)) for room in (height, width))
    rows, columns = np.arange(height) - top, np.arange(width) - first
    inside = [(axis >= 0) & (axis < side) for axis in (rows, columns)]
    mask = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return _signs((count, channels, 1, 1), rng) * mask


def _asked(
    model: Model, brief: EvasionBrief, x: Array, rows: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the loss (k,), the margin or with targets the cross-entropy, and successes (k,)."""
    answers = np.asarray(model.calls["query"](x))
    labels = brief.question.labels[rows]
    targets = None if brief.targets is None else brief.targets[rows]
    if model.output is Output.LABELS:
        success = brief.succeeds(answers, rows)
        return success.astype(np.float64), success
    z = log_probabilities(answers, model.output)
    loss, _ = of_array(z, labels, targets, "margin" if targets is None else "ce")
    return loss, brief.succeeds(z.argmax(1), rows)
