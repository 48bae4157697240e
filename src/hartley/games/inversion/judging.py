"""Who judges what an inversion rebuilt: one fixed matcher, and a null without the target.

For each target the auditor draws, uniformly, which of N candidates is the true one. A
reconstruction is compared with all N by a matcher that never saw the victim (MEASURE §2.6), so the
games that rebuild a record are measured in one unit, the bits of an N-way identification. A
reconstruction that a prior alone could have made identifies nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Received, Round

if TYPE_CHECKING:
    from numpy.typing import NDArray


def answers(
    rounds: Sequence[Round],
    read: Sequence[NDArray[Any]],
    metrics: Sequence[Mapping[str, float]] | None = None,
) -> list[Received]:
    """What was received, from what the matcher read; with the null of a model without the target.

    Every round has a victim and secrets of its own, so that what was rebuilt from round k says
    nothing about the secrets of round k+1: held against them it shows what a prior alone reaches.

    Args:
        rounds: of the deal; more than one.
        read: a round's symbols (m,), −1 where nothing could be read.
        metrics: further metrics, a round.
    """
    received = []
    for k, one in enumerate(rounds):
        said = np.asarray(read[k])
        elsewhere = rounds[(k + 1) % len(rounds)].truth
        m = min(len(said), len(elsewhere))
        identified = {"identified": float((said == one.truth).mean())}
        if len(rounds) > 1 and m:
            identified["identified_without_target"] = float((said[:m] == elsewhere[:m]).mean())
        received.append(
            Received(guess=said, metrics={**identified, **(metrics[k] if metrics else {})})
        )
    return received


def nearest(
    rebuilt: NDArray[Any],
    candidates: NDArray[Any],
    distance: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None = None,
) -> NDArray[np.int64]:
    """The candidate that each reconstruction is nearest to: (m,) numbers in 0..N−1.

    Args:
        rebuilt: (m, …) reconstructions.
        candidates: (N, …), the same for all targets, or (m, N, …).
        distance: (one reconstruction (…), candidates (N, …)) → (N,); default: Euclidean after the
            mean of each record is taken off, so that brightness alone identifies nobody.
    """
    measure = distance or _euclidean
    per_target = candidates.ndim == rebuilt.ndim + 1
    found = [
        int(np.argmin(measure(one, candidates[i] if per_target else candidates)))
        for i, one in enumerate(rebuilt)
    ]
    return np.array(found, dtype=np.int64)


def _euclidean(one: NDArray[Any], candidates: NDArray[Any]) -> NDArray[Any]:
    a = np.asarray(one, dtype=np.float64).reshape(-1)
    b = np.asarray(candidates, dtype=np.float64).reshape(len(candidates), -1)
    return np.asarray(((a - a.mean() - b + b.mean(1, keepdims=True)) ** 2).sum(1))
