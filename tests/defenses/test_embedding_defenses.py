"""Defences of stored embeddings: what each keeps, what it takes, and who gets it back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_data.inversion.embedding_words import embedding_words
from hartley.channel.measure import measure
from hartley.core import Data, Modality, Scene
from hartley.defenses.bandwidth.embedding_quantise import embedding_quantise, quantised
from hartley.defenses.noise.embedding_noise import embedding_noise
from hartley.defenses.signal.embedding_rotation import embedding_rotation
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.inversion.embedding_inversion import StoredEmbeddings, live
from hartley.kit.ridge import cosines


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def scene() -> Scene:
    return live(Modality.LANGUAGE, _rng())


def _stored(scene: Scene, x: np.ndarray) -> np.ndarray:
    stored: np.ndarray = scene.part(StoredEmbeddings).stored(scene.model, x)
    return stored


def _bits(scene: Scene, undefended: Scene | None = None) -> float:
    trials = play(embedding_words, scene, seed=0, undefended=undefended)
    return float(measure(trials).bits.value)


def test_noise_is_a_records_own_and_of_the_length_that_was_asked_for(scene: Scene) -> None:
    x = scene.part(StoredEmbeddings).secret.x
    clear = _stored(scene, x)
    blurred = embedding_noise(scene, _rng(), scale=0.5)
    made = _stored(blurred, x)
    ratio = np.linalg.norm(made - clear, axis=1) / np.linalg.norm(clear, axis=1)
    assert ratio.mean() == pytest.approx(0.5, rel=0.03)
    assert np.array_equal(made[3:5], _stored(blurred, x[3:5])), "asking again averages nothing"
    padded = np.concatenate([x[3:5], np.full((2, 2), -1)], 1)
    assert np.allclose(made[3:5], _stored(blurred, padded)), "padding is no part of a record"
    assert not np.allclose(made, _stored(embedding_noise(scene, _rng(1), scale=0.5), x))


def test_quantised_embeddings_hold_the_bits_that_are_said(scene: Scene) -> None:
    wide = _rng().standard_normal((200, 24)) * _rng(1).uniform(0.1, 9, (200, 1))
    signs = quantised(wide, 1)
    assert np.array_equal(np.sign(signs), np.where(wide >= 0, 1, -1))
    assert len(np.unique(np.abs(signs))) == 1, "the length is not kept"
    for bits in (2, 4):
        assert len(np.unique(quantised(wide, bits))) <= 2**bits
    fine = quantised(wide, 10)
    assert cosines(wide, fine)[np.arange(200), np.arange(200)].min() > 0.99
    thin = quantised(wide, 1, every=6)
    assert (thin != 0).sum(1).tolist() == [4] * 200
    narrow = embedding_quantise(scene, _rng(), bits=2, every=16)
    assert narrow.part(StoredEmbeddings).most == 64 / 16 * 2
    twice = embedding_quantise(narrow, _rng(), bits=4, every=16)
    assert twice.part(StoredEmbeddings).most == 64 / 16 * 2


def test_what_the_bandwidth_bounds_is_not_exceeded(scene: Scene) -> None:
    narrow = embedding_quantise(scene, _rng(), bits=1, every=32)
    heard = measure(play(embedding_words, narrow, seed=0))
    assert heard.ceiling.value == 2.0 and heard.bits.value <= 2.0


def test_a_rotation_costs_nothing_stops_the_static_and_not_who_knows(scene: Scene) -> None:
    turned = defended(scene, embedding_rotation)
    store = scene.part(StoredEmbeddings)
    x = store.secret.x
    assert np.allclose(
        cosines(_stored(scene, x), _stored(scene, x)),
        cosines(_stored(turned, x), _stored(turned, x)),
    )
    assert not np.allclose(_stored(scene, x), _stored(turned, x))
    assert np.array_equal(scene.model.query(x), turned.model.query(x)), "the encoder is public"
    before = _bits(scene)
    assert before > 4.5
    assert _bits(turned, undefended=scene) < 0.3
    assert _bits(turned) == pytest.approx(before, abs=0.1)
    alone = replace(store, keep=turned.part(StoredEmbeddings).keep, known=0)
    unknown = turned.with_part(alone)
    assert _bits(unknown) < 0.3, "without pairs there is nothing to solve"


@pytest.mark.parametrize("defense", [embedding_noise, embedding_quantise], ids=lambda d: d.name)
def test_pairs_are_guarded_at_every_model_that_answers(defense: Any) -> None:
    from hartley.games.membership.membership import live as pairs

    bare = pairs(Modality.PAIRED, _rng())
    store = live(Modality.PAIRED, _rng()).part(StoredEmbeddings)
    bare = bare.with_part(store)
    held = defended(bare, defense)
    pool: Data = bare.extra["pool"]
    include = _rng().random((2, len(pool))) < 0.5
    free, guarded = bare.fit(pool, include, 0), held.fit(pool, include, 0)
    apart = np.stack([guarded.member(k).query(pool.x) for k in range(2)])
    assert np.array_equal(guarded.query(pool.x), apart)
    assert not np.allclose(apart, free.query(pool.x))
    assert held.digest != bare.digest
