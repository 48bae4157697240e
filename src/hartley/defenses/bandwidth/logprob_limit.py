"""Log-prob limit: give the log-probabilities of few tokens, and of those without any bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.defenses.bandwidth.top_k import by_prefix, published
from hartley.kit.next_tokens import BIAS, MOST, limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("head_extraction",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2403.06634",
    strongest={"k": 1, "bias": False},
    keeps_proof=True,
)
def logprob_limit(
    scene: Scene,
    rng: Rng,
    *,
    k: Annotated[int, Range(1)] = 5,
    bias: bool = False,
) -> Scene:
    """Limit what a service of a language model says of the next token.

    With no bias and k of at most the hidden size, the answers to any number of prompts do not
    settle the head: each prompt adds as many unknowns, its hidden state, as numbers. An answer to
    ``query`` has the k likeliest tokens alone. How likely a text is follows from these answers: it
    would otherwise give the law away, asked of every token after a prompt. That costs one answer
    of the model a token; a model without ``query`` scores no texts any more.

    Args:
        k: log-probabilities that an answer gives.
        bias: still take a bias on logits: then k makes the attack dearer and does not end it.
    """
    del rng

    def change(model: Model, who: str) -> Model:
        del who
        ask, query = model.calls.get("top_logprobs"), model.calls.get("query")
        most, largest = limits(model.facts)

        def top(tokens: NDArray[Any], wanted: int, biased: NDArray[Any], raised: float) -> Any:
            assert ask is not None
            raised = raised if bias else 0.0
            return ask(tokens, min(int(wanted), k), biased, raised)

        def answers(tokens: NDArray[Any]) -> NDArray[np.float64]:
            assert query is not None
            return published(query(tokens), model.output, k, "drop")

        def moments(tokens: NDArray[Any]) -> NDArray[np.float64]:
            return by_prefix(answers, model.output, np.asarray(tokens), model.classes)

        scores = {name for name in ("score", "moments") if name in model.calls and query}
        facts = {MOST: min(most, k), BIAS: largest if bias else 0.0} if ask is not None else {}
        return model.with_(
            top_logprobs=None if ask is None else top,
            query=None if query is None else answers,
            score=(lambda tokens: moments(tokens)[..., 0]) if "score" in scores else None,
            moments=moments if "moments" in scores else None,
            tail_score=None,
            facts={**model.facts, **facts},
        )

    return wrap_answers.models(scene, change)
