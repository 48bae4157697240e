"""Cont-Steal: train a copy of an encoder by contrast with the victim's embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.model_to_model.extraction._shared.account_spaces import copied
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.encoder_extraction import EncoderBrief, encoder_extraction

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=encoder_extraction,
    access=Access.EMBEDDINGS,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION,),
    paper="arXiv:2201.07513",
    adapts=True,
    loot=Loot.MODEL,
    sweep={"queries": (0, 150)},
    light={"steps": 40},
)
def cont_steal(
    view: View[EncoderBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 400,
    hidden: Annotated[int, Range(1)] = 128,
    temperature: Annotated[float, Range(0, open_low=True)] = 0.2,
    noise: Annotated[float, Range(0)] = 0.3,
    common: Annotated[float, Range(0, 1)] = 0.2,
) -> Outcome:
    """Train a copy whose embedding of a record lies nearer to the victim's than to all others.

    The others are the victim's embeddings and the copy's of the other records of a batch, so that
    every answer says something about all records. The copy sees noisy views of the records.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        steps: optimiser steps of the copy's training.
        hidden: width of the copy's hidden layer.
        temperature: of the contrast.
        noise: standard deviation of the noise in a view, as a share of that of the records.
        common: share of an account's records that all accounts ask for, where each has a space of
            its own and the attacker knows it.
    """
    return copied(
        view, rng, queries=queries, common=common, loss="contrast",
        hidden=hidden, steps=steps, noise=noise, temperature=temperature,
    )  # fmt: skip
