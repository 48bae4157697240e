"""Link stealing with shadow models: train a classifier on networks with known links."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack, spawn
from hartley.games.inversion.link_inference import (
    LinkInferenceBrief,
    answer_distances,
    link_inference,
)
from hartley.kit import logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=link_inference,
    access=Access.SCORES | Access.TRAIN,
    term=Term.SIGNAL,
    modalities=(Modality.GRAPH,),
    paper="arXiv:2005.02131",
    adapts="trains",
)
def link_shadow(
    view: View[LinkInferenceBrief],
    rng: Rng,
    *,
    shadows: Annotated[int, Range(2, 512), Stronger.MORE] = 6,
) -> Outcome:
    """Train a link classifier on the answers of shadow models with and without known links.

    The attacker knows a part of the graph, as in one attack of the paper. The features of a pair
    are the distances between the answers about its nodes, and the same minus the mean distances
    under shadow models without the link, so that the similarity of the nodes cancels.

    Args:
        shadows: number of shadow models.
    """
    question, public, fit = view.brief.question, view.brief.public, view.model.calls["fit"]
    edges = public.links
    order = rng.permutation(edges.shape[1])[: len(question)]
    training_pairs, always = edges[:, order].T, np.delete(edges, order, axis=1)
    # Rows come in complementary pairs: each link is in half of the shadow models.
    half = rng.random((-(-shadows // 2), len(training_pairs))) < 0.5
    included = np.stack([half, ~half], 1).reshape(-1, len(training_pairs))
    all_pairs = np.concatenate([training_pairs, question.x])
    every_node = np.ones((1, len(public)), dtype=bool)
    per_shadow = []
    for k, row in enumerate(included):
        links = np.concatenate([always, training_pairs[row].T], 1)
        seed = spawn(int(rng.integers(2**31)), "shadow", k) & 0x7FFFFFFF
        shadow = fit(replace(public, edges=links), every_node, seed).member(0)
        per_shadow.append(_distances(shadow.query, all_pairs))
    distances = np.stack(per_shadow)
    training_distances, base = (
        distances[:, : len(training_pairs)],
        distances[:, len(training_pairs) :].mean(0),
    )
    rows = [
        _features(training_distances[k], _without(training_distances, included, k))
        for k in range(len(included))
    ]
    table = np.concatenate(rows)
    mean, spread = table.mean(0), np.maximum(table.std(0), 1e-9)
    weights = logistic.fit((table - mean) / spread, included.reshape(-1))
    victim_features = _features(_distances(view.model.query, question.x), base)
    guess = logistic.logits((victim_features - mean) / spread, weights)
    linked = guess > np.median(guess)
    return Outcome(
        guess=guess, asset=Data("links", question.modality, question.x[linked], role="links")
    )


def _distances(query: Any, pairs: NDArray[Any]) -> NDArray[np.float64]:
    """Return eight distances (m, 8) between the answers about the two nodes of each pair."""
    nodes, place = np.unique(pairs, return_inverse=True)
    answers = query(nodes[:, None])[place.reshape(pairs.shape)]
    return np.stack(list(answer_distances(answers[:, 0], answers[:, 1]).values()), 1)


def _without(distances: NDArray[Any], included: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Return the mean distances (m, 8) of each pair under other shadow models without its link."""
    without = ~included
    without[k] = False
    count = without.sum(0)[:, None]
    mean = (distances * without[..., None]).sum(0) / np.maximum(count, 1)
    return np.asarray(np.where(count > 0, mean, distances[k]))


def _features(distances: NDArray[Any], without: NDArray[Any]) -> NDArray[np.float64]:
    return np.concatenate([distances, distances - without], 1)
