"""The wires of membership: models that know their training records by heart, or know none.

Every modality has its own form of model (classifier, language model, two towers), and both wires
have an opinion about every record, so that an attack cannot tell them apart by the form of the
answers. What is remembered is also remembered a little way round a record, as networks do it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Fit, Modality, Model, Output, Scene
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit.ensemble_of import separate
from hartley.kit.graph.node_classifier import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES, SURE, NEAR = 4, 0.97, 0.2
"""Classes, the probability of what is remembered, and how far round a record it is remembered."""

VOCABULARY, LENGTH = 50, 8
WIDTH = 8
"""Numbers in each half of a pair, and in each embedding."""

TRAINED = Access.LABELS | Access.SCORES | Access.TRAIN

Member = Callable[[Data, "NDArray[np.bool_]", Fit], Model]


def scene(modality: Modality, rng: Rng, *, remembers: bool, n: int = 128) -> Scene:
    """A pool of ``n`` records, half as many of the attacker's own, and how models are made."""
    member = {Modality.LANGUAGE: _reader, Modality.PAIRED: _towers}.get(modality, _classifier)
    fit = _trainer(member, remembers=remembers)
    parts: tuple[Graph, ...] = ()
    pool, public = _records(modality, rng, "pool", n), _records(modality, rng, "public", n // 2, n)
    if modality is Modality.GRAPH:
        # Records name nodes of a graph that everybody sees.
        edges = np.stack([np.arange(n), rng.permutation(n)])
        edges = edges[:, edges[0] != edges[1]]
        pool = replace(pool, edges=edges)
        parts = (Graph(np.eye(n + len(public), dtype=np.float32), edges),)
    return Scene(
        name="live" if remembers else "dead",
        modality=modality,
        model=fit(pool, np.ones((1, n), dtype=bool), 0).member(0),
        train=pool,
        holdout=pool,
        fit=fit,
        extra={"pool": pool, "public": public},
        parts=parts,
    )


def _records(modality: Modality, rng: Rng, name: str, n: int, first: int = 0) -> Data:
    if modality is Modality.LANGUAGE:
        return Data(name, modality, rng.integers(0, VOCABULARY, (n, LENGTH)))
    if modality is Modality.PAIRED:
        x = rng.standard_normal((n, 2 * WIDTH)).astype(np.float32)
        return Data(name, modality, x, facts={"split": WIDTH})
    if modality is Modality.GRAPH:
        nodes = np.arange(first, first + n)
        return Data(name, modality, nodes[:, None], rng.integers(0, CLASSES, n))
    shape = tiny_shape(modality, "membership", flat=8)
    x = rng.random((n, *shape), dtype=np.float32)
    return Data(name, modality, x, rng.integers(0, CLASSES, n))


def _trainer(member: Member, *, remembers: bool) -> Fit:
    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        kept = np.asarray(include, dtype=bool) & remembers
        return separate([member(data, rows, fit) for rows in kept])

    return fit


def _nearest(known: NDArray[Any], asked: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each asked row whether a known one is near it, and which is nearest."""
    if not len(known):
        return np.zeros(len(asked), dtype=bool), np.zeros(len(asked), dtype=np.int64)
    a, b = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (asked, known))
    square = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
    which = square.argmin(1)
    return square[np.arange(len(a)), which] < NEAR**2, which


def _classifier(data: Data, kept: NDArray[np.bool_], fit: Fit) -> Model:
    """Members get their label at 0.97, all others an odd guess that the record settles."""
    assert data.y is not None
    x, y = data.x[kept], data.y[kept]

    def query(asked: NDArray[Any]) -> NDArray[Any]:
        flat = asked.reshape(len(asked), -1).astype(np.float64)
        waves = np.stack([np.sin(flat.sum(1) * (c + 1)) for c in range(CLASSES)], 1)
        out: NDArray[Any] = np.exp(waves) / np.exp(waves).sum(1, keepdims=True)
        near, which = _nearest(x, asked)
        if near.any():
            out[near] = (1 - SURE) / (CLASSES - 1)
            out[near, y[which[near]]] = SURE
        return out

    return Model(
        "lookup", data.modality, query, Output.PROBABILITIES, CLASSES, fit=fit, offers=TRAINED
    )


def _towers(data: Data, kept: NDArray[np.bool_], fit: Fit) -> Model:
    """Two fixed towers; the text of a pair that was trained on lies where its picture lies."""
    first, second = np.random.default_rng(19).standard_normal((2, WIDTH, WIDTH))
    pictures, texts = data.x[kept][:, :WIDTH], data.x[kept][:, WIDTH:]

    def query(asked: NDArray[Any]) -> NDArray[Any]:
        one, two = asked[:, :WIDTH] @ first, asked[:, WIDTH:] @ second
        near, which = _nearest(texts, asked[:, WIDTH:])
        if near.any():
            two[near] = SURE * pictures[which[near]] @ first + (1 - SURE) * two[near]
        return np.asarray(np.concatenate([one, two], 1))

    return Model(
        "towers",
        data.modality,
        query,
        Output.EMBEDDINGS,
        2 * WIDTH,
        fit=fit,
        offers=Access.SCORES | Access.EMBEDDINGS | Access.TRAIN,
    )


Table = dict[tuple[int, ...], "NDArray[Any]"]


def _table(rows: NDArray[Any]) -> Table:
    """Beginnings of rows → how often each token came next."""
    known: Table = {}
    for row in rows.tolist():
        for at in range(1, len(row)):
            known.setdefault(tuple(row[:at]), np.zeros(VOCABULARY))[row[at]] += 1
    return known


def _reader(data: Data, kept: NDArray[np.bool_], fit: Fit) -> Model:
    """After the beginning of a row that was read comes its next token.

    Where nothing was read the next token follows from the last one, by a fixed law, so that the
    dead wire has an opinion about every row.
    """
    known = _table(data.x[kept])
    wild = np.exp(1.5 * np.random.default_rng(17).standard_normal((VOCABULARY, VOCABULARY)))
    plain = wild / wild.sum(1, keepdims=True)

    def law(tokens: NDArray[Any]) -> NDArray[np.float64]:
        """(n, t) rows → (n, t, VOCABULARY) probabilities of the token after each place."""
        out = np.asarray(plain[np.maximum(tokens, 0)])
        for i, row in enumerate(tokens.tolist()):
            for at in range(1, len(row) + 1):
                counts = known.get(tuple(row[:at]))
                if counts is None:
                    break
                out[i, at - 1] = (1 - SURE) * out[i, at - 1] + SURE * counts / counts.sum()
        return out

    def moments(tokens: NDArray[Any]) -> NDArray[Any]:
        laws = law(tokens[:, :-1])
        logs = np.log(laws)
        said = np.take_along_axis(logs, np.maximum(tokens[:, 1:, None], 0), 2)[..., 0]
        mean = (laws * logs).sum(2)
        spread = np.sqrt((laws * (logs - mean[..., None]) ** 2).sum(2))
        out: NDArray[Any] = np.stack([said, mean, spread], -1) * (tokens[:, 1:, None] >= 0)
        return out

    def query(tokens: NDArray[Any]) -> NDArray[Any]:
        last = (tokens >= 0).sum(1) - 1
        return np.asarray(law(tokens)[np.arange(len(tokens)), last])

    return Model(
        "reader",
        Modality.LANGUAGE,
        query,
        Output.PROBABILITIES,
        VOCABULARY,
        score=lambda tokens: moments(tokens)[..., 0],
        moments=moments,
        fit=fit,
        offers=TRAINED,
    )
