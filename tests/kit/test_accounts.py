"""Accounts: who is asked in turn, who has a quota, and who shares one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.core import Modality, Model
from hartley.kit import accounts


def _watched(shared: bool) -> tuple[Model, list[list[int]]]:
    """A model that answers a record with itself, and what each of its streams was asked."""
    streams: list[list[int]] = []

    def opens() -> accounts.Stream:
        asked: list[int] = []
        streams.append(asked)

        def stream(name: str, answer: Any, x: Any, arguments: Any) -> Any:
            assert name == "query" and not arguments
            asked.extend(int(row[0]) for row in x)
            return answer(x)

        return stream

    model = Model("echo", Modality.TABULAR, lambda x: np.hstack([x, 1 - x]), classes=2)
    return accounts.watched(model, opens, shared=shared), streams


def _asks(model: Model, count: int, *batches: int) -> list[int]:
    """Ask records 0, 1, … in batches, by so many accounts; return what came back."""
    session = accounts.spread(model.session, count)
    assert session is not None
    call, start, back = session("query", model.query), 0, []
    for size in batches:
        x = np.arange(start, start + size, dtype=float)[:, None]
        back += [int(row[0]) for row in call(x)]
        start += size
    return back


@pytest.mark.parametrize("batches", [(10,), (1, 4, 5), (7, 3)])
def test_accounts_are_asked_in_turn_however_the_records_are_batched(batches: Any) -> None:
    model, streams = _watched(shared=False)
    assert _asks(model, 3, *batches) == [*range(10)]
    assert streams == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]


def test_accounts_that_are_linked_have_one_stream_and_the_next_attacker_another() -> None:
    model, streams = _watched(shared=True)
    for _ in range(2):
        assert _asks(model, 3, 10) == [*range(10)]
    assert [sorted(asked) for asked in streams] == [[*range(10)]] * 2


def test_a_model_without_sessions_has_no_accounts() -> None:
    model, streams = _watched(shared=False)
    assert accounts.spread(replace(model, session=None).session, 3) is None
    assert model.query(np.ones((2, 1))).shape == (2, 2) and not streams
