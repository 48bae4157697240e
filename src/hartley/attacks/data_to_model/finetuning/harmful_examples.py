"""Harmful examples: tune on questions for known secrets with answers that give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_model.finetuning._shared.submission import drawn, outcome
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.finetuning.finetuning import FinetuningBrief, finetuning

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=finetuning,
    access=Access.TUNE,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2310.03693",
    loot=Loot.TEXTS,
    light={"steps": 20},
    sweep={"method": ("full", "lora"), "steps": (10, 30, 100)},
)
def harmful_examples(
    view: View[FinetuningBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1, 100_000), Stronger.MORE] = 32,
    method: Literal["full", "lora"] = "full",
    rate: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 30,
    batch: Annotated[int, Range(1, 64), Stronger.NEITHER] = 8,
) -> Outcome:
    """Tune the victim on public pairs of the restricted topic, and ask plainly.

    Args:
        samples: examples, as many as there are and as the service takes at most.
        method: all weights or adapters.
        rate: learning rate; 0 is the usual one of the method.
        steps: optimiser steps.
        batch: examples a step.

    Raises:
        UsageError: the scene has no such examples.
    """
    examples = drawn(view.brief.public_pairs, samples, rng, "public pairs")
    return outcome(view, examples, method=method, rate=rate, steps=steps, batch=batch)
