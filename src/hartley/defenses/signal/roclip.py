"""RoCLIP: now and then train pictures on the nearest of random captions and not on their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.core.errors import RunError
from hartley.models import training_defense
from hartley.models.paired import DualEncoder

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(Modality.PAIRED,),
    unfit={
        "vision": "it matches pictures with captions of a pool, and only pairs have captions; "
        "loss_filter judges labels",
        "language": "it matches pictures with captions of a pool, and only pairs have captions; "
        "loss_filter judges labels",
        "audio": "it matches pictures with captions of a pool, and only pairs have captions; "
        "loss_filter judges labels",
        "tabular": "it matches pictures with captions of a pool, and only pairs have captions; "
        "loss_filter judges labels",
        "graph": "it matches pictures with captions of a pool, and only pairs have captions; "
        "loss_filter judges labels",
    },
    paper="arXiv:2303.06854",
    strongest={"every": 1, "pool": 8},
    requires=("fit", "train"),
)
def roclip(
    scene: Scene,
    rng: Rng,
    *,
    pool: Annotated[int, Range(1)] = 64,
    every: Annotated[int, Range(1)] = 2,
) -> Scene:
    """Train every few passes with the nearest caption of a random pool in place of the own one.

    A poisoned picture is then no longer trained on its caption alone. This is the mechanism of the
    paper without its augmentations of pictures and captions, which frozen encoders leave little to.

    Args:
        pool: captions of the training pairs that are drawn for each step; at large pools a caption
            is often found again.
        every: passes of which the last is trained with the pool; 1 never shows a picture its own
            caption.

    Raises:
        RunError: the owner does not train a dual encoder on frozen features.
    """
    pipeline = scene.training
    if not isinstance(pipeline, DualEncoder):
        raise RunError(
            f"the training of scene {scene.name!r} must be a DualEncoder for roclip, got "
            f"{type(pipeline).__name__}"
        )
    towers = replace(pipeline.towers, pool=pool, every=every)
    return training_defense.retrained(scene, rng, "roclip", replace(pipeline, towers=towers))
