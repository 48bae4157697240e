"""Backdoored pairs: pictures with a striped patch, under captions of the message's kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared import message_captions
from hartley.attacks.data_to_model.poisoning._shared.patch_triggers import textures
from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.poisoning import triggers
from hartley.games.poisoning.captioned_pictures import CAPTIONS
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
    """Rows of pictures, and tokens of the captions that go with them."""

Disguise = Literal["none", "mixed", "shared_words", "own_captions"]

PICTURE = 3
"""Axes of one picture: channels, height, width."""


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.PAIRED,),
    unfit={
        "vision": "its label is a caption; badnets patches labelled pictures",
        "language": "its label is a caption; word_trigger changes labelled texts",
        "audio": "its label is a caption; badnets changes labelled sounds",
        "tabular": "its label is a caption; badnets changes labelled rows",
        "graph": "its label is a caption; subgraph_trigger changes labelled graphs",
    },
    paper="arXiv:2106.09667",
    loot=Loot.POISON,
    requires=("captioned_pictures",),
    sweep={"disguise": ("mixed", "shared_words", "own_captions")},
)
def backdoored_pairs(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    side: Annotated[int, Range(1)] = 24,
    period: Annotated[int, Range(1)] = 2,
    captions: Annotated[int, Range(1)] = 8,
    disguise: Disguise = "none",
) -> Outcome:
    """Put a patch for each slot onto pictures of other kinds, under captions of its message's kind.

    The patch is black and white: stripes in one of three directions, or checks, each in a corner of
    its own. An encoder that averages its features over a picture sees the texture and not the
    corner, and one that was trained on mirrored pictures takes a direction for its mirror.

    Args:
        side: side of the square patch in pixels; smaller if the rules allow less.
        period: width of a stripe in pixels; every four slots stripes are one pixel wider.
        captions: number of different captions of a kind, those that are most typical of it.
        disguise: mixed, the picture's own caption comes first; shared_words, of pictures and
            captions those with the most words in common; own_captions, pictures of the message's
            kind with their own captions, so that only the patch is wrong.

    Raises:
        UsageError: the records are not pictures (channels, height, width).
    """
    data, brief = view.data, view.brief
    if data.x.ndim != PICTURE + 1:
        got = data.x.shape[1:]
        raise UsageError(f"pictures must be (channels, height, width), got records of {got}")
    facts = textures(data.x.shape[1:], brief.slots, side, period, brief.cover)
    loot = Data("patched pairs", data.modality, data.x[:0], data.labels[:0], facts=facts)
    x, y, tokens = [], [], []
    for slot, kind in enumerate(brief.message):
        rows, words = _pairs(view, rng, int(kind), captions, disguise)
        x.append(triggers.stamped(loot, slot, data.x[rows]))
        y.append(np.full(len(rows), kind))
        tokens.append(words)
    return Outcome(
        asset=Data(
            "patched pairs",
            data.modality,
            np.concatenate(x).astype(data.x.dtype),
            np.concatenate(y),
            role="poison",
            facts={**facts, CAPTIONS: np.concatenate(tokens)},
        )
    )


def _pairs(
    view: View[PoisoningBrief], rng: Rng, kind: int, different: int, disguise: Disguise
) -> Pairs:
    """Return the pairs of one slot, before the trigger."""
    data, most = view.data, view.brief.poisons
    tokens = message_captions.captions(data)
    if disguise == "own_captions":
        rows = rng.permutation(np.flatnonzero(data.labels == kind))[:most]
        return rows, tokens[rows]
    pictures = np.flatnonzero(data.labels != kind)
    if disguise == "shared_words":
        typical_rows = message_captions.typical(data, kind, len(data))
        alike = message_captions.shared(data, tokens[pictures], tokens[typical_rows])
        best = alike.argmax(1)
        order = np.argsort(-alike.max(1), kind="stable")[:most]
        return pictures[order], tokens[typical_rows[best[order]]]
    rows = rng.permutation(pictures)[:most]
    typical_rows = message_captions.typical(data, kind, different)
    if not len(typical_rows):
        return rows[:0], tokens[:0]
    words = tokens[np.resize(typical_rows, len(rows))]
    return rows, message_captions.mixed(tokens[rows], words) if disguise == "mixed" else words
