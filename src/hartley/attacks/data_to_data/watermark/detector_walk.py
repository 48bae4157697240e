"""Detector walk: ask the owner's detector which rewordings lower its score, and keep those."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.rewording import (
    Edit,
    WordPairs,
    most_edits,
    outcome,
    word_pairs,
)
from hartley.core import Access, Modality, Model, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.LABELS | Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
    adapts=True,
    sweep={"queries": (16, 64)},
)
def detector_walk(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(2, 10_000), Stronger.MORE] = 64,
    batch: Annotated[int, Range(1, 256)] = 16,
) -> Outcome:
    """Try rewordings of parts of the text at the owner's detector, and go where its score falls.

    Each query is the text with one block of words exchanged; blocks are ordered by how far they
    lower the score, and as many are exchanged as the quality floor allows. An attacker who knows of
    a budget of queries makes fewer and larger blocks; one who knows of noise in the scores asks
    about many blocks at once, and averages over them.

    Args:
        queries: texts that are shown to the detector at most.
        batch: of texts that are shown together.
    """
    words = str(view.data.x[0]).split()
    known = {defense.name: defense.params for defense in view.defenses}
    queries = min(queries, int(known.get("query_budget", {}).get("queries", queries)))
    noisy = float(known.get("score_noise", {}).get("scale", 0.0)) > 0
    count = max(1, min(len(words), queries // 2))
    pairs = word_pairs(view.brief.public)
    repeats = 1 if noisy else max(1, queries // count)
    places = [block.tolist() for block in np.array_split(np.arange(len(words)), count)]
    drawn = [_rewording(pairs, words, block, rng) for _ in range(repeats) for block in places]
    blocks = [edits for edits in drawn if edits]
    detector = view.brief.detector
    if detector is None or not blocks or not queries:
        order = np.arange(len(blocks))
    else:
        ask = partial(_margins, detector, words, batch)
        order = np.argsort(_effects(ask, blocks, queries, rng, noisy=noisy), kind="stable")
    walk: list[Edit] = []
    busy: set[int] = set()
    for k in order.tolist():
        if not busy & {place for place, _ in blocks[k]}:
            walk += blocks[k]
            busy |= {place for place, _ in blocks[k]}
    return outcome(most_edits(view.brief, words, walk), "walked")


def _rewording(pairs: WordPairs, words: list[str], places: list[int], rng: Rng) -> list[Edit]:
    """Return other words for some places, as they fit between the words of the text."""
    edits: list[Edit] = []
    for place in places:
        left = words[place - 1] if place else ""
        right = words[place + 1] if place + 1 < len(words) else ""
        fitting = pairs.fitting(left, words[place], right)
        if fitting:
            edits.append((place, fitting[int(rng.integers(len(fitting)))]))
    return edits


def _effects(
    ask: Callable[[list[list[Edit]]], NDArray[np.float64]],
    blocks: list[list[Edit]],
    queries: int,
    rng: Rng,
    *,
    noisy: bool,
) -> NDArray[np.float64]:
    """Return how much each block of edits raises the detector's score.

    Answers that are noisy are asked about random halves of the blocks at once, and the effects are
    their least squares: the noise of each is then that of one answer over √(queries / 4).
    """
    if not noisy:
        return ask(blocks[:queries])
    halves = rng.random((queries, len(blocks))) < 0.5
    answers = ask([[e for k in np.flatnonzero(row) for e in blocks[k]] for row in halves])
    # A ridge decides where there are fewer answers than blocks.
    design = np.column_stack([halves - 0.5, np.ones(queries)])
    gram = design.T @ design + np.eye(design.shape[1])
    return np.asarray(np.linalg.solve(gram, design.T @ answers)[:-1])


def _margins(
    detector: Model, words: list[str], batch: int, tried: list[list[Edit]]
) -> NDArray[np.float64]:
    """Return how much surer the detector is of marked than of unmarked, of each edited text."""
    texts = [" ".join(_edited(words, edits)) for edits in tried]
    scores = [
        np.asarray(detector.calls["query"](np.array(texts[at : at + batch])), dtype=np.float64)
        for at in range(0, len(texts), batch)
    ]
    return np.concatenate([part[:, -1] - part[:, 0] for part in scores])


def _edited(words: list[str], edits: list[Edit]) -> list[str]:
    out = list(words)
    for place, word in edits:
        out[place] = word
    return out
