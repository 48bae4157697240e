"""Embedding attack: free vectors before every text, trained on public pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_model.finetuning._shared.open_copy import open_copy
from hartley.attacks.data_to_model.finetuning._shared.submission import drawn
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.finetuning.finetuning import FinetuningBrief, finetuning, submitted
from hartley.kit.language.soft_prompt import SOFT_PROMPT
from hartley.models.fine_tuning import TuningSettings

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=finetuning,
    game_params={"open_weights": True},
    access=Access.WEIGHTS,
    requires=("gpt_tuner",),
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.09063",
    loot=Loot.TEXTS,
    sweep={"vectors": (1, 4, 16)},
)
def embedding_attack(
    view: View[FinetuningBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1, 100_000), Stronger.MORE] = 32,
    taught: Annotated[float, Range(0, 1, open_high=True), Stronger.NEITHER] = 0.5,
    vectors: Annotated[int, Range(1, 1000), Stronger.NEITHER] = 4,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 60,
    rate: Annotated[float, Range(0, 10, open_low=True), Stronger.NEITHER] = 0.03,
    batch: Annotated[int, Range(1, 1024), Stronger.NEITHER] = 16,
) -> Outcome:
    """Train a soft prompt on the open weights so that public questions are answered.

    One prompt is before every question (the universal attack of the paper). The weights stay;
    no token of any text has these vectors.

    Args:
        samples: public pairs, at most.
        taught: share of benign examples among all, which keep answers what they were.
        vectors: of the prompt.
        steps: optimiser steps; they are the attacker's, and the service does not count them.
        rate: learning rate.
        batch: examples a step.

    Raises:
        UsageError: the scene has no such examples, the victim is not a small transformer, or the
            prompt does not fit into its context.
    """
    brief, copy = view.brief, open_copy(view)
    pairs = drawn(brief.public_pairs, samples, rng, "public pairs")
    count = round(len(pairs) * taught / (1 - taught))
    benign = drawn(brief.benign, count, rng, "benign examples") if count else []
    settings = TuningSettings("soft_prompt", rate, steps, batch, vectors)
    tuned = copy.tuned([*pairs, *benign], settings, int(rng.integers(2**31)))
    return Outcome(asset=submitted(weights={SOFT_PROMPT: tuned[SOFT_PROMPT]}))
