"""Shadow models: a classifier learns from models of known membership what a member looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data import reference_models
from hartley.core import Access, Data, Modality, Outcome, Output, Range, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed
from hartley.kit import logistic
from hartley.kit.cache import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

TOP, LEAST = 5, 200
"""Largest probabilities that are features; rows a class of its own needs, else all share one."""


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
    references: Annotated[int, Range(2, 512)] = 64,
    per_class: bool = True,
    ridge: Annotated[float, Range(0, open_low=True)] = 1e-3,
) -> Outcome:
    """Train a classifier on answers of shadow models, member or not, and let it judge the victim's.

    It reads an answer's largest probabilities, its entropy and what it gives the true label.

    Args:
        references: shadow models, each trained on a random half of the records.
        per_class: one classifier a label, as in the paper; else one for all.
        ridge: how strongly its weights are held down.
    """
    del rng
    asked = view.brief.question
    fleet = reference_models.references(view, references)
    y = asked.labels if per_class else np.zeros(len(asked), dtype=np.int64)
    named = f"shadow classifier {per_class} {ridge} {digest({'x': asked.x, 'y': asked.y})}"
    laws = fleet.derived(named, lambda: _learn(fleet, asked, y, ridge))
    table = _features(view.model.query(asked.x), view.model.output, asked)
    mean, spread, weights = laws[0, :-1], laws[1, :-1], laws[2:]
    table = (table - mean) / spread
    guess = (table * weights[y, :-1]).sum(1) + weights[y, -1]
    return Outcome(guess=guess, asset=claimed(asked, guess > 0))


def _learn(
    fleet: reference_models.References, asked: Data, y: NDArray[Any], ridge: float
) -> NDArray[np.float64]:
    """Mean, spread, and a row of weights a label: (2 + labels, features + 1)."""
    output, include = fleet.ensemble.member(0).output, fleet.include
    table = np.stack([_features(one, output, asked) for one in fleet.said(asked)])
    mean, spread = table.mean((0, 1)), table.std((0, 1)) + 1e-9
    table = (table - mean) / spread
    everyone = logistic.fit(table.reshape(-1, table.shape[-1]), include.reshape(-1), ridge)
    rows = [np.append(mean, 0), np.append(spread, 1)]
    for label in range(int(y.max()) + 1):
        mine = y == label
        if int(mine.sum()) * len(table) < LEAST or int(y.max()) == 0:
            rows.append(everyone)
            continue
        part = table[:, mine].reshape(-1, table.shape[-1])
        rows.append(logistic.fit(part, include[:, mine].reshape(-1), ridge))
    return np.stack(rows)


def _features(answers: NDArray[Any], output: Output, data: Data) -> NDArray[np.float64]:
    """(n, features) of answers (n, classes)."""
    logs = reference_models.log_probabilities(answers, output)
    top = -np.sort(-logs, axis=1)[:, :TOP]
    true = logs[np.arange(len(logs)), data.labels]
    sure = reference_models.margin(answers, output, data)
    entropy = -(np.exp(logs) * logs).sum(1)
    right = logs.argmax(1) == data.labels
    return np.column_stack([top, np.exp(top), true, np.exp(true), sure, sure**2, entropy, right])
