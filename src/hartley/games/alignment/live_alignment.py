"""The live and dead scenes of alignment: faint pictures of things, and a lexicon learned from them.

Each thing has a pattern, which its pictures show faintly, and a word, which its captions begin
with. A linear map reads the patterns; a word means the mean of the pictures that it was trained
with. So every held-out pair is found, and any change within the budget drowns a pattern. The dead
encoder reads pictures by another map than the one that words were learned with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, Output, Scene
from hartley.games.alignment.pair_encoders import CAPTIONS, PairEncoders, pairs, unit
from hartley.kit import kmeans
from hartley.kit.ensemble_of import separate
from hartley.kit.infonce_towers import embed_pairs, pulled_back
from hartley.kit.perturbation import Perturbation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

THINGS, FILLERS = 72, 8
"""Words that name a thing, where nothing else is asked for, and words that say nothing."""

SIDE, WIDTH = 16, 64
"""Pixels of a side of a picture, and numbers in an embedding."""

HEIGHT, SPREAD, EPSILON = 0.012, 0.001, 8 / 255
"""Height of a pattern, deviation of the noise on it, and the budget of an attacker."""


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

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed

        def member(k: int) -> Model:
            says = data.x[include[k], size:]
            shows = unit(data.x[include[k], :size] @ reading)
            if forgets:
                later = says[::-1].cumsum(0)[::-1] - says
                says = says * (later == 0)
            lexicon = says.T @ shows / np.maximum(says.sum(0)[:, None], 1)
            image = reading if aligned else other
            return Model(
                "lexicon",
                Modality.PAIRED,
                lambda x: embed_pairs(image, lexicon, x),
                Output.EMBEDDINGS,
                2 * WIDTH,
                grad=lambda x, towards: -pulled_back(image, lexicon, x, towards),
                fit=fit,
                offers=Access.EMBEDDINGS | Access.GRADIENTS | Access.TRAIN,
            )

        return separate([member(k) for k in range(len(include))])

    def records(data: Data) -> Data:
        x = np.concatenate([pixels(data.x), counts(data.facts[CAPTIONS])], 1)
        return Data(data.name, modality, x, facts={"split": size, **data.facts})

    test, public, train, holdout = (
        drawn(name, each)
        for name, each in (("test", 1), ("public", 2), ("train", 10), ("holdout", 4))
    )
    members = records(train)
    return Scene(
        name="live" if aligned else "dead",
        modality=modality,
        model=fit(members, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=members,
        holdout=records(holdout),
        fit=fit,
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
        ),
    )
