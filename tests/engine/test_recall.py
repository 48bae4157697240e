"""Answers that attacks of one deal share: never another's, never another question's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.core import Access, Modality, Model
from hartley.core.assets import Session
from hartley.engine.run import answer_cache
from hartley.engine.run.meter import Meter, seal_model

X = np.random.default_rng(0).random((2 * answer_cache.WORTH, 3))


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    answer_cache.forget()
    yield
    answer_cache.forget()


def _counting(calls: list[int], shift: float = 0.0) -> Model:
    def query(x: Any) -> Any:
        calls.append(len(x))
        odds = np.exp(x + shift * np.arange(3))
        return odds / odds.sum(1, keepdims=True)

    def generate(tokens: Any, new: int, seed: int) -> Any:
        calls.append(len(tokens))
        return np.random.default_rng(seed).integers(0, 99, (len(tokens), new))

    return Model("counting", Modality.VISION, query, classes=3, generate=generate)


def test_a_question_is_counted_twice_and_answered_once() -> None:
    calls: list[int] = []
    model, meter = _counting(calls), Meter()
    one = seal_model(model, Access.SCORES, meter).query(X)
    two = seal_model(model, Access.SCORES, meter).query(X.copy())
    assert np.array_equal(one, two) and calls == [len(X)]
    assert meter.queries == 2 * len(X)


def test_another_model_and_another_question_are_asked_anew() -> None:
    calls: list[int] = []
    first, second = (seal_model(_counting(calls, s), Access.SCORES, Meter()) for s in (0.0, 1.0))
    assert not np.allclose(first.query(X), second.query(X))
    changed = X.copy()
    before = first.query(changed)
    changed[0, 0] += 1.0
    assert not np.allclose(first.query(changed), before), "what is kept goes by content"
    assert first.query(X[: answer_cache.WORTH - 1]).shape == (answer_cache.WORTH - 1, 3)
    assert len(calls) == 4


def test_seeds_and_lengths_are_part_of_the_question() -> None:
    model = seal_model(_counting([]), Access.LABELS, Meter())
    tokens = np.zeros((answer_cache.WORTH, 2), np.int64)
    assert model.generate is not None
    said = [model.generate(tokens, *rest) for rest in ((4, 1), (4, 2), (5, 1), (4, 1))]
    assert not np.array_equal(said[0], said[1]) and said[2].shape[1] == 5
    assert np.array_equal(said[0], said[3])


def test_labels_of_scores_do_not_stand_in_for_the_scores() -> None:
    model = _counting([])
    labels = seal_model(model, Access.LABELS, Meter()).query(X)
    scores = seal_model(model, Access.SCORES, Meter()).query(X)
    assert labels.shape == (len(X),) and np.array_equal(scores.argmax(1), labels)


def test_a_session_is_never_recalled() -> None:
    def opened() -> Session:
        left = [1]

        def session(name: str, function: Any) -> Any:
            def call(x: Any, *rest: Any) -> Any:
                left[0] -= 1
                return function(x, *rest) if left[0] >= 0 else np.full((len(x), 3), 1 / 3)

            return call

        return session

    model = seal_model(replace(_counting([]), session=opened), Access.SCORES, Meter())
    assert not np.allclose(model.query(X), 1 / 3)
    assert np.allclose(model.query(X), 1 / 3), "the same question costs again"


def test_what_is_given_as_it_is_stays_writable() -> None:
    x = X.copy()
    assert not answer_cache.recalled(lambda v: v, x).flags.writeable
    x[0] = 0.0
    assert np.array_equal(answer_cache.recalled(lambda v: v, X), X)


def test_what_is_kept_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_cache, "ROOM", 8 * X.nbytes)
    for k in range(40):
        answer_cache.recalled(np.negative, X + k)
    assert 0 < answer_cache._memory.size <= answer_cache.ROOM
    assert answer_cache._memory.size == sum(a.nbytes for a in answer_cache._memory.entries.values())
