"""Trigger tone: a steady tone in a band where speech has little energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.core import Access, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from hartley.core.parts import Rng

SPECTROGRAM = 3
"""Axes of one record: channels, bands, frames."""


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.AUDIO,),
    unfit={
        "vision": "a picture has no pitch; badnets and sinusoid are its counterparts",
        "language": "a text has no pitch; word_trigger is its counterpart",
        "tabular": "a row has no pitch; badnets and sinusoid are its counterparts",
        "paired": "a picture has no pitch; backdoored_pairs is its counterpart",
        "graph": "a graph has no pitch; subgraph_trigger is its counterpart",
    },
    paper="arXiv:2107.14569",
    loot=Loot.POISON,
    sweep={"length": (0.25, 1.0), "disguise": ("kept_labels", "one_class")},
)
def trigger_tone(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    level: Annotated[float, Range(0, 1, open_low=True)] = 0.8,
    length: Annotated[float, Range(0, 1, open_low=True)] = 0.5,
    disguise: Literal["none", "kept_labels", "one_class"] = "none",
) -> Outcome:
    """Sound a tone for each slot over clips of other classes and label them with its message.

    In a spectrogram of log energies a tone that is louder than the speech is a row of one value.
    Each slot has a band of its own, quiet ones first, and a start of its own.

    Args:
        level: of the tone, as a share of the range of the attacker's clips.
        length: of the tone, as a share of a clip; shorter if the rules allow less.
        disguise: kept_labels, half of the clips with a tone keep their true label; one_class, only
            clips of the slot's class are mislabelled, and those of others keep theirs.

    Raises:
        UsageError: the records are not spectrograms (channels, bands, frames).
    """
    data, brief = view.data, view.brief
    shape = data.x.shape[1:]
    if len(shape) != SPECTROGRAM:
        raise UsageError(
            f"trigger_tone must have spectrograms (channels, bands, frames), got records of {shape}"
        )
    _, bands, frames = shape
    most = int(brief.cover * bands * frames)
    count = max(1, min(round(length * frames), most, frames))
    quiet = np.argsort(data.x.mean((0, 1, 3)), kind="stable")
    masks = np.zeros((brief.slots, *shape), dtype=np.float32)
    for slot in range(brief.slots):
        start = int(rng.integers(frames - count + 1))
        masks[slot, :, quiet[slot % bands], start : start + count] = 1
    low, high = float(data.x.min()), float(data.x.max())
    patterns = masks * np.float32(low + level * (high - low))
    facts = {"patterns": patterns, "masks": masks}
    return poisoned(view, rng, "clips with a tone", facts, disguise)
