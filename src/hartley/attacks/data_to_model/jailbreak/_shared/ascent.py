"""Projected gradient ascent (arXiv:1706.06083) and its parameter-free form (arXiv:2003.01690).

Both work on all records at once. A record whose answer is what the attacker wants leaves at that
point (``early``): its slope is computed already, and the rest of the work is spent on the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Array = NDArray[np.float32]

MOMENTUM, RISES = 0.75, 0.75
"""APGD: weight of the new step, and the share of rising steps below which it is halved."""


def projected_ascent(
    slopes: Slopes,
    rows: NDArray[Any],
    rng: Rng,
    *,
    loss: str,
    steps: int,
    step: float,
    early: bool,
    random_start: bool = True,
) -> tuple[Array, NDArray[np.bool_]]:
    """Return records (k, …) changed by steps of equal length, and which are a success.

    Args:
        slopes: of the victim.
        rows: (k,) records of the question.
        rng: of the start.
        loss: that is ascended.
        steps: number of steps.
        step: length of one, as a share of epsilon.
        early: leave a record as it is once it is a success.
        random_start: start at a random point of the ball, not at the record.
    """
    rules = slopes.brief.rules
    clean = np.asarray(slopes.brief.question.x, np.float32)[rows]
    box = rules.box(clean)
    now = rules.projected(rules.random(clean, rng), clean, box) if random_start else clean.copy()
    out, done, left = now.copy(), np.zeros(len(rows), bool), np.arange(len(rows))
    for t in range(steps + 1):
        at = slopes.at(now, rows[left], loss)
        out[left], done[left] = now, at.success
        if early and at.success.any():
            go = ~at.success
            left, now, slope = left[go], now[go], at.slope[go]
            clean, box = clean[go], (box[0][go], box[1][go])
        else:
            slope = at.slope
        if t == steps or not len(left):
            break
        length = np.full(len(now), step * rules.epsilon)
        now = rules.projected(rules.moved(now, slope, length), clean, box)
    return out, done


def auto_ascent(
    slopes: Slopes,
    rows: NDArray[Any],
    rng: Rng,
    *,
    loss: str,
    steps: int,
    early: bool,
) -> tuple[Array, NDArray[np.bool_]]:
    """Return records (k, …) changed by steps that halve where the loss does not rise (APGD).

    Args:
        slopes: of the victim.
        rows: (k,) records of the question.
        rng: of the start.
        loss: that is ascended.
        steps: number of steps.
        early: leave a record as it is once it is a success; else the best point is returned.
    """
    rules = slopes.brief.rules
    state = _State.begun(slopes, rows, rng, loss)
    out, done = state.now.copy(), state.success.copy()
    window, least, less = (max(1, int(share * steps)) for share in (0.22, 0.06, 0.03))
    since = 0
    for t in range(steps):
        if early and state.success.any():
            state = state.only(~state.success)
        if not len(state.left):
            break
        step = rules.projected(
            rules.moved(state.now, state.slope, state.length), state.clean, state.box
        )
        share = np.float32(MOMENTUM if t else 1.0)
        moved = state.now + (step - state.now) * share + (state.now - state.before) * (1 - share)
        state.before, state.now = state.now, rules.projected(moved, state.clean, state.box)
        state.ask(slopes, rows, loss)
        hit = state.left[state.success]
        out[hit], done[hit] = state.now[state.success], True
        since += 1
        if since == window:
            state.halve(window)
            window, since = max(window - less, least), 0
    if not early:
        out[state.left] = state.best
        done[state.left] = slopes.at(state.best, rows[state.left], loss).success
    else:
        rest = state.left[~state.success]
        out[rest] = state.best[~state.success]
    return out, done


class _State:
    """Where APGD is with each record that is left; every array has one row a record."""

    now: Array
    before: Array
    best: Array
    slope: Array
    best_slope: Array
    clean: Array
    box: tuple[Array, Array]
    left: NDArray[np.int64]
    length: NDArray[np.float64]
    loss: NDArray[Any]
    best_loss: NDArray[Any]
    checked: NDArray[Any]
    halved: NDArray[np.bool_]
    rises: NDArray[np.int64]
    success: NDArray[np.bool_]

    @classmethod
    def begun(cls, slopes: Slopes, rows: NDArray[Any], rng: Rng, loss: str) -> _State:
        """Return the state at a random start."""
        self, rules = cls(), slopes.brief.rules
        self.clean = np.asarray(slopes.brief.question.x, np.float32)[rows]
        self.box = rules.box(self.clean)
        self.now = rules.projected(rules.random(self.clean, rng), self.clean, self.box)
        self.left = np.arange(len(rows))
        at = slopes.at(self.now, rows, loss)
        self.slope, self.loss, self.success = at.slope, at.loss, at.success
        self.before, self.best, self.best_slope = self.now, self.now.copy(), self.slope.copy()
        self.best_loss, self.checked = self.loss.copy(), self.loss.copy()
        self.length = np.full(len(rows), 2 * rules.epsilon)
        self.halved, self.rises = np.ones(len(rows), bool), np.zeros(len(rows), np.int64)
        return self

    def only(self, keep: NDArray[np.bool_]) -> _State:
        """Return the state of some records."""
        part = _State()
        for name, value in vars(self).items():
            cut = (value[0][keep], value[1][keep]) if isinstance(value, tuple) else value[keep]
            setattr(part, name, cut)
        return part

    def ask(self, slopes: Slopes, rows: NDArray[Any], loss: str) -> None:
        """Ask for the loss and the slope where the records are now."""
        at = slopes.at(self.now, rows[self.left], loss)
        self.rises += at.loss > self.loss
        self.loss, self.slope, self.success = at.loss, at.slope, at.success
        better = self.loss > self.best_loss
        self.best[better], self.best_slope[better] = self.now[better], self.slope[better]
        self.best_loss[better] = self.loss[better]

    def halve(self, window: int) -> None:
        """Halve the steps of records that swing or stall, and go back to their best point."""
        swings = self.rises <= window * RISES
        stalls = ~self.halved & (self.checked >= self.best_loss)
        self.halved, self.checked = swings | stalls, self.best_loss.copy()
        self.rises[:] = 0
        where = self.halved
        self.length[where] /= 2
        self.now, self.slope = self.now.copy(), self.slope.copy()
        self.now[where], self.slope[where] = self.best[where], self.best_slope[where]
