"""From examples and settings to what an attacker of fine-tuning submits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hartley.core import Data, Outcome, View
from hartley.core.errors import UsageError
from hartley.games.finetuning.finetuning import FinetuningBrief, submitted
from hartley.models.fine_tuning import POISON, TuningSettings

if TYPE_CHECKING:
    from hartley.core.parts import Rng
    from hartley.games.withheld_secrets import Pair

RATES = {"full": 1e-3, "lora": 3e-3}
"""The usual learning rate of a method: adapters begin at nothing and take larger steps."""


def drawn(pairs: Sequence[Pair], count: int, rng: Rng, what: str) -> list[Pair]:
    """Draw different pairs, as many as there are at most.

    Args:
        pairs: to draw from.
        count: how many.
        rng: draws them.
        what: they are, for the message.

    Raises:
        UsageError: there are none.
    """
    if not pairs:
        raise UsageError(f"{what} must be at least 1, got 0 in this scene")
    return [pairs[i] for i in rng.permutation(len(pairs))[:count].tolist()]


def outcome(
    view: View[FinetuningBrief],
    examples: Sequence[Pair],
    asking: Callable[[str], str] = str,
    **settings: Any,
) -> Outcome:
    """Return the outcome of an attack that tunes on examples.

    Args:
        view: of the round.
        examples: to tune on.
        asking: a plain question → what the tuned victim is asked.
        settings: ``method``, ``rate`` (0 is the usual one), ``steps`` and ``batch``; steps beyond
            those that the service takes are left out.
    """
    brief = view.brief
    settings["rate"] = settings["rate"] or RATES[settings["method"]]
    settings["steps"] = min(settings["steps"], brief.steps)
    prompts = [asking(str(question)) for question in brief.question.x]
    return Outcome(
        asset=submitted(examples[: brief.samples], TuningSettings(**settings), prompts=prompts)
    )


def as_poison(submitted: Outcome) -> Outcome:
    """Return an outcome whose examples enter an owner's own training in a chain."""
    assert isinstance(submitted.asset, Data)
    return replace(submitted, asset=replace(submitted.asset, role=POISON))
