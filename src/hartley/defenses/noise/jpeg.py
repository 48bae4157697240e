"""JPEG: the model reads each picture as JPEG would give it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.games.jailbreak.evasion import rules_of
from hartley.kit.vision.jpeg_rounding import jpeg_rounded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("evasion", "blocked_class"),
    modalities=(Modality.VISION,),
    unfit={
        "audio": "JPEG's blocks are of pixels; bit_depth rounds sounds, purifier denoises them",
        "tabular": "a table's columns have no neighbours; bit_depth and purifier take tables",
        "graph": "a link has no frequencies; jaccard drops links between unlike nodes",
    },
    paper="arXiv:1608.00853",
    strongest={"quality": 1},
)
def jpeg(scene: Scene, rng: Rng, *, quality: Annotated[int, Range(1, 100)] = 75) -> Scene:
    """Round the cosine coefficients of each 8 × 8 block before the model reads a picture.

    The steps are JPEG's at this quality, coarse for fine detail, so that a change of few grey
    levels in single pixels is rounded away. The slope of rounding is 0 nearly everywhere, which
    stops an attacker who differentiates through it and not one who passes the slope straight
    through (arXiv:1802.00420).

    Args:
        quality: as in libjpeg.
    """
    del rng
    rules = rules_of(scene)

    def change(model: Model, who: str) -> Model:
        del who
        ask = model.query

        def query(x: NDArray[Any]) -> NDArray[Any]:
            return ask(jpeg_rounded(x, quality, rules.low, rules.high))

        return model.with_(query=query)

    return wrap_answers.models(scene, change)
