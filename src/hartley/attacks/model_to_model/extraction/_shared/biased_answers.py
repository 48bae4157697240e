"""All log-probabilities of an endpoint that gives the likeliest few, through a bias on logits.

A bias lifts any token into the answer. The likeliest token that was not lifted is in the answer
too, and by how much its log-probability fell shows what the bias did to the sum
(arXiv:2403.06634, arXiv:2403.09539). An answer of one token alone shows it by its own share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Model
from hartley.core.errors import RunError
from hartley.kit.next_tokens import limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ALONE = (15.0, 30.0, 45.0, 60.0)
"""Biases where an answer has one token, the smallest that lifts it first: with a larger one its
share is 1 up to rounding."""

SURE = 20.0
"""A bias from here on lifts any token far above what rounding or noise of an answer hides."""

MORE = 1.2
"""Prompts for the ellipsoid, as a multiple of the unknowns."""


class BiasedAnswers:
    """Asks an endpoint within its limits.

    Attributes:
        most: log-probabilities that an answer gives.
        group: tokens that are lifted at once.
        left: queries that are left.
    """

    def __init__(self, model: Model, bias: float, queries: int) -> None:
        """Take a model that declares its limits, the bias to use, and the queries allowed."""
        self._ask, self._classes = model.calls["top_logprobs"], model.classes
        self.most, largest = limits(model.facts)
        steps = ALONE if self.most == 1 else (bias,)
        self._levels = sorted({min(step, largest) for step in (*steps, largest)} - {0.0})
        self.group, self.left = max(1, self.most - 1), queries

    def plain(self, prompts: NDArray[Any]) -> NDArray[np.float64]:
        """Return log-probabilities (n, vocabulary) of the likeliest tokens, NaN for the others."""
        top = self._top(prompts, np.full((len(prompts), 1), -1), 0.0)
        out = np.full((len(prompts), self._classes), np.nan)
        np.put_along_axis(out, top[..., 0].astype(np.int64), top[..., 1], 1)
        return out

    def see_bias(self, prompts: NDArray[Any], known: NDArray[np.float64], unstable: float) -> None:
        """Lift one token that an answer has already, and see that its log-probability moves.

        It costs one query; none where no bias is large enough to lift any token, or where all
        answers are those of a blind guess.

        Args:
            prompts: (n, t) tokens.
            known: what ``plain`` gave for them.
            unstable: largest difference of two answers to one question.

        Raises:
            RunError: what answers is without the bias, wherever it was left out.
        """
        bias = self._levels[-1] if self._levels else 0.0
        known = np.where(np.isclose(known, -np.log(self._classes)), np.nan, known)
        rises = bias - np.log1p(np.exp(known) * np.expm1(bias))
        rises = np.where(np.isnan(rises), -np.inf, rises)
        row, token = np.unravel_index(int(rises.argmax()), rises.shape)
        small = 4 * unstable + 1e-6
        if bias < SURE or rises[row, token] < 4 * small or self.left < 1:
            return
        top = self._top(prompts[[row]], np.array([[token]]), bias)[0]
        here = top[:, 0] == token
        if here.any() and abs(float(top[here, 1][0]) - known[row, token]) <= small:
            raise RunError(
                "the answers do not show the bias: either the endpoint gives log-probabilities "
                "from before it (vLLM: --logprobs-mode processed_logprobs), or something in front "
                "of it drops or changes the bias"
            )

    def lift(
        self, prompts: NDArray[Any], known: NDArray[np.float64], tokens: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return ``known`` (n, vocabulary) with the log-probabilities of further tokens (m,).

        What the largest bias does not lift into the answer stays NaN.

        Args:
            prompts: (n, t) tokens.
            known: what ``plain`` gave for them.
            tokens: (m,) ids.
        """
        out = known.copy()
        for bias in self._levels:
            missing = tokens[np.isnan(out[:, tokens]).any(0)]
            for first in range(0, len(missing), self.group):
                some = missing[first : first + self.group]
                if self.left < len(prompts):
                    return out
                self._lift(prompts, known, some, bias, out)
        return out

    def _lift(
        self,
        prompts: NDArray[Any],
        known: NDArray[np.float64],
        some: NDArray[Any],
        bias: float,
        out: NDArray[np.float64],
    ) -> None:
        """Write what one bias on some tokens shows into ``out``, where that holds NaN."""
        top = self._top(prompts, np.tile(some, (len(prompts), 1)), bias)
        ids, values = top[..., 0].astype(np.int64), top[..., 1]
        lifted = np.isin(ids, some)
        rows = np.arange(len(prompts))[:, None]
        if self.most == 1:
            logs = values - bias - np.log(np.exp(values - bias) - np.expm1(values))
        else:
            moved = np.where(lifted, np.nan, values - known[rows, ids])
            logs = values - bias - _mean(moved)[:, None]
        fresh = lifted & np.isnan(out[rows, ids])
        where, what = np.nonzero(fresh)
        out[where, ids[where, what]] = logs[where, what]

    def _top(self, prompts: NDArray[Any], biased: NDArray[Any], bias: float) -> NDArray[Any]:
        self.left -= len(prompts)
        return np.asarray(self._ask(prompts, self.most, biased, bias))


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean (n,) of what is not NaN in each row; NaN where all is."""
    there = ~np.isnan(rows)
    total = np.where(there, rows, 0.0).sum(1)
    return np.asarray(np.where(there.any(1), total / np.maximum(there.sum(1), 1), np.nan))


def coordinates(
    ask: BiasedAnswers,
    space: tuple[NDArray[np.float64], NDArray[np.bool_]],
    words: NDArray[Any],
    length: int,
    rng: Rng,
) -> NDArray[np.float64]:
    """Return the coordinates (m, h) of further prompts, each from a few tokens alone.

    ``space`` is the vectors (tokens, h) of the tokens that are known, and which they are.
    """
    from scipy.linalg import qr

    vectors, known = space
    h = vectors.shape[1]
    group = ask.group * -(-3 * (h + 1) // (2 * ask.group))
    order = qr(vectors.T, pivoting=True, mode="r")[1][:group]
    if len(order) < h + 1:
        return np.zeros((0, h))
    tokens = np.flatnonzero(known)[order]
    each = 1 + -(-len(tokens) // ask.group)
    count = min(int(MORE * h * (h + 1) / 2) + h + 8, ask.left // each)
    prompts = rng.choice(words, (max(count, 0), length))
    if not len(prompts):
        return np.zeros((0, h))
    logs = ask.lift(prompts, ask.plain(prompts), tokens)[:, tokens]
    whole = ~np.isnan(logs).any(1)
    # A constant belongs to every prompt: its log of the sum.
    table = np.column_stack([vectors[order], np.ones(len(order))])
    solved = np.linalg.lstsq(table, logs[whole].T, rcond=None)[0]
    return np.asarray(solved[:-1].T)
