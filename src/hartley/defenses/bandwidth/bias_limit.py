"""Bias limit: let a request add little to a logit, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.kit.next_tokens import BIAS, limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("head_extraction",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2403.06634",
    strongest={"largest": 0.0},
    keeps_proof=True,
)
def bias_limit(scene: Scene, rng: Rng, *, largest: Annotated[float, Range(0, 100)] = 1.0) -> Scene:
    """Cut the bias that a request may add to a logit.

    A token whose logit is farther than that below the likeliest ones never enters an answer. It
    does nothing where an answer has all tokens, or where the model scores any text.

    A small bias still lifts some tokens of each prompt. An attacker who completes the matrix of
    these log-probabilities may get the head from more numbers than unknowns; the attacks here use
    only tokens that every prompt showed. That they read nothing behind a bias above 0 proves
    nothing.

    Args:
        largest: bias in natural-log units; larger ones count as this one, 0 as none.
    """
    del rng

    def change(model: Model, who: str) -> Model:
        del who
        ask = model.calls.get("top_logprobs")
        if ask is None:
            return model

        def top(tokens: NDArray[Any], k: int, biased: NDArray[Any], bias: float) -> Any:
            return ask(tokens, k, biased, max(-largest, min(largest, float(bias))))

        return model.with_(
            top_logprobs=top, facts={**model.facts, BIAS: min(limits(model.facts)[1], largest)}
        )

    return wrap_answers.models(scene, change)
