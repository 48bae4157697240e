"""Adversarial tuning: tune the tower of pictures on pictures that are attacked within a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.core.errors import RunError
from hartley.games.alignment.pair_encoders import PairEncoders
from hartley.games.alignment.picture_tower import PictureTower
from hartley.kit.vision.tower_lessons import Lesson

if TYPE_CHECKING:
    from hartley.core.parts import Rng


def _usual(scene: Scene) -> Mapping[str, Any]:
    part = scene.find(PairEncoders)
    return {} if part is None else {"epsilon": part.budget.epsilon}


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("alignment",),
    modalities=(Modality.PAIRED,),
    unfit={
        "vision": "it preserves what pictures say of captions; adversarial_training preserves "
        "labels",
        "language": "it tunes a tower of pictures, and only pairs have one",
        "audio": "it preserves what pictures say of captions; adversarial_training preserves "
        "labels",
        "tabular": "it preserves what pictures say of captions; adversarial_training preserves "
        "labels",
        "graph": "it tunes a tower of pictures, and only pairs have one",
    },
    paper="arXiv:2402.12336",
    strongest={"steps": 2},
    requires=("model", "train", "holdout", "pair_encoders", "picture_tower"),
    usual=_usual,
    expected_failures={
        "narrows_alignment": "a change within the budget of the live scene makes any picture of "
        "any other, so that no tower can withstand it; tests and bench/towers.py play real "
        "pictures",
    },
)
def adversarial_tuning(
    scene: Scene,
    rng: Rng,
    *,
    preserves: Literal["embeddings", "captions"] = "captions",
    epsilon: Annotated[float, Range(0, 1)] = 0.0,
    steps: Annotated[int, Range(1, 100)] = 1,
    epochs: Annotated[int, Range(1)] = 5,
    rate: Annotated[float, Range(0, 1, open_low=True)] = 1e-3,
) -> Scene:
    """Tune the owner's tower on pictures that steps up the slope of its loss have changed.

    Embeddings: a changed picture should be where the clean one was before the tuning. No caption
    takes part, and every embedding that is stored somewhere stays valid (FARE). Captions: a changed
    picture should be nearer to its caption than to the others of its batch (TeCoA,
    arXiv:2212.07016). The projection of captions stays as it is in both. Captions are the default,
    since a gain under attack was measured for them alone (``bench/towers.py``, five trainings).

    Args:
        preserves: what changed pictures should still agree with.
        epsilon: largest change of a pixel; 0 is the scene's budget.
        steps: of the attacker of the training, from a start that is drawn by chance.
        epochs: passes over the training pictures.
        rate: largest learning rate.

    Raises:
        RunError: the owner has no tower of pictures of their own to tune.
    """
    tower = scene.find(PictureTower)
    if tower is None:
        raise RunError(
            f"scene {scene.name!r} must have a tower of pictures that its owner trains for "
            "adversarial_tuning: trained_tower has one, retrieval has frozen encoders"
        )
    budget = epsilon or scene.part(PairEncoders).budget.epsilon
    lesson = Lesson("own" if preserves == "embeddings" else "captions", epochs, rate, budget, steps)
    return tower.taught(lesson, int(rng.integers(2**31))).deployed(scene)
