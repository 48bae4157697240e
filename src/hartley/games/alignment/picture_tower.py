"""The owner's tower of pictures, where it is small enough to be trained and tuned here.

A dual encoder whose tower of pictures the owner trains has more to defend than one on frozen
features: the tower itself. A scene that has this part can be asked for the same scene with another
tower, and all records are then computed anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Modality, Model, Output, Scene
from hartley.games.alignment.pair_encoders import PairEncoders, unit
from hartley.kit import infonce_towers
from hartley.kit.cache import cached, digest
from hartley.kit.vision import conv_tower
from hartley.kit.vision.conv_tower import HEAD, Shape
from hartley.kit.vision.image import as_file
from hartley.kit.vision.tower_lessons import Lesson, Material, learnt

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFERS = Access.LABELS | Access.SCORES | Access.EMBEDDINGS | Access.GRADIENTS


@dataclass(frozen=True, slots=True, eq=False)
class RawPairs:
    """Pictures as they are, with features of their captions.

    Attributes:
        pictures: (n, channels, side, side) from 0 to 1.
        captions: (n, e) features.
        numbers: (n,) equal where captions are.
        facts: of the records.
    """

    pictures: NDArray[Any]
    captions: NDArray[Any]
    numbers: NDArray[np.int64]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class PictureTower:
    """A tower of convolutions, and what its owner has to train it with.

    Attributes:
        shape: the tower.
        state: its parameters by name.
        text: (e, width) the projection of captions.
        sharpness: inverse temperature of the shared space.
        sets: pairs by name, ``train`` and ``holdout`` among them.
        as_files: read pictures as files of 8 bits a channel have them.
    """

    shape: Shape
    state: Mapping[str, NDArray[Any]]
    text: NDArray[Any]
    sharpness: float
    sets: Mapping[str, RawPairs]
    as_files: bool = False

    def records(self, name: str) -> Data:
        """Return the records of a set: features of pictures and of captions, side by side."""
        pairs = self.sets[name]
        x = np.concatenate([self.features(pairs.pictures), pairs.captions], 1)
        facts = {**pairs.facts, "split": self.shape.features}
        return Data(name, Modality.PAIRED, x.astype(np.float32), facts=facts)

    def features(self, pictures: NDArray[Any]) -> NDArray[np.float32]:
        """Return features (n, d) of pictures."""
        return conv_tower.all_features(self.state, self.shape, self._read(pictures))

    def slope(self, pictures: NDArray[Any], towards: NDArray[Any]) -> NDArray[np.float32]:
        """Return the gradient in pictures of the inner product of their features (n, d)."""
        return conv_tower.pulled_back(self.state, self.shape, self._read(pictures), towards)

    def _read(self, pictures: NDArray[Any]) -> NDArray[Any]:
        return as_file(pictures) if self.as_files else pictures

    def model(self, name: str, offers: Access = OFFERS) -> Model:
        """Return the dual encoder: records → embeddings (n, 2·width), each half of length 1."""
        image, text = self.state[HEAD], self.text

        def slope(x: NDArray[Any], towards: NDArray[Any]) -> NDArray[np.float32]:
            return -infonce_towers.pulled_back(image, text, x, towards)

        return Model(
            name,
            Modality.PAIRED,
            lambda x: infonce_towers.embed_pairs(image, text, x),
            Output.EMBEDDINGS,
            2 * self.shape.width,
            grad=slope,
            offers=offers,
            facts={
                "parameters": sum(value.size for value in self.state.values()) + text.size,
                "sharpness": self.sharpness,
            },
        )

    def material(self, aims: NDArray[Any] | None = None) -> Material:
        """Return what the tower learns from: the pairs of ``train``."""
        train = self.sets["train"]
        captions = unit(train.captions @ self.text)
        return Material(train.pictures, captions, train.numbers, aims, self.sharpness)

    def taught(self, lesson: Lesson, seed: int, aims: NDArray[Any] | None = None) -> PictureTower:
        """Return the tower after a lesson, which is given once and then read from the cache.

        Args:
            lesson: what it learns, and how.
            seed: of orders and starts.
            aims: (n, width) embeddings to come near to, of a tower that learns anew.
        """
        material = self.material(aims)
        recipe = [self.shape.recipe, lesson.recipe, self.state, seed, material.sharpness]
        arrays = [material.pictures, material.captions, material.numbers]
        aimed = [] if aims is None else [aims]

        def build() -> Mapping[str, NDArray[Any]]:
            return learnt(self.shape, self.state, material, lesson, seed)

        state = cached("tower", [*recipe, digest([*arrays, *aimed])], build, code=learnt)
        return replace(self, state=state)

    def deployed(self, scene: Scene) -> Scene:
        """Return a scene with this tower in its owner's hands."""
        assert scene.model is not None
        part = replace(scene.part(PairEncoders), pictures=self.features, slope=self.slope)
        model = self.model(scene.model.name, scene.model.offers)
        return replace(
            scene.with_part(part).with_part(self),
            model=replace(model, reads=self.shape.features + len(self.text)),
            train=self.records("train"),
            holdout=self.records("holdout"),
        )
