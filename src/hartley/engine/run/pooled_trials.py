"""Join the trials of one experiment that was played in batches: what a look measures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Trials

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOINED = ("reference", "item", "split", "logq", "gain", "p_null", "observed")
"""Optional columns of which the rows of a later batch are written behind those of an earlier."""
NUMBERED = ("cluster", "trial", "order")
"""Columns whose numbers go on in the next batch: its victims are others, and played later."""


def pooled(batches: Sequence[Trials]) -> Trials:
    """Return the trials of batches as those of one experiment.

    Victims, secrets and reference models of a batch are its own, so that its clusters are new ones.
    Costs are added, figures of the judge are means over all rounds. Of proved limits those count
    that hold in every batch; of the deal's own figures the one of the batch where it is largest.

    Args:
        batches: in the order of play, of one attack on one scene.
    """
    first, spec = batches[0], batches[0].spec
    columns: dict[str, Any] = {name: _joined(batches, name) for name in JOINED}
    columns |= {name: _joined(batches, name, on=True) for name in NUMBERED}
    by_round = {
        name: tuple(value for batch in batches for value in batch.metrics_by_round[name])
        for name in first.metrics_by_round
        if all(name in batch.metrics_by_round for batch in batches)
    }
    metrics = {
        name: max((batch.metrics[name] for batch in batches if name in batch.metrics), key=_size)
        for name in dict.fromkeys(name for batch in batches for name in batch.metrics)
    } | {name: float(np.mean(values)) for name, values in by_round.items()}
    rounds = np.array([_rounds(batch) for batch in batches], np.float64)
    ids = "".join(batch.run_id for batch in batches)
    return replace(
        first,
        spec=replace(
            spec,
            bounds=tuple(b for b in spec.bounds if all(b in one.spec.bounds for one in batches)),
            seconds=_total(batches, lambda one: one.spec.seconds),
            uses=_total(batches, lambda one: one.spec.uses),
        ),
        truth=np.concatenate([batch.truth for batch in batches]),
        guess=np.concatenate([batch.guess for batch in batches]),
        **columns,
        costs={
            name: np.concatenate([batch.costs[name] for batch in batches])
            for name in first.costs
            if all(name in batch.costs for batch in batches)
        },
        queried=any(batch.queried for batch in batches),
        metrics=metrics,
        metrics_by_round=by_round,
        cost={
            name: float(np.average([one.cost.get(name, 0.0) for one in batches], weights=rounds))
            for name in dict.fromkeys(name for batch in batches for name in batch.cost)
        },
        shared_seconds={
            name: sum(batch.shared_seconds.get(name, 0.0) for batch in batches)
            for name in dict.fromkeys(name for batch in batches for name in batch.shared_seconds)
        },
        run_id=hashlib.sha256(ids.encode()).hexdigest()[:16],
        notes=tuple(dict.fromkeys(note for batch in batches for note in batch.notes)),
        outbreaks=tuple(one for batch in batches for one in batch.outbreaks),
    )


def _joined(batches: Sequence[Trials], name: str, *, on: bool = False) -> NDArray[Any] | None:
    """Return a column of all batches, or None if one lacks it; ``on``: its numbers go on."""
    parts: list[Any] = [getattr(batch, name) for batch in batches]
    if any(part is None for part in parts):
        return None
    if on:
        ends = np.cumsum([0, *(int(part.max()) + 1 for part in parts[:-1])])
        parts = [part + end for part, end in zip(parts, ends, strict=True)]
    return np.concatenate(parts)


def _rounds(batch: Trials) -> int:
    return 1 if batch.cluster is None else len(np.unique(batch.cluster))


def _size(metric: Any) -> float:
    return float(metric["value"] if isinstance(metric, Mapping) else metric)


def _total(batches: Sequence[Trials], amount: Callable[[Trials], Any]) -> Any:
    amounts = [amount(batch) for batch in batches]
    return None if any(value is None for value in amounts) else sum(amounts)
