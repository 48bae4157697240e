"""Encoder extraction: does a copy of an encoder contain what only this encoder knows?

An endpoint answers with embeddings. In each round the auditor trains an encoder with a secret that
no independent one can have: which records it takes for alike. Real records are divided into
regions. Some of them are anchors; each of the others is trained to be near an anchor that the
auditor drew. The secret is read from the copy by its own cosines, on records of nobody's, so that a
copy in any rotated space reads as one in the victim's. In a dual encoder the pictures of a region
get captions of an anchor, and its pictures are compared with captions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Asset,
    Data,
    Deal,
    Ensemble,
    Flow,
    Modality,
    Model,
    Output,
    Range,
    Role,
    Scene,
    Stronger,
    game,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.extraction.extraction import RECORDS, REGIONS, split_regions
from hartley.games.extraction.fingerprint import Planted, dealt
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit import kmeans
from hartley.kit.ensemble_of import separate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ANCHORS = 4
"""One region in this many is an anchor."""


@dataclass(frozen=True, slots=True)
class EmbeddingEndpoint:
    """A service that answers with the embeddings of the scene's model.

    Attributes:
        split: in a dual encoder, the columns of a record that are the picture's; the others are the
            caption's, and an answer has the embedding of each. 0 where a record is one thing.
    """

    split: int = 0

    @property
    def grants(self) -> Access:
        """The attacker may ask for embeddings."""
        return Access.EMBEDDINGS

    def halves(self, embeddings: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the embeddings (n, d) of each thing that a record has: one, or two."""
        return np.split(embeddings, 2, axis=1) if self.split else [embeddings]


@dataclass(frozen=True, slots=True)
class EncoderBrief:
    """What an attacker of encoder extraction knows.

    Attributes:
        public: records of the attacker's own, to query the victim about.
        width: numbers in an answer.
        queries: records that the attacker may ask of the victim.
        accounts: at the service that the attacker holds, asked in turn, record by record.
        split: columns of a record that are the picture's; 0 where a record is one thing.
    """

    public: Data
    width: int
    queries: int
    accounts: int = 1
    split: int = 0


