"""Captions: a dual encoder of emoji and their captions, on two frozen pretrained encoders."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Data, Modality, Model, Range, Scene, Stronger, recipe, spawn
from hartley.core.errors import UsageError
from hartley.data import paired
from hartley.games.inversion.embedding_inversion import StoredEmbeddings
from hartley.games.inversion.matching import Texts
from hartley.games.memorization.canaries import planted
from hartley.kit.cache import cached, digest
from hartley.kit.infonce_towers import Towers
from hartley.kit.interval_values import Figure, share_figure
from hartley.kit.language import text
from hartley.models.efficientnet import efficientnet
from hartley.models.encoders import embedded
from hartley.models.minilm import minilm, words
from hartley.models.paired import DualEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST = 300
"""Pairs that utility is measured on; the attacker has all pairs that are in no other part."""

LONGEST = 24
"""Tokens that are kept of a caption."""

CANARIES, SPARE = 16, 116
"""Pictures that the memorization game may give other captions, and the pairs that these pictures
and captions come from, which are in no other part."""


@recipe(modality=Modality.PAIRED, packs=("emoji", "emoji-captions", "minilm", "efficientnet-lite0"))
def captions(
    *,
    records: Annotated[int, Range(2)] = 800,
    width: Annotated[int, Range(1)] = 128,
    epochs: Annotated[int, Range(0)] = 30,
    batch: Annotated[int, Range(2)] = 128,
    candidates: Annotated[int, Range(2)] = 64,
    known: Annotated[int, Range(0)] = 128,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Emoji and captions: frozen EfficientNet-Lite0 and MiniLM with projections trained by InfoNCE.

    A record is the features of a picture and of its caption, side by side. The owner also stores
    the embeddings of pictures whose captions are secret (``StoredEmbeddings``).

    Args:
        records: size of the pool; half of it trained the deployed projections.
        width: dimension of the shared space.
        epochs: passes over the training pairs.
        batch: pairs per step.
        candidates: number of pictures that a stored embedding may belong to.
        known: number of the attacker's pairs that are in the database too.
        seed: of the split and of the training.
    """
    everything = _records()
    parts = _dealt(everything, records, seed)
    spare = parts.pop("spare")
    pipeline = DualEncoder(Towers(everything.facts["split"], width, epochs, batch))
    train, holdout = parts["train"], parts["holdout"]
    pool = _joined("pool", train, holdout)
    model = pipeline.fit(train, np.ones((1, len(train)), dtype=bool), seed).member(0)
    # The projections were not trained on these pictures, so the leak is not memorization.
    secret = _joined("stored pictures", holdout, parts["test"])
    store = StoredEmbeddings(
        secret,
        parts["public"],
        Texts(secret.facts["captions"]),
        columns=(0, width),
        number=candidates,
        known=known,
    )
    return Scene(
        name="captions",
        modality=Modality.PAIRED,
        digest=digest(
            {
                "version": hartley.__version__,
                "pipeline": pipeline.recipe,
                "parts": {name: data.x for name, data in {**parts, "spare": spare}.items()},
                "release": [candidates, known],
                "seed": seed,
            }
        ),
        model=replace(model, name="captions"),
        train=train,
        holdout=holdout,
        fit=pipeline.fit,
        extra={
            "pool": pool,
            "test": parts["test"],
            "public": parts["public"],
            "canaries": planted(spare, CANARIES, seed=seed),
        },
        training=pipeline,
        parts=(store,),
        utility=utility,
        facts={
            **{f"train {k}": float(v) for k, v in retrieval(model, train).items()},
            **{f"test {k}": float(v) for k, v in retrieval(model, parts["test"]).items()},
            **{f"{name} records": len(data) for name, data in parts.items()},
            **model.facts,
        },
    )


def utility(scene: Scene) -> dict[str, Figure]:
    """Return how often a test picture retrieves its own caption among the test captions."""
    assert scene.model is not None
    return retrieval(scene.model, scene.extra["test"])


def retrieval(model: Model, data: Data) -> dict[str, Figure]:
    """Return the share of pictures whose caption is the nearest, or one of the ten nearest.

    Captions at the same distance as a picture's own count as nearer, since answers of a defended
    model have many ties.
    """
    embeddings = np.asarray(model.query(data.x))
    half = embeddings.shape[1] // 2
    similarity = embeddings[:, :half] @ embeddings[:, half:].T
    rank = (similarity >= np.diag(similarity)[:, None]).sum(1) - 1
    return {"recall_at_1": share_figure(rank < 1), "recall_at_10": share_figure(rank < 10)}


def _records() -> Data:
    """Return all pairs: features of both encoders, scaled to unit entries, and caption tokens."""
    emoji = paired.emoji()
    tokens = text.pad([words().encode(caption)[:LONGEST] for caption in emoji.captions])

    def build() -> dict[str, NDArray[Any]]:
        return {"x": efficientnet().query(paired.enlarged(emoji.pictures))}

    pictures = cached("embeddings", ["emoji", 1, emoji.pictures], build)["x"]
    sentences = embedded(minilm(), tokens)
    # Mean and deviation are taken over all pictures and depend on no caption.
    pictures = (pictures - pictures.mean(0)) / (pictures.std(0) + 1e-3)
    x = np.concatenate([pictures, sentences * np.sqrt(sentences.shape[1])], 1).astype(np.float32)
    facts = {"captions": tokens, "split": pictures.shape[1]}
    return Data("captioned emoji", Modality.PAIRED, x, facts=facts)


def _dealt(data: Data, records: int, seed: int) -> dict[str, Data]:
    half, most = records // 2, len(data) - TEST - SPARE - 1
    if records > most:
        raise UsageError(f"records must be at most {most} of {len(data)} pairs, got {records}")
    order = np.random.default_rng(spawn(seed, "parts", data.name)).permutation(len(data))
    cuts = np.split(order, np.cumsum([half, half, TEST, SPARE]))
    names = ("train", "holdout", "test", "spare", "public")
    return {name: _rows(name, data, rows) for name, rows in zip(names, cuts, strict=True)}


def _rows(name: str, data: Data, rows: NDArray[Any]) -> Data:
    facts = {**data.facts, "captions": data.facts["captions"][rows]}
    return replace(data, name=name, x=data.x[rows], facts=facts)


def _joined(name: str, a: Data, b: Data) -> Data:
    tokens = np.concatenate([a.facts["captions"], b.facts["captions"]])
    facts = {**a.facts, "captions": tokens}
    return replace(a, name=name, x=np.concatenate([a.x, b.x]), facts=facts)
