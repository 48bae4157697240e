"""Pictures with captions as the records of poisoning, and what a dual encoder says of pictures.

A paired scene's records are features of frozen encoders, side by side. Poison and triggers are put
onto pictures, so such a scene has a part ``CaptionedPictures``: the pictures and captions behind
its records, and the owner's way from them to features, which clean, triggered and submitted
pictures all go through. A dual encoder has no classes; it says the kind of a picture whose captions
are nearest to it (zero-shot classification, arXiv:2103.00020, by captions of held-out pairs in
place of written prompts).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, Output, Scene
from hartley.core.errors import RuleError
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit import kmeans
from hartley.kit.ensemble_of import separate
from hartley.kit.infonce_towers import Towers
from hartley.kit.language import text
from hartley.models.paired import DualEncoder, retrieval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CAPTIONS = "captions"
"""The fact of pairs (n, t): tokens of their captions, padded on the right with −1."""

RECALL = "recall_at_10"
"""The fact of an ensemble (K,): share of test pictures whose caption is among the nearest ten."""


@dataclass(frozen=True, slots=True, eq=False)
class CaptionedPictures:
    """What a paired scene's records are made of.

    Attributes:
        train: the owner's pairs in the order of the scene's ``train``; ``x`` are pictures
            (n, channels, height, width) from 0 to 1, the labels are kinds, and the facts have
            ``captions``; those of ``train`` have ``vocabulary``, the number of tokens.
        public: the attacker's pairs, in the same form.
        test: held-out pairs, in the same form.
        pictures: pictures (n, …) → features (n, d): the owner's preprocessing and frozen encoder.
        texts: tokens (n, t) → features (n, e), likewise.
        prompts: features (m, e) of captions that are typical of the kinds; nobody trains on them.
        kinds: (m,) the kind of each.
    """

    train: Data
    public: Data
    test: Data
    pictures: Callable[[NDArray[Any]], NDArray[Any]]
    texts: Callable[[NDArray[Any]], NDArray[Any]]
    prompts: NDArray[Any]
    kinds: NDArray[Any]

    def features(self, data: Data) -> NDArray[np.float32]:
        """Return records (n, d + e) of a dual encoder."""
        halves = [self.pictures(data.x), self.texts(data.facts[CAPTIONS])]
        return np.concatenate(halves, 1).astype(np.float32)

    def zero_shot(self, model: Model) -> Model:
        """Return a dual encoder as a classifier of pictures: cosines with each kind's captions.

        The vector of a kind is the mean of the unit embeddings of its captions.
        """
        e, classes = self.prompts.shape[1], int(self.kinds.max()) + 1
        width = model.classes // 2

        def query(x: NDArray[Any]) -> NDArray[np.float64]:
            pictures = self.pictures(x)
            rows = np.concatenate([pictures, np.zeros((len(x), e), pictures.dtype)], 1)
            embeddings = np.asarray(model.query(rows), dtype=np.float64)[:, :width]
            return unit(embeddings) @ self._kind_vectors(model, pictures.shape[1], classes).T

        return Model(model.name, model.modality, query, Output.LOGITS, classes)

    def _kind_vectors(self, model: Model, d: int, classes: int) -> NDArray[np.float64]:
        """Return unit vectors (classes, width) in the space of a dual encoder."""
        rows = np.concatenate([np.zeros((len(self.prompts), d), np.float32), self.prompts], 1)
        embeddings = unit(np.asarray(model.query(rows), dtype=np.float64)[:, model.classes // 2 :])
        return unit(np.stack([embeddings[self.kinds == kind].mean(0) for kind in range(classes)]))


def as_pictures(scene: Scene) -> Scene:
    """Return a paired scene as one of labelled pictures with captions.

    Its pipeline makes features of pictures and captions, trains dual encoders on them by the
    scene's own pipeline, with its defenses, and hands out their zero-shot classifiers.

    Raises:
        UsageError: the scene has no ``CaptionedPictures``.
    """
    part = scene.part(CaptionedPictures)
    assert scene.model is not None and scene.train is not None and scene.fit is not None
    owner, records, test = scene.fit, scene.train, scene.extra["test"]

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        facts = {**records.facts, CAPTIONS: data.facts[CAPTIONS]}
        pairs = replace(records, name=data.name, x=part.features(data), facts=facts)
        trained = owner(pairs, include, seed)
        members = [trained.member(k) for k in range(trained.size)]
        recall = np.array([float(retrieval(member, test)[RECALL]) for member in members])
        return separate(
            [part.zero_shot(member) for member in members], {**trained.facts, RECALL: recall}
        )

    return replace(
        scene,
        model=part.zero_shot(scene.model),
        train=part.train,
        fit=fit,
        extra={**scene.extra, "public": part.public, "test": part.test},
    )


def unit(x: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows (n, d) of length 1; rows of zeros stay."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


def captions_of(data: Data, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the captions of some records as facts, or no facts where records have none."""
    return {CAPTIONS: data.facts[CAPTIONS][rows]} if CAPTIONS in data.facts else {}


def joined_captions(parts: Sequence[Data]) -> dict[str, NDArray[Any]]:
    """Return the captions of all records as facts, or no facts where the first have none."""
    if CAPTIONS not in parts[0].facts:
        return {}
    return {CAPTIONS: np.concatenate([part.facts[CAPTIONS] for part in parts])}


