"""Node neighbourhood: membership of a node, from the answers about it and its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.membership._shared.mean_answers import answer_features
from hartley.attacks.model_to_data.reference_models import FLOOR, references
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
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit import logistic
from hartley.kit.answer_units import log_complements, log_probabilities
from hartley.kit.graph.node_classifier import neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES | Access.TRAIN,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    paper="arXiv:2102.05429",
    requires=("graph",),
    adapts="trains",
)
def node_neighbourhood(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    references: Annotated[int, Range(2, 512), Stronger.MORE] = 16,
    hops: Annotated[int, Range(0)] = 2,
) -> Outcome:
    """Train a classifier on reference models' answers about members and their neighbours.

    The features of a node are the margin of its label, the entropy and the largest probability of
    the answer, and the same for the mean answer of its neighbours one hop and more away. A logistic
    regression is trained on the reference models, whose members the attacker knows. The shadow
    attack of the paper applies a small net to the 0-hop and 2-hop answers.

    Args:
        references: number of reference models, each trained on a random half of the nodes.
        hops: largest distance of the neighbours that are used; 0 uses the node alone.

    Raises:
        UsageError: the nodes have no links.
    """
    del rng
    question = view.brief.question
    if question.edges is None:
        raise UsageError(f"the nodes of {question.name!r} must have links, got none")
    fleet = _references(view, references)
    edges = np.asarray(question.edges)
    nodes_near = np.unique(np.r_[question.x[:, 0], edges.reshape(-1)]) if hops else question.x[:, 0]
    nodes = nodes_near[:, None]
    adjacency = neighbours(edges, int(nodes_near.max()) + 1)
    rows = question.x[:, 0]

    def features(answers: NDArray[Any], output: Output) -> NDArray[np.float64]:
        """Return the features (n, columns) of one model's answers about ``nodes``."""
        logs = log_probabilities(answers, output, floor=FLOOR)
        logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
        # What a probability lacks to 1 is averaged beside it: the margin of a sure answer is exact.
        means = np.zeros((2, adjacency.shape[0], logs.shape[1]))
        means[0, nodes_near], means[1, nodes_near] = np.exp(logs), np.exp(log_complements(logs))
        parts = [answer_features(means[0, rows], means[1, rows], question.labels)]
        for _ in range(hops):
            means = np.stack([adjacency @ mean for mean in means])
            parts.append(answer_features(means[0, rows], means[1, rows], question.labels))
        return np.concatenate(parts, 1)

    output = fleet.output
    table = np.concatenate([features(answers, output) for answers in fleet.ensemble.query(nodes)])
    # The ensemble may have more models than requested, if another attack needed more.
    table = table[: fleet.include.size]
    mean, spread = table.mean(0), np.maximum(table.std(0), 1e-9)
    weights = logistic.fit((table - mean) / spread, fleet.include.reshape(-1))
    guess = logistic.logits(
        (features(view.model.query(nodes), view.model.output) - mean) / spread, weights
    )
    claimed = guess > 0
    return Outcome(
        guess=guess,
        asset=Data(
            "claimed members", question.modality, question.x[claimed], question.labels[claimed]
        ),
    )


_references = references
