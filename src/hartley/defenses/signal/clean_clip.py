"""CleanCLIP: tune a trained dual encoder on clean pairs, across the modalities and inside each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.core.errors import RunError
from hartley.defenses._shared.clean_records import clean_pairs
from hartley.kit.careful_towers import CleanTuning
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
        "vision": "it tunes on pictures with captions, and only pairs have captions; "
        "fine_pruning tunes classifiers on clean records",
        "language": "it tunes on pictures with captions, and only pairs have captions; "
        "loss_filter judges labels",
        "audio": "it tunes on pictures with captions, and only pairs have captions; "
        "fine_pruning tunes classifiers on clean records",
        "tabular": "it tunes on pictures with captions, and only pairs have captions; "
        "fine_pruning tunes classifiers on clean records",
        "graph": "it tunes on pictures with captions, and only pairs have captions; "
        "loss_filter judges labels",
    },
    paper="arXiv:2303.03323",
    strongest={"epochs": 60},
    requires=("fit", "train", "holdout"),
)
def clean_clip(
    scene: Scene,
    rng: Rng,
    *,
    clean: Annotated[int, Range(2)] = 1000,
    epochs: Annotated[int, Range(1)] = 30,
    rate: Annotated[float, Range(0, 1, open_low=True)] = 0.01,
    inner: Annotated[float, Range(0)] = 1.0,
    dropout: Annotated[float, Range(0, 1, open_high=True)] = 0.5,
) -> Scene:
    """Tune every trained model on clean pairs by the contrastive loss and one inside each side.

    The second loss asks two copies of a picture, each without a part of its features, to be alike
    and unlike other pictures, and the same of captions; it moves them without regard to what they
    were paired with. The paper augments pictures and captions instead, which frozen encoders leave
    little to.

    Args:
        clean: the owner's held-out pairs that are used, at most.
        epochs: passes over them.
        rate: first learning rate; it falls to 0.
        inner: weight of the loss inside the sides.
        dropout: share of features that a copy lacks.

    Raises:
        RunError: the owner does not train a dual encoder on frozen features.
        UsageError: there are fewer than two clean pairs.
    """
    pipeline = scene.training
    if not isinstance(pipeline, DualEncoder):
        raise RunError(
            f"the training of scene {scene.name!r} must be a DualEncoder for clean_clip, got "
            f"{type(pipeline).__name__}"
        )
    pairs = clean_pairs(scene, clean, "clean_clip")
    lesson = CleanTuning(pipeline.lesson, pairs.x, epochs, rate, inner, dropout)
    tuned = replace(pipeline, lesson=lesson)
    return training_defense.retrained(scene, rng, "clean_clip", tuned)
