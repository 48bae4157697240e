"""Link stealing with shadows: nets of one's own teach how a link shows in the answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack, spawn
from hartley.games.inversion.link_inference import LinkInferenceBrief, apart, link_inference
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
    view: View[LinkInferenceBrief], rng: Rng, *, shadows: Annotated[int, Range(2, 512)] = 6
) -> Outcome:
    """Train nets on the known links with half of some of them dropped, and learn the difference.

    The paper's attack that knows a part of the graph. A pair is described by the distances between
    the answers about its nodes, and by how far these lie from the distances under shadows that did
    not have the link: how alike two nodes are anyway is thereby taken off.

    Args:
        shadows: nets to train.
    """
    asked, known, fit = view.brief.question, view.brief.public, view.model.calls["fit"]
    edges = known.links
    order = rng.permutation(edges.shape[1])[: len(asked)]
    lesson, always = edges[:, order].T, np.delete(edges, order, axis=1)
    # Rows come in pairs that complement one another: each link is there in half of the shadows.
    half = rng.random((-(-shadows // 2), len(lesson))) < 0.5
    there = np.stack([half, ~half], 1).reshape(-1, len(lesson))
    both = np.concatenate([lesson, asked.x])
    everyone = np.ones((1, len(known)), dtype=bool)
    seen = []
    for k, kept in enumerate(there):
        links = np.concatenate([always, lesson[kept].T], 1)
        seed = spawn(int(rng.integers(2**31)), "shadow", k) & 0x7FFFFFFF
        own = fit(replace(known, edges=links), everyone, seed).member(0)
        seen.append(_distances(own.query, both))
    held = np.stack(seen)
    taught, base = held[:, : len(lesson)], held[:, len(lesson) :].mean(0)
    rows = [_described(taught[k], _without(taught, there, k)) for k in range(len(there))]
    lesson_rows = np.concatenate(rows)
    middle, spread = lesson_rows.mean(0), np.maximum(lesson_rows.std(0), 1e-9)
    learnt = logistic.fit((lesson_rows - middle) / spread, there.reshape(-1))
    described = _described(_distances(view.model.query, asked.x), base)
    guess = logistic.logits((described - middle) / spread, learnt)
    linked = guess > np.median(guess)
    return Outcome(guess=guess, asset=Data("links", asked.modality, asked.x[linked], role="links"))


def _distances(query: Any, pairs: NDArray[Any]) -> NDArray[np.float64]:
    """(m, 8) distances between the answers about the two nodes of each pair."""
    nodes, place = np.unique(pairs, return_inverse=True)
    said = query(nodes[:, None])[place.reshape(pairs.shape)]
    return np.stack(list(apart(said[:, 0], said[:, 1]).values()), 1)


def _without(taught: NDArray[Any], there: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Mean distances (m, 8) of each pair under the other shadows that did not have its link."""
    free = ~there
    free[k] = False
    count = free.sum(0)[:, None]
    mean = (taught * free[..., None]).sum(0) / np.maximum(count, 1)
    return np.asarray(np.where(count > 0, mean, taught[k]))


def _described(now: NDArray[Any], without: NDArray[Any]) -> NDArray[np.float64]:
    return np.concatenate([now, now - without], 1)
