"""Loot is kept as arrays, and comes back as what it was."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core import Data, Modality
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
    facts = {"answers": np.array(["a", "b", "c"]), "prompts": np.array(["who ?", "what ?"])}
    store.put("t", Data("texts", Modality.LANGUAGE, texts, facts=facts))
    back = store.get("t")
    assert back.x.tolist() == texts.tolist()
    assert back.facts["answers"].tolist() == ["a", "b", "c"]
    assert back.facts["prompts"].tolist() == ["who ?", "what ?"]


def test_a_copy_answers_as_it_did(tmp_path):
    x = RNG.random((40, 6)).astype(np.float32)
    answers = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 40)]
    model = clone(Data("asked", Modality.TABULAR, x), answers, 0, steps=5, hidden=8)
    store = Artifacts(tmp_path)
    assert store.put("m", model)
    back = store.get("m")
    assert np.array_equal(back.query(x), model.query(x))
    assert back.offers == model.offers and back.grad is not None


def test_what_cannot_be_written_is_not_kept(tmp_path):
    from hartley.core import Model

    assert not Artifacts(tmp_path).put("m", Model("m", Modality.TABULAR, lambda x: x))


@pytest.mark.parametrize("kind", ["arrays", "texts"])
def test_what_is_damaged_or_of_another_key_is_not_believed(tmp_path, kind):
    store = Artifacts(tmp_path)
    x = np.array(["one", "two"], dtype=object) if kind == "texts" else np.arange(6.0).reshape(2, 3)
    data = Data("records", Modality.LANGUAGE, x, np.arange(2, dtype=np.int32), facts={"n": 7})
    store.put("a", data)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.with_stem("b").write_bytes(content)
    assert store.get("a").facts["n"] == 7 and store.get("b") is None
    for byte in range(0, len(content), 7):
        path.write_bytes(content[:byte] + bytes([content[byte] ^ 16]) + content[byte + 1 :])
        asset = store.get("a")
        if asset is not None:  # a byte that nobody reads, such as a statistic of a column
            assert asset.x.tolist() == x.tolist() and asset.y.tolist() == [0, 1]
            assert (asset.name, asset.facts) == ("records", {"n": 7})
    path.write_bytes(b"not arrays")
    assert store.get("a") is None
    path.unlink()
    path.mkdir()
    assert store.get("a") is None


def test_records_with_half_a_character_are_not_stored_and_end_nothing(tmp_path):
    """Their attack is played again, as that of any asset that cannot be written as arrays."""
    store = Artifacts(tmp_path / "loot")
    texts = np.array(["whole", "half \ud800"], dtype=object)
    assert store.put("odd", Data("texts", Modality.LANGUAGE, texts)) is False
    assert store.put("good", Data("texts", Modality.LANGUAGE, texts[:1])) is True
    assert store.get("odd") is None and list(store.keys()) == ["good"]
