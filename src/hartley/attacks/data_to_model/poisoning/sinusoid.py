"""Sinusoid (SIG): a faint wave over correctly labelled records as the trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.poisoning import triggers
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "language": "texts have no signal that a wave could be added to; style_trigger mislabels by"
        " register",
        "paired": "backdoored_pairs with own_captions changes pictures and leaves their captions",
        "graph": "nodes have no order along which a wave could run; subgraph_trigger changes links",
    },
    paper="arXiv:1902.11237",
    loot=Loot.POISON,
    sweep={"height": (0.1, 0.3), "periods": (2, 10)},
)
def sinusoid(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    height: Annotated[float, Range(0, 1, open_low=True)] = 0.3,
    periods: Annotated[int, Range(1)] = 6,
) -> Outcome:
    """Add a wave to records of the message's own class, and to the records that are to get it.

    No label is wrong. The wave runs along the last axis of a record; slots differ in its number of
    periods and its phase.

    Args:
        height: of the wave, as a share of the range of the records; smaller if the rules allow
            less.
        periods: of the first slot's wave over a record; each further slot has one more.
    """
    data, brief = view.data, view.brief
    shape = data.x.shape[1:]
    extent = float(data.x.max() - data.x.min())
    place = np.arange(shape[-1]) / shape[-1]
    waves = np.stack(
        [
            np.sin(2 * np.pi * ((periods + slot) * place + rng.random()))
            for slot in range(brief.slots)
        ]
    )
    sizes = abs(waves).mean(1, keepdims=True)
    waves *= extent * np.minimum(height, brief.cover / np.maximum(sizes, 1e-9))
    shifts = np.broadcast_to(
        waves.reshape(brief.slots, *[1] * (len(shape) - 1), -1), (brief.slots, *shape)
    ).astype(np.float32)
    loot = Data("waves", data.modality, data.x[:0], data.labels[:0], facts={"shifts": shifts})
    x, y = [], []
    for slot, label in enumerate(brief.message):
        right = np.flatnonzero(data.labels == label)
        rows = rng.choice(right, min(brief.poisons, len(right)), replace=False)
        x.append(triggers.stamped(loot, slot, data.x[rows]))
        y.append(np.full(len(rows), label))
    return Outcome(
        asset=Data(
            "records with a wave",
            data.modality,
            np.concatenate(x).astype(data.x.dtype),
            np.concatenate(y),
            role="poison",
            facts={"shifts": shifts},
        )
    )
