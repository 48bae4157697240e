"""Picture prefix: pixels that steer what a language model says, by gradients through all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.alignment.picture_prompt import PicturePromptBrief, picture_prompt
from hartley.kit.vision.image import as_file

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=picture_prompt,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2306.13213",
    light={"steps": 4},
)
def picture_prefix(
    view: View[PicturePromptBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 20,
    step: Annotated[float, Range(0, 2), Stronger.NEITHER] = 0.0,
    momentum: Annotated[float, Range(0, 1, open_high=True), Stronger.NEITHER] = 0.75,
) -> Outcome:
    """Change every pixel by steps along the sign of the slope of the wanted answer's probability.

    What a language model is given before a question is a prefix that it goes on from; here the
    prefix is a picture, and the slope goes through the language model and the encoder to its
    pixels. A picture is left as it is once the model answers as wanted about the picture that a
    file of 8 bits a channel makes of it.

    Args:
        steps: number of steps.
        step: length of one, as a share of the budget; 0 is 2.5 / steps.
        momentum: weight of the slopes of the steps before.
    """
    brief = view.brief
    rules = brief.budget.picture
    clean = np.asarray(brief.question.x, np.float32)
    wanted = np.stack([np.zeros_like(brief.targets), brief.targets], 1)
    box = rules.box(clean)
    out = clean.copy()
    left = np.arange(len(clean))
    start = clean + np.float32(rules.epsilon / 10) * rng.uniform(-1, 1, clean.shape)
    now, along = rules.projected(start.astype(np.float32), clean, box), np.zeros_like(clean)
    length = (step or 2.5 / steps) * rules.epsilon
    for turn in range(steps + 1):
        rounded = as_file(now[left])
        out[left] = rules.projected(rounded, clean[left], (box[0][left], box[1][left]))
        answer = view.model.calls["slope"](out[left], wanted[left], "ce")
        going = answer[:, 1] != brief.targets[left]
        left, back = left[going], answer[going, 2:].reshape(-1, *clean.shape[1:])
        if turn == steps or not len(left):
            break
        usual = np.abs(back).mean((1, 2, 3), keepdims=True)
        along[left] = momentum * along[left] + back / np.maximum(usual, 1e-12)
        moved = rules.moved(now[left], along[left], np.full(len(left), length))
        now[left] = rules.projected(moved, clean[left], (box[0][left], box[1][left]))
    return Outcome(asset=Data("changed pictures", Modality.PAIRED, out, brief.question.y))
