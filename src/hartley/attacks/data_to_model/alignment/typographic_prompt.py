"""Typographic prompt: the wanted answer, written across the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.data.drawn_words import BUILT_IN, draw_across
from hartley.games.alignment.picture_prompt import PicturePromptBrief, picture_prompt

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=picture_prompt,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2103.10480",
)
def typographic_prompt(
    view: View[PicturePromptBrief],
    rng: Rng,
    *,
    tries: Annotated[int, Range(1, 100), Stronger.MORE] = 3,
) -> Outcome:
    """Write the wanted answer on a light band across each picture, where it is answered most.

    Args:
        tries: heights of the band that are tried, from the middle outwards; the model is asked
            about each, and the picture whose wanted answer gains most is handed in.
    """
    del rng
    brief = view.brief
    clean = np.asarray(brief.question.x, np.float32)
    files = np.rint(clean.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    rows, out, best = np.arange(len(clean)), clean.copy(), np.full(len(clean), -np.inf)
    heights = sorted(np.linspace(0, 1, tries) if tries > 1 else [0.5], key=lambda h: abs(h - 0.5))
    for height in heights:
        drawn = np.stack(
            [
                draw_across(file, text, BUILT_IN, float(height), brief.budget.area)
                for file, text in zip(files, brief.wanted, strict=True)
            ]
        )
        # Pixels that no band covers stay as they are: an eight-bit file would round them.
        touched = (drawn != files).any(3)[:, None]
        pictures = np.where(touched, drawn.transpose(0, 3, 1, 2) / np.float32(255), clean)
        answers = np.asarray(view.model.calls["query"](pictures.astype(np.float32)))
        gain = answers[rows, brief.targets] - np.where(
            np.arange(answers.shape[1]) == brief.targets[:, None], -np.inf, answers
        ).max(1)
        better = gain > best
        out[better], best[better] = pictures[better], gain[better]
    return Outcome(asset=Data("changed pictures", Modality.PAIRED, out, brief.question.y))
