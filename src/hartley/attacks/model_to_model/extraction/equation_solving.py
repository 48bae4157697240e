"""Equation solving: compute the parameters of a linear or logistic model from d + 1 answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_model.extraction._shared.exact_scores import Scores, around, copy_of
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.games.extraction.parameter_extraction import parameter_extraction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

DISTURBED = ("rounding", "score_noise", "top_k", "prediction_poisoning", "reverse_sigmoid")
"""Defenses that change scores: an adaptive attacker asks as much as they may and averages."""

SATURATED = 30.0
"""Log-odds beyond this are those of an answer of exactly 0 or 1."""


@attack(
    game=parameter_extraction,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:1609.02943",
    adapts=True,
    loot=Loot.MODEL,
)
def equation_solving(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0), Stronger.MORE] = 0,
) -> Outcome:
    """Solve the linear equations that scores, or log-odds of probabilities, are in the parameters.

    With d numbers in a record the answers to d + 1 records settle a linear, logistic or softmax
    model: the mean of the attacker's records, and the mean with one number moved by its deviation.
    An adaptive attacker who knows of rounded or noisy scores asks for further records at random, up
    to the limit, and solves by least squares, in which an answer counts by p·(1 − p): as exactly as
    it shows the log-odds. Where nothing may be asked, the copy has no parameters.

    Args:
        queries: number of queries; 0 means d + 1, or as many as allowed behind such a defense.
    """
    ask, (centre, spread) = Scores(view), around(view)
    exact = np.concatenate([centre[None], centre + np.diag(spread)])
    disturbed = any(d.name in DISTURBED for d in view.defenses)
    size = queries or (ask.limit if disturbed else len(exact))
    size = min(size, ask.limit)
    if not size:
        return Outcome(asset=copy_of(view.model, (), "equation_solving", 0))
    more = centre + spread * rng.standard_normal((max(0, size - len(exact)), len(centre)))
    x = np.concatenate([exact, more])[:size]
    scores = np.clip(ask(x), -SATURATED, SATURATED) if disturbed else ask(x)
    weight, bias = _solved((x - centre) / spread, scores, weigh=size > len(exact))
    weight /= spread
    layers = ((weight, bias - weight @ centre),)
    return Outcome(asset=copy_of(view.model, layers, "equation_solving", ask.asked))


def _solved(
    x: NDArray[Any], scores: NDArray[Any], *, weigh: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (k, d) and biases (k,) with scores (n, k) ≈ x @ weights.T + biases."""
    table = np.column_stack([x, np.ones(len(x))])
    if not weigh:
        solved = np.linalg.lstsq(table, scores, rcond=None)[0].T
    else:
        solved = np.stack([_one(table, column) for column in scores.T])
    return solved[:, :-1], solved[:, -1]


def _one(table: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    root = 1 / np.cosh(scores / 2)  # p·(1 − p) is a quarter of its square
    solved: NDArray[Any] = np.linalg.lstsq(table * root[:, None], scores * root, rcond=None)[0]
    return solved
