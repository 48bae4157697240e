"""Embedding rotation: store or answer every embedding rotated by a secret orthogonal matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Output, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.games.extraction.encoder_extraction import EmbeddingEndpoint
from hartley.games.inversion.embedding_inversion import StoredEmbeddings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="output",
    protects=("embedding_inversion", "encoder_extraction"),
    modalities=(Modality.VISION, Modality.LANGUAGE, Modality.AUDIO, Modality.PAIRED),
    paper="hartley",
    requires=("embedding_endpoint",),
    strongest={"key": 1},
    keeps_proof=True,
    expected_failures={
        "narrows_encoder_extraction": "a copy in a rotated space is as good a copy: what it takes "
        "for alike stays alike, and only the owner's vectors are out of its reach"
    },
)
def embedding_rotation(
    scene: Scene, rng: Rng, *, key: Annotated[int, Range(0)] = 0, answers: bool = False
) -> Scene:
    """Rotate every stored embedding by an orthogonal matrix that only the owner knows.

    Lengths and cosines in the database stay as they are, so its owner, who rotates queries too,
    loses nothing. The defense lowers the signal, which is the projection of stored embeddings on
    the concept vectors of the public encoder. It adds no noise: an attacker who finds their own
    records in the database can solve for the matrix and undo it.

    An owner without a database rotates what the encoder answers. That hides the owner's space from
    a copy of the encoder, and nothing else: the copy has the same neighbours.

    Args:
        key: selects the matrix among those of one seed.
        answers: rotate the encoder's answers, and so what is stored too; always where nothing
            is stored.
    """
    secret = int(rng.integers(2**62))
    matrices: dict[int, NDArray[np.float64]] = {}

    def rotated(embeddings: NDArray[Any]) -> NDArray[np.float64]:
        width = embeddings.shape[1]
        if width not in matrices:
            gaussian = np.random.default_rng([secret, key, width]).standard_normal((width, width))
            matrices[width] = np.linalg.qr(gaussian)[0]
        return np.asarray(embeddings @ matrices[width])

    store, endpoint = scene.find(StoredEmbeddings), scene.find(EmbeddingEndpoint)

    def filter_(x: NDArray[Any], raw: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        del x, who
        if output is not Output.EMBEDDINGS:
            return raw
        # Pictures and captions are rotated alike, so that they still match.
        halves = [raw] if endpoint is None else endpoint.halves(raw)
        return np.concatenate([rotated(half) for half in halves], axis=1)

    if answers or store is None:
        return wrap_answers.answers(scene, filter_)
    return scene.with_part(replace(store, keep=(*store.keep, rotated)))
