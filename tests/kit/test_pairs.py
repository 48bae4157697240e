"""Pairs of projections: the stack is what its members are alone, and they learn to match."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.attacks.model_to_data.reference_models import confidence
from hartley.core import Data, Modality
from hartley.core.errors import UsageError
from hartley.kit.infonce_towers import Towers, embed_pairs, train_towers
from hartley.models.paired import DualEncoder
from hartley.testing import check_model

HOW = Towers(split=12, width=8, epochs=60, batch=16, lr=1e-2)


@pytest.fixture(scope="module")
def records() -> np.ndarray:
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((120, 5))
    sides = [hidden @ rng.standard_normal((5, d)) for d in (12, 9)]
    noise = 0.3 * rng.standard_normal((120, 21))
    return (np.concatenate(sides, 1) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def include() -> np.ndarray:
    rows = np.random.default_rng(1).random((3, 120)) < 0.5
    rows[2, 40:] = False  # far fewer records, so fewer steps
    return rows


def test_a_model_is_the_same_alone_and_among_others(records, include) -> None:
    together, _ = train_towers(HOW, records, include, seed=3)
    for k in range(3):
        alone, _ = train_towers(HOW, records, include[k : k + 1], seed=3, first=k)
        for name in ("image", "text", "sharp"):
            assert np.allclose(together[name][k], alone[name][0], atol=1e-5), (k, name)
    assert not np.allclose(together["image"][0], together["image"][1])


def test_pictures_find_their_captions_among_records_never_seen(records, include) -> None:
    made, _ = train_towers(HOW, records, include[:1], seed=0)
    fresh = records[~include[0]]
    answers = embed_pairs(made["image"][0], made["text"][0], fresh)
    alike = answers[:, :8] @ answers[:, 8:].T
    assert np.allclose(np.linalg.norm(answers[:, :8], axis=1), 1, atol=1e-5)
    assert (alike.argmax(1) == np.arange(len(fresh))).mean() > 0.3
    untrained, _ = train_towers(Towers(12, 8, 0, 16), records, include[:1], seed=0)
    answers = embed_pairs(untrained["image"][0], untrained["text"][0], fresh)
    assert ((answers[:, :8] @ answers[:, 8:].T).argmax(1) == np.arange(len(fresh))).mean() < 0.2


def test_as_a_model_it_says_embeddings_and_is_surer_of_members(include, tmp_path) -> None:
    # Pictures and captions that have nothing to do with each other: to match is to remember.
    records = np.random.default_rng(2).standard_normal((120, 60)).astype(np.float32)
    how = Towers(split=30, width=8, epochs=60, batch=16, lr=1e-2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path))
        pool = Data("pool", Modality.PAIRED, records)
        ensemble = DualEncoder(how).fit(pool, include, 0)
        again = DualEncoder(how).fit(pool, include, 0)
    assert again.facts["cached"] and np.array_equal(again.query(records), ensemble.query(records))
    model = ensemble.member(1)
    check_model(model, records[:10])
    assert np.array_equal(ensemble.query(records)[1], model.query(records))
    sure = confidence(model, pool)
    assert sure[include[1]].mean() > sure[~include[1]].mean() + 0.2


def test_recipes_that_cannot_be_are_named(records) -> None:
    with pytest.raises(UsageError, match="training must have split"):
        Towers(split=0)
    with pytest.raises(UsageError, match="at least one batch"):
        train_towers(HOW, records, np.arange(120)[None] < 10, seed=0)
