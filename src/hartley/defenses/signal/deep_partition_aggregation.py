"""Deep partition aggregation: many models on disjoint parts of the records vote.

A record is in one part, which its own bytes choose, so that one poison record changes one vote.
An answer that leads by more votes than twice the number of poison records cannot be changed by
them, however they are made: that is the certificate (``certified``).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Modality, Model, Output, Range, Scene, Term, defense
from hartley.core.assets import is_text
from hartley.models.pipeline import Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.TABULAR,
        Modality.GRAPH,
    ),
    unfit={
        "paired": "its models vote for labels, and a dual encoder answers with features",
    },
    paper="arXiv:2006.14768",
    strongest={"parts": 300},
    requires=("fit", "train", "model"),
)
def deep_partition_aggregation(
    scene: Scene,
    rng: Rng,
    *,
    parts: Annotated[int, Range(2)] = 30,
    epochs: Annotated[float, Range(1)] = 4.0,
) -> Scene:
    """Train a model on each part of the records; the answer is the share of votes of each class.

    Parts are chosen by a hash of each record's bytes, and the model of a part is seeded by the
    number of the part alone. Ties go to the smaller class. A certificate of n poison records holds
    for n insertions; the accuracy suffers from the size of the parts.

    Args:
        parts: number of parts, and of votes.
        epochs: passes over a part, as a multiple of the owner's own over all records, since a part
            makes few steps; only where the owner trains a network.
    """
    assert scene.fit is not None and scene.model is not None and scene.train is not None
    deployed = scene.model

    def around(fit: Fit) -> Fit:
        def voting(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            include = np.asarray(include, dtype=bool)
            part = part_of(data.x, parts)
            votes = [
                _votes(fit, data, row & (part == np.arange(parts)[:, None]), seed, deployed.classes)
                for row in include
            ]

            def member(k: int) -> Model:
                return _voter(deployed, votes[k], around(fit))

            return Ensemble(len(include), lambda x: np.stack([vote(x) for vote in votes]), member)

        return voting

    pipeline = scene.training
    fit = scene.fit
    if isinstance(pipeline, Pipeline) and fit == pipeline.fit:
        passes = round(epochs * pipeline.training.epochs)
        fit = pipeline.with_(training=replace(pipeline.training, epochs=passes)).fit
    owner = around(fit)
    everyone = np.ones((1, len(scene.train)), dtype=bool)
    model = owner(scene.train, everyone, int(rng.integers(2**31))).member(0)
    return replace(
        scene,
        model=model.with_(fit=None if deployed.fit is None else owner),
        fit=owner,
    )


def part_of(x: NDArray[Any], parts: int) -> NDArray[np.int64]:
    """Return the part (n,) of each record (n, …): a hash of its bytes, and of nothing else."""
    if is_text(x):
        texts = [str(text).encode("utf-8", "replace") for text in x]
        return np.array([zlib.crc32(text) % parts for text in texts], dtype=np.int64)
    rows = np.ascontiguousarray(x, dtype=np.float32)
    return np.array([zlib.crc32(row.tobytes()) % parts for row in rows], dtype=np.int64)


def certified(shares: NDArray[Any], parts: int) -> NDArray[np.int64]:
    """Return how many inserted records (n,) cannot change each answer.

    Args:
        shares: (n, classes) shares of the votes.
        parts: number of votes.
    """
    votes = np.rint(np.asarray(shares) * parts).astype(np.int64)
    rows, winner = np.arange(len(votes)), votes.argmax(1)
    lead = votes[rows, winner][:, None] - votes
    # A smaller class wins a tie: it needs one vote less than a larger one to take over.
    lead = lead - (np.arange(votes.shape[1]) < winner[:, None])
    lead[rows, winner] = np.iinfo(np.int64).max
    return np.asarray(lead.min(1) // 2)


def _votes(
    fit: Fit, data: Data, include: NDArray[np.bool_], seed: int, classes: int
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Train a model for each part; return records → shares of the votes."""
    filled = np.asarray(include.any(1))
    # The number of a model seeds it, so that an empty part keeps its number: it is given a record,
    # and its answers are not used.
    models = fit(data, include | (~filled[:, None] & (np.arange(len(data)) == 0)), seed)

    def vote(x: NDArray[Any]) -> NDArray[np.float64]:
        answers = np.asarray(models.query(x))
        labels = answers if answers.ndim == 2 else answers.argmax(2)
        # A part without records votes for class 0.
        labels = np.where(filled[:, None], labels, 0)
        votes = np.eye(classes)[labels]  # (parts, n, classes)
        return np.asarray(votes.mean(0))

    return vote


def _voter(deployed: Model, vote: Any, fit: Fit) -> Model:
    """A model that answers with the shares of the votes."""
    return Model(
        deployed.name,
        deployed.modality,
        vote,
        Output.PROBABILITIES,
        deployed.classes,
        fit=fit,
        offers=deployed.offers,
    )
