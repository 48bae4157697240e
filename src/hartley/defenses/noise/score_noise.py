"""Score noise: blur every score, the same way each time the record is asked."""

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
    protects=("membership", "extraction", "class_inversion", "attribute_inference", "memorization"),
    modalities=ALL,
    paper="arXiv:1909.10594",
    covers_only={
        "extraction": ("vision", "audio", "tabular"),
        "class_inversion": ("vision", "audio", "tabular"),
        "attribute_inference": ("tabular",),
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

    Asking twice gives the same answer, so repetition does not average the noise away (a change of
    the record beyond the second decimal does draw anew: a patient attacker who may ask many
    neighbours of a record still can). Probabilities are cut at 0 and scaled to sum to 1. Noise of
    an attacker's own references has another key than the victim's. As in MemGuard
    (arXiv:1909.10594) the label can be kept; the noise itself is plain, not optimised.

    Args:
        scale: standard deviation of the noise, in the units of the scores.
        law: distribution of the noise.
        keep_label: leave the likeliest class the likeliest.
    """
    key = int(rng.integers(2**62))

    def noise(x: NDArray[Any], shape: tuple[int, ...], who: str) -> NDArray[np.float64]:
        drawn = uniform(x, shape, spawn(key, who))
        half = drawn - 0.5
        if law == "laplace":
            blur = -np.sign(half) * np.log1p(-2 * np.abs(half)) / np.sqrt(2)
        else:
            from scipy.special import ndtri

            blur = ndtri(drawn)
        return np.asarray(scale * blur)

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        if output is Output.LABELS:
            return answers
        clear = np.asarray(answers, dtype=np.float64)
        blurred = clear + noise(x, clear.shape, who)
        if output is Output.PROBABILITIES:
            blurred = np.maximum(blurred, 1e-6)
            blurred /= blurred.sum(1, keepdims=True)
        if keep_label and output is not Output.EMBEDDINGS:
            _swap(blurred, clear.argmax(1))
        return blurred

    def score(tokens: NDArray[Any], scores: NDArray[Any], who: str) -> NDArray[Any]:
        blurred = np.minimum(scores + noise(tokens, scores.shape, who), 0.0)
        return np.where(tokens[:, 1:] < 0, 0.0, blurred)

    return wrap_answers.answers(scene, filter_, score=score)


def _swap(rows: NDArray[Any], labels: NDArray[Any]) -> None:
    """Give ``labels`` the largest entry of each row, in place, by swapping two entries."""
    here = np.arange(len(rows))
    top = rows.argmax(1)
    rows[here, top], rows[here, labels] = rows[here, labels], rows[here, top].copy()
