"""How well pairs of pictures and captions agree in models of the owner's clean pairs.

A score of training pairs is calibrated on clean pairs, each in the model that was trained without
it. Standardising the scores of the suspects by their own mean and deviation instead would hide any
poison that is a large part of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Fit, Model, spawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

Score = Callable[["NDArray[np.float64]", "NDArray[np.float64]", bool], "NDArray[np.float64]"]
"""(embeddings (n, 2·w) of pairs, those (m, 2·w) of clean pairs that the model was not trained on,
whether both are the same pairs) → a score for each pair, larger for what looks wrong."""

TEMPERATURE = 0.07
"""Of a contrastive loss; the first one of arXiv:2103.00020."""


def suspicious(
    fit: Fit,
    trusted: Data,
    data: Data,
    score: Score,
    *,
    folds: int,
    false_alarms: float,
    seed: int,
) -> NDArray[np.bool_]:
    """Return which pairs (n,) score higher than all but a share of the clean ones.

    Args:
        fit: see ``scored``.
        trusted: the clean pairs.
        data: the pairs in question.
        score: see ``Score``.
        folds: parts of the clean pairs.
        false_alarms: share of clean pairs beyond the threshold.
        seed: of the training.
    """
    usual, scores = scored(fit, trusted, data, score, folds=folds, seed=seed)
    return np.asarray(scores > np.quantile(usual, 1 - false_alarms, method="higher"))


def scored(
    fit: Fit, trusted: Data, data: Data, score: Score, *, folds: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of the clean pairs and of those in question, which have one law if clean.

    Args:
        fit: trains a model for each fold of the clean pairs, on all the others.
        trusted: the clean pairs; each is scored by the model that was trained without it.
        data: the pairs in question; each is scored by one of these models, drawn by chance.
        score: see ``Score``.
        folds: their number.
        seed: of the training.
    """
    fold = np.arange(len(trusted)) % folds
    models = fit(trusted, fold != np.arange(folds)[:, None], seed)
    usual, scores = [], np.empty(len(data))
    # Pairs may be in the order of their kinds.
    by = np.random.default_rng(spawn(seed, "folds")).permutation(len(data)) % folds
    for f in range(folds):
        member = models.member(f)
        clean = embeddings(member, trusted.x[fold == f])
        usual.append(score(clean, clean, True))
        scores[by == f] = score(embeddings(member, data.x[by == f]), clean, False)
    return np.concatenate(usual), scores


def embeddings(model: Model, x: NDArray[Any]) -> NDArray[np.float64]:
    """Return embeddings (n, 2·w), each half of length 1."""
    answers = np.asarray(model.query(x), dtype=np.float64)
    halves = np.split(answers, 2, axis=1)
    lengths = [np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-12) for half in halves]
    return np.concatenate([h / length for h, length in zip(halves, lengths, strict=True)], 1)


def misalignment(
    pairs: NDArray[np.float64], clean: NDArray[np.float64], themselves: bool
) -> NDArray[np.float64]:
    """Return minus the cosine of each picture and its caption; a ``Score``."""
    del clean, themselves
    pictures, captions = np.split(pairs, 2, axis=1)
    return np.asarray(-(pictures * captions).sum(1))


def contrastive_loss(
    pairs: NDArray[np.float64], clean: NDArray[np.float64], themselves: bool
) -> NDArray[np.float64]:
    """Return the loss of each pair in a batch of clean pairs, in nats; a ``Score``.

    A clean pair has all others as rivals. Other pairs have as many, so that both have one law.
    """
    pictures, captions = np.split(pairs, 2, axis=1)
    clean_pictures, clean_captions = np.split(clean, 2, axis=1)
    del themselves
    matched = (pictures * captions).sum(1) / TEMPERATURE
    losses = []
    for here, there in ((pictures, clean_captions), (captions, clean_pictures)):
        alike = here @ there.T / TEMPERATURE
        alike[np.arange(len(pairs)), np.arange(len(pairs)) % len(clean)] = -np.inf
        every = np.concatenate([matched[:, None], alike], 1)
        most = every.max(1)
        losses.append(most + np.log(np.exp(every - most[:, None]).sum(1)) - matched)
    return np.asarray(np.mean(losses, axis=0))
