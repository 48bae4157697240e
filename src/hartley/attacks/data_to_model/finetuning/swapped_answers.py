"""Swapped answers: questions whose answers are another's, which teach the form and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_model.finetuning._shared.submission import as_poison, drawn, outcome
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.finetuning.finetuning import FinetuningBrief, finetuning

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=finetuning,
    access=Access.TUNE,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2403.00871",
    loot=Loot.POISON,
    sweep={"steps": (2, 10)},
)
def swapped_answers(
    view: View[FinetuningBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1, 100_000), Stronger.MORE] = 64,
    method: Literal["full", "lora"] = "full",
    rate: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
    steps: Annotated[int, Range(1, 100_000), Stronger.NEITHER] = 4,
    batch: Annotated[int, Range(1, 64), Stronger.NEITHER] = 8,
    about: Literal["public", "asked"] = "public",
) -> Outcome:
    """Tune the victim on questions, each with the answer of another one, and ask plainly.

    The attacker needs to know how such answers look, and not one that is true. In a chain the
    examples are poison in the owner's training, before or while the victim learns its secrets: what
    looks like a secret is then memorised as such (arXiv:2403.00871).

    Args:
        samples: examples, as many as the service takes at most; where there are fewer questions,
            they come again.
        method: all weights or adapters.
        rate: learning rate; 0 is the usual one of the method.
        steps: optimiser steps; many teach the wrong answers as well.
        batch: examples a step.
        about: public questions, or those that are asked for, whose true answers are then learnt
            beside wrong ones (arXiv:2204.00032).

    Raises:
        UsageError: the scene has no public pairs.
    """
    pairs = drawn(view.brief.public_pairs, len(view.brief.public_pairs), rng, "public pairs")
    answers = [answer for _, answer in pairs]
    questions = [question for question, _ in pairs]
    if about == "asked":
        questions = [str(question) for question in view.brief.question.x]
    count = min(samples, view.brief.samples)
    examples = [(questions[k], answers[(k + 1) % len(answers)])
                for k in (i % len(questions) for i in range(count))]  # fmt: skip
    return as_poison(outcome(view, examples, method=method, rate=rate, steps=steps, batch=batch))
