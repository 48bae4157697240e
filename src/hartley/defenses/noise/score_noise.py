"""Score noise: add noise to every score, the same at every query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import ALL, Output, Range, Scene, Term, defense, spawn
from hartley.defenses._shared import wrap_answers
from hartley.defenses._shared.keyed_noise import uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=(
        "membership",
        "extraction",
        "parameter_extraction",
        "class_inversion",
        "attribute_inference",
        "memorization",
        "watermark",
    ),
    modalities=ALL,
    paper="arXiv:1909.10594",
    covers_only={
        "extraction": ("vision", "audio", "graph", "tabular"),
        "parameter_extraction": ("vision", "tabular"),
        "class_inversion": ("vision", "audio", "tabular"),
        "attribute_inference": ("tabular",),
        "watermark": ("language",),
    },
    strongest={"scale": 10.0, "keep_label": False},
    keeps_proof=True,
)
def score_noise(
    scene: Scene,
    rng: Rng,
    *,
    scale: Annotated[float, Range(0)] = 0.1,
    law: Literal["laplace", "gaussian"] = "laplace",
    keep_label: bool = True,
) -> Scene:
    """Add noise to every score, fixed by a secret key and the record.

    Repeated queries give the same answer, so they do not average the noise away. A change in the
    first two decimals of the record draws new noise: an attacker who may query many neighbours of a
    record can still average. Probabilities are clipped at 0 and scaled to sum to 1. The noise of an
    attacker's own reference models has another key than the victim's. As in MemGuard
    (arXiv:1909.10594) the label can be kept, but the noise is not optimised.

    Args:
        scale: standard deviation of the noise, in the units of the scores.
        law: distribution of the noise.
        keep_label: keep the likeliest class the likeliest.
    """
    key = int(rng.integers(2**62))

    def noise(x: NDArray[Any], shape: tuple[int, ...], who: str) -> NDArray[np.float64]:
        probabilities = uniform(x, shape, spawn(key, who))
        half = probabilities - 0.5
        if law == "laplace":
            standard = -np.sign(half) * np.log1p(-2 * np.abs(half)) / np.sqrt(2)
        else:
            from scipy.special import ndtri

            standard = ndtri(probabilities)
        return np.asarray(scale * standard)

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        if output is Output.LABELS:
            return answers
        scores = np.asarray(answers, dtype=np.float64)
        noisy = scores + noise(x, scores.shape, who)
        if output is Output.PROBABILITIES:
            noisy = np.maximum(noisy, 1e-6)
            noisy /= noisy.sum(1, keepdims=True)
        if keep_label and output is not Output.EMBEDDINGS:
            _swap(noisy, scores.argmax(1))
        return noisy

    def score(tokens: NDArray[Any], scores: NDArray[Any], who: str) -> NDArray[Any]:
        noisy = np.minimum(scores + noise(tokens, scores.shape, who), 0.0)
        return np.where(tokens[:, 1:] < 0, 0.0, noisy)

    return wrap_answers.answers(scene, filter_, score=score)


def _swap(rows: NDArray[Any], labels: NDArray[Any]) -> None:
    """Make each row's label its largest entry, in place, by swapping two entries."""
    here = np.arange(len(rows))
    top = rows.argmax(1)
    rows[here, top], rows[here, labels] = rows[here, labels], rows[here, top].copy()
