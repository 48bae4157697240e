"""A user's own store that misbehaves: a clear error in bounded time, never a low number."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hartley.core.errors import RunError, UsageError
from hartley.kit.stores.chunks import Chunk
from hartley.kit.stores.own_store import OwnStore
from hartley.scenes.own_store import own_store

PLANTED = tuple(Chunk(f"c{i}", f"The access code of Ada Nr{i} is red.", "b") for i in range(4))


def _store(search: Any, **more: Any) -> tuple[OwnStore, list[tuple[str, str]]]:
    stored: list[tuple[str, str]] = []
    part = OwnStore(
        lambda query, k, tenant: search(stored, query, k, tenant),
        lambda text, tenant: stored.append((tenant, text)),
        None, ("b",), "guest", what="store.py", **more,
    )  # fmt: skip
    return part, stored


def _tenant_only(stored: Any, query: str, k: int, tenant: str) -> list[str]:
    return [text for owner, text in stored if owner == tenant][:k]


def _ask(part: OwnStore) -> list[dict[str, Any]]:
    model = part.called_by("guest", PLANTED, ("search",), None)
    return list(model.calls["tools"]([("search", {"text": "Ada", "k": 5})]))


def test_a_store_that_keeps_tenants_apart_is_asked_as_the_guest() -> None:
    part, stored = _store(_tenant_only)
    assert _ask(part) == [{"hits": []}] and _ask(part) == [{"hits": []}]
    assert len(stored) == 4, "planted once"


def test_facts_that_their_own_tenant_does_not_find_are_no_zero() -> None:
    part, _ = _store(lambda stored, query, k, tenant: [])
    with pytest.raises(RunError, match="of 4 planted facts 0 were found by their own tenant"):
        _ask(part)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (lambda *_: 1 / 0, r"search of store\.py failed: ZeroDivisionError: division by zero"),
        (lambda *_: "text", "must return a list, got str"),
        (lambda *_: [3], "a hit of store.py must be a text"),
        (lambda *_: ["x" * 3_000_000], "at most 2,000,000 characters, got 3,000,000"),
        (lambda *_: exit(3), "failed: SystemExit"),
    ],
)
def test_code_that_fails_or_returns_something_else(search: Any, says: str) -> None:
    with pytest.raises(RunError, match=says):
        _ask(_store(search)[0])


def test_a_store_that_hangs_is_left_after_its_time() -> None:
    began = time.monotonic()
    with pytest.raises(RunError, match=r"search of store\.py did not answer within 0\.2 s"):
        _ask(_store(lambda *_: time.sleep(3), patience=0.2)[0])
    assert time.monotonic() - began < 2


def test_mistakes_of_a_user_are_one_line(tmp_path: Any) -> None:
    file = tmp_path / "lonely_store.py"
    file.write_text("def search(query, k, tenant):\n    return []\n")
    with pytest.raises(UsageError, match=r"must have add\(text, tenant\)"):
        own_store(search=f"{file}:search", tenants="a,b")
    with pytest.raises(UsageError, match="tenants must be others than 'guest', got 'guest'"):
        own_store(search=f"{file}:search", tenants="guest")
    with pytest.raises(UsageError, match=r"search must be FILE\.py:NAME, got none"):
        own_store()
