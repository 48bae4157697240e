"""Reverse sigmoid: lower certain scores and raise unlikely ones, so that they mislead a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Output, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.kit import changed_scores
from hartley.kit.answer_units import in_units, shares_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("extraction",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.GRAPH, Modality.TABULAR),
    paper="arXiv:1806.00054",
    strongest={"strength": 1.0},
    keeps_proof=True,
    expected_failures={
        "narrows_extraction": "labels stay as they are, and those of the live victim have all of "
        "the planted labelling"
    },
)
def reverse_sigmoid(
    scene: Scene,
    rng: Rng,
    *,
    strength: Annotated[float, Range(0, 1)] = 1.0,
    slope: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Scene:
    """Publish each score less a sigmoid of its own log-odds, scaled to sum to 1.

    Several true scores share one published score, so that it cannot be turned back; the likeliest
    class stays the likeliest, and labels are not protected. The paper's β is ``strength`` and its γ
    is ``slope``. An attacker who knows the formula draws likely scores and averages those that it
    turns into the published one (``recovered`` of the attacks' ``reading``).

    Args:
        strength: half of this is subtracted from a certain score.
        slope: of the sigmoid; the smaller, the more true scores share one published score.
    """
    del rng

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        del x, who
        if output in (Output.LABELS, Output.EMBEDDINGS):
            return answers
        rows = shares_of(answers, output)
        return in_units(changed_scores.reverse_sigmoid(rows, strength, slope), output)

    return wrap_answers.answers(scene, filter_)
