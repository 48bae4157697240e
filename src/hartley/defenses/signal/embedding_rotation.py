"""Embedding rotation: store every embedding turned by a secret orthogonal map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.inversion.embedding_inversion import StoredEmbeddings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="output",
    protects=("embedding_inversion",),
    modalities=(Modality.LANGUAGE, Modality.AUDIO, Modality.PAIRED),
    paper="hartley",
    requires=("stored_embeddings",),
    strongest={"key": 1},
    keeps_proof=True,
)
def embedding_rotation(scene: Scene, rng: Rng, *, key: Annotated[int, Range(0)] = 0) -> Scene:
    """Turn every stored embedding by an orthogonal map that only the owner knows.

    Lengths and cosines in the database stay as they are, so that nothing is lost for its owner, who
    turns his questions too. It lowers the signal, the projection of what is stored on the concept
    vectors of the encoder that everybody knows, and adds no noise: who finds records of his own in
    the database can solve for the map (``kit.inversion.bank.opened``) and has everything back.

    Args:
        key: names the map among those that one seed gives.
    """
    secret = int(rng.integers(2**62))
    maps: dict[int, NDArray[np.float64]] = {}

    def turned(embeddings: NDArray[Any]) -> NDArray[np.float64]:
        width = embeddings.shape[1]
        if width not in maps:
            drawn = np.random.default_rng([secret, key, width]).standard_normal((width, width))
            maps[width] = np.linalg.qr(drawn)[0]
        return np.asarray(embeddings @ maps[width])

    store = scene.part(StoredEmbeddings)
    return scene.with_part(replace(store, keep=(*store.keep, turned)))