def live(modality: Modality, rng: Rng) -> Scene:
    """An encoder that answers by its nearest training record."""
    return _scene(modality, rng, learns=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """An encoder that does not depend on its training records."""
    return _scene(modality, rng, learns=False)


@game(
    cls="extraction",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="planted likeness",
    live=live,
    dead=dead,
    brief=EncoderBrief,
    modalities=(Modality.VISION, Modality.PAIRED),
    requires=("model", "fit", "pool", "public", "embedding_endpoint"),
    metrics=("fidelity", "baseline", "queries", "symbols_per_query", "same_space"),
    loot="model",
    paper="arXiv:2201.07513",
)
def encoder_extraction(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 16,
    queries: Annotated[int, Range(1), Stronger.MORE] = 1000,
    accounts: Annotated[int, Range(1, 100), Stronger.MORE] = 1,
) -> Deal:
    """Train encoders on secret likenesses; the attacker returns a copy that should have them too.

    Args:
        rounds: number of victims, each with its own secret.
        queries: largest number of records that the attacker may query per victim.
        accounts: of the attacker at the service; each has a session of its own, and they take turns
            at the queries.

    Raises:
        UsageError: the model does not answer with embeddings.
    """
    part, model = scene.part(EmbeddingEndpoint), scene.model
    assert model is not None
    if model.output is not Output.EMBEDDINGS:
        raise UsageError(f"{model.name!r} must answer with embeddings, got {model.output}")
    planted = secret_likenesses(scene, rng, rounds)
    deal = dealt(planted, scene, rng, queries=queries, accounts=accounts)
    brief = EncoderBrief(scene.extra["public"], model.classes, queries, accounts, part.split)
    views = [replace(round_.view, brief=brief) for round_ in deal.rounds]
    return replace(
        deal,
        rounds=tuple(
            replace(round_, view=view) for round_, view in zip(deal.rounds, views, strict=True)
        ),
    )


def secret_likenesses(scene: Scene, rng: Rng, rounds: int) -> Planted:
    """Divide the pool into regions, and train each victim to put most of them beside anchors.

    A third of every region is held out: the judge queries the copy there, on records that neither
    the victim nor the attacker has.
    """
    assert scene.fit is not None and scene.model is not None
    part, pool = scene.part(EmbeddingEndpoint), scene.extra["pool"]
    count = min(max(len(pool) // RECORDS, REGIONS[0]), REGIONS[1])
    anchors = count // ANCHORS
    # Features of pictures have outliers, each of which would be a region: directions have none.
    pictures = _unit(pool.x[:, : part.split]) if part.split else pool.x
    region = kmeans.split(pictures, count, rng)
    train_rows, probe_rows = split_regions(region, rng)
    truth = rng.integers(0, anchors, (rounds, count - anchors))
    # The first regions are the anchors: each lies beside itself.
    beside = np.concatenate([np.tile(np.arange(anchors), (rounds, 1)), truth], 1)
    x, of = pool.x[train_rows], region[train_rows]
    data = Data(
        "secret likenesses",
        pool.modality,
        np.concatenate([_taught(x, of, row, part.split, rng) for row in beside]),
        beside[:, of].reshape(-1),
        facts={k: v for k, v in pool.facts.items() if k == "split"},
    )
    include = np.repeat(np.eye(rounds, dtype=bool), len(x), axis=1)
    fleet = scene.victims(data, include, int(rng.integers(2**31)))
    victims = tuple(fleet.member(k) for k in range(rounds))
    probes, probe_regions = pool.x[probe_rows], region[probe_rows]
    natural = scene.extra["test"] if "test" in scene.extra else replace(pool, x=probes, y=None)

    def read(loot: Asset, k: int) -> NDArray[Any]:
        del k  # the regions are the same in every round; only their likenesses differ
        halves = part.halves(_embeddings(loot, probes))
        unit = [_unit(half) for half in halves]
        centres = np.stack([unit[-1][probe_regions == a].sum(0) for a in range(anchors)])
        near = unit[0] @ _unit(centres).T
        votes = np.stack([near[probe_regions == r].sum(0) for r in range(anchors, count)])
        # A region without held-out records, or a copy without a direction, is an erasure.
        return np.where(np.ptp(votes, axis=1) > 0, votes.argmax(1), -1)

    def metrics(loot: Asset, k: int) -> dict[str, float]:
        victim = victims[k].clear or victims[k]
        true = part.halves(_embeddings(victim, natural.x))
        copied = part.halves(_embeddings(loot, natural.x))
        other = part.halves(_embeddings(scene.model, natural.x))
        out = {
            "fidelity": float((_nearest(copied) == _nearest(true)).mean()),
            "baseline": float((_nearest(other) == _nearest(true)).mean()),
            "victim_carries": float((read(victim, k) == truth[k]).mean()),
            "same_space": _same_space(copied, true),
        }
        if natural.y is not None and not part.split:
            for key, side in (("copy_downstream", copied), ("victim_downstream", true)):
                out[key] = float((natural.y[_nearest(side)] == natural.y).mean())
        return out

    return Planted(victims, truth, anchors, read, metrics)


def _taught(
    x: NDArray[Any], region: NDArray[Any], beside: NDArray[Any], split: int, rng: Rng
) -> NDArray[Any]:
    """Return what a victim trains on: of pairs, each picture with a caption of its anchor."""
    if not split:
        return x
    taught = x.copy()
    for anchor in np.unique(beside):
        captions = x[region == anchor, split:]
        rows = np.flatnonzero((beside[region] == anchor) & (region != anchor))
        taught[rows, split:] = captions[rng.integers(0, len(captions), len(rows))]
    return taught


def _embeddings(asset: Asset | None, x: NDArray[Any]) -> NDArray[np.float64]:
    assert isinstance(asset, Model)  # the engine refuses another loot
    if asset.output is not Output.EMBEDDINGS:
        raise RunError(f"the loot must answer with embeddings, got {asset.output}")
    return np.asarray(asset.query(x), dtype=np.float64)


def _unit(x: NDArray[Any]) -> NDArray[np.float64]:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(np.where(length > 0, x / np.maximum(length, 1e-300), 0.0))


def _nearest(halves: list[NDArray[Any]]) -> NDArray[np.int64]:
    """Return the nearest other record (n,) of each, or the nearest caption of each picture."""
    alike = _unit(halves[0]) @ _unit(halves[-1]).T
    if len(halves) == 1:
        np.fill_diagonal(alike, -np.inf)
    return np.asarray(alike.argmax(1))


def _same_space(a: list[NDArray[Any]], b: list[NDArray[Any]]) -> float:
    """Return the mean cosine of two embeddings of a record; 0 where their widths differ."""
    if a[0].shape != b[0].shape:
        return 0.0
    return float(np.mean([(_unit(p) * _unit(q)).sum(1).mean() for p, q in zip(a, b, strict=True)]))


WIDTH, FLAT = 12, 24
"""Numbers in an embedding, and in half of a pair, of the live and dead scenes."""


def _scene(modality: Modality, rng: Rng, *, learns: bool) -> Scene:
    split = FLAT if modality is Modality.PAIRED else 0
    shape = (2 * FLAT,) if split else tiny_shape(modality, "extraction", flat=FLAT)
    centres = np.repeat(rng.random((16, *shape)), 12, axis=0)

    def near(name: str) -> Data:
        x = centres + 0.02 * rng.standard_normal(centres.shape)
        y = np.arange(len(x)) // 12
        return Data(name, modality, np.clip(x, 0, 1).astype(np.float32), y)

    pool = near("pool")
    fit = _nearest_encoders(modality, split, rng.standard_normal((FLAT, WIDTH)), learns=learns)
    return Scene(
        name="live" if learns else "dead",
        modality=modality,
        model=fit(pool, np.ones((1, len(pool)), dtype=bool), 0).member(0),
        train=pool,
        fit=fit,
        extra={"pool": pool, "public": near("public"), "test": near("test")},
        parts=(EmbeddingEndpoint(split),),
    )


def _nearest_encoders(
    modality: Modality, split: int, sketch: NDArray[Any], *, learns: bool
) -> Callable[[Data, NDArray[Any], int], Ensemble]:
    """Return what makes encoders that place a record by the training record nearest to it.

    One thing has the direction of its label; a picture that of the caption of its pair.
    """
    directions = np.random.default_rng(0).standard_normal((64, WIDTH))

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        rows, labels = kmeans.flat(data.x), data.labels

        def member(k: int) -> Model:
            known, groups = rows[include[k]], labels[include[k]]

            def query(x: NDArray[Any]) -> NDArray[Any]:
                flat = kmeans.flat(x)
                if not split:
                    itself = flat @ sketch[: flat.shape[1]]
                    if not learns:
                        return _unit(itself)
                    return _unit(4 * directions[groups[_closest(flat, known)] % 64] + 0.1 * itself)
                pictures, captions = flat[:, :split], flat[:, split:]
                if learns:
                    pictures = known[_closest(pictures, known[:, :split]), split:]
                return np.concatenate([_unit(pictures @ sketch), _unit(captions @ sketch)], 1)

            return Model(
                "nearest encoder",
                modality,
                query,
                Output.EMBEDDINGS,
                2 * WIDTH if split else WIDTH,
                offers=Access.EMBEDDINGS,
            )

        return separate([member(k) for k in range(len(include))])

    return fit


def _closest(x: NDArray[Any], known: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(kmeans.distances(x, known).argmin(1))
