"""Rounding: publish each score with a few decimals."""

from __future__ import annotations

from math import comb, log2
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import ALL, Access, Bound, Output, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=(
        *("membership", "extraction", "parameter_extraction", "encoder_extraction"),
        *("memorization", "evasion", "blocked_class"),
    ),
    modalities=ALL,
    paper="arXiv:1609.02943",
    covers_only={
        "membership": ("vision", "language", "audio", "graph", "tabular"),
        "extraction": ("vision", "audio", "tabular"),
        "parameter_extraction": ("vision", "tabular"),
        "memorization": ("vision", "audio", "graph", "tabular", "paired"),
        "evasion": ("vision", "audio", "tabular"),
        "blocked_class": ("vision", "audio"),
    },
    unfit={
        "evasion graph": "with a few pairs of nodes a search that reads rounded scores succeeds "
        "as often as one that reads all digits",
    },
    strongest={"digits": 0},
    keeps_proof=True,
)
def rounding(scene: Scene, rng: Rng, *, digits: Annotated[int, Range(0, 15)] = 1) -> Scene:
    """Round every score that the model gives to a fixed number of decimals.

    Rounded probabilities are scaled to sum to 1 again, which reveals nothing more; a row in which
    all scores round to 0 becomes uniform. Labels do not change, and they show what a class looks
    like: no attack on the classes of digits loses a bit. Attacks on a memorised text lose none
    either, since a probability near 1 stays near 1, and on matched pairs the best attack on
    membership loses .02 bit of .999.

    Args:
        digits: number of decimals; with 0 only scores of at least one half differ from 0.
    """
    del rng

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        del x, who
        return rounded(answers, digits, output)

    def score(tokens: NDArray[Any], scores: NDArray[Any], who: str) -> NDArray[Any]:
        del tokens, who
        # Of a probability that rounds to 0 the attacker knows only that it is below half a step.
        out: NDArray[Any] = np.log(np.maximum(np.round(np.exp(scores), digits), 0.5 / 10**digits))
        return out

    return wrap_answers.answers(scene, filter_, score=score, bounds=_bound(scene, digits))


def rounded(answers: NDArray[Any], digits: int, output: Output) -> NDArray[Any]:
    """Return answers (n, …) with ``digits`` decimals, in the units of ``output``."""
    if output is Output.LABELS:
        return answers
    out: NDArray[Any] = np.round(np.asarray(answers, dtype=np.float64), digits)
    if output is Output.PROBABILITIES:
        total = out.sum(1, keepdims=True)
        out = np.where(total > 0, out / np.maximum(total, 1e-12), 1 / out.shape[1])
    return out


def _bound(scene: Scene, digits: int) -> tuple[Bound, ...]:
    """Return the bound that log2 of the number of possible answers sets.

    It holds for a black-box attacker only; otherwise there is none. K rounded numbers whose exact
    values sum to 1 sum to at most 10^digits + K/2 steps.
    """
    model = scene.model
    white_box = Access.WEIGHTS | Access.GRADIENTS
    if model is None or model.output is not Output.PROBABILITIES or model.offers & white_box:
        return ()
    most = 10**digits + model.classes // 2
    bits = log2(comb(most + model.classes, model.classes))
    # In other games the attacker gets more than answers: gradients, weights, stored embeddings.
    return (Bound("alphabet", {"bits": bits}, games=("membership", "extraction")),)
