"""A walk along the border between two answers that reads labels alone (arXiv:1904.02144).

From a record that is answered as the attacker wants, the walk bisects the way to the clean record
until it meets the border, estimates the direction across it from the labels of random steps, goes
that way, and bisects again: HopSkipJump. Each direction is also tried at the clean record with the
whole budget: where borders are nearly flat that is as far as it can lead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.games.jailbreak.evasion import EvasionBrief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Array = NDArray[np.float32]

CUTS, HALVINGS, STARTS, NOISES = 10, 8, 3, 5
"""Bisections of a way, of a step that goes too far, other records that a walk may start at, and
records of noise."""

CHUNK = 4096
"""Records in one question."""


class BorderWalk:
    """Walks for some records of one round; every array has one row a record.

    Args:
        labels: changed records (n, …) → labels (n,) of the victim.
        brief: of the game.
        queries: about each record at most.
        rng: of the walk.
    """

    def __init__(
        self,
        labels: Callable[[Array], NDArray[np.int64]],
        brief: EvasionBrief,
        queries: int,
        rng: Rng,
    ) -> None:
        self.labels, self.brief, self.rng = labels, brief, rng
        self.rules, self.queries = brief.rules, queries
        self.all = np.asarray(brief.question.x, np.float32)
        self.scale = np.broadcast_to(np.asarray(self.rules.scale, np.float32), self.all.shape[1:])
        self.free = replace(self.rules, norm="l2").box(self.all)
        self.used = np.zeros(len(self.all), np.int64)

    def hits(self, x: Array, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which records x (k, …) are a success for ``rows`` (k,), within their questions."""
        out = np.zeros(len(x), bool)
        # One row may be asked about several times in one call.
        order = np.argsort(rows, kind="stable")
        counts = np.bincount(rows, minlength=len(self.all))
        turn = np.empty(len(rows), np.int64)
        turn[order] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        allowed = self.used[rows] + turn < self.queries
        for part in np.array_split(np.flatnonzero(allowed), -(-int(allowed.sum()) // CHUNK) or 1):
            if len(part):
                out[part] = self.brief.succeeds(self.labels(x[part]), rows[part])
        self.used += np.bincount(rows[allowed], minlength=len(self.all))
        return out

    def starts(
        self, rows: NDArray[Any], answers: NDArray[np.int64], start: str
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return records (k, …) near the border that are a success, and where there is one (k,).

        Args:
            rows: (k,) records of the question.
            answers: (n,) of the victim about the clean records.
            start: at other ``records``, at ``noise``, or at the ``nearest`` of both.
        """
        best, size = self.all[rows].copy(), np.full(len(rows), np.inf)
        tries = [] if start == "noise" else self._others(rows, answers)
        tries += [] if start == "records" else self._noise(rows)
        for tried, there in tries:
            at = np.flatnonzero(there)
            at = at[self.hits(tried[at], rows[at])]
            if not len(at):
                continue
            near = self.bisected(tried[at], rows[at])
            away = self.rules.sizes(self.all[rows[at]], near)
            better = away < size[at]
            best[at[better]], size[at[better]] = near[better], away[better]
        return best, np.isfinite(size)

    def _others(
        self, rows: NDArray[Any], answers: NDArray[np.int64]
    ) -> list[tuple[Array, NDArray[np.bool_]]]:
        """The nearest record of the question of each of the nearest classes that are a success."""
        classes = np.unique(answers)
        nearest = np.zeros((len(rows), len(classes)), np.int64)
        size = np.full((len(rows), len(classes)), np.inf)
        for i, row in enumerate(rows):
            clean = np.broadcast_to(self.all[row], self.all.shape)
            away = self.rules.sizes(clean, self._fixed(self.all, row))
            for c, label in enumerate(classes):
                among = np.flatnonzero(answers == label)
                if self.brief.succeeds(np.array([label]), np.array([row]))[0]:
                    nearest[i, c] = among[away[among].argmin()]
                    size[i, c] = away[nearest[i, c]]
        order = np.argsort(size, axis=1)[:, :STARTS]
        out = []
        for place in order.T:
            chosen = nearest[np.arange(len(rows)), place]
            there = np.isfinite(size[np.arange(len(rows)), place])
            tried = [self._fixed(self.all[[c]], r)[0] for c, r in zip(chosen, rows, strict=True)]
            out.append((np.stack(tried) if tried else self.all[:0], there))
        return out

    def _fixed(self, x: Array, row: int) -> Array:
        """Records x with the entries that may not change as in the clean record."""
        return np.asarray(np.where(self.scale > 0, x, self.all[row]))

    def _noise(self, rows: NDArray[Any]) -> list[tuple[Array, NDArray[np.bool_]]]:
        low, high = self.free[0][rows], self.free[1][rows]
        draws = [self.rng.random(low.shape, np.float32) for _ in range(NOISES)]
        return [(low + (high - low) * draw, np.ones(len(rows), bool)) for draw in draws]

    def between(self, x: Array, rows: NDArray[Any], share: NDArray[Any]) -> Array:
        """Return records on the way from the clean ones to x, at a share (k,) of the change."""
        clean = self.all[rows]
        part = share.astype(np.float32).reshape(-1, *(1,) * (x.ndim - 1))
        if self.rules.norm == "l2":
            return np.asarray(clean + part * (x - clean))
        # Of an L∞ change the largest entries are cut, as the authors do.
        reach = self.rules.sizes(clean, x).astype(np.float32).reshape(part.shape) * part
        return np.asarray(np.clip(x, clean - reach * self.scale, clean + reach * self.scale))

    def bisected(self, x: Array, rows: NDArray[Any]) -> Array:
        """Return records (k, …) just beyond the border, on the way to successes x."""
        low, high, out = np.zeros(len(x)), np.ones(len(x)), x.copy()
        for _ in range(CUTS if len(x) else 0):
            middle = (low + high) / 2
            tried = self.between(x, rows, middle)
            hit = self.hits(tried, rows)
            out[hit] = tried[hit]
            high, low = np.where(hit, middle, high), np.where(hit, low, middle)
        return out

    def directions(
        self, x: Array, rows: NDArray[Any], samples: int, reach: NDArray[Any]
    ) -> NDArray[np.float32]:
        """Return an estimate (k, …) of which way successes lie, in units of the scale.

        Args:
            x: records near the border.
            rows: (k,) of the question.
            samples: random steps of each record.
            reach: (k,) their length, in units of the scale.
        """
        total, weighted = np.zeros_like(x), np.zeros_like(x)
        votes = np.zeros(len(x))
        many = max(1, CHUNK // max(1, len(x)))
        shape = (-1, *(1,) * (x.ndim - 1))
        for first in range(0, samples, many):
            count = min(many, samples - first)
            steps = self.rng.standard_normal((count, *x.shape), dtype=np.float32)
            if self.rules.norm == "linf":
                steps = self.rng.uniform(-1, 1, steps.shape).astype(np.float32)
            else:
                sizes = np.sqrt((steps.reshape(count, len(x), -1) ** 2).sum(2))
                steps /= sizes.reshape(count, len(x), *(1,) * (x.ndim - 1))
            away = reach.astype(np.float32).reshape(shape)
            tried = np.clip(x + away * steps * self.scale, self.free[0][rows], self.free[1][rows])
            units = np.where(self.scale > 0, tried - x, 0) / np.where(self.scale > 0, self.scale, 1)
            flat = tried.reshape(-1, *x.shape[1:])
            signs = np.where(self.hits(flat, np.tile(rows, count)), 1.0, -1.0)
            signs = signs.reshape(count, len(x)).astype(np.float32)
            total += units.sum(0)
            weighted += (units * signs.reshape(count, *shape)).sum(0)
            votes += signs.sum(0)
        mean = (votes / samples).astype(np.float32).reshape(shape)
        # The mean is taken off unless all steps agree (the authors' variance reduction).
        return np.where(np.abs(mean) < 1, weighted - mean * total, weighted)

    def stepped(
        self, x: Array, rows: NDArray[Any], direction: Array, length: NDArray[Any]
    ) -> Array:
        """Return successes (k, …) after steps of ``length`` (k,), halved until they are one."""
        out, left = x.copy(), np.arange(len(x))
        length = length.copy()
        for _ in range(HALVINGS):
            if not len(left):
                break
            tried = self.along(x[left], direction[left], length[left])
            tried = np.clip(tried, self.free[0][rows[left]], self.free[1][rows[left]])
            hit = self.hits(tried, rows[left])
            out[left[hit]] = tried[hit]
            left = left[~hit]
            length /= 2
        return out

    def along(self, x: Array, direction: Array, length: NDArray[Any]) -> Array:
        """Return records after steps of some length, in units of the scale."""
        slope = np.asarray(direction / np.where(self.scale > 0, self.scale, 1), np.float32)
        return self.rules.moved(x, slope, length)


def walked(
    walk: BorderWalk,
    rows: NDArray[Any],
    start: tuple[Array, NDArray[np.bool_]],
    *,
    samples: int,
    probe: float,
) -> Array:
    """Return records (k, …), the nearest successes cut to the budget.

    Args:
        walk: asks the victim.
        rows: (k,) records of the question.
        start: records near the border, and for which rows there is one.
        samples: random steps of the first direction; the t-th takes √t times as many.
        probe: their length, as a share of the change.
    """
    rules, clean = walk.rules, walk.all[rows]
    now, there = start
    out = rules.projected(now, clean, rules.box(clean))
    best = np.where(there, rules.sizes(clean, now), np.inf)
    left = np.flatnonzero(there & (best > rules.epsilon))
    for turn in range(1, walk.queries):
        count = int(samples * turn**0.5)
        left = left[walk.used[rows[left]] + count + CUTS < walk.queries]
        if not len(left):
            break
        here, row = now[left], rows[left]
        size = rules.sizes(clean[left], here)
        direction = walk.directions(here, row, count, probe * size)
        whole = walk.along(clean[left], direction, np.full(len(left), rules.epsilon))
        box = rules.box(clean[left])
        whole = rules.projected(whole, clean[left], box)
        hit = walk.hits(whole, row)
        out[left[hit]], best[left[hit]] = whole[hit], rules.epsilon
        further = walk.stepped(here, row, direction, size / turn**0.5)
        near = walk.bisected(further, row)
        away = rules.sizes(clean[left], near)
        now[left] = near
        better = ~hit & (away < best[left])
        best[left[better]] = away[better]
        if better.any():
            room = (box[0][better], box[1][better])
            out[left[better]] = rules.projected(near[better], clean[left[better]], room)
        left = left[best[left] > rules.epsilon]
    return np.asarray(out)
