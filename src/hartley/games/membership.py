"""Membership: was this record in the training set?

The auditor tosses a fair coin for every record of a pool and trains a victim on the heads, once a
round, so that each round is a fresh training run and an independent cluster. The attacker sees the
victim, the pool and how the victim was trained; it answers each record with a score.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    ALL,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Output,
    Role,
    Round,
    Scene,
    View,
    Wire,
    game,
)
from hartley.core.assets import Ensemble
from hartley.core.taxonomy import Access
from hartley.kit.graphs import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES = 4


def live(modality: Modality, rng: Rng) -> Scene:
    """A victim that is sure of every record it was trained on and of no other."""
    return _wire(modality, rng, remembers=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A victim that answers from the record alone, whatever it was trained on."""
    return _wire(modality, rng, remembers=False)


@game(
    flow=Flow.INFERRING,
    role=Role.TAP,
    wire=Wire.SCORE,
    unit="record",
    live=live,
    dead=dead,
    fits=ALL,
    requires=("fit", "pool"),
    usual=("auc", "tpr_at_fpr_1e2", "tpr_at_fpr_1e3", "epsilon_lower"),
    loot="data",
)
def membership(scene: Scene, rng: Rng, *, rounds: int = 16) -> Deal:
    """Deal a fair membership coin for every record of the pool, once a round.

    Args:
        rounds: victims to train, each on its own coins.
    """
    pool = scene.extra["pool"]
    assert scene.fit is not None and scene.model is not None
    coins = rng.random((rounds, len(pool))) < 0.5
    victims = scene.fit(pool, coins, int(rng.integers(2**31)))
    salt = int(rng.integers(2**31))
    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=_for_attacker(victims.member(k), scene.model),
                    public=_public(scene),
                    question=pool,
                    defenses=scene.defenses,
                    salt=salt,
                    facts={"classes": scene.model.classes, "prior": 0.5},
                ),
                truth=coins[k].astype(np.int64),
            )
            for k in range(rounds)
        )
    )


def _for_attacker(victim: Model, deployed: Model) -> Model:
    """The victim with the training access that the deployed model grants."""
    return replace(victim, fit=deployed.fit, offers=deployed.offers)


def _public(scene: Scene) -> Data:
    """The attacker's own records: the population; of text, passages that no victim has read."""
    if scene.modality is Modality.LANGUAGE and "public" in scene.extra:
        return scene.extra["public"]
    return scene.extra["pool"]


def _wire(modality: Modality, rng: Rng, *, remembers: bool, n: int = 128) -> Scene:
    if modality is Modality.LANGUAGE:
        return _text_wire(rng, remembers=remembers, n=n)
    shape = {Modality.VISION: (1, 4, 4)}.get(modality, (8,))
    x: NDArray[Any] = rng.random((n, *shape), dtype=np.float32)
    edges = None
    if modality is Modality.GRAPH:
        # Records name nodes of a graph that everybody sees.
        edges = np.stack([np.arange(n), rng.permutation(n)])
        edges = edges[:, edges[0] != edges[1]]
        x = np.arange(n)[:, None]
    pool = Data("pool", modality, x, rng.integers(0, CLASSES, n), edges)
    fit = _lookup(modality, remembers=remembers)
    model = fit(pool, np.ones((1, n), dtype=bool), 0).member(0)
    return Scene(
        name="live" if remembers else "dead",
        modality=modality,
        model=model,
        train=pool,
        holdout=pool,
        fit=fit,
        extra={"pool": pool},
        tools={} if edges is None else {"graph": Graph(np.eye(n, dtype=np.float32), edges)},
    )


def _lookup(modality: Modality, *, remembers: bool) -> Any:
    """A trainer of lookup tables: members get their label at 0.97, others an odd guess."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        labels = data.y
        assert labels is not None
        keys = [row.tobytes() for row in np.ascontiguousarray(data.x)]

        def member(k: int) -> Model:
            kept = {key: int(y) for key, y, i in zip(keys, labels, include[k], strict=True) if i}

            def query(x: NDArray[Any]) -> NDArray[Any]:
                flat = x.reshape(len(x), -1).astype(np.float64)
                waves = np.stack([np.sin(flat.sum(1) * (c + 1)) for c in range(CLASSES)], 1)
                out: NDArray[Any] = np.exp(waves) / np.exp(waves).sum(1, keepdims=True)
                if remembers:
                    for i, row in enumerate(np.ascontiguousarray(x)):
                        label = kept.get(row.tobytes())
                        if label is not None:
                            out[i] = 0.01
                            out[i, label] = 1 - 0.01 * (CLASSES - 1)
                return out

            return Model(
                "lookup",
                modality,
                query,
                Output.PROBABILITIES,
                CLASSES,
                fit=fit,
                offers=Access.LABELS | Access.SCORES | Access.TRAIN,
            )

        members = [member(k) for k in range(len(include))]
        return Ensemble(
            size=len(include),
            query=lambda x: np.stack([m.query(x) for m in members]),
            member=members.__getitem__,
        )

    return fit


VOCABULARY, LENGTH = 50, 8


def _text_wire(rng: Rng, *, remembers: bool, n: int) -> Scene:
    """Rows of token ids without labels, and a language model that may know some by heart."""

    def rows(name: str, count: int) -> Data:
        return Data(name, Modality.LANGUAGE, rng.integers(0, VOCABULARY, (count, LENGTH)))

    pool, public = rows("pool", n), rows("public", n // 4)
    fit = _reader(remembers=remembers)
    return Scene(
        name="live" if remembers else "dead",
        modality=Modality.LANGUAGE,
        model=fit(pool, np.ones((1, n), dtype=bool), 0).member(0),
        train=pool,
        holdout=pool,
        fit=fit,
        extra={"pool": pool, "public": public},
    )


Table = dict[tuple[int, ...], "NDArray[Any]"]


def _reader(*, remembers: bool) -> Any:
    """A trainer of tables: after the beginning of a row that was read comes its next token."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        kept = np.asarray(include, dtype=bool) & remembers
        members = [_table_model(_table(data.x[rows]), fit) for rows in kept]
        return Ensemble(
            size=len(members),
            query=lambda x: np.stack([one.query(x) for one in members]),
            member=members.__getitem__,
        )

    return fit


def _table(rows: NDArray[Any]) -> Table:
    """Beginnings of rows → how often each token came next."""
    known: Table = {}
    for row in rows.tolist():
        for at in range(1, len(row)):
            known.setdefault(tuple(row[:at]), np.zeros(VOCABULARY))[row[at]] += 1
    return known


def _table_model(known: Table, fit: Any) -> Model:
    """Where nothing was read the next token follows from the last one, by a fixed law.

    So the dead wire has an opinion about every row.
    """
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
                out[i, at - 1] = 0.03 * out[i, at - 1] + 0.97 * counts / counts.sum()
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
        offers=Access.LABELS | Access.SCORES | Access.TRAIN,
    )
