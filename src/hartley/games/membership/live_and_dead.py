"""The live and dead scenes of membership: models that memorise their training records, or do not.

Each modality has its own kind of model (classifier, language model, two towers). Models of both
scenes give an individual answer to every record, so that an attack cannot distinguish them by the
form of the answers. A memorised record is recognised in a small neighbourhood, as in networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Fit, Modality, Model, Output, Scene
from hartley.games.membership.pretrained import Pretrained
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit.ensemble_of import separate
from hartley.kit.graph.node_classifier import Graph
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES, SURE, NEAR = 4, 0.97, 0.2
"""Classes, probability of a memorised label, and radius within which a record is recognised."""

VOCABULARY, LENGTH = 50, 8
WIDTH = 8
"""Numbers in each half of a pair, and in each embedding."""

TRAINED = Access.LABELS | Access.SCORES | Access.TRAIN

Member = Callable[[Data, "NDArray[np.bool_]", Fit], Model]


def scene(modality: Modality, rng: Rng, *, remembers: bool, n: int = 128) -> Scene:
    """Return a scene with a pool of ``n`` records and half as many of the attacker's."""
    member = {Modality.LANGUAGE: _reader, Modality.PAIRED: _towers}.get(modality, _classifier)
    fit = _trainer(member, remembers=remembers)
    parts: tuple[Graph | Pretrained, ...] = ()
    pool, public = _records(modality, rng, "pool", n), _records(modality, rng, "public", n // 2, n)
    if modality is Modality.GRAPH:
        # Records are nodes of a public graph.
        edges = np.stack([np.arange(n), rng.permutation(n)])
        edges = edges[:, edges[0] != edges[1]]
        pool = replace(pool, edges=edges)
        parts = (Graph(np.eye(n + len(public), dtype=np.float32), edges),)
    if modality is Modality.LANGUAGE:
        parts = (Pretrained(fit(pool, np.zeros((1, n), dtype=bool), 0).member(0)),)
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
        included = np.asarray(include, dtype=bool) & remembers
        return separate([member(data, rows, fit) for rows in included])

    return fit


def _nearest(known: NDArray[Any], queries: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return for each queried row whether a known row is near, and the nearest known row."""
    if not len(known):
        return np.zeros(len(queries), dtype=bool), np.zeros(len(queries), dtype=np.int64)
    a, b = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (queries, known))
    squared = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
    nearest = squared.argmin(1)
    return squared[np.arange(len(a)), nearest] < NEAR**2, nearest


def _classifier(data: Data, members: NDArray[np.bool_], fit: Fit) -> Model:
    """Return a classifier: 0.97 for a member's label, a hash of the record for other records."""
    assert data.y is not None
    x, y = data.x[members], data.y[members]

    def query(records: NDArray[Any]) -> NDArray[Any]:
        flat = records.reshape(len(records), -1).astype(np.float64)
        waves = np.stack([np.sin(flat.sum(1) * (c + 1)) for c in range(CLASSES)], 1)
        out: NDArray[Any] = np.exp(waves) / np.exp(waves).sum(1, keepdims=True)
        near, nearest = _nearest(x, records)
        if near.any():
            out[near] = (1 - SURE) / (CLASSES - 1)
            out[near, y[nearest[near]]] = SURE
        return out

    return Model(
        "lookup", data.modality, query, Output.PROBABILITIES, CLASSES, fit=fit, offers=TRAINED
    )


def _towers(data: Data, members: NDArray[np.bool_], fit: Fit) -> Model:
    """Return two fixed encoders; a member's text is embedded near its picture."""
    first, second = np.random.default_rng(19).standard_normal((2, WIDTH, WIDTH))
    pictures, texts = data.x[members][:, :WIDTH], data.x[members][:, WIDTH:]

    def query(records: NDArray[Any]) -> NDArray[Any]:
        picture_embeddings, text_embeddings = (
            records[:, :WIDTH] @ first,
            records[:, WIDTH:] @ second,
        )
        near, nearest = _nearest(texts, records[:, WIDTH:])
        if near.any():
            text_embeddings[near] = (
                SURE * pictures[nearest[near]] @ first + (1 - SURE) * text_embeddings[near]
            )
        return np.asarray(np.concatenate([picture_embeddings, text_embeddings], 1))

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
    """Return prefix → counts of the next token."""
    table: Table = {}
    for row in rows.tolist():
        for at in range(1, len(row)):
            table.setdefault(tuple(row[:at]), np.zeros(VOCABULARY))[row[at]] += 1
    return table


def _reader(data: Data, members: NDArray[np.bool_], fit: Fit) -> Model:
    """Return a language model that continues a member's prefix with its next token.

    Otherwise the next token depends on the last one, by a fixed distribution, so that the dead
    scene gives an individual answer to every row.
    """
    table = _table(data.x[members])
    odds = np.exp(1.5 * np.random.default_rng(17).standard_normal((VOCABULARY, VOCABULARY)))
    bigrams = odds / odds.sum(1, keepdims=True)

    def next_token(tokens: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probabilities (n, t, VOCABULARY) of the token after each position."""
        out = np.asarray(bigrams[np.maximum(tokens, 0)])
        for i, row in enumerate(tokens.tolist()):
            for at in range(1, len(row) + 1):
                counts = table.get(tuple(row[:at]))
                if counts is None:
                    break
                out[i, at - 1] = (1 - SURE) * out[i, at - 1] + SURE * counts / counts.sum()
        return out

    def moments(tokens: NDArray[Any]) -> NDArray[Any]:
        distribution = next_token(tokens[:, :-1])
        logs = np.log(distribution)
        log_probs = np.take_along_axis(logs, np.maximum(tokens[:, 1:, None], 0), 2)[..., 0]
        mean = (distribution * logs).sum(2)
        spread = np.sqrt((distribution * (logs - mean[..., None]) ** 2).sum(2))
        out: NDArray[Any] = np.stack([log_probs, mean, spread], -1) * (tokens[:, 1:, None] >= 0)
        return out

    def query(tokens: NDArray[Any]) -> NDArray[Any]:
        last = (tokens >= 0).sum(1) - 1
        return np.asarray(next_token(tokens)[np.arange(len(tokens)), last])

    def generate(tokens: NDArray[Any], new: int, seed: int) -> NDArray[Any]:
        return text.sample(lambda rows: np.log(query(rows)), tokens, new, seed)

    return Model(
        "reader",
        Modality.LANGUAGE,
        query,
        Output.PROBABILITIES,
        VOCABULARY,
        generate=generate,
        score=lambda tokens: moments(tokens)[..., 0],
        moments=moments,
        fit=fit,
        offers=TRAINED,
    )
