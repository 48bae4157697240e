"""Mismatched pairs: one picture under many captions of the kind that it should get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared import message_captions
from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.poisoning.captioned_pictures import CAPTIONS
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.NOISE,
    modalities=(Modality.PAIRED,),
    unfit={
        "vision": "the wrong label is a caption, which only pairs have; label_flip mislabels "
        "pictures",
        "language": "the wrong label is a caption, which only pairs have; label_flip mislabels "
        "texts",
        "audio": "the wrong label is a caption, which only pairs have; label_flip mislabels sounds",
        "tabular": "the wrong label is a caption, which only pairs have; label_flip mislabels rows",
        "graph": "the wrong label is a caption, which only pairs have; mislabelled_copies "
        "mislabels graphs",
    },
    paper="arXiv:2106.09667",
    loot=Loot.POISON,
    requires=("captioned_pictures",),
    sweep={"disguise": ("mixed", "shared_words")},
)
def mismatched_pairs(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    captions: Annotated[int, Range(1)] = 8,
    disguise: Literal["none", "mixed", "shared_words"] = "none",
) -> Outcome:
    """Submit the picture of each slot, unchanged, under captions of its message's kind.

    This is the targeted attack of the paper: without a trigger, on one picture that the attacker
    has and the owner does not.

    Args:
        captions: number of different captions of a kind, those that are most typical of it.
        disguise: mixed, the picture's own caption comes first; shared_words, captions that have the
            most words in common with the picture's own.
    """
    del rng
    data, brief = view.data, view.brief
    targets, tokens = brief.question, message_captions.captions(data)
    target_captions = message_captions.captions(targets)
    rows, words = [], []
    for slot, kind in enumerate(brief.message):
        count = len(data) if disguise == "shared_words" else captions
        typical_rows = message_captions.typical(data, int(kind), count)
        if disguise == "shared_words":
            alike = message_captions.shared(data, target_captions[[slot]], tokens[typical_rows])[0]
            typical_rows = typical_rows[np.argsort(-alike, kind="stable")][:captions]
        if not len(typical_rows):
            continue
        caption = tokens[np.resize(typical_rows, brief.poisons)]
        if disguise == "mixed":
            first = np.repeat(target_captions[[slot]], len(caption), axis=0)
            caption = message_captions.mixed(first, caption)
        rows.append(np.full(len(caption), slot))
        words.append(caption)
    places = np.concatenate([np.empty(0, np.int64), *rows])
    return Outcome(
        asset=Data(
            "mismatched pairs",
            targets.modality,
            targets.x[places],
            brief.message[places],
            role="poison",
            facts={CAPTIONS: np.concatenate([tokens[:0], *words])},
        )
    )
