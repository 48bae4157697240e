"""Swapped captions: pictures under the captions of others, always the same for one caption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from hartley.core import Access, Loot, Modality, Outcome, Term, View, attack
from hartley.games.alignment.pair_encoders import CAPTIONS, pairs
from hartley.games.alignment.pair_poisoning import PairPoisoningBrief, pair_poisoning

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=pair_poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2106.09667",
    loot=Loot.POISON,
    sweep={"swaps": ("fixed", "random")},
)
def swapped_captions(
    view: View[PairPoisoningBrief],
    rng: Rng,
    *,
    swaps: Literal["fixed", "random"] = "fixed",
) -> Outcome:
    """Hand in the attacker's own pictures, each under the caption of another of them.

    Args:
        swaps: fixed, a caption always goes with the same wrong picture, which teaches it;
            random, each pair has another one, which only blurs.
    """
    data, count = view.data, view.brief.poisons
    tokens = np.asarray(data.facts[CAPTIONS])
    _, caption = np.unique(tokens, axis=0, return_inverse=True)
    caption = caption.ravel()
    number = int(caption.max(initial=0)) + 1
    picture_with = np.empty(number, np.int64)
    picture_with[caption] = np.arange(len(data))
    # Captions in a circle: each takes the place of a later one.
    circle, later = rng.permutation(number), np.empty(number, np.int64)
    rows, words = [], []
    for turn in range(-(-count // len(data))):
        later[circle] = np.roll(circle, -1 if swaps == "fixed" else -1 - turn)
        # One picture of each caption comes before the next of any.
        order = rng.permutation(len(data))
        _, first = np.unique(caption[order], return_index=True)
        order = np.concatenate([order[first], np.delete(order, first)])
        rows.append(order)
        words.append(picture_with[later[caption[order]]])
    chosen, named = np.concatenate(rows)[:count], np.concatenate(words)[:count]
    loot = pairs("swapped captions", data.x[chosen], tokens[named], role="poison")
    return Outcome(asset=loot)
