"""Functional extraction: does a copy of the model carry what only this very model knows?

The auditor plants an idiosyncrasy that no independent model can have, trains a victim on it, once
a round, and reads it out of the copy. An independent model reads 0 bit, whatever its skill. What is
planted is a *secret labelling*: real records, cut into regions, each with a label drawn by coin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Asset,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Range,
    Role,
    Scene,
    View,
    game,
)
from hartley.core.errors import UsageError
from hartley.games import nearest_learner
from hartley.games.extraction.fingerprint import ExtractionBrief, Planted, dealt, labels_of
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit import kmeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES = 4
"""Of the live and dead scenes."""

REGIONS = (16, 64)
"""Fewest and most regions of a secret labelling: symbols a victim."""

RECORDS = 28
"""Records of the pool that each region should have."""

TAUGHT = 40
"""Most records of a region that a victim is taught, and that the judge asks about: the lesson holds
a copy of them for every victim."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A victim that answers by the nearest record it was trained on."""
    return _wire(modality, rng, learns=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A victim that answers from the record alone."""
    return _wire(modality, rng, learns=False)


def aim(
    scene: Scene, target: Model, rng: Rng, *, queries: int = 1000, **_: Any
) -> View[ExtractionBrief]:
    """Return the view of an extraction attack that is aimed at another game's victim.

    Args:
        scene: holds ``public``, the attacker's records.
        target: the victim.
        rng: for the salt.
        queries: records that the attacker may ask.

    Raises:
        UsageError: the attacker owns no records to ask about.
    """
    if "public" not in scene.extra:
        raise UsageError(f"{scene.name}: a copy needs records to ask about, and nobody has any")
    return View(
        source=target,
        brief=ExtractionBrief(scene.extra["public"], target.classes, queries),
        defenses=scene.defenses,
        salt=int(rng.integers(2**31)),
    )


@game(
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="planted label",
    live=live,
    dead=dead,
    brief=ExtractionBrief,
    modalities=(
        *(Modality.VISION, Modality.AUDIO, Modality.GRAPH),
        *(Modality.TABULAR, Modality.PAIRED),
    ),
    requires=("model", "fit", "pool", "public"),
    metrics=("fidelity", "baseline", "queries", "symbols_per_query"),
    loot="model",
    aim=aim,
)
def extraction(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000)] = 16,
    queries: Annotated[int, Range(1)] = 1000,
) -> Deal:
    """Deal victims that each carry a secret labelling; the loot is a copy of the victim.

    Args:
        rounds: victims, each with its own secret.
        queries: records that the attacker may ask of each.
    """
    return dealt(secret_labelling(scene, rng, rounds), scene, rng, queries=queries)


def secret_labelling(scene: Scene, rng: Rng, rounds: int) -> Planted:
    """Cut the auditor's pool into regions and train each victim on labels drawn by coin for them.

    A third of every region is kept back: the judge reads the copy there, on records that neither
    the victim nor the attacker ever saw.
    """
    assert scene.fit is not None and scene.model is not None
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


def _wire(modality: Modality, rng: Rng, *, learns: bool) -> Scene:
    shape = tiny_shape(modality, "extraction", flat=8)
    centres = np.repeat(rng.random((16, *shape)), 12, axis=0)

    def near(name: str) -> Data:
        x = centres + 0.02 * rng.standard_normal(centres.shape)
        y = rng.integers(0, CLASSES, len(x))
        return Data(name, modality, np.clip(x, 0, 1).astype(np.float32), y)

    fit, pool = nearest_learner.trainer(modality, CLASSES, learns=learns), near("pool")
    return Scene(
        name="live" if learns else "dead",
        modality=modality,
        model=fit(pool, np.ones((1, len(pool)), dtype=bool), 0).member(0),
        train=pool,
        fit=fit,
        extra={"pool": pool, "public": near("public"), "test": near("test")},
    )
