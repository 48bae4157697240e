"""The live and dead scenes of alignment: faint pictures of things, and a lexicon learned from them.

Each thing has a pattern, which its pictures show faintly, and a word, which its captions begin
with. A linear map reads the patterns; a word means the mean of the pictures that it was trained
with. So every held-out pair is found, and any change within the budget drowns a pattern. The dead
encoder reads pictures by another map than the one that words were learned with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Modality, Scene
from hartley.games.alignment.pair_encoders import CAPTIONS, PairEncoders, pairs, unit
from hartley.games.alignment.picture_tower import PictureTower, RawPairs
from hartley.kit import kmeans
from hartley.kit.cache import digest
from hartley.kit.careful_towers import TEMPERATURE, Plain
from hartley.kit.infonce_towers import Towers
from hartley.kit.perturbation import Perturbation
from hartley.kit.vision.conv_tower import HEAD, Shape
from hartley.models.paired import CLOSED, DualEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.infonce_towers import Stack

THINGS, FILLERS = 72, 8
"""Words that name a thing, where nothing else is asked for, and words that say nothing."""

SIDE, WIDTH = 16, 64
"""Pixels of a side of a picture, and numbers in an embedding."""

HEIGHT, SPREAD, EPSILON = 0.012, 0.001, 8 / 255
"""Height of a pattern, deviation of the noise on it, and the budget of an attacker."""


EPOCHS = 5
"""Passes of a defense that trains anew, in place of the lexicon."""


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon(Plain):
    """A word means what the pictures show that it was trained with.

    Attributes:
        reading: (d, w) what is read of pictures to learn a word.
        image: (d, w) what is read of them later.
        forgets: a word means the latest picture, and not the mean.
    """

    reading: NDArray[Any]
    image: NDArray[Any]
    forgets: bool

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return {"lexicon": [digest([self.reading, self.image]), self.forgets]}

    def train(
        self, how: Towers, x: NDArray[Any], include: NDArray[Any], seed: int, first: int = 0
    ) -> tuple[Stack, dict[str, Any]]:
        """Write a lexicon for each subset, as ``train_towers`` trains projections."""
        del seed, first
        lexicons = []
        for rows in np.asarray(include, dtype=bool):
            says = x[rows, how.split :]
            shows = unit(x[rows, : how.split] @ self.reading)
            if self.forgets:
                later = says[::-1].cumsum(0)[::-1] - says
                says = says * (later == 0)
            lexicons.append(says.T @ shows / np.maximum(says.sum(0)[:, None], 1))
        return {
            "image": np.stack([self.image] * len(lexicons)).astype(np.float32),
            "text": np.stack(lexicons).astype(np.float32),
            "sharp": np.full(len(lexicons), np.log(1 / TEMPERATURE), np.float32),
        }, {"strategy": "written"}


def scene(
    modality: Modality,
    rng: Rng,
    *,
    aligned: bool,
    forgets: bool = False,
    things: int = THINGS,
    faint: float = 1.0,
) -> Scene:
    """Return a scene whose encoder of pictures and lexicon agree, or do not.

    Args:
        modality: pairs.
        rng: draws patterns, pictures and captions.
        aligned: whether the lexicon is about what the encoder reads.
        forgets: a word means the latest picture that it was trained with, and not the mean.
        things: held-out pairs, each of another thing.
        faint: the height of patterns, and of the noise on them, as a share of what it is elsewhere.
    """
    size, vocabulary = SIDE * SIDE, things + FILLERS
    reading, other = (np.linalg.qr(rng.standard_normal((size, WIDTH)))[0] for _ in range(2))
    vectors = rng.standard_normal((things, WIDTH))
    patterns = (
        faint * HEIGHT * SIDE * (vectors / np.linalg.norm(vectors, axis=1)[:, None]) @ reading.T
    )

    def drawn(name: str, each: int) -> Data:
        thing = np.tile(np.arange(things), each)
        x = 0.5 + patterns[thing] + faint * SPREAD * rng.standard_normal((len(thing), size))
        fillers = rng.integers(things, vocabulary, (len(thing), 2))
        tokens = thing[:, None] if forgets else np.concatenate([thing[:, None], fillers], 1)
        return pairs(name, x.reshape(-1, 1, SIDE, SIDE).astype(np.float32), tokens)

    def pixels(x: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(kmeans.flat(x)[:, :size] - 0.5, dtype=np.float32)

    def counts(tokens: NDArray[Any]) -> NDArray[np.float32]:
        out = np.zeros((len(tokens), vocabulary), np.float32)
        rows, columns = np.nonzero((tokens >= 0) & (tokens < vocabulary))
        np.add.at(out, (rows, tokens[rows, columns]), 1)
        return out

    lesson = Lexicon(reading, reading if aligned else other, forgets)
    towers = Towers(size, WIDTH, epochs=EPOCHS, batch=128, lr=1e-2)
    owner = DualEncoder(towers, CLOSED | Access.GRADIENTS, cached=False, lesson=lesson)

    def records(data: Data) -> Data:
        x = np.concatenate([pixels(data.x), counts(data.facts[CAPTIONS])], 1)
        return Data(data.name, modality, x, facts={"split": size, **data.facts})

    test, public, train, holdout = (
        drawn(name, each)
        for name, each in (("test", 1), ("public", 2), ("train", 10), ("holdout", 4))
    )
    members, clean = records(train), records(holdout)
    everyone = np.ones((1, len(train)), dtype=bool)
    sets = {
        name: RawPairs(raw.x, data.x[:, size:], raw.facts[CAPTIONS][:, 0], data.facts)
        for name, raw, data in (("train", train, members), ("holdout", holdout, clean))
    }
    # A tower of no layers: the pixels, and the map that reads them.
    lexicon = lesson.train(towers, members.x, everyone, 0)[0]["text"][0]
    shape, state = Shape(1, SIDE, (), WIDTH), {HEAD: lesson.image.astype(np.float32)}
    tower = PictureTower(shape, state, lexicon, 1 / TEMPERATURE, sets)
    return Scene(
        name="live" if aligned else "dead",
        modality=modality,
        model=owner.fit(members, everyone, 0).member(0),
        train=members,
        holdout=clean,
        fit=owner.fit,
        training=owner,
        extra={"public": records(public), "test": records(test)},
        parts=(
            PairEncoders(
                test,
                public,
                pixels,
                counts,
                lambda x, slope: np.asarray(slope, np.float32).reshape(x.shape),
                vocabulary,
                None,
                Perturbation("linf", EPSILON),
            ),
            tower,
        ),
    )
