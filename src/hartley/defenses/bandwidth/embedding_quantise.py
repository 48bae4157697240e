"""Embedding quantisation: keep a few bits of each coordinate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Output, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.games.inversion.embedding_inversion import StoredEmbeddings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SPAN = 3.0
"""The levels cover ± this many root mean squares of an embedding; larger values are clipped."""


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("embedding_inversion", "membership"),
    modalities=(Modality.LANGUAGE, Modality.AUDIO, Modality.PAIRED),
    paper="hartley",
    requires=("stored_embeddings",),
    covers_only={"membership": ("paired",)},
    strongest={"bits": 1, "every": 32},
    keeps_proof=True,
)
def embedding_quantise(
    scene: Scene,
    rng: Rng,
    *,
    bits: Annotated[int, Range(1, 16)] = 1,
    every: Annotated[int, Range(1)] = 1,
) -> Scene:
    """Round each coordinate of an embedding to a few levels; at one bit, its sign.

    The levels depend only on the length of the embedding, which is not stored. Coordinates can also
    be left out: the database then contains d·bits/every bits per record, which bounds what an
    attacker can read.

    Args:
        bits: number of bits per coordinate.
        every: keep one coordinate in this many, and set the others to 0.
    """
    del rng

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        del x, who
        return quantised(answers, bits, every) if output is Output.EMBEDDINGS else answers

    store = scene.part(StoredEmbeddings)
    width = 0 if scene.model is None else scene.model.classes
    if store.columns is not None:
        width = store.columns[1] - store.columns[0]
    most = float(-(-width // every) * bits)
    least = min(most, store.most) if store.most else most
    defended = wrap_answers.answers(scene, filter_)
    return defended.with_part(replace(store, most=least))


def quantised(embeddings: NDArray[Any], bits: int, every: int = 1) -> NDArray[np.float64]:
    """Return embeddings (n, d) in units of their root mean square, at ``2**bits`` levels."""
    wide = np.asarray(embeddings, dtype=np.float64)
    size = np.sqrt((wide**2).mean(1, keepdims=True)) + 1e-12
    levels = 2**bits
    step = 2 * SPAN / levels
    cell = np.clip(np.floor(wide / size / step), -levels // 2, levels // 2 - 1)
    rounded = (cell + 0.5) * step
    rounded[:, np.arange(wide.shape[1]) % every != 0] = 0.0
    return np.asarray(rounded)
