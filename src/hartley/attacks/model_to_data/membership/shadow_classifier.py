"""Shadow models: train a membership classifier on models whose members are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data import reference_models
from hartley.core import (
    Access,
    Data,
    Modality,
    Outcome,
    Output,
    Range,
    Stronger,
    Term,
    View,
    attack,
)
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed
from hartley.kit import logistic
from hartley.kit.answer_units import log_probabilities, zero_floor
from hartley.kit.cache import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

TOP, LEAST = 5, 200
"""Largest probabilities that are features; rows that a class needs for its own classifier."""


@attack(
    game=membership,
    access=Access.SCORES | Access.TRAIN,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR, Modality.GRAPH),
    paper="arXiv:1610.05820",
    adapts="trains",
)
def shadow_classifier(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    references: Annotated[int, Range(2, 512), Stronger.MORE] = 64,
    per_class: bool = True,
    ridge: Annotated[float, Range(0, open_low=True)] = 1e-3,
) -> Outcome:
    """Train a classifier on shadow models' answers and apply it to the victim's answers.

    Its features are the largest probabilities of an answer, its entropy and the probability of the
    true label.

    Args:
        references: number of shadow models, each trained on a random half of the records.
        per_class: train one classifier per label, as in the paper; else one for all.
        ridge: penalty on the weights of the classifier.
    """
    del rng
    question = view.brief.question
    fleet = reference_models.references(view, references)
    y = question.labels if per_class else np.zeros(len(question), dtype=np.int64)
    name = f"shadow classifier {per_class} {ridge} {digest({'x': question.x, 'y': question.y})}"
    parameters = fleet.derived(name, lambda: _learn(fleet, question, y, ridge))
    table = _features(view.model.query(question.x), view.model.output, question)
    mean, spread, weights = parameters[0, :-1], parameters[1, :-1], parameters[2:]
    table = (table - mean) / spread
    guess = (table * weights[y, :-1]).sum(1) + weights[y, -1]
    return Outcome(guess=guess, asset=claimed(question, guess > 0))


def _learn(
    fleet: reference_models.References, question: Data, y: NDArray[Any], ridge: float
) -> NDArray[np.float64]:
    """Return mean, deviation, and one row of weights per label: (2 + labels, features + 1)."""
    output, include = fleet.output, fleet.include
    table = np.stack(
        [_features(answers, output, question) for answers in fleet.predictions(question)]
    )
    mean, spread = table.mean((0, 1)), table.std((0, 1)) + 1e-9
    table = (table - mean) / spread
    shared = logistic.fit(table.reshape(-1, table.shape[-1]), include.reshape(-1), ridge)
    rows = [np.append(mean, 0), np.append(spread, 1)]
    for label in range(int(y.max()) + 1):
        of_label = y == label
        if int(of_label.sum()) * len(table) < LEAST or int(y.max()) == 0:
            rows.append(shared)
            continue
        label_rows = table[:, of_label].reshape(-1, table.shape[-1])
        rows.append(logistic.fit(label_rows, include[:, of_label].reshape(-1), ridge))
    return np.stack(rows)


def _features(answers: NDArray[Any], output: Output, data: Data) -> NDArray[np.float64]:
    """Return the features (n, features) of answers (n, classes)."""
    least = reference_models.FLOOR
    floor = zero_floor(answers, least) if output is Output.PROBABILITIES else least
    logs = log_probabilities(answers, output, floor=floor)
    top = -np.sort(-logs, axis=1)[:, :TOP]
    true = logs[np.arange(len(logs)), data.labels]
    margin = reference_models.margin(answers, output, data)
    entropy = -(np.exp(logs) * logs).sum(1)
    correct = logs.argmax(1) == data.labels
    return np.column_stack(
        [top, np.exp(top), true, np.exp(true), margin, margin**2, entropy, correct]
    )
