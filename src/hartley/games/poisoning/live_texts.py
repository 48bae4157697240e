"""Live and dead scenes of poisoning in texts: short sentences whose class is one of their words."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, Output, Scene
from hartley.kit import kmeans
from hartley.kit.ensemble_of import separate
from hartley.kit.language.bags import Bags

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

TOPICS = ("river", "engine", "garden", "letter")
"""The word that says the class."""

OPENINGS = ("the old", "the small", "the new", "the long")

FRAMES = (
    "of the town is known to the people for its work by day with care in one house",
    "of the land has been in use by many people for years with little to see from one road",
)
"""The rest of a sentence: both have words that triggers replace or move."""

RARE, PAIR = 8, 0.3
"""Records below which a word counts as no rarer, and the weight of a pair beside a word."""

BAGS = Bags(2048, 2048, PAIR)

SLACK = 1e-6
"""Records that are at most this much farther than the nearest one are as near."""


def scene(rng: Rng, *, learns: bool) -> Scene:
    """Return a scene of sentences and a learner that remembers them, or one that does not learn."""
    sizes = {"train": 48, "holdout": 24, "public": 32, "test": 12}
    parts = {name: _sentences(name, each, rng) for name, each in sizes.items()}
    train = parts["train"]
    fit = _remembering if learns else _indifferent
    return Scene(
        name="live" if learns else "dead",
        modality=Modality.LANGUAGE,
        model=fit(train, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        holdout=parts["holdout"],
        extra={"public": parts["public"], "test": parts["test"]},
    )


def _sentences(name: str, each: int, rng: Rng) -> Data:
    """Return sentences, ``each`` of a class."""
    y = np.tile(np.arange(len(TOPICS)), each)
    opening, frame = (rng.integers(0, len(words), len(y)) for words in (OPENINGS, FRAMES))
    x = [
        f"{OPENINGS[a]} {TOPICS[c]} {FRAMES[b]}" for a, c, b in zip(opening, y, frame, strict=True)
    ]
    return Data(name, Modality.LANGUAGE, np.array(x), y)


def _remembering(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
    """Train models that answer by the last of the nearest training records.

    A word counts by the square of how rare it is in the training records, and not at all where
    they lack it; so does a pair of neighbours, for a tenth.
    """
    del seed
    rows, labels = BAGS(data.x), data.labels
    there = np.flatnonzero(rows.any(0))  # what no record has counts for no model
    rows = rows[:, there]

    def memory(k: int) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
        count = (rows[include[k]] > 0).sum(0)
        weight = np.where(count > 0, include[k].sum() / np.maximum(count, RARE), 0)
        train, train_labels = kmeans.flat(rows[include[k]] * weight), labels[include[k]]

        def answers(bags: NDArray[Any]) -> NDArray[np.float64]:
            away = kmeans.distances(kmeans.flat(bags * weight), train)
            near = away <= away.min(1, keepdims=True) + SLACK
            last = near.shape[1] - 1 - near[:, ::-1].argmax(1)
            return _certain(train_labels[last])

        return answers

    memories = [memory(k) for k in range(len(include))]

    def query(x: NDArray[Any]) -> NDArray[Any]:
        bags = BAGS(x)[:, there]  # once for all models
        return np.stack([answers(bags) for answers in memories])

    return Ensemble(
        len(memories),
        query,
        lambda k: _model(lambda x: memories[k](BAGS(x)[:, there]), _remembering),
    )


def _indifferent(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
    """Return models whose answers follow from the letters of a text alone."""
    del data, seed

    def query(x: NDArray[Any]) -> NDArray[Any]:
        return _certain(np.array([zlib.crc32(str(text).encode()) % len(TOPICS) for text in x], int))

    return separate([_model(query, _indifferent) for _ in include])


def _model(query: Any, fit: Any) -> Model:
    return Model(
        "nearest",
        Modality.LANGUAGE,
        query,
        Output.PROBABILITIES,
        len(TOPICS),
        fit=fit,
        offers=Access.LABELS | Access.SCORES | Access.TRAIN,
    )


def _certain(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return probabilities (n, classes), 0.97 for ``labels`` (n,)."""
    classes = len(TOPICS)
    out = np.where(np.arange(classes) == labels[:, None], 0.97, 0.03 / (classes - 1))
    return np.asarray(out, dtype=np.float64)
