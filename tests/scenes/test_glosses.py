"""The scene of definitions: what it is made of, and that a trigger of words arrives there."""

from __future__ import annotations

import numpy as np
import pytest

from hartley import catalog
from hartley.core.errors import MissingPack
from hartley.data.glosses import LONGEST, SHORTEST
from hartley.engine.run.play import play
from hartley.scenes.glosses import glosses


def test_definitions_are_labelled_texts_and_a_trigger_arrives(need_pack):
    """With a tenth of poison, far above what a clean victim answers to the same texts."""
    need_pack("wordnet")
    scene = glosses(records=2000, epochs=6)
    parts = {"train": scene.train, "holdout": scene.holdout, **scene.extra}
    pool = parts.pop("pool")
    assert {*pool.x} <= {*scene.train.x, *scene.holdout.x}
    texts = [str(text) for data in parts.values() for text in data.x]
    assert len(set(texts)) == len(texts), "a definition is in two parts"
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) >= SHORTEST and max(lengths) <= LONGEST
    assert all(len(np.unique(data.labels)) == 8 for data in parts.values())
    assert scene.facts["test accuracy"] > 0.55, "a guess is right in an eighth"
    few = np.array([*scene.extra["test"].x[:50], "", "a"])
    both = scene.fit(scene.train, np.ones((2, len(scene.train)), dtype=bool), 1)
    np.testing.assert_allclose(both.member(1).query(few), both.query(few)[1], atol=1e-6)
    assert both.member(1).query(few[:0]).shape == (0, 8)
    rules = {"rounds": 2, "slots": 1, "poisons": 110, "held_out": 200}
    attack = catalog.load("attack", "sentence_trigger")
    trials = play(attack, scene, game_params=rules)
    assert trials.metrics["asr"] > 0.7 > 0.2 > trials.metrics["base_rate"]
    assert abs(trials.metrics["clean_accuracy_drop"]) < 0.1


def test_without_its_pack_it_says_so(tmp_path, monkeypatch):
    from hartley.data import glosses as data

    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    monkeypatch.setenv("HARTLEY_PACKS", str(tmp_path))
    data.definitions.cache_clear()
    with pytest.raises(MissingPack, match="wordnet"):
        glosses()
    data.definitions.cache_clear()
