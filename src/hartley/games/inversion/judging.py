"""What an owner lets out that was computed from his records, and who judges what is rebuilt.

A *release* is a tool of a scene, named ``release:KIND``: the classes that a model was trained to
tell apart, the gradients of a training step, stored embeddings, answers about a graph's nodes, a
model of a table. It deals the secret: for each target the auditor draws, uniformly, which of N
candidates is the true one. What comes back is held against all N by one fixed matcher, which never
saw the victim (MEASURE §2.6). So every kind of inversion is measured in the same unit, the bits of
an N-way identification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hartley.core import Access, Deal, Received, Round, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


class Release(Protocol):
    """One kind of release.

    It may also have ``unmet(scene) -> str``: why it cannot be let out of a scene as that is
    defended, so that a row is skipped with its reason instead of measuring something else.
    """

    @property
    def grants(self) -> Access:
        """What it lets an attacker use besides what the deployed model offers.

        Who sees the gradients of a federated step, for instance, holds the weights as well.
        """
        ...

    @property
    def rounds(self) -> int:
        """Victims that it deals when nobody says how many."""
        ...

    def deal(self, scene: Scene, rng: Rng, rounds: int) -> Deal:
        """Draw the secrets and release what depends on them, through the scene as it is defended.

        In a round, ``question`` holds what was released, a row a target; ``public`` what the
        attacker owns; ``truth`` (m,) which of ``alphabet`` candidates each target is.
        """
        ...


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
