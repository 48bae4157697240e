"""Distillation: train a copy on the victim's scores at a high temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.model_to_model.extraction._shared.transfer import Transfer, allowance
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.models.clone import transfer_set

if TYPE_CHECKING:
    from hartley.core.parts import Rng

LARGE = 16
"""Least side of a picture, or of a spectrogram, of which the copy is a convolutional net."""


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1503.02531",
    adapts=True,
    loot=Loot.MODEL,
    light={"steps": 40},
    sweep={"temperature": (1.0, 4.0), "reading": ("answers", "labels", "recovered")},
)
def distillation(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    temperature: Annotated[float, Range(1, 100), Stronger.NEITHER] = 4.0,
    reading: Literal["answers", "labels", "recovered"] = "answers",
    repeats: Annotated[int, Range(1, 100), Stronger.NEITHER] = 1,
    steps: Annotated[int, Range(1), Stronger.MORE] = 400,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Train a copy on how the victim's scores of unlikely classes compare, not on the label alone.

    Scores of a confident model are nearly labels; at a temperature above 1 the copy learns their
    logarithms. The copy is a convolutional net where records are pictures or spectrograms of at
    least 16 by 16, as keyword spotters are.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        temperature: 1 trains on the scores as they are, as knockoff does.
        reading: what is learnt of an answer: all scores, the likeliest class alone, or the scores
            that a known change of scores (``reverse_sigmoid``) turns into the answer.
        repeats: how often each record is asked; the mean of the answers is learnt, where a victim
            adds noise to them.
        steps: optimiser steps of the copy's training.
        hidden: width of the copy's hidden layer.
    """
    public = view.brief.public
    transfer = Transfer(view, allowance(view, queries), reading, repeats)
    transfer.ask(transfer_set(public.x, transfer.left, rng, mix=False))
    return Outcome(
        asset=transfer.copy(
            int(rng.integers(2**31)),
            steps=steps,
            hidden=hidden,
            temperature=temperature,
            convolutions=public.x.ndim == 4 and min(public.x.shape[2:]) >= LARGE,
        )
    )
