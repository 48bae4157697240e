"""Detector walk: ask the owner's detector which rewordings lower its score, and keep those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.rewording import (
    Edit,
    most_edits,
    outcome,
    word_pairs,
)
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.LABELS | Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
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
    lower the score, and as many are exchanged as the quality floor allows.

    Args:
        queries: texts that are shown to the detector at most.
        batch: of texts that are shown together.
    """
    words = str(view.data.x[0]).split()
    pairs = word_pairs(view.brief.public)
    detector = view.brief.detector
    places = np.array_split(np.arange(len(words)), max(1, min(len(words), queries // 2)))
    blocks: list[list[Edit]] = []
    for _ in range(max(1, queries // len(places))):
        for block in places:
            edits: list[Edit] = []
            for place in block.tolist():
                left = words[place - 1] if place else ""
                right = words[place + 1] if place + 1 < len(words) else ""
                fitting = pairs.fitting(left, words[place], right)
                if fitting:
                    edits.append((place, fitting[int(rng.integers(len(fitting)))]))
            if edits:
                blocks.append(edits)
    blocks = blocks[:queries]
    if detector is None or not blocks:
        return outcome(
            most_edits(view.brief, words, [edit for edits in blocks for edit in edits]), "walked"
        )
    texts = [" ".join(_edited(words, edits)) for edits in blocks]
    scores = [
        np.asarray(detector.calls["query"](np.array(texts[at : at + batch])), dtype=np.float64)
        for at in range(0, len(texts), batch)
    ]
    marked = np.concatenate([part[:, -1] - part[:, 0] for part in scores])
    walk: list[Edit] = []
    busy: set[int] = set()
    for k in np.argsort(marked, kind="stable").tolist():
        if not busy & {place for place, _ in blocks[k]}:
            walk += blocks[k]
            busy |= {place for place, _ in blocks[k]}
    return outcome(most_edits(view.brief, words, walk), "walked")


def _edited(words: list[str], edits: list[Edit]) -> list[str]:
    out = list(words)
    for place, word in edits:
        out[place] = word
    return out
