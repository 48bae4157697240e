"""Captions: a dual encoder of emoji and their captions, on two frozen pretrained encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Settings, Stronger, recipe, spawn
from hartley.core.errors import UsageError
from hartley.data import paired
from hartley.games.extraction.encoder_extraction import EmbeddingEndpoint
from hartley.games.inversion.embedding_inversion import StoredEmbeddings
from hartley.games.inversion.matching import Texts
from hartley.games.memorization.canaries import planted
from hartley.games.poisoning.captioned_pictures import CaptionedPictures
from hartley.kit.cache import cached, digest
from hartley.kit.infonce_towers import Towers
from hartley.kit.interval_values import Figure
from hartley.kit.language import text
from hartley.models.efficientnet import efficientnet
from hartley.models.encoders import embedded, once_each
from hartley.models.minilm import minilm, words
from hartley.models.paired import DualEncoder, retrieval

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST = 300
"""Pairs that utility is measured on; the attacker has all pairs that are in no other part."""

LONGEST = 24
"""Tokens that are kept of a caption."""

LEAST = 20
"""Pairs of a kind that poisoning asks about: the five components of emoji are in no question."""

CANARIES, SPARE = 16, 116
"""Pictures that the memorization game may give other captions, and the pairs that these pictures
and captions come from, which are in no other part."""


@recipe(
    modality=Modality.PAIRED,
    packs=("emoji", "emoji-captions", "minilm", "efficientnet-lite0"),
    extras=("language", "vision"),
)
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
    source = _Source()
    everything = source.records()
    rows = _dealt(everything, records, seed)
    parts = {name: _rows(name, everything, places) for name, places in rows.items()}
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
                "kinds": [LEAST, source.kinds],
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
        parts=(
            store,
            EmbeddingEndpoint(everything.facts["split"]),
            source.captioned(parts, rows),
        ),
        utility=utility,
        settings=Settings(seed=seed),
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


class _Source:
    """The emoji, and the way from pictures and captions to features."""

    def __init__(self) -> None:
        self.emoji = paired.emoji()
        self.tokens = text.pad(
            [words().encode(caption)[:LONGEST] for caption in self.emoji.captions]
        )
        counts = np.bincount(self.emoji.kinds)
        numbers = np.where(counts >= LEAST, np.cumsum(counts >= LEAST) - 1, -1)
        self.kinds = numbers[self.emoji.kinds]

        def build() -> dict[str, NDArray[Any]]:
            return {"x": efficientnet().query(paired.enlarged(self.emoji.pictures))}

        self.plain = cached("embeddings", ["emoji", 1, self.emoji.pictures], build)["x"]
        # Mean and deviation are taken over all pictures and depend on no caption.
        self.mean, self.spread = self.plain.mean(0), self.plain.std(0) + 1e-3
        self.sentences = embedded(minilm(), self.tokens)

    def records(self) -> Data:
        """Return all pairs: features of both encoders, scaled to unit entries, and captions."""
        pictures, sentences = self._scaled(self.plain), _widened(self.sentences)
        x = np.concatenate([pictures, sentences], 1).astype(np.float32)
        facts = {"captions": self.tokens, "split": pictures.shape[1]}
        return Data("captioned emoji", Modality.PAIRED, x, facts=facts)

    def captioned(
        self, parts: Mapping[str, Data], rows: Mapping[str, NDArray[np.int64]]
    ) -> CaptionedPictures:
        """Return the pictures and captions behind the parts of a scene."""
        split = self.plain.shape[1]

        def pairs(name: str, places: NDArray[np.int64]) -> Data:
            x = _as_planes(self.emoji.pictures[places])
            facts = {"captions": self.tokens[places], "vocabulary": words().size}
            return Data(name, Modality.PAIRED, x, self.kinds[places], facts=facts)

        in_question = {name: places[self.kinds[places] >= 0] for name, places in rows.items()}
        return CaptionedPictures(
            pairs("train", rows["train"]),
            pairs("public", in_question["public"]),
            pairs("test", in_question["test"]),
            once_each(self._encoded, (_as_planes(self.emoji.pictures), self._scaled(self.plain))),
            once_each(
                lambda tokens: _widened(minilm().query(tokens)),
                (self.tokens, _widened(self.sentences)),
            ),
            parts["holdout"].x[self.kinds[rows["holdout"]] >= 0, split:],
            self.kinds[in_question["holdout"]],
        )

    def _encoded(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return features of pictures from 0 to 1, which are rounded as a file rounds them."""
        files = np.rint(np.asarray(x) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return self._scaled(efficientnet().query(paired.enlarged(files)))

    def _scaled(self, features: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray((features - self.mean) / self.spread, dtype=np.float32)


def _as_planes(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pictures uint8 (n, h, w, 3) as float32 (n, 3, h, w) from 0 to 1."""
    return np.asarray(pictures.transpose(0, 3, 1, 2) / np.float32(255), dtype=np.float32)


def _widened(sentences: NDArray[Any]) -> NDArray[np.float32]:
    """Return unit vectors of captions scaled to entries of about 1."""
    return np.asarray(sentences * np.sqrt(sentences.shape[1]), dtype=np.float32)


def _dealt(data: Data, records: int, seed: int) -> dict[str, NDArray[np.int64]]:
    half, most = records // 2, len(data) - TEST - SPARE - 1
    if records > most:
        raise UsageError(f"records must be at most {most} of {len(data)} pairs, got {records}")
    order = np.random.default_rng(spawn(seed, "parts", data.name)).permutation(len(data))
    cuts = np.split(order, np.cumsum([half, half, TEST, SPARE]))
    names = ("train", "holdout", "test", "spare", "public")
    return dict(zip(names, cuts, strict=True))


def _rows(name: str, data: Data, rows: NDArray[Any]) -> Data:
    facts = {**data.facts, "captions": data.facts["captions"][rows]}
    return replace(data, name=name, x=data.x[rows], facts=facts)


def _joined(name: str, a: Data, b: Data) -> Data:
    tokens = np.concatenate([a.facts["captions"], b.facts["captions"]])
    facts = {**a.facts, "captions": tokens}
    return replace(a, name=name, x=np.concatenate([a.x, b.x]), facts=facts)
