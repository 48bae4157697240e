"""Spread the models of a fleet over processes, one thread each.

A worker receives the records once, when it starts, then one small group of models after another.
Nothing a model depends on comes from where it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from hartley.core.errors import RunError

_held: dict[str, Any] = {}


def spread(
    job: Callable[[Any, Any], Any],
    shared: Any,
    parts: Sequence[Any],
    *,
    workers: int,
    progress: Callable[[int], None] | None = None,
) -> list[Any]:
    """Return ``[job(shared, part) for part in parts]``, computed by ``workers`` processes.

    Args:
        job: a function at the top level of its module.
        shared: what all parts need; sent to every worker once.
        parts: one argument each.
        workers: processes; 1 computes here.
        progress: called with the number of finished parts.

    Raises:
        RunError: a worker died, for example for lack of memory.
    """
    results: list[Any] = [None] * len(parts)
    if workers <= 1 or len(parts) <= 1:
        for i, part in enumerate(parts):
            results[i] = job(shared, part)
            if progress:
                progress(i + 1)
        return results
    pool = ProcessPoolExecutor(
        min(workers, len(parts)), get_context("spawn"), initializer=_start, initargs=(job, shared)
    )
    with pool:
        waiting = {pool.submit(_one, part): i for i, part in enumerate(parts)}
        try:
            for count, ready in enumerate(as_completed(waiting), 1):
                results[waiting[ready]] = ready.result()
                if progress:
                    progress(count)
        except BrokenProcessPool as fault:
            raise RunError(
                "a worker process of the fleet died (out of memory?): try fewer workers"
            ) from fault
    return results


def _start(job: Callable[[Any, Any], Any], shared: Any) -> None:
    import torch

    torch.set_num_threads(1)
    _held["job"], _held["shared"] = job, shared


def _one(part: Any) -> Any:
    return _held["job"](_held["shared"], part)
