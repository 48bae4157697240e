"""ModelGuard: answer with the nearest of a few code words, chosen by rate and distortion."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import log2
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Access,
    Bound,
    Data,
    Ensemble,
    Modality,
    Output,
    Range,
    Scene,
    Term,
    defense,
    spawn,
)
from hartley.defenses._shared import per_model_filter
from hartley.kit import changed_scores
from hartley.kit.answer_units import in_units, shares_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

MOST = 2000
"""Records of the owner's that code words are fitted to, at most."""


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("extraction",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={"graph": "code words are fitted to records, and nodes of one graph are no others"},
    paper="doi:10.1109/29.17498",
    strongest={"words": 1},
    requires=("model", "train"),
    expected_failures={
        "narrows_extraction": "labels stay as they are, and those of the live victim have all of "
        "the planted labelling"
    },
)
def modelguard(
    scene: Scene,
    rng: Rng,
    *,
    words: Annotated[int, Range(1, 4096)] = 4,
    rate: Annotated[float, Range(0)] = 0.01,
) -> Scene:
    """Answer with one of a few score vectors of the same label, the nearest one.

    An answer then says at most log2(classes × words) bits, however many digits it has. The code
    words are fitted to the model's answers about the owner's test records, and trade squared
    distance against the length of a word's name (entropy-constrained vector quantisation).
    ModelGuard (USENIX Security 2024) forms its words as queries come in; here they are fixed, so
    that an answer does not depend on what was asked before. The defense keeps labels. A code word
    is already the mean of what it stands for: there is nothing to average away.

    Args:
        words: code words for a label at most; 1 is a label with a fixed score.
        rate: price of a bit in squared distance; 0 uses all words.
    """
    seed, records = int(rng.integers(2**62)), _records(scene)
    output = scene.model.output if scene.model is not None else Output.PROBABILITIES

    def make(
        ensemble: Ensemble, data: Data, include: NDArray[Any], kind: str
    ) -> per_model_filter.PerModelFilter:
        del data, include

        @cache
        def books(k: int) -> dict[int, NDArray[np.float64]]:
            draw = np.random.default_rng(spawn(seed, kind, k))
            answers = shares_of(ensemble.member(k).query(records), output)
            return changed_scores.codebooks(answers, words, rate, draw)

        def filter_(x: NDArray[Any], answers: NDArray[Any], models: list[int]) -> NDArray[Any]:
            del x
            if output is Output.LABELS:
                return answers
            rows = [
                in_units(changed_scores.coded(shares_of(answers[j], output), books(k)), output)
                for j, k in enumerate(models)
            ]
            return np.stack(rows)

        return filter_

    guarded = per_model_filter.answers(scene, make)
    return replace(guarded, bounds=(*guarded.bounds, *_bound(scene, words)))


def _records(scene: Scene) -> NDArray[Any]:
    """Return records that the words are fitted to: the owner's test records, or other ones."""
    assert scene.train is not None
    data = scene.extra.get("test") or scene.holdout or scene.train
    return data.x[:MOST]


def _bound(scene: Scene, words: int) -> tuple[Bound, ...]:
    """Return the bound of log2 of the number of possible answers, for black-box attackers."""
    model = scene.model
    white_box = Access.WEIGHTS | Access.GRADIENTS
    if model is None or model.output is Output.LABELS or model.offers & white_box:
        return ()
    return (Bound("alphabet", {"bits": log2(model.classes * words)}, games=("extraction",)),)
