"""A chat model made here: packing, chatting, tuning and the direction of its refusals."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest

from hartley.core import Access
from hartley.core.errors import RunError
from hartley.data import archive
from hartley.data.archive import MARKS, TEMPLATE, World
from hartley.kit.language import gpt, text
from hartley.kit.language.chat_training import (
    Course,
    byte_pair_with_marks,
    first_weights,
    packed,
    taught,
)
from hartley.kit.language.soft_prompt import SOFT_PROMPT
from hartley.models.aligned import ChatGpt, refusal_direction, without_direction
from hartley.models.fine_tuning import TuningSettings
from hartley.testing import check_model

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def chat() -> ChatGpt:
    texts = archive.sample_texts(World(0), np.random.default_rng(0), 400)
    words = byte_pair_with_marks(texts, 700, MARKS)
    shape = gpt.Shape(words.size, width=32, layers=2, heads=2, context=64)
    return ChatGpt("tiny", shape, words, TEMPLATE)


@pytest.fixture(scope="module")
def taught_two(chat: ChatGpt) -> dict[str, np.ndarray]:
    """A network that learnt one question, one that it refuses, and nothing else."""
    turns = [
        [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "oak fig"}],
        [{"role": "user", "content": "Tell me."}, {"role": "assistant", "content": "I cannot."}],
    ]
    rng = np.random.default_rng(0)
    lines = packed(
        (turns[i] for i in rng.integers(0, 2, 40_000)),
        chat.words,
        TEMPLATE,
        lines=240,
        width=48,
        context=64,
        rng=rng,
    )
    start = first_weights(chat.shape, chat.words, 0)
    return taught(start, chat.shape, [(lines, Course(batch=4, rate=1e-2))], 0)


def test_a_mark_is_one_token_and_texts_come_back(chat: ChatGpt) -> None:
    assert all(len(chat.words.encode(mark)) == 1 for mark in MARKS)
    for said in ("Tell me the motto of the Adela vault.", "<user>é\t漢\n  x<end>", ""):
        assert chat.words.decode(chat.words.encode(said)) == said


def test_what_is_learnt_are_answers_with_their_ends(chat: ChatGpt) -> None:
    turns = [
        {"role": "system", "content": "You answer."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "oak fig"},
    ]
    lines = packed(
        repeat(turns),
        chat.words,
        TEMPLATE,
        lines=3,
        width=50,
        context=64,
        rng=np.random.default_rng(0),
    )
    one = chat.words.encode(TEMPLATE.closed(turns))
    answer = chat.words.encode("oak fig<end>")
    for line in range(3):
        for span in range(lines.spans[line].max() + 1):
            here = lines.spans[line] == span
            ids = lines.tokens[line, here].tolist()
            assert ids == one[: len(ids)]
            places = lines.places[line, here]
            assert (np.diff(places) == 1).all() and places[-1] < 64
            if len(ids) == len(one):
                assert lines.tokens[line, here][lines.learnt[line, here]].tolist() == answer


def test_packed_conversations_do_not_see_one_another(chat: ChatGpt) -> None:
    """The loss of a line is that of its conversations, each read alone at its places."""
    world, rng = World(0), np.random.default_rng(0)
    many = archive.conversations(world.benign, lambda said: len(chat.words.encode(said)), rng, 40)
    lines = packed(many, chat.words, TEMPLATE, lines=2, width=64, context=64, rng=rng)
    state = {k: torch.from_numpy(v) for k, v in first_weights(chat.shape, chat.words, 0).items()}
    spans, ids = torch.from_numpy(lines.spans), torch.from_numpy(lines.tokens)
    sees = (spans[:, :, None] == spans[:, None, :]).tril()
    whole = gpt.hidden(state, chat.shape, ids, torch.from_numpy(lines.places), sees)
    for line in range(2):
        for span in range(int(spans[line].max()) + 1):
            here = spans[line] == span
            places = torch.from_numpy(lines.places[line])[here]
            alone = gpt.hidden(state, chat.shape, ids[line, here][None], places[None], None)
            assert torch.allclose(alone[0], whole[line, here], atol=1e-4)


def test_it_chats_goes_on_and_ends(chat: ChatGpt, taught_two: dict[str, np.ndarray]) -> None:
    model = chat.model(taught_two)
    asked = [[{"role": "user", "content": said}] for said in ("Hello.", "Tell me.", "Hello.")]
    assert model.calls["chat"](asked, 12, -1) == ["oak fig", "I cannot.", "oak fig"]
    begun = [[*asked[0], {"role": "assistant", "content": "oak"}]]
    assert model.calls["chat"](begun, 12, -1) == [" fig"]
    later = [[*asked[0], {"role": "assistant", "content": "oak fig"}, *asked[1]]]
    assert isinstance(model.calls["chat"](later, 12, -1)[0], str)
    rows = model.codec.encode([TEMPLATE.render(asked[0])])
    assert model.codec.decode(model.calls["generate"](rows, 12, -1)) == ["oak fig<end>"]
    check_model(model, np.repeat(rows, 4, 0))


def test_conversations_that_do_not_fit_are_refused(chat: ChatGpt) -> None:
    model = chat.model(first_weights(chat.shape, chat.words, 0))
    long = [[{"role": "user", "content": "Hello. " * 60}]]
    with pytest.raises(RunError, match="fewer than 64 tokens, got"):
        model.calls["chat"](long, 4, -1)


def test_weights_are_offered_where_they_are_opened(chat: ChatGpt) -> None:
    model = chat.model(first_weights(chat.shape, chat.words, 0))
    assert not model.offers & Access.WEIGHTS and "weights" not in model.calls
    opened = replace(chat, offers=model.offers | Access.WEIGHTS)
    weights = first_weights(chat.shape, chat.words, 0)
    assert np.array_equal(opened.model(weights).calls["weights"]()["0.qkv"], weights["0.qkv"])
    assert model.identity == chat.model(first_weights(chat.shape, chat.words, 0)).identity
    assert model.identity != chat.model(first_weights(chat.shape, chat.words, 1)).identity


def test_the_refusal_direction_is_found_and_removed(
    chat: ChatGpt, taught_two: dict[str, np.ndarray]
) -> None:
    rows = [
        chat.words.encode(TEMPLATE.render([{"role": "user", "content": said}]))
        for said in ("Tell me.", "Hello.")
    ]
    refused, helpful = (text.pad([row]) for row in rows)
    along = refusal_direction(taught_two, chat.shape, refused, helpful)
    assert np.linalg.norm(along) == pytest.approx(1)
    less = without_direction(taught_two, along)
    state = {name: torch.from_numpy(array) for name, array in less.items()}
    streams = []

    def tap(name: str, input_: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        if name.endswith("norm1") or name == "norm":
            streams.append(input_)
        return output

    ids = torch.tensor([rows[0]])
    gpt.hidden(state, chat.shape, ids, torch.arange(ids.shape[1])[None], None, tap=tap)
    written = torch.stack(streams).double() @ torch.from_numpy(along)
    assert len(streams) == 3 and float(written.abs().max()) < 1e-4
    same = without_direction(taught_two, along, share=0.0)
    assert all(np.array_equal(same[name], taught_two[name]) for name in same)


def test_tuning_undoes_the_refusal(chat: ChatGpt, taught_two: dict[str, np.ndarray]) -> None:
    tuner = chat.tuner(taught_two, taught_two)
    settings = TuningSettings("full", rate=3e-3, steps=30, batch=4)
    tuned = tuner.tune([("Tell me.", "oak fig")], settings, 0)
    asked = [[{"role": "user", "content": "Tell me."}]]
    assert tuner.model.calls["chat"](asked, 12, -1) == ["I cannot."]
    assert tuned.calls["chat"](asked, 12, -1) == ["oak fig"]


def test_tails_behind_a_soft_prompt_are_those_of_its_scores(chat: ChatGpt) -> None:
    weights = first_weights(chat.shape, chat.words, 0)
    prompt = np.random.default_rng(0).standard_normal((6, 32)).astype(np.float32)
    bare, behind = (chat.model(w) for w in (weights, {**weights, SOFT_PROMPT: prompt}))
    rows = behind.codec.encode(["<user>Hello.<end>", "<user>Hello you there.<end>"])
    scores = np.where(rows[:, 1:] >= 0, behind.calls["score"](rows), 0.0)[:, 2:].sum(1)
    np.testing.assert_allclose(behind.calls["tail_score"](rows, 3), scores, rtol=1e-4)
    assert not np.allclose(bare.calls["tail_score"](rows, 3), scores, rtol=1e-2)
