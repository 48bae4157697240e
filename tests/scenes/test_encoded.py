"""The scenes on real encoders; their packs are no core packs, so these tests may skip."""

from __future__ import annotations

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Modality, Output
from hartley.games.inversion.embedding_inversion import embedding_inversion


def test_their_declarations_name_their_packs() -> None:
    declared = {e.name: e for e in catalog.entries("scene")}
    for name, packs in {
        "sentences": {"minilm", "spam-assassin"},
        "speakers": {"klettres", "resemblyzer"},
        "keywords": {"klettres"},
        "captions": {"emoji", "emoji-captions", "minilm", "efficientnet-lite0"},
    }.items():
        assert set(declared[name].requires) == packs


def test_sentences_are_retrieved_by_a_worn_question(need_pack, tmp_path, monkeypatch) -> None:
    for pack in ("minilm", "spam-assassin"):
        need_pack(pack)
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    from hartley.scenes import sentences as module

    monkeypatch.setattr(module, "TEST", 60)
    scene = module.sentences(secrets=80, public=60, known=8)
    assert scene.modality is Modality.LANGUAGE and scene.model.output is Output.EMBEDDINGS
    assert scene.utility(scene)["recall_at_1"] > 0.9
    parts = [scene.holdout, scene.extra["test"], scene.extra["public"]]
    texts = [tuple(row[row >= 0]) for part in parts for row in part.x]
    assert len(set(texts)) == len(texts) == 200, "no sentence stands in two parts"
    deal = embedding_inversion(scene, np.random.default_rng(0), rounds=1)
    one = deal.rounds[0]
    assert one.alphabet == 64 and one.view.brief.question.x.shape == (32, 384)


@pytest.mark.slow
def test_audio_and_pairs_learn(need_pack) -> None:
    for pack in ("klettres", "resemblyzer", "emoji", "emoji-captions", "efficientnet-lite0"):
        need_pack(pack)
    from hartley.scenes.captions import captions
    from hartley.scenes.keywords import keywords
    from hartley.scenes.speakers import speakers

    heard = keywords()
    assert heard.facts["test accuracy"] > 0.7
    assert heard.utility(heard)["accuracy"] == heard.facts["test accuracy"]
    voices = speakers()
    assert voices.utility(voices)["same_voice"] > 0.7
    pairs = captions()
    assert pairs.utility(pairs)["recall_at_10"] > 0.3
    assert pairs.extra["pool"].x.shape == (800, 1280 + 384)
    canaries = pairs.extra["canaries"]
    shown = {row.tobytes() for row in canaries.x[:, :1280]}
    told = {row.tobytes() for row in canaries.facts["codes"]}
    assert len(shown) == 16 and len(told) == 100
    for part in (pairs.extra["pool"], pairs.extra["public"], pairs.extra["test"]):
        assert not shown & {row.tobytes() for row in part.x[:, :1280]}, "nobody holds the pictures"
        assert not told & {row.tobytes() for row in part.x[:, 1280:]}, "nor their captions"


@pytest.mark.slow
def test_pictures_on_any_way_have_the_features_of_the_scene(need_pack) -> None:
    """Clean pictures go the way of triggered ones: rounded as a file, enlarged, encoded, scaled."""
    for pack in ("emoji", "emoji-captions", "minilm", "efficientnet-lite0"):
        need_pack(pack)
    from hartley.games.poisoning.captioned_pictures import CaptionedPictures, as_pictures
    from hartley.scenes.captions import captions

    scene = captions()
    part = scene.part(CaptionedPictures)
    assert np.array_equal(part.features(part.train), scene.train.x)
    x = part.test.x[:8]
    # Another picture in memory and the same as a file: it goes through the network.
    again = part.pictures(np.clip(x + 0.001, 0, 1))
    assert np.allclose(again, part.pictures(x), atol=1e-3)
    assert not np.allclose(part.pictures(np.clip(x + 0.1, 0, 1)), again, atol=0.1)
    assert part.test.labels.min() == 0 and part.test.labels.max() == 7
    pictures = as_pictures(scene)
    right = pictures.model.query(part.test.x).argmax(1) == part.test.labels
    assert right.mean() > 0.5, "of eight kinds"


def test_a_caption_among_equals_is_not_found() -> None:
    from hartley.core import Data, Model
    from hartley.scenes.captions import retrieval

    def query(x):
        return np.concatenate([np.zeros((len(x), 3)), x], 1)

    model = Model("cut", Modality.PAIRED, query, Output.EMBEDDINGS, 6)
    found = retrieval(model, Data("pairs", Modality.PAIRED, np.eye(12, 3)))
    assert found["recall_at_1"] == found["recall_at_10"] == 0
