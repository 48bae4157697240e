"""Page rewording: draw a page anew, ask the detector what is left, and exchange words for the rest.

Redrawing takes the mark out of the pixels at no cost to the text. Only if the owner's detector
still says marked are words exchanged, those first whose exchange lowers its score the most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.page_texts import as_loot, redrawn, texts
from hartley.attacks.data_to_data.watermark._shared.rewording import (
    Edit,
    most_edits,
    reworded,
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
    modalities=(Modality.PAIRED,),
    paper="hartley",
    adapts=True,
)
def page_rewording(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(2, 10_000), Stronger.MORE] = 12,
    steps: Annotated[int, Range(1), Stronger.MORE] = 5,
) -> Outcome:
    """Try the redrawn page with parts of its words exchanged at the detector.

    Each query is the page with one block of words exchanged; as many blocks are exchanged as the
    floor allows, those first that lower the score the most. An attacker who knows of a budget of
    queries makes fewer and larger blocks; one who knows of noise exchanges words also where the
    redrawn page reads as unmarked.

    Args:
        queries: pages that are shown to the detector at most.
        steps: bisections of the quality of JPEG, for the illustration.
    """
    brief, page = view.brief, view.data.x[0]
    drawn = redrawn(brief, page, steps)
    if drawn is None:
        return as_loot(page)
    known = {one.name: one.params for one in view.defenses}
    queries = min(queries, int(known.get("query_budget", {}).get("queries", queries)))
    pages, detector = drawn.pages, brief.detector if queries else None

    def marked(candidates: list[Any]) -> np.ndarray:
        assert detector is not None
        answers = np.asarray(detector.calls["query"](np.stack(candidates)), np.float64)
        return np.asarray(answers[:, -1] - answers[:, 0])

    trusted = detector is not None and "score_noise" not in known
    if trusted and marked([drawn.page])[0] <= 0:
        return as_loot(drawn.page)
    words = pages.text(page).split()
    pairs = word_pairs(texts(pages, brief))
    places = np.array_split(np.arange(len(words)), max(1, min(len(words), queries - 1)))
    drawn_blocks = [reworded(pairs, words, block.tolist(), rng) for block in places]
    blocks = [edits for edits in drawn_blocks if edits]
    order = list(range(len(blocks)))
    if detector is not None and 0 < len(blocks) < queries:
        tried = [pages.written(drawn.page, _edited(words, edits)) for edits in blocks]
        order = np.argsort(marked(tried), kind="stable").tolist()
    text = most_edits(drawn, words, [edit for k in order for edit in blocks[k]])
    return as_loot(pages.written(drawn.page, text))


def _edited(words: list[str], edits: list[Edit]) -> str:
    out = list(words)
    for place, word in edits:
        out[place] = word
    return " ".join(out)
