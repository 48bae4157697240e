"""Idiosyncrasies that an auditor plants in a victim, so that only a copy of it can carry them.

Agreement between a victim and its copy is mostly shared skill: two good models agree without any
theft. A planted secret that no independent model can know takes the skill out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Asset, Data, Model, Output, Scene
from hartley.core.errors import RunError
from hartley.games.extraction import head_fingerprint
from hartley.kit import kmeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

HEAD = "head"
"""Name under which a copy of a language model shows its output head in ``weights()``."""

REGIONS = (16, 64)
"""Fewest and most regions of a secret labelling: symbols a victim."""

RECORDS = 28
"""Records of the pool that each region should have."""


TAUGHT = 40
"""Most records of a region that a victim is taught, and that the judge asks about: the lesson holds
a copy of them for every victim."""


@dataclass(frozen=True, slots=True)
class Planted:
    """Victims that each carry a secret, and how the judge reads it out of a copy.

    Attributes:
        victims: one a round, with the access that the deployed model grants.
        truth: (rounds, m) integers in 0..alphabet−1, drawn uniformly.
        alphabet: number of symbols.
        read: (loot, round) → (m,) symbols, −1 where the loot says nothing.
        metrics: (loot, round) → usual metrics; must hold ``fidelity`` (likeness of copy and victim)
            and ``baseline`` (the same likeness for a model that never saw the victim).
    """

    victims: tuple[Model, ...]
    truth: NDArray[Any]
    alphabet: int
    read: Callable[[Asset, int], NDArray[Any]]
    metrics: Callable[[Asset, int], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """How a scene plants its idiosyncrasy: ``deal(scene, rng, rounds) -> Planted``."""

    deal: Callable[[Scene, Rng, int], Planted]


def secret_labelling(scene: Scene, rng: Rng, rounds: int) -> Planted:
    """Cut the auditor's pool into regions and train each victim on labels drawn by coin for them.

    A third of every region is kept back: the judge reads the copy there, on records that neither
    the victim nor the attacker ever saw.

    Raises:
        RunError: the scene holds no pool, or no pipeline to train victims with.
    """
    if scene.fit is None or scene.model is None or "pool" not in scene.extra:
        raise RunError(
            f"scene {scene.name!r} holds no 'fingerprint' tool, and without 'fit' and 'pool' the "
            "auditor cannot plant a secret labelling"
        )
    pool, deployed = scene.extra["pool"], scene.model
    count = min(max(len(pool) // RECORDS, REGIONS[0]), REGIONS[1])
    place = kmeans.split(pool.x, count, rng)
    taught, kept = _shared_out(place, rng)
    truth = rng.integers(0, deployed.classes, (rounds, count))
    x, where = pool.x[taught], place[taught]
    lesson = Data(
        "secret labelling",
        pool.modality,
        np.concatenate([x] * rounds),
        truth[:, where].reshape(-1),
    )
    include = np.repeat(np.eye(rounds, dtype=bool), len(x), axis=1)
    fleet = scene.victims(lesson, include, int(rng.integers(2**31)))
    victims = tuple(fleet.member(k) for k in range(rounds))
    probes, at = pool.x[kept], place[kept]
    natural = scene.extra["test"].x if "test" in scene.extra else probes

    def read(loot: Asset, k: int) -> NDArray[Any]:
        del k  # the regions are the same in every round; only their labels differ
        votes = np.zeros((count, deployed.classes), dtype=np.int64)
        np.add.at(votes, (at, labels_of(loot, probes)), 1)
        return np.where(votes.sum(1) > 0, votes.argmax(1), -1)

    def usual(loot: Asset, k: int) -> dict[str, float]:
        said = labels_of(victims[k], natural)
        return {
            "fidelity": float((labels_of(loot, natural) == said).mean()),
            "baseline": float((labels_of(deployed, natural) == said).mean()),
            "victim_carries": float((read(victims[k], k) == truth[k]).mean()),
        }

    return Planted(victims, truth, deployed.classes, read, usual)


def planted_head(
    base: NDArray[Any],
    victim: Callable[[NDArray[Any]], Model],
    *,
    rows: int,
    alphabet: int,
    step: float,
    planted: bool = True,
) -> Fingerprint:
    """Plant symbols in rows of a language model's output head, drawn anew every round.

    The loot is a ``Model`` whose ``weights()["head"]`` (``HEAD``) is (vocabulary, width), in any
    basis of the hidden space; a loot without it is read as erasures.

    Args:
        base: (vocabulary, hidden) the public head.
        victim: head → the model that answers with it.
        rows: planted rows, at most vocabulary − hidden (the rest settle the basis).
        alphabet: symbols a row.
        step: distance between neighbouring symbols along a row's own direction.
        planted: False writes nothing into the victims, so that there is nothing to read (the
            dead wire).
    """

    def deal(scene: Scene, rng: Rng, rounds: int) -> Planted:
        del scene
        vocabulary, hidden = base.shape
        where = np.sort(rng.permutation(vocabulary)[:rows])
        ways = rng.standard_normal((rows, hidden))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        truth = rng.integers(0, alphabet, (rounds, rows))
        size = step if planted else 0.0
        true = [
            head_fingerprint.plant(base, where, ways, t, alphabet=alphabet, step=size)
            for t in truth
        ]

        def read(loot: Asset, k: int) -> NDArray[Any]:
            del k
            return head_fingerprint.read(
                _head(loot), base, where, ways, alphabet=alphabet, step=step
            )

        def usual(loot: Asset, k: int) -> dict[str, float]:
            return {
                "fidelity": head_fingerprint.likeness(_head(loot), true[k], where),
                "baseline": head_fingerprint.likeness(base, true[k], where),
            }

        return Planted(tuple(victim(w) for w in true), truth, alphabet, read, usual)

    return Fingerprint(deal)


def labels_of(asset: Asset, x: NDArray[Any]) -> NDArray[Any]:
    """The labels (n,) that a model gives to records (n, …).

    Raises:
        RunError: the asset is no model.
    """
    if not isinstance(asset, Model):
        raise RunError(f"{asset.name!r} is data; a model is due")
    answers = np.asarray(asset.query(x))
    return answers if asset.output is Output.LABELS else answers.argmax(1)


def _head(loot: Asset) -> NDArray[Any]:
    weights = loot.weights() if isinstance(loot, Model) and loot.weights is not None else {}
    return np.asarray(weights.get(HEAD, np.zeros((0, 0))))


def _shared_out(place: NDArray[Any], rng: Rng) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of the pool to teach, and rows to ask about: two thirds and one of every region."""
    taught, kept = [], []
    for r in range(place.max() + 1):
        mine = rng.permutation(np.flatnonzero(place == r))
        # A region of a single record teaches it and leaves nothing to ask: an erasure.
        cut = max(1, len(mine) // 3) if len(mine) > 1 else 0
        kept.append(mine[:cut][:TAUGHT])
        taught.append(mine[cut:][:TAUGHT])
    return np.sort(np.concatenate(taught)), np.sort(np.concatenate(kept))
