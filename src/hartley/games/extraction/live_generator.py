"""Tiny writers: they count which word follows which, or write whatever their records say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, Output, Scene
from hartley.kit.ensemble_of import separate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

VOCABULARY, WORDS, LENGTH = 192, 80, 12
"""Tokens, those of them that texts have, and tokens of a text."""


def scene(modality: Modality, rng: Rng, *, learns: bool) -> Scene:
    """Return a scene of texts in which a word decides the next one, but for one time in eight."""
    after = rng.permutation(WORDS)

    def texts(name: str, n: int) -> Data:
        rows = np.empty((n, LENGTH), np.int64)
        rows[:, 0] = rng.integers(WORDS, size=n)
        for t in range(1, LENGTH):
            free = rng.random(n) < 1 / 8
            rows[:, t] = np.where(free, rng.integers(WORDS, size=n), after[rows[:, t - 1]])
        return Data(name, modality, rows)

    train = texts("train", 256)

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        sets = [data.x[rows] if learns else train.x for rows in include]
        return separate([counted(np.asarray(rows), VOCABULARY) for rows in sets])

    return Scene(
        name="live" if learns else "dead",
        modality=modality,
        model=fit(train, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        extra={"public": texts("public", 64), "test": texts("test", 64)},
    )


def counted(rows: NDArray[Any], vocabulary: int) -> Model:
    """Return a model that counts which token follows which in rows (n, t)."""
    counts = np.full((vocabulary, vocabulary), 1e-3)
    before, later = rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1)
    there = (before >= 0) & (later >= 0)
    np.add.at(counts, (before[there], later[there]), 1.0)
    logs = np.log(counts / counts.sum(1, keepdims=True))

    def last(tokens: NDArray[Any]) -> NDArray[Any]:
        table = np.asarray(tokens)
        ends = np.maximum((table >= 0).sum(1) - 1, 0)
        return np.asarray(np.maximum(table[np.arange(len(table)), ends], 0))

    def query(tokens: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(logs[last(tokens)])

    def generate(tokens: NDArray[Any], new: int, seed: int) -> NDArray[Any]:
        draws = np.random.default_rng(max(seed, 0))
        now, out = last(tokens), np.empty((len(tokens), new), np.int64)
        for t in range(new):
            noise = draws.gumbel(size=(len(now), vocabulary)) if seed >= 0 else 0.0
            now = out[:, t] = (logs[now] + noise).argmax(1)
        return out

    return Model(
        "counts",
        Modality.LANGUAGE,
        query,
        Output.LOGITS,
        vocabulary,
        generate=generate,
        offers=Access.LABELS | Access.SCORES,
    )
