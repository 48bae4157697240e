"""PRADA: refuse an account whose queries do not lie apart as those of users do."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Model, Output, Range, Scene, Term, defense, spawn
from hartley.defenses._shared import wrap_answers
from hartley.kit import accounts
from hartley.kit.query_distances import QueryDistances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

STREAMS = 59
"""Streams of the owner's records that the threshold is set by."""


@defense(
    term=Term.BANDWIDTH,
    stage="budget",
    protects=("extraction",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={"graph": "queries are nodes of one graph, whose distances the owner knows already"},
    paper="arXiv:1805.02628",
    requires=("model", "train"),
    strongest={"threshold": 1.0, "warm": 3},
)
def prada(
    scene: Scene,
    rng: Rng,
    *,
    threshold: Annotated[float, Range(0, 1)] = 0.0,
    false_alarms: Annotated[float, Range(1 / 60, 0.5)] = 0.05,
    warm: Annotated[int, Range(3, 5000)] = 100,
    shared: bool = False,
) -> Scene:
    """Watch how far each query is from earlier ones of its class, and refuse where it looks made.

    Distances between a user's records are spread about normally; those of records that were moved
    from others by fixed steps are not. After each query the Shapiro–Wilk statistic of all distances
    so far is compared with a threshold; below it the account gets empty answers from then on. An
    attacker's records that occur in nature pass. The owner and the judge are not watched. How far
    records of one class lie apart depends on which labels a model gives, so that each model has a
    threshold of its own.

    Args:
        threshold: of the statistic, from 0 to 1; 0 sets it by streams of the owner's test records,
            in random orders, so that the share ``false_alarms`` of them is refused at some time.
        false_alarms: share of such streams that are refused, at least one in 60.
        warm: distances that are gathered before anything is refused.
        shared: one history for all accounts of an attacker.
    """
    records, seed = _records(scene), int(rng.integers(2**62))

    def change(inner: Model, who: str) -> Model:
        if who.startswith("reference"):
            return inner

        @cache
        def limit() -> float:
            draw = np.random.default_rng(spawn(seed, who))
            return threshold or _threshold(inner, records, warm, false_alarms, draw)

        def opened() -> accounts.Stream:
            watch, refused = QueryDistances(warm), False

            def stream(name: str, answer: Callable[..., Any], x: Any, arguments: Any) -> Any:
                nonlocal refused
                if refused or not len(x):
                    return accounts.refusal(inner, name, x, arguments)
                labels = _labels(inner, np.asarray(x))
                served = 0
                for row, label in zip(np.asarray(x), labels, strict=True):
                    refused = watch.add(row, int(label)) < limit()
                    if refused:
                        break
                    served += 1
                first, rest = (
                    accounts.of_rows(name, arguments, len(x), some)
                    for some in (slice(served), slice(served, None))
                )
                parts = [accounts.refusal(inner, name, x[served:], rest)]
                if served:
                    parts.insert(0, answer(x[:served], *first))
                return accounts.joined(parts)

            return stream

        return accounts.watched(inner, opened, shared=shared)

    return wrap_answers.models(scene, change)


def _records(scene: Scene) -> NDArray[Any]:
    """Return the records of the owner's that stand for what users ask."""
    assert scene.train is not None
    return (scene.extra.get("test") or scene.holdout or scene.train).x


def _labels(model: Model, x: NDArray[Any]) -> NDArray[Any]:
    answers = np.asarray((model.clear or model).query(x))
    return answers if model.output is Output.LABELS else np.asarray(answers.argmax(1))


def _threshold(
    model: Model, records: NDArray[Any], warm: int, share: float, rng: np.random.Generator
) -> float:
    """Return the statistic below which ``share`` of the streams of users fall at some time."""
    labels, lowest = _labels(model, records), []
    for _ in range(STREAMS):
        watch, least = QueryDistances(warm), 1.0
        for row in rng.permutation(len(records)):
            least = min(least, watch.add(records[row], int(labels[row])))
        lowest.append(least)
    return _limit(lowest, share)


def _limit(lowest: list[float], share: float) -> float:
    """Return the number below which a further one falls in ``share`` of cases, or a bit fewer.

    The k-th smallest of n numbers has a further one of the same kind below it k times in n + 1.
    """
    return float(np.sort(lowest)[int(share * (len(lowest) + 1) + 1e-9) - 1])
