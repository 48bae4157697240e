"""Embedding rotation: store every embedding rotated by a secret orthogonal matrix."""

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
    """Rotate every stored embedding by an orthogonal matrix that only the owner knows.

    Lengths and cosines in the database stay as they are, so its owner, who rotates queries too,
    loses nothing. The defense lowers the signal, which is the projection of stored embeddings on
    the concept vectors of the public encoder. It adds no noise: an attacker who finds their own
    records in the database can solve for the matrix and undo it.

    Args:
        key: selects the matrix among those of one seed.
    """
    secret = int(rng.integers(2**62))
    matrices: dict[int, NDArray[np.float64]] = {}

    def rotated(embeddings: NDArray[Any]) -> NDArray[np.float64]:
        width = embeddings.shape[1]
        if width not in matrices:
            gaussian = np.random.default_rng([secret, key, width]).standard_normal((width, width))
            matrices[width] = np.linalg.qr(gaussian)[0]
        return np.asarray(embeddings @ matrices[width])

    store = scene.part(StoredEmbeddings)
    return scene.with_part(replace(store, keep=(*store.keep, rotated)))
