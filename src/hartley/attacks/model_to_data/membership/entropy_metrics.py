"""Entropy metrics: members are answered with little entropy, in the right direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.attacks.model_to_data.reference_models import log_probabilities
from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed

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
)
def entropy_metrics(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    metric: Literal["modified", "entropy", "confidence", "correctness"] = "modified",
    per_class: bool = True,
) -> Outcome:
    """Guess by an entropy of the answer, held against a threshold of the record's class.

    The paper takes a class's threshold from shadow models. Here it is the median of the class's
    records in question, half of which are members: no model has to be trained.

    Args:
        metric: modified (the entropy that also counts the true label), entropy, confidence (the
            probability of the true label) or correctness.
        per_class: one threshold a class; else one for all.
    """
    del rng
    asked = view.brief.question
    logs = log_probabilities(view.model.query(asked.x), view.model.output)
    guess = METRICS[metric](logs, asked.labels)
    for label in np.unique(asked.labels) if per_class else ():
        guess[asked.labels == label] -= np.median(guess[asked.labels == label])
    return Outcome(guess=guess, asset=claimed(asked, guess > np.median(guess)))


def modified(logs: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """−Mentr (n,): (1 − p_y)·ln p_y + Σ over the others p_i·ln(1 − p_i)."""
    p, rows = np.exp(logs), np.arange(len(logs))
    rest = np.maximum(1 - p, TINY)
    others = p * np.log(rest)
    others[rows, y] = 0
    return np.asarray(rest[rows, y] * logs[rows, y] + others.sum(1))


def entropy(logs: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Minus the entropy (n,) in nats."""
    del y
    return np.asarray((np.exp(logs) * logs).sum(1))


def confidence(logs: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """The probability (n,) of the true label."""
    return np.asarray(np.exp(logs[np.arange(len(logs)), y]))


def correctness(logs: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """1 where the true label is the likeliest, else 0."""
    return np.asarray((logs.argmax(1) == y).astype(np.float64))


TINY = 1e-12

METRICS: dict[str, Metric] = {
    "modified": modified,
    "entropy": entropy,
    "confidence": confidence,
    "correctness": correctness,
}
