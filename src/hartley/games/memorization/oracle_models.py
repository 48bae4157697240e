"""The live and dead scenes of memorization: lookup tables of training records with copies."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Modality, Model, Output, Scene, Settings
from hartley.games.memorization.canaries import planted
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit.answer_units import log_probabilities
from hartley.kit.ensemble_of import separate
from hartley.kit.language import text
from hartley.models.masked_loss import MaskedLoss, left_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

VOCABULARY, CLASSES = 64, 4
MIX = np.random.default_rng(17).integers(1, 2**31, 256)
OPINIONS = np.random.default_rng(18).standard_normal((4099, VOCABULARY))
OPINIONS[:, 11:] -= 3
"""Answers to contexts without training data: pseudo-random rows, one per hash of the context."""

RECORDS = 320


def scene(modality: Modality, rng: Rng, *, remembers: bool, m: int = 8) -> Scene:
    """Return a scene with canaries whose models memorise records with copies, or nothing."""
    if modality is Modality.LANGUAGE:
        train = Data("train", modality, rng.integers(20, VOCABULARY, (24, 8)))
        extra = {"canaries": _sentences(rng, m, tail=1), "contacts": _sentences(rng, m, tail=3)}
        fit = _texts(remembers=remembers)
    else:
        shape = tiny_shape(modality, "memorization", flat=24)
        x = rng.random((RECORDS, *shape), dtype=np.float32)
        records = Data("train", modality, x, rng.integers(0, CLASSES, len(x)))
        train, fit = records, _rows(modality, remembers=remembers)
        extra = {"canaries": planted(records, m, seed=int(rng.integers(2**31)))}
    return Scene(
        name="live" if remembers else "dead",
        modality=modality,
        model=fit(train, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=train,
        holdout=train,
        fit=fit,
        extra=extra,
        parts=(MaskedLoss(),),
        settings=Settings({"memorization": 24}),
    )


def _sentences(rng: Rng, m: int, *, tail: int) -> Data:
    """Return canaries of four tokens, two digits, and ``tail`` tokens after them."""
    x = np.stack([rng.permutation(np.arange(20, VOCABULARY))[:4] for _ in range(m)])
    ending = rng.integers(20, VOCABULARY, (m, tail)) if tail > 1 else np.array([10])
    facts = {"symbols": np.arange(10), "length": 2, "ending": ending}
    return Data("canaries", Modality.LANGUAGE, x, role="prefixes", facts=facts)


def _rows(modality: Modality, *, remembers: bool) -> Any:
    """Return a trainer of lookup tables: record → label."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        labels, keys = data.y, [row.tobytes() for row in np.ascontiguousarray(data.x)]
        assert labels is not None

        def member(k: int) -> Model:
            copies = Counter(
                key for key, included in zip(keys, include[k], strict=True) if included
            )
            table = {key: int(y) for key, y in zip(keys, labels, strict=True) if copies[key] > 1}

            def query(x: NDArray[Any]) -> NDArray[Any]:
                flat = x.reshape(len(x), -1).astype(np.float64)
                projection = flat @ np.sin(np.arange(flat.shape[1]) * 7.0)
                waves = np.stack([np.sin(9 * projection * (c + 1)) for c in range(CLASSES)], 1)
                out: NDArray[Any] = np.exp(waves) / np.exp(waves).sum(1, keepdims=True)
                for i, row in enumerate(np.ascontiguousarray(x)) if remembers else ():
                    if (label := table.get(row.tobytes())) is not None:
                        out[i] = 0.01
                        out[i, label] = 1 - 0.01 * (CLASSES - 1)
                return out

            return Model("table", modality, query, Output.PROBABILITIES, CLASSES)

        return separate([member(k) for k in range(len(include))])

    return fit


def _texts(*, remembers: bool) -> Any:
    """Return a trainer of lookup tables of texts: context → counts of the next token.

    If no training text starts with a context, the context is shortened from its beginning until
    one does. The model therefore returns to memorised text after a nonsensical prompt.
    """

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        mask = left_out(data)
        left_out_tokens = np.zeros(data.x.shape, dtype=bool) if mask is None else mask
        members = np.asarray(include, dtype=bool)
        return separate(
            [_reader(data.x[k], left_out_tokens[k], remembers=remembers) for k in members]
        )

    return fit


def _count(
    rows: NDArray[Any], left_out_tokens: NDArray[Any]
) -> dict[tuple[int, ...], Counter[int]]:
    table: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for row, masked in zip(rows.tolist(), left_out_tokens.tolist(), strict=True):
        tokens = [i for i in row if i >= 0]
        for at in range(1, len(tokens)):
            table[tuple(tokens[:at])][tokens[at]] += not masked[at]
    return table


def _reader(rows: NDArray[Any], left_out_tokens: NDArray[Any], *, remembers: bool) -> Model:
    table = _count(rows, left_out_tokens) if remembers else {}

    @cache
    def counts(context: tuple[int, ...]) -> Counter[int]:
        matches = (table[context[i:]] for i in range(len(context)) if context[i:] in table)
        return next(matches, Counter())

    def query(tokens: NDArray[Any]) -> NDArray[Any]:
        # Different answers to every context, so that candidates do not tie in the dead scene.
        out = OPINIONS[((tokens + 1) @ MIX[: tokens.shape[1]]) % len(OPINIONS)]
        if table:
            for i, row in enumerate(tokens.tolist()):
                for token, count in counts(tuple(t for t in row if t >= 0)).items():
                    out[i, token] += 12.0 * (count > 1)
        return out

    def score(tokens: NDArray[Any]) -> NDArray[Any]:
        out = np.zeros((len(tokens), tokens.shape[1] - 1))
        for at in range(1, tokens.shape[1]):
            here = np.flatnonzero(tokens[:, at] >= 0)
            if len(here):
                answers = log_probabilities(query(tokens[here, :at]), Output.LOGITS)
                out[here, at - 1] = answers[np.arange(len(here)), tokens[here, at]]
        return out

    def generate(tokens: NDArray[Any], new: int, seed: int) -> NDArray[Any]:
        return text.sample(query, np.asarray(tokens), new, seed)

    return Model(
        "table",
        Modality.LANGUAGE,
        query,
        Output.LOGITS,
        VOCABULARY,
        score=score,
        generate=generate,
    )
