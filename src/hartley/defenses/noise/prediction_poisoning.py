"""Prediction poisoning: change scores so that a copy's gradient turns away from the true one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Output, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.kit import changed_scores
from hartley.kit.answer_units import in_units, shares_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROWS = 2048
"""Records that are worked on at once; limits memory."""


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("extraction",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={"graph": "a node's gradient also passes through its neighbours, and is not built"},
    paper="arXiv:1906.10908",
    strongest={"distance": 2.0},
    keeps_proof=True,
)
def prediction_poisoning(
    scene: Scene,
    rng: Rng,
    *,
    distance: Annotated[float, Range(0, 2)] = 1.0,
    hidden: Annotated[int, Range(1, 4096)] = 64,
) -> Scene:
    """Move each answer towards the one whose gradient has the largest angle to the true one.

    The gradient is of a small network of the owner's with random weights, which stands for any
    copy. Of the paper's two forms this is the one that keeps the label (MAD-argmax): labels are not
    protected, and an attacker who knows the defense learns from them alone. The same record gets
    the same answer.

    Args:
        distance: largest L1 distance between a published and a true answer; at 2 the label alone
            limits it.
        hidden: width of the owner's network.

    Raises:
        UsageError: the answers are embeddings.
    """
    seed = int(rng.integers(2**62))

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        del who
        if output in (Output.LABELS, Output.EMBEDDINGS):
            return answers
        rows, flat = shares_of(answers, output), np.asarray(x).reshape(len(answers), -1)
        draw = np.random.default_rng(seed)
        first = draw.standard_normal((flat.shape[1], hidden)) * np.sqrt(2 / flat.shape[1])
        last = draw.standard_normal((hidden, rows.shape[1])) * np.sqrt(2 / hidden)
        out = np.empty_like(rows)
        for at in range(0, len(rows), ROWS):
            part = slice(at, at + ROWS)
            products = changed_scores.gradient_products(flat[part], first, last)
            out[part] = changed_scores.misdirected(rows[part], products, distance)
        return in_units(out, output)

    return wrap_answers.answers(scene, filter_)
