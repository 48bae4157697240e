"""Trained tower: a dual encoder whose tower of pictures learns here, from pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Settings, Stronger, recipe, spawn
from hartley.data import paired
from hartley.games.alignment.pair_encoders import CAPTIONS, unit
from hartley.games.alignment.picture_tower import PictureTower, RawPairs
from hartley.kit.cache import cached, digest
from hartley.kit.infonce_towers import Towers, train_towers
from hartley.kit.interval_values import Figure
from hartley.kit.perturbation import Perturbation
from hartley.kit.vision.conv_tower import Shape, initial
from hartley.kit.vision.tower_lessons import Lesson
from hartley.scenes._captioned import Gallery, Source, as_planes, widened

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 64
"""Pixels of a side of the pictures."""

WIDTH = 512
"""Of the shared space."""

EPSILON = 2 / 255
"""Largest change of a pixel by an attacker."""

CHANNELS = {"small": 16, "medium": 32, "large": 48}
"""Channels behind the first convolution; later ones have two and four times as many."""

CENTRE, SPREAD = 0.8, 0.35
"""About the mean and the deviation of pixels: most of a picture is white paper."""

Size = Literal["small", "medium", "large"]


def shape_of(size: Size) -> Shape:
    """Return the tower of a size: five convolutions, down to 4 × 4 places."""
    c = CHANNELS[size]
    layers = ((c, 6, 4), (2 * c, 3, 2), (2 * c, 3, 1), (4 * c, 3, 2), (4 * c, 3, 1))
    return Shape(3, SIDE, layers, WIDTH, CENTRE, SPREAD)


@recipe(
    modality=Modality.PAIRED,
    packs=(
        "tuxpaint-stamps",
        "stamp-captions",
        "emoji",
        "emoji-twitter",
        "emoji-captions",
        "minilm",
        "efficientnet-lite0",
    ),
    extras=("language", "vision"),
)
def trained_tower(
    *,
    size: Annotated[Size, Stronger.NEITHER] = "small",
    epochs: Annotated[int, Range(1)] = 12,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Stamps and emoji of 64 pixels with captions, and a small tower of convolutions for them.

    The tower learns from what EfficientNet-Lite0 and a projection say of the training pictures, and
    from the contrast with their captions. Captions go through MiniLM and a projection. Held-out
    pictures are those of ``retrieval``. Attackers get gradients, down to the pixels.

    Args:
        size: of the tower: 0.8, 1.5 or 2.4 million parameters, most of them in the last map.
        epochs: passes over the training pictures.
        seed: of the split and of the training.
    """
    source = _source()
    parts = source.dealt(seed)
    sets = {name: _raw(source, rows) for name, rows in parts.items()}
    sets["holdout"] = sets.pop("clean")
    records = source.records("train", parts["train"])
    teacher = Towers(source.split, WIDTH, 40, min(512, len(records)), lr=2e-3, dropout=0.5)
    stack = _teacher(teacher, records, seed)
    shape = shape_of(size)
    state = initial(shape, spawn(seed, "tower", size))
    sharpness = float(np.exp(stack["sharp"][0]))
    begun = PictureTower(shape, state, stack["text"][0], sharpness, sets, as_files=True)
    plain = records.x[:, : source.split]
    lesson = Lesson("learn", epochs, 2e-3)
    tower = begun.taught(lesson, spawn(seed, "lesson"), unit(plain @ stack["image"][0]))
    model = tower.model("trained tower").with_(reads=shape.features + len(tower.text))
    encoders = replace(
        source.encoders(parts),
        pictures=tower.features,
        slope=tower.slope,
        budget=Perturbation("linf", EPSILON),
    )
    held_out = parts["every test picture"]
    gallery = source.gallery(tower.records("every test picture"), held_out)
    texts = gallery.captions.x[:, source.split :]
    x = np.concatenate([np.zeros((len(texts), shape.features), np.float32), texts], 1)
    gallery = replace(gallery, captions=replace(gallery.captions, x=x))
    scene = Scene(
        name="trained_tower",
        modality=Modality.PAIRED,
        digest=_digest(begun, lesson, teacher, EPSILON, seed),
        model=model,
        train=tower.records("train"),
        holdout=tower.records("holdout"),
        parts=(encoders, gallery, tower),
        utility=utility,
        settings=Settings(seed=seed, pictures=True),  # public data
    )
    facts = {f"test {name}": float(value) for name, value in utility(scene).items()}
    return replace(scene, facts={**facts, **model.facts})


@cache
def _source() -> Source:
    return Source(paired.things(SIDE))


def utility(scene: Scene) -> dict[str, Figure]:
    """Return how often a held-out picture finds its caption among all held-out captions."""
    assert scene.model is not None
    tower, gallery = scene.part(PictureTower), scene.part(Gallery)
    return replace(gallery, pictures=tower.records("every test picture")).recall(scene.model)


def _digest(begun: PictureTower, lesson: Lesson, teacher: Towers, budget: float, seed: int) -> str:
    """Return the digest of a scene: of all that its model and its deals are made of."""
    return digest(
        {
            "version": hartley.__version__,
            "tower": [begun.shape.recipe, lesson.recipe],
            "pictures": {name: pairs.pictures for name, pairs in begun.sets.items()},
            "captions": {name: pairs.facts[CAPTIONS] for name, pairs in begun.sets.items()},
            "teacher": [teacher.recipe, begun.text, begun.sharpness],
            "budget": budget,
            "seed": seed,
        }
    )


def _raw(source: Source, rows: NDArray[np.int64]) -> RawPairs:
    x, numbers = as_planes(source.pictures[rows]), source.numbers[rows]
    return RawPairs(x, widened(source.sentences[rows]), numbers, {CAPTIONS: source.tokens[rows]})


def _teacher(how: Towers, train: Data, seed: int) -> Mapping[str, NDArray[Any]]:
    """Return projections of frozen features, as ``train_towers`` trains them."""
    everyone = np.ones((1, len(train)), dtype=bool)

    def build() -> Mapping[str, NDArray[Any]]:
        return train_towers(how, train.x, everyone, seed)[0]

    return cached("tower", ["teacher", how.recipe, train.x, seed], build, code=train_towers)
