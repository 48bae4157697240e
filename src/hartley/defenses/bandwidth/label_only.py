"""Label only: say which class, never how sure."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Bound, Modality, Output, Scene, Term, defense
from hartley.core.errors import RunError
from hartley.defenses._shared import wrap_answers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("membership", "extraction", "memorization"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.GRAPH, Modality.TABULAR),
    paper="arXiv:1609.02943",
    covers_only={"extraction": ("vision", "audio", "tabular")},
    strongest={},
    keeps_proof=True,
    expected_failures={
        "narrows_extraction": "the wire's victims are certain, so that labels say all there is; "
        "on digits knockoff loses a fifth of its bits, copycat none"
    },
)
def label_only(scene: Scene, rng: Rng) -> Scene:
    """Answer with certainty for the likeliest class, and nothing else.

    The answers keep their units (a one-hot row where probabilities are declared), so that attacks
    that read scores still run on exactly what a label service gives them. What a class looks like
    is told by labels as well: no attack on the classes of digits loses a bit by it.

    Raises:
        RunError: the model answers with embeddings, which hold no label.
    """
    del rng
    model = scene.model
    if model is not None and model.output is Output.EMBEDDINGS:
        raise RunError(f"{model.name!r} answers with embeddings: they hold no label to publish")
    hidden = model is not None and not model.offers & (Access.WEIGHTS | Access.GRADIENTS)
    # Other games hand out more than answers: gradients of a step, weights, stored embeddings.
    games = ("membership", "extraction")
    bounds = (Bound("alphabet", {"bits": log2(model.classes)}, games),) if model and hidden else ()
    return wrap_answers.answers(scene, _filter, bounds=bounds)


def _filter(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
    del x, who
    if output is Output.LABELS:
        return answers
    sure: NDArray[Any] = np.zeros_like(answers, dtype=np.float64)
    sure[np.arange(len(answers)), np.asarray(answers).argmax(1)] = 1.0
    return sure
