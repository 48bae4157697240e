"""Image perturbation: move a picture's embedding away from its caption's, within a small budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.alignment._shared.furthest_pictures import Furthest, as_files
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.alignment.alignment import AlignmentBrief, alignment
from hartley.games.alignment.pair_encoders import CAPTIONS, pairs

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=alignment,
    access=Access.EMBEDDINGS | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2206.09391",
    adapts=True,
    sweep={"towards": ("rival", "away")},
)
def image_perturbation(
    view: View[AlignmentBrief],
    rng: Rng,
    *,
    towards: Literal["rival", "away", "accepted"] = "rival",
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 10,
    step: Annotated[float, Range(0, 2), Stronger.NEITHER] = 0.0,
    restarts: Annotated[int, Range(1, 1000), Stronger.MORE] = 1,
) -> Outcome:
    """Change each picture by steps along the slope of cosines in the shared space (PGD).

    Args:
        towards: away, down the cosine with the picture's own caption; rival, at the same time up
            that with the nearest other candidate, and up the score of that pair in the owner's
            filter where the attacker knows of it; accepted, as rival, but only as far as that
            filter still accepts the picture with its own caption. Where pictures are looked for,
            no caption is a rival: rival is away, and accepted is away as far as the filter accepts.
        steps: number of steps.
        step: length of one, as a share of the budget; 0 is 2.5 / steps.
        restarts: starts that are drawn; of their ends that is handed in which is least like its
            caption, the likeness to the rival taken off.
    """
    brief = view.brief
    clean = np.asarray(brief.question.x, np.float32)
    tokens = brief.question.facts[CAPTIONS]
    captions = np.asarray(brief.captions.calls["query"](tokens))
    rules = brief.budget.picture
    rival, gate = np.zeros_like(captions), None
    careful = towards == "accepted"
    if careful:
        gate = brief.gate
    if towards != "away" and brief.direction == "picture_to_caption":
        gate = brief.gate
        alike = np.einsum("nw,nkw->nk", view.model.calls["query"](clean), np.asarray(brief.rivals))
        rival = np.asarray(brief.rivals)[np.arange(len(clean)), alike.argmax(1)]
    box = rules.box(clean)
    length = np.full(len(clean), (step or 2.5 / steps) * rules.epsilon)
    best = Furthest(view, gate if careful else None, captions, rival, clean.copy())
    for _ in range(restarts):
        now = rules.projected(rules.random(clean, rng), clean, box)
        for _ in range(steps):
            down = captions - rival
            if gate is not None:
                embedded = np.asarray(view.model.calls["query"](now))
                if careful:
                    low = gate.scores(embedded, captions) < gate.threshold + SPARE
                    down = np.where(low[:, None], -gate.slope(embedded, captions), down)
                else:
                    down = down - gate.slope(embedded, rival)
            slope = view.model.calls["grad"](now, down)
            now = rules.projected(rules.moved(now, slope, length), clean, box)
            if careful:
                best.look(as_files(now, clean, box))
        best.look(as_files(now, clean, box))
    return Outcome(asset=pairs("changed pairs", best.pictures, tokens))


SPARE = 0.01
"""Of the filter's score, above its threshold: what rounding to a file may take of it."""
