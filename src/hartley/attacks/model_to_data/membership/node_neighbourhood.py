"""Membership of a node, from what the net says about it and about the nodes round it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.reference_models import references
from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit import logistic
from hartley.kit.graph.node_classifier import neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

TINY = 1e-12


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
    references: Annotated[int, Range(2, 512)] = 16,
    hops: Annotated[int, Range(0)] = 2,
) -> Outcome:
    """Learn from nets of one's own how a member's answer and its neighbours' answers look.

    A node is described by how sure the answer is of its label, how spread it is and how high its
    top lies, and by the same of the mean answer one hop and more away. A logistic regression is
    learnt on the reference models, whose members are known; the paper's shadow attack, which there
    reads the 0-hop and the 2-hop answer with a small net.

    Args:
        references: reference models, each trained on a random half of the nodes.
        hops: how far it looks round a node; 0 reads the node alone.

    Raises:
        UsageError: nodes shown without their links.
    """
    del rng
    asked = view.brief.question
    if asked.edges is None:
        raise UsageError(f"the nodes of {asked.name!r} must carry their links, got none")
    fleet = _references(view, references)
    edges = np.asarray(asked.edges)
    near = np.unique(np.r_[asked.x[:, 0], edges.reshape(-1)]) if hops else asked.x[:, 0]
    nodes = near[:, None]
    around = neighbours(edges, int(near.max()) + 1)
    rows = asked.x[:, 0]

    def described(answers: NDArray[Any]) -> NDArray[np.float64]:
        """(n, columns) of one model's answers about ``nodes``."""
        now = np.zeros((around.shape[0], answers.shape[1]))
        now[near] = answers
        parts = []
        for hop in range(hops + 1):
            now = around @ now if hop else now
            parts.append(_looks(now[rows], asked.labels))
        return np.concatenate(parts, 1)

    lesson = np.concatenate([described(one) for one in fleet.ensemble.query(nodes)])
    # The fleet may be longer than what was asked for, when another attack needed more of it.
    lesson = lesson[: fleet.include.size]
    middle, spread = lesson.mean(0), np.maximum(lesson.std(0), 1e-9)
    learnt = logistic.fit((lesson - middle) / spread, fleet.include.reshape(-1))
    guess = logistic.logits((described(view.model.query(nodes)) - middle) / spread, learnt)
    claimed = guess > 0
    return Outcome(
        guess=guess,
        asset=Data("claimed members", asked.modality, asked.x[claimed], asked.labels[claimed]),
    )


_references = references


def _looks(answers: NDArray[Any], labels: Any) -> NDArray[np.float64]:
    """Margin of the label, entropy and top (n, 3) of answers (n, classes)."""
    total = np.maximum(answers.sum(1, keepdims=True), TINY)
    chance = np.maximum(answers / total, TINY)
    own = chance[np.arange(len(chance)), labels]
    margin = np.log(own) - np.log(np.maximum(1 - own, TINY))
    return np.stack([margin, -(chance * np.log(chance)).sum(1), chance.max(1)], 1)
