"""STRIP: refuse inputs whose label does not change when other records are mixed into them."""

from __future__ import annotations

from functools import cache, lru_cache
from hashlib import shake_128
from struct import unpack
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Modality, Output, Range, Scene, Term, defense, spawn
from hartley.core.assets import is_text
from hartley.core.errors import UsageError
from hartley.defenses._shared import per_model_filter
from hartley.defenses._shared.clean_records import clean_records
from hartley.kit.answer_units import probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

TINY = 1e-12


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("poisoning",),
    modalities=(Modality.VISION, Modality.LANGUAGE, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "paired": "it reads how sure a classifier stays, and a dual encoder has no classes but "
        "those of a question",
        "graph": "two graphs have no mixture that is a graph",
    },
    paper="arXiv:1902.06531",
    strongest={"false_alarms": 0.5},
    requires=("model", "fit", "train", "holdout"),
    expected_failures={
        "narrows_poisoning": "the model of the live scene is equally sure of every answer, so that "
        "the entropy of mixes is the same for all inputs; bench/poisoning.py plays pictures"
    },
)
def strip(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.05,
    mixes: Annotated[int, Range(1)] = 16,
    share: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 0.5,
    clean: Annotated[int, Range(4)] = 400,
) -> Scene:
    """Mix clean records into every input and refuse it if the answers are too certain.

    A clean input that is mixed with records of other classes gets uncertain answers; a trigger
    survives the mixing and keeps its class. An input is refused if the mean entropy of its mixes
    lies below that of all but a share ``false_alarms`` of clean held-out records. A refused input
    gets equal scores for all classes. Every model has a threshold of its own.

    In a text a share of the words is replaced by words of the other one (arXiv:1911.10312).

    Args:
        false_alarms: share of clean inputs that the threshold refuses.
        mixes: records that are mixed into each input, one at a time.
        share: of the other record in a mix, and of the words of a text that are replaced.
        clean: the owner's held-out records, at most; half are mixed in and half set the threshold.

    Raises:
        UsageError: the model gives labels only, or there are too few clean records.
    """
    assert scene.model is not None
    if scene.model.output is Output.LABELS:
        raise UsageError("strip must have a model that gives scores, got labels only")
    records = clean_records(scene, clean, "strip")
    output, classes = scene.model.output, scene.model.classes
    half = len(records) // 2
    others = records.x[:half]
    key = int(rng.integers(2**62))

    def entropy(query: Any, x: NDArray[Any]) -> NDArray[np.float64]:
        """Mean entropy in nats of the mixes of each input (n, …)."""
        rows = np.random.default_rng(spawn(key, "mixes")).integers(0, half, mixes)
        total = np.zeros(len(x))
        for row in rows:
            if is_text(x):
                mixed = np.array([_mixed_text(str(text), str(others[row]), share) for text in x])
            else:
                mixed = ((1 - share) * x + share * others[row]).astype(x.dtype)
            p = probabilities(query(mixed), output, classes).astype(np.float64)
            total -= (p * np.log(np.maximum(p, TINY))).sum(1)
        return total / mixes

    def make(
        ensemble: Ensemble, data: Data, include: Any, kind: str
    ) -> per_model_filter.PerModelFilter:
        del data, include, kind

        @cache
        def limit(k: int) -> float:
            usual = entropy(ensemble.member(k).query, records.x[half:])
            return float(np.quantile(usual, false_alarms, method="lower"))

        def filter_(x: NDArray[Any], answers: NDArray[Any], models: list[int]) -> NDArray[Any]:
            out = np.array(answers)
            for j, k in enumerate(models):
                refused = entropy(ensemble.member(k).query, x) < limit(k)
                out[j][refused] = 1 / classes if output is Output.PROBABILITIES else 0.0
            return out

        return filter_

    return per_model_filter.answers(scene, make)


@lru_cache(maxsize=2**16)
def _mixed_text(text: str, other: str, share: float) -> str:
    """Return a text in which words, drawn by a hash of both, are replaced by another's.

    Every model is asked about the same mixes, so they are written once.
    """
    words, source = text.split(), other.split()
    drawn = shake_128(f"{text}|{other}".encode("utf-8", "replace")).digest(4 * len(words))
    numbers = unpack(f"<{2 * len(words)}H", drawn)
    for at, (chance, place) in enumerate(zip(numbers[::2], numbers[1::2], strict=True)):
        if chance < share * 2**16:
            words[at] = source[place % len(source)]
    return " ".join(words)
