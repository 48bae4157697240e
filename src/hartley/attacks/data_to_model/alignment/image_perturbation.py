"""Image perturbation: move a picture's embedding away from its caption's, within a small budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.alignment.alignment import AlignmentBrief, alignment
from hartley.games.alignment.pair_encoders import CAPTIONS, pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.pair_agreement import PairAgreement


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
    best = _Furthest(view, gate if careful else None, captions, rival, clean.copy())
    for _ in range(restarts):
        now = rules.projected(rules.random(clean, rng), clean, box)
        for _ in range(steps):
            down = captions - rival
            if gate is not None:
                embedded = np.asarray(view.model.calls["query"](now))
                if careful:
                    low = gate.scores(embedded, captions) < gate.threshold + SPARE
                    down = np.where(low[:, None], gate.drift(embedded) - captions, down)
                else:
                    down = down - (rival - gate.drift(embedded))
            slope = view.model.calls["grad"](now, down)
            now = rules.projected(rules.moved(now, slope, length), clean, box)
            if careful:
                best.look(_as_files(now, clean, box))
        best.look(_as_files(now, clean, box))
    return Outcome(asset=pairs("changed pairs", best.pictures, tokens))


SPARE = 0.01
"""Of the filter's score, above its threshold: what rounding to a file may take of it."""


@dataclass(slots=True, eq=False)
class _Furthest:
    """Of the pictures looked at, those of least cosine with the caption minus that with the rival.

    With a filter, of those alone that it accepts with their own caption; the clean picture stays
    where there is none. The filter is the one that the attacker knows, or None.
    """

    view: View[AlignmentBrief]
    gate: PairAgreement | None
    captions: NDArray[Any]
    rival: NDArray[Any]
    pictures: NDArray[np.float32]
    least: NDArray[np.float64] | float = np.inf

    def look(self, now: NDArray[np.float32]) -> None:
        """Take those of ``now`` that are better."""
        embedded = np.asarray(self.view.model.calls["query"](now))
        alike = (embedded * (self.captions - self.rival)).sum(1)
        if self.gate is not None:
            accepted = self.gate.scores(embedded, self.captions) >= self.gate.threshold
            alike = np.where(accepted, alike, np.inf)
        better = (alike < self.least).reshape(-1, *(1,) * (now.ndim - 1))
        self.pictures = np.where(better, now, self.pictures)
        self.least = np.minimum(alike, self.least)


def _as_files(
    x: NDArray[Any], clean: NDArray[Any], box: tuple[NDArray[Any], NDArray[Any]]
) -> NDArray[np.float32]:
    """Return pictures as files round them, where both the rounding and the clean ones allow it."""
    levels = clean * 255
    if not np.allclose(levels, np.rint(levels), atol=1e-3):
        return np.asarray(x, np.float32)
    low, high = np.ceil(box[0] * 255 - 1e-3), np.floor(box[1] * 255 + 1e-3)
    return np.asarray(np.clip(np.rint(x * 255), low, high) / np.float32(255), np.float32)
