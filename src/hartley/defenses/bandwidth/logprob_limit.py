"""Log-prob limit: give the log-probabilities of few tokens, and of those without any bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.defenses.bandwidth.top_k import published
from hartley.kit.next_tokens import BIAS, MOST, limits

if TYPE_CHECKING:
    import numpy as np
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
    ``query`` has the k likeliest tokens alone. How likely a whole text is (``score``) stays as it
    is, and can be asked of every token after a prompt: withhold it as well.

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

        facts = {MOST: min(most, k), BIAS: largest if bias else 0.0} if ask is not None else {}
        return model.with_(
            top_logprobs=None if ask is None else top,
            query=None if query is None else answers,
            facts={**model.facts, **facts},
        )

    return wrap_answers.models(scene, change)
