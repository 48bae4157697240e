"""Entropy metrics: answers about members have low entropy and favour the true label."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.attacks.model_to_data.reference_models import FLOOR
from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed
from hartley.kit.answer_units import log_complements, log_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Metric = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR, Modality.GRAPH),
    paper="arXiv:2003.10595",
    sweep={"metric": ("modified", "confidence", "correctness"), "per_class": (True, False)},
)
def entropy_metrics(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    metric: Literal["modified", "entropy", "confidence", "correctness"] = "modified",
    per_class: bool = True,
) -> Outcome:
    """Guess by the entropy of the answer, relative to a threshold of the record's class.

    The paper computes the threshold of a class on shadow models. Here it is the median over the
    records of the class in question, half of which are members, so no model has to be trained.

    Args:
        metric: modified (an entropy that takes the true label into account), entropy, confidence
            (the probability of the true label, less 1) or correctness.
        per_class: use one threshold per class; else one for all. ``entropy`` without it is the one
            metric that needs no labels.

    Raises:
        UsageError: the records have no labels, and the metric or the threshold needs them.
    """
    del rng
    question = view.brief.question
    logs = log_probabilities(view.model.query(question.x), view.model.output, floor=FLOOR)
    needs_labels = per_class or metric != "entropy"
    labels = question.labels if needs_labels else np.zeros(len(logs), np.int64)
    guess = METRICS[metric](logs, labels)
    for label in np.unique(labels) if per_class else ():
        guess[labels == label] -= np.median(guess[labels == label])
    return Outcome(guess=guess, asset=claimed(question, guess > np.median(guess)))


def modified(logs: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Return −Mentr (n,): (1 − p_y)·ln p_y + Σ over the other classes p_i·ln(1 − p_i)."""
    p, rows, complements = np.exp(logs), np.arange(len(logs)), log_complements(logs)
    missing = np.exp(complements[rows, y])
    terms = p * np.maximum(complements, FURTHEST)
    terms[rows, y] = 0
    return np.asarray(missing * logs[rows, y] + terms.sum(1))


def entropy(logs: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Return minus the entropy (n,) in nats."""
    del y
    return np.asarray((np.exp(logs) * logs).sum(1))


def confidence(logs: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Return p_y − 1 (n,) of the true label: as p_y in order, and exact where p_y rounds to 1."""
    return np.asarray(-np.exp(log_complements(logs)[np.arange(len(logs)), y]))


def correctness(logs: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 where the true label is the likeliest, else 0 (n,)."""
    return np.asarray((logs.argmax(1) == y).astype(np.float64))


FURTHEST = -1e6
"""ln(1 − p) in nats where an answer, of infinite logits, leaves nothing to the other classes."""

METRICS: dict[str, Metric] = {
    "modified": modified,
    "entropy": entropy,
    "confidence": confidence,
    "correctness": correctness,
}
