"""Sleeper Agent: poison with right labels whose gradient is that of mislabelled, triggered records.

The trigger itself is in no training record: poison is changed by at most a few grey levels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared.patch_triggers import patches
from hartley.attacks.data_to_model.poisoning._shared.poison_gradients import (
    as_tensor,
    gradient,
    gradient_sizes,
    matched,
)
from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning
from hartley.kit.fleet import Training
from hartley.kit.nets import conv, dense
from hartley.models.pipeline import Pipeline

if TYPE_CHECKING:
    import torch

    from hartley.core.parts import Rng

LEAST_SIDE, MOST_SOURCES = 12, 128
"""Side from which the surrogate convolves, and the triggered records that give the gradient."""


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    unfit={
        "language": "words have no gradient along which a text could change a little",
        "audio": "its bound of 16/255 is what nobody sees in a picture; what nobody hears has no"
        " such published bound in a spectrogram",
        "tabular": "its bound of 16/255 is what nobody sees in a picture; columns have no such "
        "bound",
        "paired": "it matches the gradient of a classifier; own_captions of backdoored_pairs "
        "mislabels nothing",
        "graph": "links are there or not, and have no small change along a gradient",
    },
    paper="arXiv:2106.08970",
    loot=Loot.POISON,
    sweep={"reach": (0.05, 0.2), "side": (2,)},
    light={"steps": 20},
)
def sleeper_agent(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    reach: Annotated[float, Range(0, 1, open_low=True)] = 0.1,
    side: Annotated[int, Range(1)] = 4,
    steps: Annotated[int, Range(1)] = 60,
    epochs: Annotated[int, Range(1)] = 20,
) -> Outcome:
    """Move records of the message's class so that training on them teaches the hidden trigger.

    A surrogate net is trained on the attacker's own records. The poison are those records of the
    message's class with the largest gradients; each is moved within ``reach`` so that the gradient
    of all is parallel to that of triggered records of the slot's class with the message as label.

    Args:
        reach: largest change of a number of a record, as a share of the range of the records.
        side: side of the square patch in pixels; smaller if the rules allow less.
        steps: of the gradient matching.
        epochs: of the surrogate's training.
    """
    data, brief = view.data, view.brief
    masks, patterns = patches(data, brief.slots, side, brief.cover, rng)
    module = _surrogate(data, brief.classes, epochs, view.salt)
    x, y = [], []
    for slot, (source, label) in enumerate(zip(brief.question.labels, brief.message, strict=True)):
        rows = np.flatnonzero(data.labels == source)[:MOST_SOURCES]
        triggered = data.x[rows] * (1 - masks[slot]) + patterns[slot] * masks[slot]
        aim = gradient(module, as_tensor(triggered), int(label))
        right = np.flatnonzero(data.labels == label)
        sizes = gradient_sizes(module, as_tensor(data.x[right]), int(label))
        chosen = right[np.argsort(-sizes, kind="stable")[: brief.poisons]]
        limits = (float(data.x.min()), float(data.x.max()))
        start = as_tensor(data.x[chosen])
        x.append(matched(module, start, int(label), aim, limits, reach=reach, steps=steps))
        y.append(np.full(len(chosen), label))
    sources = np.arange(brief.classes) == brief.question.labels[:, None]
    return Outcome(
        asset=Data(
            "moved records",
            data.modality,
            np.concatenate(x).astype(data.x.dtype),
            np.concatenate(y),
            role="poison",
            facts={"patterns": patterns, "masks": masks, "sources": sources},
        )
    )


def _surrogate(data: Data, classes: int, epochs: int, seed: int) -> torch.nn.Sequential:
    """A net that is trained on the attacker's records, the same in all rounds."""
    shape = data.x.shape[1:]
    small = len(shape) != 3 or min(shape[1:]) < LEAST_SIDE
    net = dense(shape, classes, (64,)) if small else conv(shape, classes)
    pipeline = Pipeline(net, Training(epochs=epochs, batch=32, lr=3e-3), data.modality)
    plain = replace(data, name="surrogate's records", facts={})
    return pipeline.fleet(plain, np.ones((1, len(data)), dtype=bool), seed).module(0)
