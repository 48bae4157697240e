"""Reading words by what they embed to alone, and correcting a text by asking the encoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import Bank, Words
from hartley.attacks.model_to_data.inversion._shared.text_correction import Beam, corrected
from hartley.attacks.model_to_data.inversion._shared.word_reader import Reader
from hartley.core.errors import UsageError
from hartley.kit.ridge import cosines

WORDS, LONGEST, WIDE = 120, 6, 48


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _bank(seed: int = 0, *, ordered: float = 0.0) -> tuple[Bank, np.ndarray]:
    """Texts of words of very different frequency, and targets; a word counts more up front."""
    rng = _rng(seed)
    sketch = rng.standard_normal((WORDS, WIDE))
    often = 1 / np.arange(1, WORDS + 1)

    def embed(tokens: np.ndarray) -> np.ndarray:
        here = tokens >= 0
        weight = here * (1 - ordered * np.arange(tokens.shape[1]) / LONGEST)
        made = (sketch[np.maximum(tokens, 0)] * weight[..., None]).sum(1)
        return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)

    chance = often / often.sum()
    texts = np.stack([rng.choice(WORDS, LONGEST, replace=False, p=chance) for _ in range(340)])
    own, secret = texts[:300], texts[300:]
    own[:20, -1] = np.arange(WORDS - 20, WORDS)  # every word stands in some text of his
    return Bank(own, embed(own), embed(secret), embed), secret


def _held(made: np.ndarray, secret: np.ndarray) -> float:
    """Share of the secret words that were read."""
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(secret, made, strict=True)]))


def test_rare_words_are_read_that_a_regression_never_learnt() -> None:
    own, secret = _bank()
    rare = secret * (np.bincount(own.tokens.reshape(-1), minlength=WORDS)[secret] < 6)
    rare[rare == 0] = -2
    reader, words = Reader.fit(own), Words.fit(own, 1)
    by_reader, by_words = (one.texts(own.targets, LONGEST) for one in (reader, words))
    seen = rare >= 0
    found = [
        np.array([np.isin(a, b) for a, b in zip(rare, made, strict=True)])[seen].mean()
        for made in (by_reader, by_words)
    ]
    assert seen.sum() > 20 and found[0] > found[1] + 0.25, found
    assert _held(by_reader, secret) > _held(by_words, secret)
    lengths = [(reader.texts(own.targets, LONGEST, k) >= 0).sum(1).mean() for k in (-2, 0)]
    assert lengths == [LONGEST - 2, LONGEST]
    assert np.array_equal(reader.tokens(reader.rows(own.tokens)), own.tokens)


def test_a_reader_asks_about_each_word_and_needs_somebody_to_ask() -> None:
    own, _ = _bank(1)
    asked: list[int] = []
    assert own.embed is not None
    real = own.embed

    def counted(tokens: np.ndarray) -> np.ndarray:
        asked.append(len(tokens))
        return real(tokens)

    for _ in range(2):
        Reader.fit(replace(own, embed=counted))
    assert asked == [len(np.unique(own.tokens))] * 2, "who uses a reader pays for its questions"
    with pytest.raises(UsageError, match="single words"):
        Reader.fit(replace(own, embed=None))


def test_correction_takes_the_nearest_and_comes_nearer_each_round() -> None:
    own, secret = _bank(2, ordered=0.5)
    reader = Reader.fit(own)
    assert own.embed is not None
    poor = np.full_like(secret, -1)
    poor[:, 0] = own.tokens[0, 0]
    near = own.tokens[cosines(own.targets, own.embeddings).argmax(1)]
    first = np.stack([poor, near], 1)
    reached, texts = [], []
    for rounds in (0, 2, 8):
        made = corrected(own, reader, first, _rng(), rounds=rounds, tries=24, beam=3)
        texts.append(made)
        reached.append(np.einsum("ij,ij->i", own.targets, own.embed(made)))
    assert np.array_equal(texts[0], near), "with no rounds the nearest guess is returned"
    assert (np.diff(reached, axis=0) >= -1e-9).all(), "the nearest text is never given up"
    assert reached[2].mean() > reached[0].mean() + 0.15
    assert _held(texts[2], secret) > _held(texts[0], secret) + 0.3


def test_correction_finds_the_order_where_the_encoder_hears_it() -> None:
    own, secret = _bank(3, ordered=0.9)
    shuffled = _rng(1).permuted(secret, axis=1)
    made = corrected(own, Reader.fit(own), shuffled[:, None], _rng(), rounds=12, tries=24, beam=3)
    right = [(a == secret).mean() for a in (shuffled, made)]
    assert right[1] > right[0] + 0.3, right


def test_a_beam_holds_no_text_twice() -> None:
    rows = np.array([[[1, 2], [1, 2], [3, -1], [2, 1]]])
    beam = Beam(rows, np.zeros((1, 4, 3)), np.array([[0.9, 0.9, 0.5, 0.7]])).best(3)
    assert sorted(map(tuple, beam.rows[0])) == [(1, 2), (2, 1), (3, -1)]
    assert beam.similarity[0].tolist() == [0.9, 0.7, 0.5]
