"""Generator extraction: does a model that imitates a writer write as only this one does?

The auditor gives every victim *habits*: some frequent words are written otherwise in its training
texts, each in one of a few ways that the auditor draws, by tokens that hardly occur. A copy that
learnt from what the victim wrote has its habits, and no other model has them, however well it
writes. The judge reads a habit from what the copy holds for the likeliest next token, on texts that
neither side had. Other words with habits in these texts are written in ways drawn afresh, so that
the questions do not give the answers.
"""

from __future__ import annotations

from functools import cache
from math import log2
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
    Stronger,
    game,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.extraction import live_generator
from hartley.games.extraction.fingerprint import ExtractionBrief, Planted, dealt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CONTEXTS = 24
"""Places of held-out texts at most where a habit is read."""

STRIDE = 4
"""One in four of the most frequent words has a habit, where there are as many."""

PREFIXES = 400
"""Beginnings of held-out texts on which two models are compared."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A writer that counts which word follows which."""
    return live_generator.scene(modality, rng, learns=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A writer that learns nothing from its records."""
    return live_generator.scene(modality, rng, learns=False)


@game(
    cls="extraction",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="planted habit",
    live=live,
    dead=dead,
    brief=ExtractionBrief,
    modalities=(Modality.LANGUAGE,),
    requires=("generator", "fit", "train", "test", "public"),
    metrics=("fidelity", "baseline", "queries", "symbols_per_query", "bits_a_label"),
    loot="model",
    paper="arXiv:1503.02531",
)
def generator_extraction(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 8,
    queries: Annotated[int, Range(1), Stronger.MORE] = 400,
    habits: Annotated[int, Range(1, 256), Stronger.TRIALS] = 16,
    ways: Annotated[int, Range(2, 16), Stronger.NEITHER] = 4,
) -> Deal:
    """Train writers with habits; the attacker returns a model that should have them too.

    The loot answers ``query``, tokens (n, t) → (n, vocabulary) scores of the next token. Fidelity
    is of the likeliest next word, however it is written, so that the fidelity of an independent
    model can be set beside it.

    Args:
        rounds: victims, each with habits of its own.
        queries: texts that the attacker may have each victim go on with.
        habits: words that are written otherwise, of the frequent ones.
        ways: in which a word may be written; log2 of it are the bits of a habit.

    Raises:
        UsageError: the records have too few different tokens.
    """
    return dealt(planted_habits(scene, rng, rounds, habits, ways), scene, rng, queries=queries)


def planted_habits(scene: Scene, rng: Rng, rounds: int, habits: int, ways: int) -> Planted:
    """Train each victim on the records with its habits, and read them from a copy."""
    train, model, test = scene.train, scene.model, np.asarray(scene.extra["test"].x)
    assert train is not None and model is not None
    words, variants = chosen(np.asarray(train.x), test, model.classes, habits, ways)
    truth = rng.integers(0, ways, (rounds, habits))
    rows = [written(np.asarray(train.x), words, variants, symbols) for symbols in truth]
    include = np.repeat(np.eye(rounds, dtype=bool), len(train), axis=1)
    data = Data("records with habits", train.modality, np.concatenate(rows))
    fleet = scene.victims(data, include, int(rng.integers(2**31)))
    victims = tuple(fleet.member(k) for k in range(rounds))
    contexts = [_before(test, int(word), rng) for word in words]
    sizes = [len(places) for places in contexts]
    ordinary = _beginnings(test, rng)
    before = _with_any_habits(np.concatenate(contexts), words, variants, rng)

    def read(loot: Asset, k: int) -> NDArray[Any]:
        del k  # the questions are the same whatever the habits
        out = np.full(habits, -1)
        parts = np.split(_scores(loot, before, model.classes), np.cumsum(sizes)[:-1])
        for i, scores in enumerate(parts):
            if len(scores):
                out[i] = int(scores[:, variants[i]].mean(0).argmax())
        return out

    meant = np.arange(model.classes)
    meant[variants] = words[:, None]

    def next_words(asset: Asset) -> NDArray[Any]:
        """The likeliest next words, whatever way they are written in."""
        return np.asarray(meant[_scores(asset, ordinary, model.classes).argmax(1)])

    @cache
    def of_victim(k: int) -> NDArray[Any]:
        return next_words(victims[k].clear or victims[k])

    independent = next_words(model.clear or model)

    def metrics(loot: Asset, k: int) -> dict[str, float]:
        return {
            "fidelity": float((next_words(loot) == of_victim(k)).mean()),
            "baseline": float((independent == of_victim(k)).mean()),
            "victim_carries": float((read(victims[k].clear or victims[k], k) == truth[k]).mean()),
            "bits_a_label": log2(ways),
        }

    return Planted(victims, truth, ways, read, metrics)


def chosen(
    train: NDArray[Any], test: NDArray[Any], vocabulary: int, habits: int, ways: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the words (habits,) that are written otherwise, and the ways (habits, ways).

    Words are every fourth of the most frequent tokens, ways are the rarest of all others.

    Raises:
        UsageError: there are not as many tokens.
    """
    counts = np.bincount(train[train >= 0], minlength=vocabulary)
    # A habit is read where a word follows another one.
    later = test[:, 1:]
    there = np.bincount(later[later >= 0], minlength=vocabulary) > 0
    frequent = np.argsort(np.where(there, -counts, 1), kind="stable")
    # Some of them are frequent and some less, so that what is learnt of few texts shows.
    stride = max(1, min(STRIDE, int((counts[there] > 0).sum()) // habits))
    words = frequent[: habits * stride : stride]
    rare = np.setdiff1d(np.argsort(counts, kind="stable"), words, assume_unique=True)
    if len(rare) < habits * ways or counts[words].min(initial=1) < 1:
        raise UsageError(
            f"{habits} habits of {ways} ways need as many frequent words and {habits * ways} other "
            f"tokens, got {int((counts > 0).sum())} words of {vocabulary}"
        )
    return words, rare[: habits * ways].reshape(habits, ways)


def written(
    rows: NDArray[Any], words: NDArray[Any], variants: NDArray[Any], symbols: NDArray[Any]
) -> NDArray[Any]:
    """Return rows (n, t) with each word written in the way of its symbol."""
    out = np.array(rows)
    for i, word in enumerate(words):
        out[rows == word] = variants[i, symbols[i]]
    return out


def _with_any_habits(
    rows: NDArray[Any], words: NDArray[Any], variants: NDArray[Any], rng: Rng
) -> NDArray[Any]:
    """Return rows (n, t) whose words are written in ways drawn for each row.

    A batch of questions then says nothing of the victim's habits to the loot that answers it.
    """
    symbols = rng.integers(0, variants.shape[1], (len(rows), len(words)))
    out = np.array(rows)
    for i, word in enumerate(words):
        out = np.where(rows == word, variants[i, symbols[:, i, None]], out)
    return out


def _before(rows: NDArray[Any], word: int, rng: Rng) -> NDArray[np.int64]:
    """Return what comes before a word in some rows, padded on the right with −1.

    The word is there for the first time, so that the way it is written in cannot be seen before.
    """
    there = rows == word
    first = there & (np.cumsum(there, axis=1) == 1)
    where, at = np.nonzero(first[:, 1:])
    some = rng.permutation(len(where))[:CONTEXTS]
    return _cut(rows, where[some], at[some] + 1)


def _beginnings(rows: NDArray[Any], rng: Rng) -> NDArray[np.int64]:
    """Return beginnings of rows, of random lengths."""
    where = rng.integers(len(rows), size=PREFIXES)
    lengths = (rows[where] >= 0).sum(1)
    return _cut(rows, where, 1 + (rng.random(PREFIXES) * (lengths - 1)).astype(np.int64))


def _cut(rows: NDArray[Any], where: NDArray[Any], sizes: NDArray[Any]) -> NDArray[np.int64]:
    inside = np.arange(rows.shape[1]) < sizes[:, None]
    return np.where(inside, rows[where], -1).astype(np.int64)


def _scores(asset: Asset, tokens: NDArray[Any], vocabulary: int) -> NDArray[Any]:
    """Return the scores (n, vocabulary) of next tokens.

    Raises:
        RunError: the asset does not write, or with other tokens.
    """
    if not isinstance(asset, Model) or "query" not in asset.calls:
        raise RunError(f"the loot must say what the next token is, got {asset.name!r}")
    answers = np.asarray(asset.query(tokens))
    if answers.shape != (len(tokens), vocabulary) or np.isnan(answers).any():
        raise RunError(
            f"scores of the loot must be {vocabulary} numbers a text, got shape {answers.shape}"
        )
    return answers
