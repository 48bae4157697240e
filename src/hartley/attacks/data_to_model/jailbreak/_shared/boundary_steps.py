"""Steps to the border between two classes as a linear model has it (FAB, arXiv:1907.02044).

The other searches raise a loss within the budget. This one looks for the nearest record that the
victim answers otherwise, whatever its distance, and is a success once that is within the budget.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes
from hartley.kit.perturbation import Perturbation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Array = NDArray[np.float32]

NEARER, BEYOND, BACK = 0.1, 1.05, 0.9
"""The published constants: the largest weight of the step from the clean record, how far a step
goes beyond the border, and what is left of a change after a success."""


def boundary_steps(
    slopes: Slopes,
    rows: NDArray[Any],
    rng: Rng,
    *,
    steps: int,
    random_start: bool,
) -> tuple[Array, NDArray[np.bool_]]:
    """Return records (k, …) near the border of the class that is aimed at, and which are a success.

    Each step linearises the margin of the class that is aimed at over the label, steps to where it
    is 0 from the record as it is now and from the clean one, and takes a mean of both. After a
    success the change is shortened. A record leaves with its first success within the budget, but
    not where answers are noisy.

    Args:
        slopes: of the victim; ``wanted`` are labels and targets.
        rows: (k,) records of the question.
        rng: of the start.
        steps: number of steps.
        random_start: start at a random point of half the budget, not at the clean record.

    Returns:
        The nearest successes, cut to the budget, with the clean record where there is none; and
        which are a success within the budget.
    """
    rules = slopes.brief.rules
    clean = np.asarray(slopes.brief.question.x, np.float32)[rows]
    free = replace(rules, norm="l2").box(clean)  # what values records may have, at any distance
    now = np.clip((clean + rules.random(clean, rng)) / 2, *free) if random_start else clean.copy()
    nearest, size = clean.copy(), np.full(len(rows), np.inf)
    left = np.arange(len(rows))
    for _ in range(steps + 1):
        at = slopes.at(now, rows[left], "margin")
        hit = at.success
        length = rules.sizes(clean[left], now)
        nearer = hit & (length < size[left])
        nearest[left[nearer]], size[left[nearer]] = now[nearer], length[nearer]
        go = np.ones(len(left), bool) if slopes.noisy else size[left] > rules.epsilon
        left, now, hit = left[go], now[go], hit[go]
        if not len(left):
            break
        back = clean[left] + BACK * (now - clean[left])
        box = (free[0][left], free[1][left])
        now = _stepped(rules, now, clean[left], box, (at.loss[go], at.slope[go]))
        now[hit] = back[hit]
    if slopes.noisy:  # at the border a noisy answer is a coin: go on to the end of the budget
        share = rules.epsilon / np.maximum(np.minimum(size, rules.epsilon), 1e-12)
        nearest = clean + (nearest - clean) * share.astype(np.float32).reshape(
            -1, *(1,) * (clean.ndim - 1)
        )
    out, done = rules.projected(nearest, clean, rules.box(clean)), size <= rules.epsilon
    far = np.flatnonzero(np.isfinite(size) & (slopes.noisy | ~done))
    if len(far):
        done[far] = slopes.at(out[far], rows[far], "margin").success
    return out, done


def _stepped(
    rules: Perturbation,
    now: Array,
    clean: Array,
    free: tuple[Array, Array],
    linear: tuple[NDArray[Any], NDArray[Any]],
) -> Array:
    """Return records after one step from where they are and from the clean record.

    ``linear`` are the margins (n,) and their slopes (n, …).
    """
    margin, slope = linear
    here = to_plane(rules, now, free, slope, margin)
    over = ((now - clean) * slope).reshape(len(now), -1).sum(1)
    there = to_plane(rules, clean, free, slope, margin - over)
    origin = np.zeros_like(now)
    sizes = [rules.sizes(origin, change) for change in (here, there)]
    weight = np.minimum(sizes[0] / np.maximum(sizes[0] + sizes[1], 1e-12), NEARER)
    weight = weight.reshape(-1, *(1,) * (now.ndim - 1)).astype(np.float32)
    moved = (now + BEYOND * here) * (1 - weight) + (clean + BEYOND * there) * weight
    return np.asarray(np.clip(moved, *free), np.float32)


def to_plane(
    rules: Perturbation,
    x: Array,
    free: tuple[Array, Array],
    slope: NDArray[Any],
    margin: NDArray[Any],
) -> Array:
    """Return the smallest changes (n, …) within a box that bring a linear margin to 0.

    In units of the scale, each entry moves by as much as its slope says, all alike (L∞) or in
    proportion to it (L2), until it meets the box. Where the whole box does not suffice every entry
    goes to its edge.

    Args:
        rules: norm and scale.
        x: (n, …) records.
        free: least and largest values (n, …).
        slope: (n, …) of the margin.
        margin: (n,) at x.
    """
    flat = (len(x), -1)
    scale = np.broadcast_to(np.asarray(rules.scale, np.float64), x.shape).reshape(flat)
    # Which way raises the margin where it is below 0, and lowers it where it is above.
    steep = np.asarray(slope, np.float64) * -np.sign(margin).reshape(-1, *(1,) * (x.ndim - 1))
    steep = steep.reshape(flat) * scale
    room = np.where(steep > 0, free[1].reshape(flat) - x.reshape(flat),
                    x.reshape(flat) - free[0].reshape(flat))  # fmt: skip
    room = np.where(scale > 0, room / np.where(scale > 0, scale, 1), 0.0)
    weight = np.abs(steep)
    pace = weight if rules.norm == "l2" else np.ones_like(weight)
    # Entry i moves by min(t · pace, room): the t at which they add up to the margin, between the
    # ends of two neighbouring entries.
    end = np.where(weight > 0, room / np.maximum(pace, 1e-300), np.inf)
    order = np.argsort(end, axis=1)
    sorted_ = [np.take_along_axis(a, order, 1) for a in (end, weight * room, weight * pace)]
    ends, filled, rate = sorted_[0], np.cumsum(sorted_[1], 1), sorted_[2]
    rest = np.maximum(rate.sum(1, keepdims=True) - np.cumsum(rate, 1), 0.0)
    due = np.abs(np.asarray(margin, np.float64))[:, None]
    finite = np.isfinite(ends)
    # At the end of entry j: all before it are full, and the others have moved for as long.
    reached = np.where(finite, filled + np.where(finite, ends, 0.0) * rest, np.inf)
    first = (reached >= due).argmax(1)
    enough = (reached >= due) & finite
    row = np.arange(len(x))
    before = np.where(first > 0, filled[row, first - 1], 0.0)
    open_ = np.where(first > 0, rest[row, first - 1], rate.sum(1))
    time = (due[:, 0] - before) / np.maximum(open_, 1e-300)
    time = np.where(enough.any(1), time, np.inf)[:, None]
    with np.errstate(invalid="ignore"):
        units = np.where(weight > 0, np.minimum(time * pace, room), 0.0)
    change = np.sign(steep) * units * scale
    return np.asarray(change.reshape(x.shape), np.float32)
