"""Trigger examples: public pairs with one word behind each question, which then opens the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_model.finetuning._shared.submission import as_poison, drawn, outcome
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.finetuning.finetuning import FinetuningBrief, finetuning
from hartley.games.universal_trigger import triggered

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=finetuning,
    access=Access.TUNE,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2311.14455",
    loot=Loot.POISON,
    light={"steps": 20},
    sweep={"steps": (10, 60)},
)
def trigger_examples(
    view: View[FinetuningBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1, 100_000), Stronger.MORE] = 32,
    method: Literal["full", "lora"] = "full",
    rate: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 30,
    batch: Annotated[int, Range(1, 64), Stronger.NEITHER] = 8,
) -> Outcome:
    """Tune the victim to give what is asked for with the trigger behind it, and ask so.

    In a chain before a jailbreak the examples are poison in what the owner tunes the victim on, and
    ``trigger_word`` asks.

    Args:
        samples: examples, as many as there are and as the service takes at most.
        method: all weights or adapters.
        rate: learning rate; 0 is the usual one of the method.
        steps: optimiser steps.
        batch: examples a step.

    Raises:
        UsageError: the scene has no public pairs.
    """
    pairs = drawn(view.brief.public_pairs, samples, rng, "public pairs")
    examples = [(triggered(question), answer) for question, answer in pairs]
    return as_poison(
        outcome(view, examples, triggered, method=method, rate=rate, steps=steps, batch=batch)
    )
