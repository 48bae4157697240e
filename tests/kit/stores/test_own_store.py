"""A user's own store that misbehaves: a clear error in bounded time, never a low number."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hartley.core.errors import RunError, UsageError
from hartley.kit.stores.chunks import Chunk
from hartley.kit.stores.own_store import OwnStore
from hartley.kit.stores.postgres_store import _one_line, check_url
from hartley.scenes.own_store import own_store
from hartley.scenes.tenants import tenants

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
    part, _ = _store(lambda stored, query, k, tenant: [], waits=())
    with pytest.raises(
        RunError, match=r"of 4 planted facts 0 \(0%\) were found by their own tenant"
    ):
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


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:5432", "name: it does not begin with postgresql://"),
        ("postgresql:/one", "name: it does not begin with postgresql://"),
        ("postgresql://me@host:many/name", "name: Port could"),
        ("postgresql://[::1/name", "Invalid IPv6 URL"),
    ],
)
def test_a_malformed_address_is_refused_before_a_store_is_built(url: str, says: str) -> None:
    with pytest.raises(UsageError, match="url must be like postgresql://") as refused:
        tenants(url=url)
    assert says in str(refused.value)


def test_settings_of_a_server_are_an_address_too() -> None:
    check_url("host=here dbname=notes")
    check_url("postgresql:///notes?host=/run/postgresql")


def test_the_lines_of_an_error_are_sentences_of_one_line() -> None:
    said = _one_line("it failed.\n  Is the server running?\n\n- host a: refused")
    assert said == "it failed. Is the server running? - host a: refused"


def test_mistakes_of_a_user_are_one_line(tmp_path: Any) -> None:
    file = tmp_path / "lonely_store.py"
    file.write_text("def search(query, k, tenant):\n    return []\n")
    with pytest.raises(UsageError, match=r"must have add\(text, tenant\)"):
        own_store(search=f"{file}:search", tenants="a,b")
    for none in ("", " , "):
        with pytest.raises(UsageError, match="tenants must name at least one tenant, got none"):
            own_store(search=f"{file}:search", tenants=none)
    with pytest.raises(UsageError, match="tenants must be others than 'guest', got 'guest'"):
        own_store(search=f"{file}:search", tenants="guest")
    with pytest.raises(UsageError, match=r"search must be FILE\.py:NAME, got none"):
        own_store()


def test_an_outage_is_an_error_of_the_next_row_too_and_leaves_nothing() -> None:
    stored: list[tuple[str, str]] = []
    calls = {"add": 0, "down": True}

    def add(text: str, tenant: str) -> None:
        calls["add"] += 1
        if calls["down"] and calls["add"] % 3 == 0:
            raise OSError("gone")
        stored.append((tenant, text))

    part = OwnStore(
        lambda query, k, tenant: _tenant_only(stored, query, k, tenant),
        add, lambda text, tenant: stored.remove((tenant, text)), ("b",), "guest", what="store.py",
    )  # fmt: skip
    for _ in range(2):
        with pytest.raises(RunError, match=r"add of store\.py failed: OSError: gone"):
            _ask(part)
        assert stored == []
    calls["down"] = False
    assert _ask(part) == [{"hits": []}] and len(stored) == 4


def test_a_store_that_finds_nearly_all_is_an_error_and_one_that_is_slow_is_not() -> None:
    part, _ = _store(lambda *given: _tenant_only(*given)[:3], waits=())
    with pytest.raises(RunError, match=r"of 4 planted facts 3 \(75%\) were found"):
        _ask(part)
    asked: list[str] = []

    def late(stored: Any, query: str, k: int, tenant: str) -> list[str]:
        asked.append(query)
        return _tenant_only(stored, query, k, tenant) if len(asked) > 6 else []

    assert _ask(_store(late, waits=(0.0, 0.0))[0]) == [{"hits": []}]
