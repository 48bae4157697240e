"""Metattack: flip the links along which a whole training, differentiated, gets worse fastest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared.linear_surrogate import (
    Surrogate,
    adjacency_of,
    edges_of,
    makeable,
    steepest,
)
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.poisoning.link_poisoning import LinkPoisoningBrief, link_poisoning

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=link_poisoning,
    access=Access.POISON,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    paper="arXiv:1902.08412",
    loot=Loot.POISON,
    sweep={"loss": ("self", "train"), "alike": (0.0, 0.05, 0.35)},
    light={"gradients": 6, "steps": 20},
)
def metattack(
    view: View[LinkPoisoningBrief],
    rng: Rng,
    *,
    loss: Literal["self", "train", "both"] = "self",
    gradients: Annotated[int, Range(0, 100_000), Stronger.MORE] = 20,
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 100,
    width: Annotated[int, Range(0), Stronger.NEITHER] = 64,
    alike: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
) -> Outcome:
    """Flip pairs of nodes by the meta-gradient of a surrogate's training, some at a time.

    The surrogate is the paper's, a linear graph network. After each meta-gradient the pairs with
    the steepest slopes are flipped; the paper computes one for every flip. Every node keeps at
    least one link. The paper's rule that degrees must look usual is left out.

    Args:
        loss: what a training should get wrong: self, the surrogate's own answers about unlabelled
            nodes on the graph as it was; train, the labels that it learns; both. Where classes are
            drawn, it is them that are to be reached.
        gradients: meta-gradients, each for as many flips; 0 is one for every flip.
        steps: of the surrogate's training.
        width: principal directions of the features that the surrogate reads; 0 reads all.
        alike: make links only between nodes that are more alike than this share of the links.
    """
    brief, known = view.brief, view.data
    nodes = np.asarray(known.x)[:, 0].astype(np.int64)
    surrogate = Surrogate.of(
        brief.features, nodes, known.labels, brief.classes, rng, steps=steps, width=width
    )
    adjacency = adjacency_of(known.links, len(brief.features))
    ascended = _ascended(brief, surrogate, surrogate.predicted(adjacency), loss)
    may_make = makeable(view, adjacency, alike)
    before, left = adjacency.copy(), brief.flips
    each = max(1, -(-brief.flips // (gradients or brief.flips)))
    while left:
        slope = surrogate.slope(adjacency, ascended) * (1 - 2 * adjacency)
        chosen = steepest(slope, adjacency, (adjacency == before) & may_make, min(each, left))
        if not len(chosen):
            break
        a, b = chosen.T
        adjacency[a, b] = adjacency[b, a] = 1 - adjacency[a, b]
        left -= len(chosen)
    return Outcome(
        asset=replace(known, name="flipped links", edges=edges_of(adjacency), role="poison")
    )


def _ascended(
    brief: LinkPoisoningBrief, surrogate: Surrogate, predicted: NDArray[np.int64], loss: str
) -> Any:
    """Return logits (N, classes) → the loss that the attacker ascends."""
    import torch
    import torch.nn.functional as F

    if brief.targets is not None:
        aimed = torch.from_numpy(np.asarray(brief.question.x)[:, 0].astype(np.int64))
        wanted = torch.from_numpy(np.asarray(brief.targets, np.int64))
        return lambda z: -F.cross_entropy(z[aimed], wanted)
    unlabelled = np.setdiff1d(np.arange(len(predicted)), surrogate.nodes.numpy())
    rows, labels = torch.from_numpy(unlabelled), torch.from_numpy(predicted[unlabelled])

    def ascended(z: torch.Tensor) -> torch.Tensor:
        total = z.sum() * 0
        if loss in ("self", "both"):
            total = total + F.cross_entropy(z[rows], labels)
        if loss in ("train", "both"):
            total = total + F.cross_entropy(z[surrogate.nodes], surrogate.labels)
        return total

    return ascended