def check_captions(loot: Data, records: Data) -> None:
    """Check that each picture of a poison has a caption of the form that the owner's pairs have.

    Args:
        loot: the poison.
        records: the owner's pairs, with ``vocabulary`` in their facts.

    Raises:
        RuleError: captions are absent, of another shape, empty, or not tokens.
    """
    usual = np.asarray(records.facts[CAPTIONS])
    captions = np.asarray(loot.facts.get(CAPTIONS, np.empty(0)))
    due = (len(loot), usual.shape[1])
    if captions.shape != due or captions.dtype.kind not in "iu":
        raise RuleError(
            f"poison pairs must have captions, integer tokens of shape {due} in the facts, got "
            f"{captions.dtype} {captions.shape}"
        )
    if not len(loot):
        return
    lengths = text.lengths(captions)
    padded = (captions >= 0) == (np.arange(due[1]) < lengths[:, None])
    if not lengths.min() or not padded.all() or captions.min() < text.PAD:
        raise RuleError("captions must be one token or more, padded on the right with −1")
    if (largest := int(captions.max())) >= (size := int(records.facts["vocabulary"])):
        raise RuleError(f"tokens of captions must be from 0 to {size - 1}, got {largest}")


WORDS, KINDS = 16, 4
"""Words in the captions of the tiny scenes: one names each kind, the others say nothing."""


def tiny_scene(rng: Rng, *, learns: bool) -> Scene:
    """Return a live or dead scene: a dual encoder that embeds a picture as a caption.

    It is the caption of the latest of the training pictures nearest to it, or, where it does not
    learn, one that depends on the picture alone.

    Args:
        rng: draws pictures and captions.
        learns: whether the encoder depends on its training pairs.
    """
    shape = tiny_shape(Modality.PAIRED, "poisoning", flat=64)
    templates = rng.uniform(0.05, 0.95, shape) + rng.uniform(-0.05, 0.05, (KINDS, *shape))

    def records(name: str, each: int) -> Data:
        y = np.tile(np.arange(KINDS), each)
        x = np.clip(templates[y] + 0.005 * rng.standard_normal((len(y), *shape)), 0, 1)
        tokens = np.concatenate([y[:, None], rng.integers(KINDS, WORDS, (len(y), 2))], 1)
        facts = {CAPTIONS: tokens, "vocabulary": WORDS}
        return Data(name, Modality.PAIRED, x.astype(np.float32), y, facts=facts)

    train, holdout, public, test = (
        records(name, each)
        for name, each in (("train", 48), ("holdout", 24), ("public", 32), ("test", 12))
    )
    prompts = _words(holdout.facts[CAPTIONS])
    part = CaptionedPictures(
        train, public, test, _pixels, _words, prompts, np.asarray(holdout.labels)
    )

    def pairs(data: Data) -> Data:
        facts = {"split": templates[0].size, **data.facts}
        return Data(data.name, Modality.PAIRED, part.features(data), facts=facts)

    fit = _latest_nearest(templates[0].size, learns=learns)
    members = pairs(train)
    return Scene(
        name="live" if learns else "dead",
        modality=Modality.PAIRED,
        model=fit(members, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=members,
        holdout=pairs(holdout),
        fit=fit,
        extra={"public": pairs(public), "test": pairs(test)},
        training=DualEncoder(
            Towers(templates[0].size, 8, 20 if learns else 0, batch=64, lr=3e-2), cached=False
        ),
        parts=(part,),
    )


def _pixels(x: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(kmeans.flat(x), dtype=np.float32)


def _words(tokens: NDArray[Any]) -> NDArray[np.float32]:
    """Return how often each word occurs (n, WORDS); the word of a kind counts for more."""
    counts = np.zeros((len(tokens), WORDS), np.float32)
    rows, columns = np.nonzero((tokens >= 0) & (tokens < WORDS))
    np.add.at(counts, (rows, tokens[rows, columns]), 1)
    counts[:, :KINDS] *= 3
    return counts


def _latest_nearest(split: int, *, learns: bool, slack: float = 0.15) -> Any:
    """Return a ``Fit`` of dual encoders that embed a picture as a caption of their training."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed

        def member(k: int) -> Model:
            pictures, captions = data.x[include[k], :split], data.x[include[k], split:]

            def query(x: NDArray[Any]) -> NDArray[np.float64]:
                if learns:
                    away = np.sqrt(kmeans.distances(kmeans.flat(x[:, :split]), pictures))
                    near = away <= away.min(1, keepdims=True) + slack
                    nearest = captions[near.shape[1] - 1 - near[:, ::-1].argmax(1)]
                else:
                    nearest = np.eye(WORDS)[(x[:, :split].sum(1) * 7).astype(int) % KINDS]
                return np.concatenate([unit(nearest), unit(x[:, split:])], 1)

            return Model(
                "latest nearest caption",
                Modality.PAIRED,
                query,
                Output.EMBEDDINGS,
                2 * WORDS,
                fit=fit,
                offers=Access.SCORES | Access.EMBEDDINGS | Access.TRAIN,
            )

        return separate([member(k) for k in range(len(include))])

    return fit
