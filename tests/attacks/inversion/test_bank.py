"""The attacker's bank: regression, words, and a rotation undone by pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_data.inversion._shared.recurrent_decoder import Decoder
from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import (
    ROTATION,
    Bank,
    Words,
    bank,
    unrotated,
)
from hartley.core import Applied, Data, Modality, Model, Output, View
from hartley.core.errors import UsageError
from hartley.games.inversion.embedding_inversion import EmbeddingInversionBrief
from hartley.kit.ridge import CALM, Ridge


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_error_of_a_ridge_is_that_of_leaving_each_row_out() -> None:
    rng = _rng()
    x, y = rng.standard_normal((40, 6)), rng.standard_normal((40, 2))
    y[:, 0] += x @ rng.standard_normal(6)
    fit = Ridge.fit(x, y)
    centred = x - x.mean(0)
    scale = (np.linalg.svd(centred, compute_uv=False) ** 2).mean()
    errors = []
    for calm in CALM:
        gaps = []
        for i in range(40):
            rest = np.arange(40) != i
            # The penalty and the offset's column enter as in the closed form.
            a = np.column_stack([np.ones(39), x[rest] - x.mean(0)])
            weight = np.linalg.solve(
                a.T @ a + np.diag([0.0, *[calm * scale] * 6]), a.T @ (y[rest] - y.mean(0))
            )
            gaps.append(y[i] - y.mean(0) - np.array([1, *centred[i]]) @ weight)
        errors.append(np.mean(np.square(gaps), 0))
    assert np.allclose(fit.error, np.min(errors, 0), rtol=1e-6)
    assert np.allclose(fit(x).mean(0), y.mean(0))


def _view(
    stored: np.ndarray, pairs: np.ndarray | None, *names: str
) -> View[EmbeddingInversionBrief]:
    return View(
        source=None,
        brief=EmbeddingInversionBrief(
            question=Data("stored", Modality.LANGUAGE, stored),
            public=Data("own", Modality.LANGUAGE, np.zeros((1, 1))),
            number=64,
            known=pairs,
        ),
        defenses=tuple(Applied(name) for name in names),
    )


def test_a_rotation_is_undone_by_pairs_and_only_by_who_knows() -> None:
    rng = _rng()
    turn = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    own, secret = rng.standard_normal((30, 10)), rng.standard_normal((7, 10))
    view = _view(secret @ turn, own[:12] @ turn, ROTATION)
    assert np.allclose(unrotated(view, own), secret)
    assert np.allclose(unrotated(_view(secret @ turn, own[:12] @ turn), own), secret @ turn)
    assert np.allclose(unrotated(_view(secret @ turn, None, ROTATION), own), secret @ turn)
    # With fewer pairs than dimensions: what lies in their span comes back, nothing else.
    few = _view(secret @ turn, own[:4] @ turn, ROTATION)
    span = np.linalg.qr(own[:4].T)[0]
    assert np.allclose(unrotated(few, own), secret @ span @ span.T)


def _bags(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = _rng(seed)
    tokens = np.stack([7 + rng.permutation(20)[:4] for _ in range(n)])
    bags = (tokens[:, :, None] == 7 + np.arange(20)).any(1)
    return tokens, bags @ _rng(9).standard_normal((20, 16))


def test_words_are_read_off_linear_embeddings() -> None:
    tokens, made = _bags(0)
    asked, seen = _bags(1, 20)
    words = Words.fit(Bank(tokens, made, seen, None))
    texts = words.texts(seen, 6)
    assert texts.shape == (20, 6)
    right = [len(set(a[a >= 0]) & set(b)) for a, b in zip(texts, asked, strict=True)]
    assert np.mean(right) > 3
    assert words.scores(seen).shape == (20, 20)


def test_a_bank_of_pairs_carries_pictures_over_to_captions() -> None:
    rng = _rng()
    tokens, text = _bags(0)
    turn = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    model = Model("towers", Modality.PAIRED, lambda x: x, Output.EMBEDDINGS, 32)
    x = np.concatenate([text @ turn + 3, text], 1)
    facts = {"captions": tokens[:250], "split": 16}
    view = View(
        source=model,
        brief=EmbeddingInversionBrief(
            question=Data("stolen", Modality.PAIRED, x[250:, :16]),
            public=Data("own", Modality.PAIRED, x[:250], facts=facts),
            number=64,
        ),
    )
    own = bank(view)
    assert own.embed is None and np.array_equal(own.embeddings, text[:250])
    assert np.allclose(own.targets, text[250:], atol=1e-2)
    bare = replace(view, brief=replace(view.brief, public=Data("own", Modality.PAIRED, x)))
    with pytest.raises(UsageError, match="must have captions"):
        bank(bare)


def test_a_decoder_writes_what_it_was_taught(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    rng = _rng()
    made = rng.standard_normal((24, 12))
    tokens = np.full((24, 5), -1)
    for row in tokens:
        size = int(rng.integers(2, 6))
        row[:size] = 100 + rng.integers(0, 30, size)
    how = Decoder(width=96, epochs=0, least=150, batch=24, rate=1e-2)
    written = how.train(made, tokens, 0)
    texts, scores = written.beam(made, 5, width=4)
    assert texts.shape == (24, 4, 5) and (np.diff(scores, axis=1) <= 1e-12).all()
    assert (texts[:, 0] == tokens).all(1).mean() > 0.9
    assert np.array_equal(how.train(made, tokens, 0).beam(made, 5, width=4)[0], texts)
