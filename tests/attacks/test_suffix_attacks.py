"""Jailbreaks by suffixes of tokens: what they search with, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.data_to_model.jailbreak._shared.suffix_search import SuffixSearch, aims
from hartley.attacks.data_to_model.jailbreak._shared.suffix_tokens import plain_tokens
from hartley.attacks.data_to_model.jailbreak._shared.suffix_trials import (
    against,
    public_openings,
    universal_aims,
)
from hartley.attacks.data_to_model.jailbreak._shared.template_breeding import bred
from hartley.attacks.data_to_model.jailbreak.beast import _drawn, _grown
from hartley.attacks.data_to_model.jailbreak.gcg import gcg
from hartley.core import Access, Applied, Codec, Modality, View
from hartley.core.errors import UsageError
from hartley.engine.run.play import deal, play
from hartley.games.jailbreak.jailbreak import live
from hartley.kit.language import gpt
from hartley.kit.language.chat_template import ChatTemplate
from hartley.kit.language.text import pad
from hartley.models.text_pipeline import TextPipeline

SHAPE = gpt.Shape(vocabulary=256, width=32, layers=2, heads=4, context=256)


def _scene() -> Any:
    return live(Modality.LANGUAGE, np.random.default_rng(0))


def _view(scene: Any, **changes: Any) -> View[Any]:
    """The first view of a deal; the victim's scores are those of a drawn network over bytes."""
    view = deal(gcg, scene, seed=0, params={"rounds": 1}).rounds[0].view
    state = gpt.initial(SHAPE, __import__("torch").Generator().manual_seed(0))
    arrays = {name: 4 * weight.numpy() for name, weight in state.items()}
    offers = Access.LABELS | Access.SCORES | Access.GRADIENTS
    model = TextPipeline(SHAPE, offers=offers)._model(arrays, arrays["tokens"])
    return replace(view, source=model.with_(codec=scene.model.codec), **changes)


def _search(view: View[Any], count: int = 2, **weights: Any) -> SuffixSearch:
    questions = [str(question) for question in view.brief.question.x[:count]]
    return SuffixSearch(view, aims(view, questions, view.brief.openings[:count]), **weights)


def test_a_scripted_victim_scores_tails_as_it_scores_texts() -> None:
    scene = _scene()
    model, view = scene.model, deal(gcg, scene, seed=0, params={"rounds": 1}).rounds[0].view
    search = _search(view)
    rows = search.aims[0].rows(np.array([[33] * 8, [40, 41, 42, 43, 44, 45, 46, 47]]))
    scores = model.score(rows)
    for first in (30, search.aims[0].first(8), search.aims[0].first(8) + 7):
        tails = model.calls["tail_score"](rows, first)
        np.testing.assert_allclose(tails, scores[:, first - 1 :].sum(1), rtol=1e-9)


def test_the_loss_is_the_mean_over_questions_and_weighs_the_suffix() -> None:
    view, rng = _view(_scene()), np.random.default_rng(0)
    suffixes = rng.integers(33, 127, (5, 8))
    search = _search(view)
    score = view.model.score
    answers, whole = np.zeros(5), np.zeros(5)
    for aim in search.aims:
        scores = score(aim.rows(suffixes))
        first, start = aim.first(8), len(aim.before)
        answers -= scores[:, first - 1 :].mean(1) / 2
        whole -= scores[:, start - 1 : first - 1].sum(1) / 8 / 2
    np.testing.assert_allclose(search.losses(suffixes, rng), answers, rtol=1e-5)
    fluent = _search(view, fluency=0.5)
    np.testing.assert_allclose(fluent.losses(suffixes, rng), answers + 0.5 * whole, rtol=1e-5)


def test_steps_lower_the_loss_more_than_as_many_random_changes() -> None:
    view = _view(_scene())
    search = _search(view)
    *_, (loss, suffix) = search.walk(np.random.default_rng(0), steps=6, width=24, size=8, top=16)
    assert search.losses(suffix[None], np.random.default_rng(1))[0] == pytest.approx(loss, abs=1e-6)
    rng = np.random.default_rng(0)
    here, lowest = search.start(8, rng), np.inf
    for _ in range(6):
        drawn = np.repeat(here[None], 24, 0)
        drawn[np.arange(24), rng.integers(8, size=24)] = rng.choice(search.tokens, 24)
        losses = search.losses(drawn, rng)
        here, lowest = drawn[losses.argmin()], min(lowest, losses.min())
    assert loss < lowest


