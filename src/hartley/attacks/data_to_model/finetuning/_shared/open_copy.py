"""The attacker's copy of a victim whose weights are open, without the service's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.core import Model, View
from hartley.core.errors import UsageError
from hartley.games.finetuning.finetuning import FinetuningBrief
from hartley.kit.language import gpt
from hartley.kit.language.chat_template import asked
from hartley.models.fine_tuning import GptTuner, Weights

if TYPE_CHECKING:
    from collections.abc import Callable


def open_copy(view: View[FinetuningBrief]) -> GptTuner:
    """Return a tuner of the victim's weights that follows no rules.

    Raises:
        UsageError: the victim is not one of the small transformers of this package.
    """
    brief, model = view.brief, view.model
    if not brief.network or model.codec is None:
        raise UsageError(
            f"the victim must be a small transformer with a codec, got {model.name}: its network "
            "is not known"
        )
    return GptTuner(
        shape=gpt.Shape(**brief.network),
        state=model.calls["weights"](),
        codec=model.codec,
        opening=lambda question: brief.template.render(asked(question, brief.system)),
        closing=brief.template.answer_close,
        wrap=_never(model.name),
    )


def _never(name: str) -> Callable[[Weights], Model]:
    def wrap(weights: Weights) -> Model:
        del weights
        raise UsageError(f"a copy of {name} is read, not asked")

    return wrap
