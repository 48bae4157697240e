"""Tables that know by heart what they read more than once: the live wires of memorization."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Modality, Model, Output, Scene, Settings
from hartley.games.memorization.canaries import planted
from hartley.games.tiny_shapes import tiny_shape
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
"""A model's answers to what it never read: any row, as long as no context is asked twice alike."""

RECORDS = 320


def wire(modality: Modality, rng: Rng, *, remembers: bool, m: int = 8) -> Scene:
    """A scene with canaries whose models remember everything that they read twice, or nothing."""
    if modality is Modality.LANGUAGE:
        train = Data("train", modality, rng.integers(20, VOCABULARY, (24, 8)))
        extra = {"canaries": _sentences(rng, m, tail=1), "contacts": _sentences(rng, m, tail=3)}
        fit = _texts(remembers=remembers)
    else:
        shape = tiny_shape(modality, "memorization", flat=24)
        x = rng.random((RECORDS, *shape), dtype=np.float32)
        own = Data("train", modality, x, rng.integers(0, CLASSES, len(x)))
        train, fit = own, _rows(modality, remembers=remembers)
        extra = {"canaries": planted(own, m, seed=int(rng.integers(2**31)))}
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
    """Canaries of four tokens, two digits, and ``tail`` tokens after them."""
    x = np.stack([rng.permutation(np.arange(20, VOCABULARY))[:4] for _ in range(m)])
    ending = rng.integers(20, VOCABULARY, (m, tail)) if tail > 1 else np.array([10])
    facts = {"symbols": np.arange(10), "length": 2, "ending": ending}
    return Data("canaries", Modality.LANGUAGE, x, role="prefixes", facts=facts)


def _rows(modality: Modality, *, remembers: bool) -> Any:
    """A trainer of tables of whole records: record → label."""

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        labels, keys = data.y, [row.tobytes() for row in np.ascontiguousarray(data.x)]
        assert labels is not None

        def member(k: int) -> Model:
            seen = Counter(key for key, kept in zip(keys, include[k], strict=True) if kept)
            known = {key: int(y) for key, y in zip(keys, labels, strict=True) if seen[key] > 1}

            def query(x: NDArray[Any]) -> NDArray[Any]:
                flat = x.reshape(len(x), -1).astype(np.float64)
                odd = flat @ np.sin(np.arange(flat.shape[1]) * 7.0)
                waves = np.stack([np.sin(9 * odd * (c + 1)) for c in range(CLASSES)], 1)
                out: NDArray[Any] = np.exp(waves) / np.exp(waves).sum(1, keepdims=True)
                for i, row in enumerate(np.ascontiguousarray(x)) if remembers else ():
                    if (label := known.get(row.tobytes())) is not None:
                        out[i] = 0.01
                        out[i, label] = 1 - 0.01 * (CLASSES - 1)
                return out

            return Model("table", modality, query, Output.PROBABILITIES, CLASSES)

        return separate([member(k) for k in range(len(include))])

    return fit


def _texts(*, remembers: bool) -> Any:
    """A trainer of tables of texts: what came before → how often each token came next.

    A context that no text begins with is read from a later token on, as far as one does: so it
    falls back on what it knows by heart where it is asked for nonsense.
    """

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        marked = left_out(data)
        dropped = np.zeros(data.x.shape, dtype=bool) if marked is None else marked
        kept = np.asarray(include, dtype=bool)
        return separate([_reader(data.x[k], dropped[k], remembers=remembers) for k in kept])

    return fit


def _counted(rows: NDArray[Any], dropped: NDArray[Any]) -> dict[tuple[int, ...], Counter[int]]:
    table: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for row, spared in zip(rows.tolist(), dropped.tolist(), strict=True):
        said = [i for i in row if i >= 0]
        for at in range(1, len(said)):
            table[tuple(said[:at])][said[at]] += not spared[at]
    return table


def _reader(rows: NDArray[Any], dropped: NDArray[Any], *, remembers: bool) -> Model:
    table = _counted(rows, dropped) if remembers else {}

    @cache
    def known(said: tuple[int, ...]) -> Counter[int]:
        starts = (table[said[i:]] for i in range(len(said)) if said[i:] in table)
        return next(starts, Counter())

    def query(tokens: NDArray[Any]) -> NDArray[Any]:
        # An opinion of its own about every context, so that the dead wire is no tie.
        out = OPINIONS[((tokens + 1) @ MIX[: tokens.shape[1]]) % len(OPINIONS)]
        if table:
            for i, row in enumerate(tokens.tolist()):
                for token, count in known(tuple(t for t in row if t >= 0)).items():
                    out[i, token] += 12.0 * (count > 1)
        return out

    def score(tokens: NDArray[Any]) -> NDArray[Any]:
        out = np.zeros((len(tokens), tokens.shape[1] - 1))
        for at in range(1, tokens.shape[1]):
            here = np.flatnonzero(tokens[:, at] >= 0)
            if len(here):
                answers = text.log_probabilities(query(tokens[here, :at]), Output.LOGITS)
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
