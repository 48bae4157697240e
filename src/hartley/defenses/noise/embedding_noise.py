"""Embedding noise: blur every embedding, the same way each time the record is embedded."""

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

    The defence that the Vec2Text paper tries. Noise is measured against the embedding's length: at
    scale 1 both are equally long. The database keeps what the encoder gives, so both are blurred.
    One record has one noise: to ask again averages nothing away.

    Args:
        scale: length of the noise as a share of the embedding's.
    """
    key = int(rng.integers(2**62))

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        if output is not Output.EMBEDDINGS or not len(answers):
            return answers
        clear = np.asarray(answers, dtype=np.float64)
        mine = spawn(key, who)
        noise = np.stack(
            [np.random.default_rng(_own(mine, row)).standard_normal(clear.shape[1]) for row in x]
        )
        length = np.sqrt((clear**2).mean(1, keepdims=True))
        return np.asarray(clear + scale * length * noise)

    return wrap_answers.answers(scene, filter_)


def _own(key: int, row: NDArray[Any]) -> int:
    """The record's own seed; how far a row of tokens is padded is no part of the record."""
    return spawn(key, digest(row[row >= 0] if row.dtype.kind == "i" else row))
