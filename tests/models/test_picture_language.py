"""A language model that looks at pictures: its scores, its slopes, and what it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.data.drawn_words import BUILT_IN, TRAINED, UNSEEN, draw_across, draw_word
from hartley.kit.language import gpt
from hartley.kit.language.text import PAD, Vocabulary, pad
from hartley.kit.vision import picture_tokens
from hartley.models.frozen_language import FrozenLanguage
from hartley.models.picture_answers import answering
from hartley.models.picture_embeddings import SharedSpace
from hartley.models.picture_language import PictureLanguage
from hartley.models.picture_lessons import Lessons, first_stage

torch = pytest.importorskip("torch")

SHAPE = gpt.Shape(40, 16, 2, 2, 32)
PROJECTOR = picture_tokens.Shape(8, 1, 2, 16)


def language() -> FrozenLanguage:
    """A random network; the token of a letter is its place in the alphabet."""
    state = gpt.initial(SHAPE, torch.Generator().manual_seed(3))
    state["tokens"] *= 20

    def states(x, positions, sees):
        def entered(name, input_, output):
            return x + state["positions"][positions] if name == "tokens" else output

        ids = torch.zeros(x.shape[:2], dtype=torch.int64)
        return gpt.hidden(state, SHAPE, ids, positions, sees, tap=entered)

    def encode(text):
        return [ord(letter) - 96 for letter in text.lower() if letter.isalpha()]

    words = Vocabulary(40, encode, lambda ids: "".join(chr(96 + i) for i in ids if i > 0), "abc")
    return FrozenLanguage("letters", words, state["tokens"], states, (0,), 1, "random")


def maps(pictures):
    """Every eighth pixel, as if it were a feature map."""
    flat = pictures.flatten(1)[:, ::8]
    return torch.nn.functional.pad(flat, (0, 16 * 1728 - flat.shape[1])).reshape(-1, 16, 1728)


def reader() -> PictureLanguage:
    state = picture_tokens.initial(PROJECTOR, torch.Generator().manual_seed(4))
    state["radius"] = torch.full((1,), 3.0)
    return PictureLanguage(language(), PROJECTOR, state, maps)


def pictures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 3, 128, 128)).astype(np.float32)


def test_answers_read_at_once_score_as_each_read_alone() -> None:
    model = reader()
    answers = ["a", "bcd", "be", "xyzw"]
    rows, before = model.rows(answers), model.vectors(pictures(3))
    both = model.log_likelihoods(before, "say", rows)
    for k, answer in enumerate(rows):
        ids = [int(i) for i in answer if i != PAD]
        x = model.asked(before, "say")
        for i in ids:
            t = x.shape[1]
            states = model.language.states(x, torch.arange(t).expand(3, t), None)
            logs = (states[:, -1] @ model.language.embeddings.T).log_softmax(1)
            both[:, k] -= logs[:, i].numpy()
            x = torch.cat([x, model.language.embeddings[i].expand(3, 1, -1)], 1)
    assert np.abs(both).max() < 1e-4


def test_each_picture_may_have_answers_of_its_own() -> None:
    model = reader()
    before = model.vectors(pictures(2))
    lists = [["ab", "c"], ["c", "dea"]]
    rows = pad([model.language.spelled(a) for each in lists for a in each]).reshape(2, 2, -1)
    together = model.log_likelihoods(before, "say", rows)
    for k in range(2):
        alone = model.log_likelihoods(before[k : k + 1], "say", model.rows(lists[k]))
        assert np.allclose(together[k], alone[0], atol=1e-4)


def test_the_slope_is_what_the_loss_rises_by() -> None:
    model = answering(reader(), "say", ["ab", "c", "de"], pictures(4, 9))
    x, rng = pictures(2, 1), np.random.default_rng(2)
    y = np.array([[0, 1], [0, 2]])
    slope = model.calls["slope"](x, y, "ce")[:, 2:].reshape(x.shape)
    z = model.query(x)
    assert model.calls["slope"](x, y, "ce")[:, 1].tolist() == z.argmax(1).tolist()
    towards = rng.standard_normal(x.shape).astype(np.float32)
    towards /= np.linalg.norm(towards.reshape(2, -1), axis=1)[:, None, None, None]
    towards += slope / np.linalg.norm(slope.reshape(2, -1), axis=1)[:, None, None, None]

    def loss(pictures_):
        logits = model.query(pictures_)
        logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        return logs[[0, 1], y[:, 1]]

    step = 0.3
    risen = (loss(x + step * towards) - loss(x - step * towards)) / (2 * step)
    assert np.allclose(risen, (slope * towards).reshape(2, -1).sum(1), rtol=0.05)


def test_usual_pictures_say_nothing_of_an_answer() -> None:
    usual = pictures(6, 5)
    model = answering(reader(), "say", ["ab", "c"], usual)
    assert np.abs(model.query(usual).mean(0)).max() < 1e-6


def test_vectors_lie_around_the_mean_of_the_embeddings() -> None:
    vectors = reader().vectors(pictures(3))
    assert vectors.shape == (3, 16, 16)
    assert torch.allclose(vectors.norm(dim=2), torch.tensor(3.0))


def test_the_first_stage_finds_the_tokens_that_pictures_carry() -> None:
    rng = np.random.default_rng(0)
    captions = rng.integers(0, 12, (400, 2))
    codes = rng.standard_normal((12, 1728))
    features = 0.3 * rng.standard_normal((400, 16, 1728))
    features[:, 0] += codes[captions[:, 0]]
    features[:, 1] += codes[captions[:, 1]]
    shape, speaks = replace(PROJECTOR, width=32), language()
    state = first_stage(
        speaks,
        shape,
        torch.from_numpy(features[:320]).float(),
        captions[:320],
        lessons=Lessons(epochs=7, rate=1e-2, batch=16),
        seed=0,
    )
    out = picture_tokens.tokens(state, shape, torch.from_numpy(features[320:]).float())[:, :2]
    read = (out @ speaks.embeddings[:12].T - (speaks.embeddings[:12] ** 2).sum(1) / 2).argmax(2)
    assert (read.numpy() == captions[320:]).mean() > 0.8  # chance is 1/12


def test_a_caption_that_stands_where_its_picture_would_has_its_embedding() -> None:
    model = reader()

    def laid_out(tokens):
        return np.pad(tokens, ((0, 0), (0, 16 - tokens.shape[1])), constant_values=1)

    tokens = np.array([[3, 5], [7, 2]])
    space = SharedSpace.of(model, laid_out, pictures(4), tokens)
    x = pictures(2, 8)
    towards = np.random.default_rng(1).standard_normal((2, 13 * 16)).astype(np.float32)
    slope = space.slope(x, towards)
    step = np.sign(slope).astype(np.float32) * 0.01
    risen = ((space.pictures(x + step) - space.pictures(x - step)) * towards).sum(1) / 2
    assert np.allclose(risen, np.abs(slope).reshape(2, -1).sum(1) * 0.01, rtol=0.05)
    records = np.concatenate([space.pictures(x), space.captions(tokens)], 1)
    embedded = space.model("space", "").query(records).reshape(2, 2, -1)
    assert np.allclose(np.linalg.norm(embedded, axis=2), 1, atol=1e-5)


def test_drawn_words_are_read_by_another_reader(need_pack) -> None:
    need_pack("pp-ocr")
    from hartley.models.line_reader import line_reader

    rng = np.random.default_rng(1)
    read = []
    for font in (*TRAINED[::4], *UNSEEN):
        picture = draw_word("music", font, 128, rng)
        grey = picture.mean(2)
        ink = np.argwhere(np.abs(grey - np.median(grey)) > 40)
        (top, _), (bottom, _) = ink.min(0), ink.max(0)
        line = grey[max(top - 4, 0) : bottom + 5]
        line = (line - line.min()) / np.ptp(line)
        line = (1 - line if np.median(line) < 0.5 else line) * 255
        text = line_reader().read(line.astype(np.uint8)).lower()
        # An i of typewriter fonts is read as 1 or l.
        letters = "".join(letter for letter in text if letter.isascii() and letter.isalnum())
        read.append(letters.replace("1", "i").replace("l", "i") == "music")
    assert np.mean(read) >= 0.8


@pytest.mark.parametrize("area", [0.0, 0.1, 0.25])
def test_a_band_covers_no_more_than_its_area(area: float) -> None:
    picture = np.full((128, 128, 3), 90, np.uint8)
    drawn = draw_across(picture, "gyrate", BUILT_IN, 0.0, area)
    touched = (drawn != picture).any(2)
    assert touched.mean() <= area
    assert touched.any() == (area > 0)


def test_an_empty_word_and_another_shape_are_refused() -> None:
    with pytest.raises(UsageError, match="must have letters"):
        draw_word(" ", BUILT_IN, 64, np.random.default_rng(0))
    model = answering(reader(), "say", ["ab", "c"], pictures(2))
    with pytest.raises(UsageError, match=r"must have shape \(n, 3, 128, 128\), got \(1, 3, 64,"):
        model.query(np.zeros((1, 3, 64, 64)))
    with pytest.raises(UsageError, match="two or more different texts"):
        answering(reader(), "say", ["ab", "ab"], pictures(2))
