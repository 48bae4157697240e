"""Scores of a victim as exact numbers, and the stolen layers as a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Model, Output, View
from hartley.core.errors import BudgetSpent
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.kit import dense_layers
from hartley.kit.answer_units import log_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.dense_layers import Layers


class Scores:
    """Asks a victim for scores: logits as they are, probabilities as log-odds to the last class.

    Attributes:
        asked: records that were asked.
        limit: records that may be asked.
    """

    def __init__(self, view: View[ExtractionBrief]) -> None:
        """Take the victim, the form of its records and the budget of a view."""
        self._model, self._shape = view.model, view.brief.public.x.shape[1:]
        budgets = [d.params["queries"] for d in view.defenses if d.name == "query_budget"]
        self.asked, self.limit = 0, min([view.brief.queries, *map(int, budgets)])

    @property
    def left(self) -> int:
        """Records that may still be asked."""
        return self.limit - self.asked

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores (n, k) of flat records (n, d).

        Raises:
            BudgetSpent: more records than are left.
        """
        if len(x) > self.left:
            raise BudgetSpent(f"{len(x)} more records, where {self.left} are left")
        self.asked += len(x)
        answers = np.asarray(self._model.query(x.reshape(len(x), *self._shape)), dtype=np.float64)
        if self._model.output is not Output.PROBABILITIES:
            return answers
        logs = log_probabilities(answers, self._model.output)
        return np.asarray(logs[:, :-1] - logs[:, -1:])


def around(view: View[ExtractionBrief]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean (d,) of the attacker's records and how far to move each number (d,).

    That is its deviation, but at least a third of the mean one: a number that hardly differs in the
    records would otherwise be known less exactly than the others.
    """
    flat = np.asarray(view.brief.public.x, dtype=np.float64)
    flat = flat.reshape(len(flat), -1)
    spread = flat.std(0)
    usual = float(spread[spread > 0].mean()) if (spread > 0).any() else 1.0
    return flat.mean(0), np.maximum(spread, usual / 3)


def copy_of(victim: Model, layers: Layers, name: str, queries: int) -> Model:
    """Return stolen layers as a model that answers in the units of the victim.

    Layers of scores relative to the last class, as ``Scores`` gives them of probabilities, get a
    last score of 0. Without layers the copy gives all classes the same score.
    """
    output = victim.output
    if layers and output is Output.PROBABILITIES:
        weight, bias = layers[-1]
        weight = np.concatenate([weight, np.zeros((1, weight.shape[1]))])
        layers = (*layers[:-1], (weight, np.append(bias, 0.0)))

    def query(x: NDArray[Any]) -> NDArray[Any]:
        flat = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
        if layers:
            scores = dense_layers.forward(layers, flat)
        else:
            scores = np.zeros((len(flat), victim.classes))
        if output is Output.PROBABILITIES:
            scores = np.exp(log_probabilities(scores, Output.LOGITS))
        return scores

    return Model(
        "stolen parameters",
        victim.modality,
        query,
        output,
        victim.classes,
        weights=lambda: dense_layers.named(layers),
        offers=Access.LABELS | Access.SCORES | Access.WEIGHTS,
        lineage=(*victim.lineage, name),
        facts={
            "layers": len(layers),
            "hidden units": ", ".join(str(len(bias)) for _, bias in layers[:-1]) or "none",
            "records asked": queries,
        },
    )
