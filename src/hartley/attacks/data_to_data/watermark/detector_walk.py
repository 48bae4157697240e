"""Detector walk: ask the owner's detector which rewordings lower its score, and keep those."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.block_effects import effects, margins
from hartley.attacks.data_to_data.watermark._shared.rewording import (
    Edit,
    most_edits,
    outcome,
    reworded,
    word_pairs,
)
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng

LOUD = 10.0
"""Deviation of noise, in the detector's binary digits of evidence, from which on answers are
averaged. One block moves some three of them; asking about many at once is no better below, and
tries one rewording of each place where single questions try two."""


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
    a budget of queries makes fewer and larger blocks; one who knows of loud noise in the
    scores asks about many blocks at once, and averages over them.

    Args:
        queries: texts that are shown to the detector at most.
        batch: of texts that are shown together.
    """
    words = str(view.data.x[0]).split()
    known = {defense.name: defense.params for defense in view.defenses}
    queries = min(queries, int(known.get("query_budget", {}).get("queries", queries)))
    noisy = float(known.get("score_noise", {}).get("scale", 0.0)) >= LOUD
    count = max(1, min(len(words), queries // 2))
    pairs = word_pairs(view.brief.public)
    repeats = 1 if noisy else max(1, queries // count)
    # Few blocks are long ones: words that stand apart break more pairs of neighbours.
    spread = rng.permutation(len(words)) if "query_budget" in known else np.arange(len(words))
    places = [block.tolist() for block in np.array_split(spread, count)]
    drawn = [reworded(pairs, words, block, rng) for _ in range(repeats) for block in places]
    blocks = [edits for edits in drawn if edits]
    detector = view.brief.detector
    if detector is None or not blocks or not queries:
        order = np.arange(len(blocks))
    else:
        ask = partial(margins, detector, words, batch)
        order = np.argsort(effects(ask, blocks, queries, rng, noisy=noisy), kind="stable")
    walk: list[Edit] = []
    busy: set[int] = set()
    for k in order.tolist():
        if not busy & {place for place, _ in blocks[k]}:
            walk += blocks[k]
            busy |= {place for place, _ in blocks[k]}
    return outcome(most_edits(view.brief, words, walk), "walked")
