"""Bit depth: the model reads records of a few bits a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.games.jailbreak.evasion import rules_of
from hartley.kit.input_rounding import rounded_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("evasion", "blocked_class"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "graph": "a link has one bit already; jaccard drops links between unlike nodes",
    },
    paper="arXiv:1704.01155",
    strongest={"bits": 1},
)
def bit_depth(scene: Scene, rng: Rng, *, bits: Annotated[int, Range(1, 16)] = 3) -> Scene:
    """Round each number of a record to one of 2^bits values of its range before the model reads it.

    A change of less than half a step may vanish, and a larger one is made larger. The slope of
    rounding is 0 nearly everywhere, which stops an attacker who differentiates through it and not
    one who passes the slope straight through (arXiv:1802.00420).

    Args:
        bits: of each number.
    """
    del rng
    rules = rules_of(scene)

    def change(model: Model, who: str) -> Model:
        del who
        ask = model.query

        def query(x: NDArray[Any]) -> NDArray[Any]:
            return ask(rounded_inputs(x, bits, rules.low, rules.high))

        return model.with_(query=query)

    return wrap_answers.models(scene, change)
