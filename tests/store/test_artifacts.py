"""Loot is kept as arrays, and comes back as what it was."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core import Data, Modality
from hartley.core.errors import StoreError
from hartley.models.clone import clone
from hartley.store.artifacts import Artifacts

RNG = np.random.default_rng(0)


def test_records_come_back_with_their_labels_lineage_and_arrays(tmp_path):
    store = Artifacts(tmp_path / "artifacts")
    x = RNG.random((5, 1, 4, 4)).astype(np.float32)
    data = Data(
        "poison",
        Modality.VISION,
        x,
        np.arange(5),
        role="poison",
        lineage=("a", "b"),
        facts={"masks": x[0] > 0.5, "queries": 7},
    )
    assert list(store.keys()) == [] and store.get("one") is None
    assert store.put("one", data) and list(store.keys()) == ["one"]
    back = store.get("one")
    assert isinstance(back, Data) and (back.name, back.role) == ("poison", "poison")
    assert back.lineage == ("a", "b") and back.facts["queries"] == 7
    for kept, true in ((back.x, x), (back.y, data.y), (back.facts["masks"], data.facts["masks"])):
        assert kept.dtype == true.dtype and np.array_equal(kept, true)


def test_texts_are_kept_in_a_table(tmp_path):
    store = Artifacts(tmp_path)
    texts = np.array(["one", "zwei \u00fc", ""], dtype=object)
    store.put("t", Data("texts", Modality.LANGUAGE, texts))
    assert store.get("t").x.tolist() == texts.tolist()


def test_a_copy_answers_as_it_did(tmp_path):
    x = RNG.random((40, 6)).astype(np.float32)
    answers = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 40)]
    model = clone(Data("asked", Modality.TABULAR, x), answers, 0, steps=5, hidden=8)
    store = Artifacts(tmp_path)
    assert store.put("m", model)
    back = store.get("m")
    assert np.array_equal(back.query(x), model.query(x))
    assert back.offers == model.offers and back.grad is not None


def test_what_cannot_be_written_is_not_kept_and_what_is_damaged_is_said(tmp_path):
    from hartley.core import Model

    store = Artifacts(tmp_path)
    assert not store.put("m", Model("m", Modality.TABULAR, lambda x: x))
    (tmp_path / "bad.safetensors").write_bytes(b"not arrays")
    with pytest.raises(StoreError, match="is damaged"):
        store.get("bad")
