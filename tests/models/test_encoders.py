"""Encoders: what is known by heart is what the network says, and real weights do real work."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core import Access, Modality, Output
from hartley.models.encoders import embedded, encoder, remembering
from hartley.testing import check_model


def test_known_records_are_embedded_once_and_others_by_the_network(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    asked = []

    def encode(x):
        asked.append(len(x))
        return np.stack([(x >= 0).sum(1), np.where(x >= 0, x, 0).sum(1)], 1).astype(np.float32)

    plain = encoder("counter", Modality.LANGUAGE, encode, 2)
    assert plain.output is Output.EMBEDDINGS and plain.offers == Access.EMBEDDINGS
    check_model(plain, np.array([[3, 4], [5, -1], [6, 7], [8, 9]]))
    asked.clear()
    x = np.array([[1, 2, -1], [3, -1, -1]])
    model = remembering(plain, x)
    assert asked == [], "nothing is embedded before it is asked for"
    mixed = np.array([[3, -1, -1, -1], [9, 9, 9, 9], [1, 2, -1, -1]])
    assert model.query(mixed).tolist() == [[1, 3], [4, 36], [2, 3]]
    assert asked == [2, 1]
    assert remembering(plain, x).query(x).tolist() == embedded(plain, x).tolist()
    assert asked == [2, 1], "the disk remembers"


def test_minilm_knows_a_paraphrase(need_pack) -> None:
    need_pack("minilm")
    from hartley.kit.language import text
    from hartley.models.minilm import minilm, words

    told = [
        "A man is playing a guitar",
        "Someone plays an instrument",
        "The stock market fell today",
    ]
    x = text.pad([words().encode(one) for one in told])
    made = minilm().query(x)
    assert made.shape == (3, 384) and np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    # The figures of the packs' inventory, from the reference code.
    assert made[0] @ made[1] == pytest.approx(0.652, abs=2e-3)
    assert made[0] @ made[2] == pytest.approx(-0.062, abs=2e-3)
    alone = minilm().query(x[2:, : int((x[2] >= 0).sum())])
    assert np.allclose(alone[0], made[2], atol=1e-5), "company and padding change nothing"


def test_efficientnet_knows_a_cat(need_pack) -> None:
    need_pack("efficientnet-lite0")
    from importlib import resources

    from PIL import Image

    from hartley.models.efficientnet import classifier, efficientnet

    with resources.files("skimage.data").joinpath("chelsea.png").open("rb") as stream:
        cat = Image.open(stream).convert("RGB")
    side = min(cat.size)
    left, top = (cat.width - side) // 2, (cat.height - side) // 2
    square = cat.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC)
    x = np.asarray(square, dtype=np.float32).transpose(2, 0, 1)[None] / 255
    logits = classifier().query(x)[0]
    share = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    # Egyptian cat, tiger cat, tabby: the shares that the authors' own code gives.
    assert share[[285, 282, 281]] == pytest.approx([0.385, 0.332, 0.163], abs=2e-3)
    assert efficientnet().query(x).shape == (1, 1280)


def test_the_speaker_encoder_answers_with_unit_vectors(need_pack) -> None:
    need_pack("resemblyzer")
    from hartley.models.speaker import speaker

    clips = np.random.default_rng(0).random((3, 1, 40, 60)).astype(np.float32)
    made = speaker().query(clips)
    assert made.shape == (3, 256) and (made >= 0).all()
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