def test_candidates_come_back_from_their_text_in_the_whole_conversation() -> None:
    """With this codec "!" and "a" are one token together: suffixes that hold both are left out."""
    scene = _scene()
    plain: Any = scene.model.codec

    def encode(texts: Any) -> Any:
        return plain.encode([t.replace("!a", "\x02") for t in texts])

    def decode(tokens: Any) -> Any:
        return [t.replace("\x02", "!a") for t in plain.decode(tokens)]

    view = _view(scene)
    view = replace(view, source=view.model.with_(codec=Codec(encode, decode, 256, "merges")))
    search, rng = _search(view), np.random.default_rng(0)
    suffixes = np.frombuffer(b"!!bb!abb", np.uint8).reshape(2, 4).astype(np.int64)
    assert search.come_back(suffixes).tolist() == [True, False]
    slope = np.zeros((4, 256))
    slope[:, ord("a")] = -1
    suffix = np.array([33, 33, 33, 98])
    drawn = search.candidates(suffix, slope, 40, 1, rng)
    assert len(drawn) == 1 and drawn[0].tolist() == [97, 33, 33, 98]
    with pytest.raises(UsageError, match="must come back from their text, got none of 400"):
        search.candidates(np.array([33, 33, 33, 33])[1:], slope[1:], 40, 1, _Last(rng))


class _Last:
    """Draws that change the last place alone."""

    def __init__(self, rng: Any) -> None:
        self.rng = rng

    def integers(self, high: int, size: int) -> Any:
        return np.full(size, high - 1) if high == 3 else self.rng.integers(high, size=size)


def test_known_defenses_are_weighed() -> None:
    view = _view(_scene())
    assert against(view, 0.0, 0) == {"fluency": 0.0, "copies": 0}
    known = (Applied("perplexity_filter", {}), Applied("smooth_llm", {}))
    weighs = against(replace(view, defenses=known), 0.0, 0)
    assert weighs["fluency"] > 0 and weighs["copies"] > 1


def test_without_public_answers_there_is_no_suffix_for_all() -> None:
    scene = _scene()
    from hartley.games.withheld_secrets import Withheld

    bare = scene.with_part(replace(scene.part(Withheld), public_pairs=()))
    with pytest.raises(UsageError, match="one attack for all needs questions with public answers"):
        play(gcg, bare, game_params={"rounds": 1}, params={"steps": 1})


def test_a_beam_draws_different_tokens_by_the_law() -> None:
    law, rng = np.array([0.6, 0.3, 0.1, 0.0]), np.random.default_rng(0)
    drawn = np.array([_drawn(law, 2, rng) for _ in range(4000)])
    assert (drawn[:, 0] != drawn[:, 1]).all() and (drawn < 3).all()
    # The first one has the law; the second that of what is left: P(2nd is 0) = Σ p·.6/(1−p).
    shares = np.bincount(drawn[:, 0], minlength=3) / 4000
    np.testing.assert_allclose(shares, law[:3], atol=0.03)
    second = 0.3 * 0.6 / 0.7 + 0.1 * 0.6 / 0.9
    assert (drawn[:, 1] == 0).mean() == pytest.approx(second, abs=0.03)


def test_a_beam_is_better_than_text_drawn_by_the_victim() -> None:
    view = _view(_scene())
    search = _search(view)
    suffix = _grown(search, np.random.default_rng(0), 8, 4, 6)
    drawn = _grown(search, np.random.default_rng(1), 8, 1, 1)
    losses = [search.losses(s[None], np.random.default_rng(0))[0] for s in (suffix, drawn)]
    assert len(suffix) <= 8 and losses[0] < losses[1]


def test_templates_that_are_bred_get_likelier_and_the_best_one_stays() -> None:
    view = deal(gcg, _scene(), seed=0, params={"rounds": 1}).rounds[0].view
    aimed_at = public_openings(view, 4)
    best = [
        bred(view, aimed_at, np.random.default_rng(0), generations, 10)[0].reward
        for generations in (0, 1, 5)
    ]
    assert best[0] <= best[1] <= best[2] and best[2] > best[0]


def test_one_suffix_aims_at_whole_public_answers_or_at_how_they_begin() -> None:
    view = _view(_scene())
    decode = view.model.codec.decode
    whole, begun = (universal_aims(view, 3, whole=every) for every in (True, False))
    for (_, answer), aim, short in zip(view.brief.public_pairs, whole, begun, strict=False):
        (text,), (start,) = decode(aim.target[None]), decode(short.target[None])
        assert text == answer.rstrip() and text.startswith(start + " ")
        assert len(start.split()) == len(view.brief.openings[0].split())


def test_no_suffix_holds_the_sign_that_opens_a_message() -> None:
    words = ["<|s|>", "<|e|>", "user", "bot", "oak", "!", "\n"]

    def encode(texts: Any) -> Any:
        rows = []
        for text in texts:
            row, at = [], 0
            while at < len(text):
                row.append(next(i for i, word in enumerate(words) if text.startswith(word, at)))
                at += len(words[row[-1]])
            rows.append(row)
        return pad(rows)

    codec = Codec(
        encode=encode,
        decode=lambda rows: ["".join(words[i] for i in row if i >= 0) for row in np.asarray(rows)],
        size=len(words),
        identity="seven",
    )
    view, template = _view(_scene()), ChatTemplate("<|s|>user\n", "<|e|>", "<|s|>bot\n", "<|e|>")
    view = replace(
        view,
        source=view.source.with_(codec=codec),
        brief=replace(view.brief, template=template),
    )
    assert [words[i] for i in plain_tokens(view)] == ["user", "bot", "oak", "!"]
