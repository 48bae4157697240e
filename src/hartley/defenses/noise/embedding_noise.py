"""Embedding noise: add Gaussian noise to every embedding, the same at every query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Output, Range, Scene, Term, defense, spawn
from hartley.defenses._shared import wrap_answers
from hartley.kit.cache import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("embedding_inversion", "membership"),
    modalities=(Modality.LANGUAGE, Modality.AUDIO, Modality.PAIRED),
    paper="arXiv:2310.06816",
    requires=("stored_embeddings",),
    covers_only={"membership": ("paired",)},
    strongest={"scale": 10.0},
    keeps_proof=True,
)
def embedding_noise(scene: Scene, rng: Rng, *, scale: Annotated[float, Range(0)] = 0.1) -> Scene:
    """Add Gaussian noise to every embedding, fixed by a secret key and the record.

    The Vec2Text paper tries this defense. At scale 1 the noise is as long as the embedding. The
    noise is in the answers of the encoder and therefore in the database too. The noise of a record
    is fixed, so that repeated queries do not average it away.

    Args:
        scale: length of the noise as a share of the embedding's length.
    """
    key = int(rng.integers(2**62))

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        if output is not Output.EMBEDDINGS or not len(answers):
            return answers
        clear = np.asarray(answers, dtype=np.float64)
        model_key, width = spawn(key, who), clear.shape[1]
        noise = np.stack(
            [np.random.default_rng(_seed(model_key, row)).standard_normal(width) for row in x]
        )
        length = np.sqrt((clear**2).mean(1, keepdims=True))
        return np.asarray(clear + scale * length * noise)

    return wrap_answers.answers(scene, filter_)


def _seed(key: int, row: NDArray[Any]) -> int:
    """Return the seed of a record's noise; the padding of a row of tokens does not matter."""
    return spawn(key, digest(row[row >= 0] if row.dtype.kind == "i" else row))
