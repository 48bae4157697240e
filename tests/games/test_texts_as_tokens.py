"""Texts as text: the codec of the model makes the tokens that a game asks about."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.membership.min_k import min_k
from hartley.attacks.model_to_data.membership.zlib_ratio import zlib_ratio
from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.core import Access, Codec, Data, Form, Modality, Scene
from hartley.core.errors import UsageError
from hartley.engine.run.meter import Meter, seal_model
from hartley.engine.run.play import play
from hartley.games.membership.membership import membership
from hartley.games.memorization.memorization import memorization
from hartley.games.texts_as_tokens import in_tokens
from hartley.kit.language.text import pad


def _say(rows: Any) -> list[str]:
    return [" ".join(f"w{i}" for i in row if i >= 0) for row in np.asarray(rows).tolist()]


WORDS = Codec(
    encode=lambda texts: pad([[int(word[1:]) for word in text.split()] for text in texts]),
    decode=_say,
    size=64,
)


def _spoken(scene: Scene) -> Scene:
    """The same scene with every row of tokens written out as text."""

    def text(data: Data | None) -> Any:
        if data is None or data.form is not Form.TOKENS or "symbols" in data.facts:
            return data
        return replace(data, x=np.array(_say(data.x), dtype=object), form=Form.TEXT)

    assert scene.model is not None
    return replace(
        scene,
        model=scene.model.with_(codec=WORDS),
        train=text(scene.train),
        holdout=text(scene.holdout),
        extra={name: text(data) for name, data in scene.extra.items()},
    )


@pytest.mark.parametrize("attack", [loss_threshold, min_k, zlib_ratio])
def test_membership_of_texts_is_that_of_their_tokens(attack: Any) -> None:
    scene = membership.live(Modality.LANGUAGE, np.random.default_rng(0))
    spoken = _spoken(scene)
    assert spoken.extra["pool"].form is Form.TEXT
    told = [play(attack, s, game_params={"rounds": 2}) for s in (scene, spoken)]
    np.testing.assert_array_equal(told[0].truth, told[1].truth)
    if attack is zlib_ratio:  # the texts themselves are compressed, not their token numbers
        assert not np.array_equal(told[0].guess, told[1].guess)
    else:
        np.testing.assert_array_equal(told[0].guess, told[1].guess)


def test_secrets_are_planted_among_texts() -> None:
    scene = memorization.live(Modality.LANGUAGE, np.random.default_rng(0))
    plain, spoken = (play(exposure, s, game_params={"rounds": 1}) for s in (scene, _spoken(scene)))
    np.testing.assert_array_equal(plain.guess, spoken.guess)


def test_parts_are_padded_alike_and_keep_what_zlib_leaves() -> None:
    texts = {"train": ["w1 w2 w3", "w4"], "holdout": ["w5 w6", "w7"]}
    parts = {
        name: Data(name, Modality.LANGUAGE, np.array(words, dtype=object))
        for name, words in texts.items()
    }
    model = membership.live(Modality.LANGUAGE, np.random.default_rng(0)).model
    assert model is not None
    scene = in_tokens(Scene("s", Modality.LANGUAGE, model=model.with_(codec=WORDS), **parts))
    assert scene.train is not None and scene.holdout is not None
    np.testing.assert_array_equal(scene.train.x, [[1, 2, 3], [4, -1, -1]])
    np.testing.assert_array_equal(scene.holdout.x, [[5, 6, -1], [7, -1, -1]])
    assert scene.train.form is Form.TOKENS
    assert scene.train.facts["zlib"][1] == len(zlib.compress(b"w4"))
    bare = Scene("s", Modality.LANGUAGE, model=model, **parts)
    with pytest.raises(UsageError, match="'train' are texts: the model of s must have a codec"):
        in_tokens(bare)


def test_what_zlib_leaves_goes_with_its_text_into_the_round_of_a_deployed_model() -> None:
    """Forty members and twenty others make a pool of forty: its sizes are not those of members."""
    rng = np.random.default_rng(0)
    model = membership.live(Modality.LANGUAGE, rng).model
    assert model is not None
    parts = {}
    for name, n in (("train", 40), ("holdout", 20)):
        sizes = rng.integers(1, 9, n)
        words = [" ".join(f"w{i}" for i in rng.integers(0, 50, size)) for size in 1 + sizes]
        parts[name] = Data(name, Modality.LANGUAGE, np.array(words, dtype=object))
    scene = Scene("s", Modality.LANGUAGE, model=model.with_(codec=WORDS, fit=None), **parts)
    question = membership(scene, rng).rounds[0].view.brief.question
    expected = [len(zlib.compress(text.encode())) for text in WORDS.decode(question.x)]
    assert len(question) == 40
    np.testing.assert_array_equal(question.facts["zlib"], expected)


def test_a_capability_that_reads_tokens_takes_texts_too() -> None:
    model = membership.live(Modality.LANGUAGE, np.random.default_rng(0)).model
    assert model is not None
    heard: list[Any] = []

    def chat(conversations: Any, new: int, seed: int) -> list[str]:
        heard.extend(conversations)
        return ["yes"] * len(conversations)

    sealed = seal_model(model.with_(codec=WORDS, chat=chat), Access.SCORES, Meter())
    assert sealed.score is not None
    texts = np.array(["w1 w2 w3", "w4 w5"], dtype=object)
    np.testing.assert_array_equal(sealed.score(texts), sealed.score(WORDS.encode(list(texts))))
    assert sealed.calls["chat"](texts[:1], 1, 0) == ["yes"]
    assert heard == [[{"role": "user", "content": "w1 w2 w3"}]]
    with pytest.raises(Exception, match="shape"):
        seal_model(model, Access.SCORES, Meter()).score(texts)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("modality", "x", "form"),
    [
        (Modality.LANGUAGE, np.array([[1, 2]]), Form.TOKENS),
        (Modality.LANGUAGE, np.array(["a", "b"]), Form.TEXT),
        (Modality.LANGUAGE, np.array(["a", "b"], dtype=object), Form.TEXT),
        (Modality.GRAPH, np.zeros((3, 1), int), Form.NODES),
        (Modality.GRAPH, np.zeros((3, 5, 5)), Form.GRAPHS),
        (Modality.PAIRED, np.zeros((3, 4)), Form.PAIRS),
        (Modality.VISION, np.zeros((3, 1, 2, 2)), Form.ARRAY),
    ],
)
def test_the_form_is_read_off_the_records(modality: Modality, x: Any, form: Form) -> None:
    data = Data("d", modality, x)
    assert data.form is form and replace(data, name="e").form is form
