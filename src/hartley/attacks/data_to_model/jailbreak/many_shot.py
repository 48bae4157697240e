"""Many-shot: a prompt full of questions of the same kind that were answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried, fitting
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak

if TYPE_CHECKING:
    from hartley.core.parts import Rng
    from hartley.games.withheld_secrets import Pair
    from hartley.kit.language.chat_template import ChatTemplate


@attack(
    game=jailbreak,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2310.06387",
    loot=Loot.TEXTS,
    sweep={"form": ("template", "lines"), "shots": (4, 16, 64)},
    light={"shots": 4},
)
def many_shot(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    shots: Annotated[int, Range(1, 4096), Stronger.MORE] = 64,
    form: Literal["template", "lines"] = "template",
) -> Outcome:
    """Write answered questions before the question, as many as fit into the context.

    Their secrets are public. Each conversation that may be submitted has them in another order.

    Args:
        shots: answered questions, at most; where there are fewer public ones, they come again.
        form: with the marks of the victim's own conversations, or as lines of one message.

    Raises:
        UsageError: there are no answered questions, or not one of them fits into the context.
    """
    brief = view.brief
    if not brief.public_pairs:
        raise UsageError("many_shot needs questions with public answers: the scene has none")
    tried = Tried(view)
    rows = [*range(len(brief.question))]
    for _ in range(brief.tries):
        pairs = brief.public_pairs
        order = [pairs[k % len(pairs)] for start in range(0, shots, len(pairs))
                 for k in start + rng.permutation(min(len(pairs), shots - start))]  # fmt: skip
        count = _most(view, order, form)
        texts = [
            written(order[:count], str(question), brief.template, form)
            for question in brief.question.x
        ]
        tried.hold(rows, [[text] for text in texts])
    return Outcome(asset=tried.loot())


def written(pairs: Sequence[Pair], question: str, template: ChatTemplate, form: str) -> str:
    """Return one message of a user: answered questions, then the question."""
    if form == "lines":
        lines = [f"Question: {shot}\nAnswer: {answer}" for shot, answer in pairs]
        return "\n".join([*lines, f"Question: {question}\nAnswer:"])
    between = template.user_close + template.answer_open
    after = template.answer_close + template.user_open
    return "".join(f"{shot}{between}{answer}{after}" for shot, answer in pairs) + question


def _most(view: View[JailbreakBrief], order: Sequence[Pair], form: str) -> int:
    """Return how many shots fit before the longest question."""
    brief = view.brief
    longest = max(map(str, brief.question.x), key=len)

    def fits(count: int) -> bool:
        return fitting(view, [written(order[:count], longest, brief.template, form)])[0]

    least, most = 0, len(order)
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(middle) else (least, middle - 1)
    if not least:
        raise UsageError(
            f"many_shot must fit an answered question into {brief.context} tokens, got none that "
            "fits"
        )
    return least
