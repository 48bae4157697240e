"""Image perturbation: move a picture's embedding away from its caption's, within a small budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.alignment.alignment import AlignmentBrief, alignment
from hartley.games.alignment.pair_encoders import CAPTIONS, pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    towards: Literal["rival", "away"] = "rival",
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 10,
    step: Annotated[float, Range(0, 2), Stronger.NEITHER] = 0.0,
) -> Outcome:
    """Change each picture by steps along the slope of cosines in the shared space (PGD).

    Args:
        towards: away, down the cosine with the picture's own caption; rival, at the same time up
            that with the nearest other candidate, and up the score of that pair in the owner's
            filter where the attacker knows of it.
        steps: number of steps.
        step: length of one, as a share of the budget; 0 is 2.5 / steps.
    """
    brief = view.brief
    clean = np.asarray(brief.question.x, np.float32)
    tokens = brief.question.facts[CAPTIONS]
    captions = np.asarray(brief.captions.calls["query"](tokens))
    rules = brief.budget.picture
    rival, gate = np.zeros_like(captions), None
    if towards == "rival" and brief.direction == "picture_to_caption":
        gate = brief.gate
        alike = np.einsum("nw,nkw->nk", view.model.calls["query"](clean), np.asarray(brief.rivals))
        rival = np.asarray(brief.rivals)[np.arange(len(clean)), alike.argmax(1)]
    box = rules.box(clean)
    now = rules.projected(rules.random(clean, rng), clean, box)
    length = np.full(len(clean), (step or 2.5 / steps) * rules.epsilon)
    for _ in range(steps):
        down = captions - rival
        if gate is not None:
            down = down - (rival - gate.drift(np.asarray(view.model.calls["query"](now))))
        slope = view.model.calls["grad"](now, down)
        now = rules.projected(rules.moved(now, slope, length), clean, box)
    return Outcome(asset=pairs("changed pairs", _as_files(now, clean, box), tokens))


def _as_files(
    x: NDArray[Any], clean: NDArray[Any], box: tuple[NDArray[Any], NDArray[Any]]
) -> NDArray[np.float32]:
    """Return pictures as files round them, where both the rounding and the clean ones allow it."""
    levels = clean * 255
    if not np.allclose(levels, np.rint(levels), atol=1e-3):
        return np.asarray(x, np.float32)
    low, high = np.ceil(box[0] * 255 - 1e-3), np.floor(box[1] * 255 + 1e-3)
    return np.asarray(np.clip(np.rint(x * 255), low, high) / np.float32(255), np.float32)
