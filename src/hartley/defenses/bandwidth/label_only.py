"""Label only: publish the class and no confidence."""

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
    protects=("membership", "extraction", "memorization", "evasion", "blocked_class"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.GRAPH, Modality.TABULAR),
    paper="arXiv:1609.02943",
    covers_only={
        "extraction": ("vision", "audio", "tabular"),
        "evasion": ("vision", "audio", "tabular"),
        "blocked_class": ("vision", "audio"),
    },
    unfit={
        "evasion graph": "with a few pairs of nodes a search that reads labels alone succeeds as"
        " often as one that reads scores",
    },
    strongest={},
    keeps_proof=True,
)
def label_only(scene: Scene, rng: Rng) -> Scene:
    """Answer with certainty for the likeliest class, and nothing else.

    The answers keep their units (a one-hot row for a model that returns probabilities), so that
    attacks which read scores still run, on exactly what a service that returns labels gives them.
    Labels also show what a class looks like: no attack on the classes of digits loses a bit.

    Raises:
        RunError: the model answers with embeddings, which contain no label.
    """
    del rng
    model = scene.model
    if model is not None and model.output is Output.EMBEDDINGS:
        raise RunError(f"{model.name!r} must answer with scores or labels, got embeddings")
    hidden = model is not None and not model.offers & (Access.WEIGHTS | Access.GRADIENTS)
    # In other games the attacker gets more than answers: gradients, weights, stored embeddings.
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
