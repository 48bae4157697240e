"""Reference models: what an attacker trains to learn how a record behaves when it is in, and out.

Several attacks need the same thing, so it is made once: which model trains on what follows from
``view.salt`` alone, model by model, so that two attacks on one deal ask for the same models (the
owner's pipeline keeps them on disk) and their answers on the same records are kept here.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Model, Output, View, spawn
from hartley.core.errors import UsageError
from hartley.kit.cache import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEEP = 4
"""Fleets whose answers stay in memory."""

_memo: OrderedDict[Any, tuple[Ensemble, dict[str, NDArray[np.float64]]]] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True, slots=True)
class References:
    """K models on known halves of the question's records.

    Attributes:
        include: (K, n) booleans: who trained on what. Rows come in pairs that complement one
            another, so each record is in exactly half of an even number of models.
        ensemble: the models.
        answers: answers already asked for, by content of the records.
    """

    include: NDArray[np.bool_]
    ensemble: Ensemble
    answers: dict[str, NDArray[np.float64]]

    def confidence(self, data: Data) -> NDArray[np.float64]:
        """Confidence (K, n) of each model in the true label of each record; see :func:`confidence`.

        The models answer in the units of the pipeline that trained them.
        """
        key = digest({"x": data.x, "y": data.y})
        if key not in self.answers:
            first = self.ensemble.member(0)
            if first.score is not None and data.y is None:
                models = [self.ensemble.member(k) for k in range(self.ensemble.size)]
                self.answers[key] = np.stack([confidence(m, data) for m in models])
            else:
                said = self.ensemble.query(data.x)
                self.answers[key] = np.stack([_margin(a, first.output, data) for a in said])
        return self.answers[key][: len(self.include)]


def references(view: View, count: int) -> References:
    """Train ``count`` reference models on halves of the records in question, or recall them.

    Args:
        view: of the round; its salt settles the halves.
        count: how many models; odd numbers are rounded up to make pairs.

    Raises:
        UsageError: fewer than two models, no question, or a model that offers no training.
    """
    asked, fit = view.question, view.model.fit
    if count < 2 or asked is None or fit is None:
        raise UsageError(f"{count} reference models on {asked}: need two at least, and fit")
    count += count % 2
    include = halves(view.salt, count, len(asked))
    key = (fit, view.salt, digest({"x": asked.x, "y": asked.y}))
    with _lock:
        held = _memo.get(key)
        if held is None or held[0].size < count:
            held = fit(asked, include, spawn(view.salt, "references") & 0x7FFFFFFF), {}
            _memo[key] = held
        _memo.move_to_end(key)
        while len(_memo) > KEEP:
            _memo.popitem(last=False)
    return References(include, *held)


def halves(salt: int, count: int, n: int) -> NDArray[np.bool_]:
    """Who trains on what: (count, n) booleans; row 2j is a random half, row 2j+1 the other half.

    Row k depends on its number alone, so a longer table begins with the shorter one.
    """
    rows = np.zeros((count, n), dtype=bool)
    for j in range((count + 1) // 2):
        order = np.random.default_rng(spawn(salt, "halves", j)).permutation(n)
        rows[2 * j, order[: n // 2]] = True
        if 2 * j + 1 < count:
            rows[2 * j + 1] = ~rows[2 * j]
    return rows


def confidence(model: Model, data: Data) -> NDArray[np.float64]:
    """Confidence (n,) of a model in the true answer: ln p/(1−p) of the true label.

    This is the logit scaling of arXiv:2112.03570, near normal where a loss is not. It is computed
    as a difference of logarithms, so that 1−p keeps its precision when p is nearly 1. A language
    model without labels gives the mean log-probability of a record's tokens.

    Raises:
        UsageError: the model answers with labels only, or the records carry none.
    """
    if data.y is None and model.score is not None:
        said = np.asarray(model.score(data.x), dtype=np.float64)
        return np.asarray(said.sum(1) / np.maximum((data.x[:, 1:] >= 0).sum(1), 1))
    return _margin(model.query(data.x), model.output, data)


def _margin(answers: NDArray[Any], output: Output, data: Data) -> NDArray[np.float64]:
    if data.y is None or output not in {Output.PROBABILITIES, Output.LOGITS}:
        raise UsageError(f"confidence needs labelled records and scores, not {output}")
    scores = np.asarray(answers, dtype=np.float64)
    if output is Output.LOGITS:
        scores = np.exp(scores - scores.max(1, keepdims=True))
    rows = np.arange(len(scores))
    true = scores[rows, data.y]
    others = scores.copy()
    others[rows, data.y] = 0
    return np.asarray(np.log(np.maximum(true, FLOOR)) - np.log(np.maximum(others.sum(1), FLOOR)))


FLOOR = 1e-12
"""Probabilities are raised to this before a logarithm: a model may round its answers to 0."""
