"""SafeCLIP: match pictures with captions only where they agree before they were matched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.core.errors import RunError
from hartley.kit.careful_towers import Plain, SafeOnly
from hartley.models import training_defense
from hartley.models.paired import DualEncoder

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning", "pair_poisoning"),
    modalities=(Modality.PAIRED,),
    unfit={
        "vision": "it divides pairs by how picture and caption agree, and only pairs have "
        "captions; loss_filter judges labels",
        "language": "it divides pairs by how picture and caption agree, and only pairs have "
        "captions; loss_filter judges labels",
        "audio": "it divides pairs by how picture and caption agree, and only pairs have "
        "captions; loss_filter judges labels",
        "tabular": "it divides pairs by how picture and caption agree, and only pairs have "
        "captions; loss_filter judges labels",
        "graph": "it divides pairs by how picture and caption agree, and only pairs have "
        "captions; loss_filter judges labels",
    },
    paper="arXiv:2310.05862",
    strongest={"growth": 0, "sure": 0.99},
    requires=("fit", "train"),
)
def safe_clip(
    scene: Scene,
    rng: Rng,
    *,
    warm: Annotated[int, Range(0)] = 5,
    look: Annotated[int, Range(1)] = 10,
    folds: Annotated[int, Range(1, 20)] = 4,
    sure: Annotated[float, Range(0, 1)] = 0.9,
    growth: Annotated[float, Range(0, 1)] = 0.02,
    dropout: Annotated[float, Range(0, 1, open_high=True)] = 0.5,
) -> Scene:
    """Contrast records inside each side first, find safe pairs, and match only these.

    Two copies of a record that lack different features take the place of the paper's augmentations,
    which frozen encoders leave little to. Then a model looks at the pairs, a mixture of two normal
    laws is fitted to their cosines, and pairs that are surely of the upper one are safe. In each
    later pass safe pairs are trained as usual, the others inside their sides alone, and a few more
    of the largest cosine become safe. What a pass never matched counts as dropped.

    A few hundred pairs are remembered after few passes, wrong ones too, so that here the look at a
    pair is that of a model which looked at the other folds alone; ``folds = 1`` is the paper's.

    Args:
        warm: passes inside the sides before the look.
        look: passes over all pairs before the cosines are taken.
        folds: parts of the pairs, each scored by a model that looked at the others.
        sure: least probability of the upper law that makes a pair safe.
        growth: share of the pairs that becomes safe after each pass.
        dropout: share of features that a copy lacks.

    Raises:
        RunError: the owner does not train a dual encoder on frozen features, or by another lesson.
    """
    pipeline = scene.training
    if not isinstance(pipeline, DualEncoder):
        raise RunError(
            f"the training of scene {scene.name!r} must be a DualEncoder for safe_clip, got "
            f"{type(pipeline).__name__}"
        )
    if not isinstance(pipeline.lesson, Plain | SafeOnly) or pipeline.towers.pool:
        raise RunError(
            "safe_clip trains from the start, which would drop another defense of the training: "
            "play it before clean_clip, and not with roclip"
        )
    lesson = SafeOnly(warm, look, folds, sure, growth, dropout)
    return training_defense.retrained(scene, rng, "safe_clip", replace(pipeline, lesson=lesson))
