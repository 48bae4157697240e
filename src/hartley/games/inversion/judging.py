"""The judge of inversion games: a fixed matcher, and a null without the target.

For each target the auditor draws uniformly which of N candidates is the true one. A matcher that is
independent of the victim compares a reconstruction with all N, so that all games
that rebuild a record are measured in one unit, the bits of an N-way identification. A
reconstruction that a prior alone could give does not identify the target.
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
    """Return what was received, with the metrics of identification and of its null.

    Every round has its own victim and secrets, so that a reconstruction of round k is independent
    of the secrets of round k+1: its agreement with them is the null, what a prior alone reaches.

    Args:
        rounds: of the deal.
        read: for each round, the symbols (m,) that the matcher read, −1 for an erasure.
        metrics: further metrics of each round.
    """
    received = []
    for k, round_ in enumerate(rounds):
        symbols = np.asarray(read[k])
        other_truth = rounds[(k + 1) % len(rounds)].truth
        m = min(len(symbols), len(other_truth))
        identified = {"identified": float((symbols == round_.truth).mean())}
        if len(rounds) > 1 and m:
            identified["identified_without_target"] = float((symbols[:m] == other_truth[:m]).mean())
        received.append(
            Received(guess=symbols, metrics={**identified, **(metrics[k] if metrics else {})})
        )
    return received


def nearest(
    rebuilt: NDArray[Any],
    candidates: NDArray[Any],
    distance: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None = None,
) -> NDArray[np.int64]:
    """Return the candidate nearest to each reconstruction: (m,) indices in 0..N−1.

    Args:
        rebuilt: (m, …) reconstructions.
        candidates: (N, …), the same for all targets, or (m, N, …).
        distance: (one reconstruction (…), candidates (N, …)) → (N,). The default is the Euclidean
            distance of centred records, so that brightness does not matter.
    """
    measure = distance or _euclidean
    per_target = candidates.ndim == rebuilt.ndim + 1
    indices = [
        int(np.argmin(measure(record, candidates[i] if per_target else candidates)))
        for i, record in enumerate(rebuilt)
    ]
    return np.array(indices, dtype=np.int64)


def _euclidean(record: NDArray[Any], candidates: NDArray[Any]) -> NDArray[Any]:
    a = np.asarray(record, dtype=np.float64).reshape(-1)
    b = np.asarray(candidates, dtype=np.float64).reshape(len(candidates), -1)
    return np.asarray(((a - a.mean() - b + b.mean(1, keepdims=True)) ** 2).sum(1))
