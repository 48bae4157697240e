"""Every store against a search by hand: nearest chunks, gates, rights, mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hartley.core.errors import RunError, UsageError
from hartley.kit.stores.array_store import ArrayStore
from hartley.kit.stores.chunks import Chunk, Hit, VectorStore, recall
from hartley.kit.stores.keyword_index import KeywordIndex
from hartley.kit.stores.postgres_store import place_of_server
from hartley.kit.stores.sqlite_store import SqliteStore
from hartley.kit.stores.staged_store import StagedStore, numbered
from hartley.kit.stores.text_encoders import hashed_words

WIDTH, N = 16, 200


def _postgres(width: int) -> VectorStore:
    pytest.importorskip("psycopg", reason="needs the extra 'postgres'")
    pytest.importorskip("pgserver", reason="needs the extra 'postgres'")
    from hartley.kit.stores.postgres_store import PostgresStore

    return PostgresStore(width)


def _sqlite(width: int) -> VectorStore:
    pytest.importorskip("sqlite_vec", reason="needs the extra 'stores'")
    return SqliteStore(width)


MAKERS: dict[str, Any] = {"array": ArrayStore, "sqlite": _sqlite, "postgres": _postgres}


def _corpus() -> tuple[list[Chunk], np.ndarray]:
    rng = np.random.default_rng(0)
    chunks = [
        Chunk(f"c{i}", f"text {i}", f"t{i % 4}", ("t3",) if i % 10 == 0 else ()) for i in range(N)
    ]
    return chunks, rng.standard_normal((N, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module", params=MAKERS)
def store(request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    made = MAKERS[request.param](WIDTH)
    made.add(*_corpus())
    yield made
    made.close()


def _by_hand(vector: np.ndarray, k: int, reader: str | None) -> list[str]:
    chunks, vectors = _corpus()
    cosines = vectors @ vector / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vector)
    order = [i for i in np.argsort(-cosines) if reader is None or chunks[i].open_to(reader)]
    return [chunks[i].id for i in order[:k]]


def test_a_search_is_exact_behind_every_gate(store: VectorStore) -> None:
    rng = np.random.default_rng(1)
    for reader in (None, "t0", "t3"):
        for _ in range(5):
            vector = rng.standard_normal(WIDTH).astype(np.float32)
            hits = store.search(vector, 7, reader)
            assert [hit.chunk.id for hit in hits] == _by_hand(vector, 7, reader)
            assert all(a.score >= b.score for a, b in pairwise(hits))
            assert reader is None or all(hit.chunk.open_to(reader) for hit in hits)
    assert store.search(vector, 5, "nobody") == []


def test_what_is_deleted_is_not_there(store: VectorStore) -> None:
    extra, vector = Chunk("x", "more", "t1"), np.ones(WIDTH, np.float32)
    store.add([extra], vector[None])
    assert store.search(vector, 1)[0].chunk == extra and store.fetch(["x", "y"]) == [extra]
    assert abs(store.search(vector, 1)[0].score - 1) < 1e-5
    assert store.delete(["x", "y"]) == 1
    assert len(store) == N and store.search(vector, 1)[0].chunk != extra


def test_mistakes_are_said(store: VectorStore) -> None:
    with pytest.raises(UsageError, match="needs 16 finite numbers, got shape"):
        store.search(np.ones(3, np.float32), 1)
    with pytest.raises(UsageError, match="k must be from 1"):
        store.search(np.ones(WIDTH, np.float32), 0)
    with pytest.raises(UsageError, match=r"shape \(1, 16\)"):
        store.add([Chunk("n", "n", "t0")], np.ones((1, 3), np.float32))
    with pytest.raises(UsageError, match="finite"):
        store.add([Chunk("n", "n", "t0")], np.full((1, WIDTH), np.nan, np.float32))
    with pytest.raises(UsageError, match="ids of chunks must be new, got 'c0'"):
        store.add([Chunk("c0", "n", "t0")], np.ones((1, WIDTH), np.float32))
    assert len(store) == N


def test_texts_that_are_no_strings_are_refused() -> None:
    with pytest.raises(UsageError, match="text of a chunk must be a text, got int"):
        Chunk("a", 3, "t")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a text must be a string, got bytes"):
        hashed_words()([b"no"])  # type: ignore[list-item]


def test_a_store_that_is_gone_fails_the_row() -> None:
    gone = _sqlite(WIDTH)
    gone.close()
    with pytest.raises(RunError, match=r"the store SQLite .* failed"):
        gone.search(np.ones(WIDTH, np.float32), 1)


def test_a_server_that_cannot_be_reached_is_one_line() -> None:
    pytest.importorskip("psycopg", reason="needs the extra 'postgres'")
    from hartley.kit.stores.postgres_store import PostgresStore

    with pytest.raises(UsageError, match=r"the store postgresql://127\.0\.0\.1:1/x cannot be used"):
        PostgresStore(WIDTH, "postgresql://user@127.0.0.1:1/x")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hush/hush@127.0.0.1:1/x",
        "postgresql://user:hush@127.0.0.1:1/x",
        "postgresql://127.0.0.1:1/x?user=u&password=hush",
        "host=127.0.0.1 port=1 password=hush",
    ],
)
def test_a_password_in_an_address_is_refused(
    url: str,
) -> None:
    from hartley.kit.stores.postgres_store import PostgresStore
    from hartley.scenes.tenants import tenants

    for refused in (lambda: PostgresStore(WIDTH, url), lambda: tenants(store="postgres", url=url)):
        with pytest.raises(UsageError, match="set the environment variable PGPASSWORD") as caught:
            refused()
        assert "hush" not in str(caught.value)


def test_the_command_writes_no_password(tmp_path: Path) -> None:
    url = "postgresql://user:hush/hush@127.0.0.1:1/x"
    words = ["assess", "memory", "--set", "store=postgres", "--set", f"url={url}"]
    done = subprocess.run(
        [sys.executable, "-m", "hartley", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "PGPASSWORD" in done.stderr
    assert "hush" not in done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"hush" in path.read_bytes() for path in files)


def test_an_address_is_named_without_its_user() -> None:
    assert place_of_server("postgresql://u@db:5432/x?sslmode=require") == "postgresql://db:5432/x"
    assert place_of_server("host=db user=u dbname=x") == "host=db dbname=x"


class _Failing(ArrayStore):
    """A store whose add fails in the middle, or loses what it is given, while it is down."""

    down = ""

    def add(self, chunks: Any, vectors: Any) -> None:
        if self.down == "lost":
            return
        super().add(chunks, vectors)
        if self.down == "raises":
            raise RunError("the store is gone")


@pytest.mark.parametrize("down", ["raises", "lost"])
def test_after_an_error_the_same_deal_is_planted_anew(
    down: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = StagedStore(_Failing, hashed_words(), [Chunk("a", "The cat sat.", "t")])
    earlier, planted = (Chunk(numbered(1), "A dog ran.", "t"),), (Chunk(numbered(1), "Go.", "u"),)
    staged.stage(earlier)
    with monkeypatch.context() as patch:
        patch.setattr(_Failing, "down", down)
        for _ in range(2):
            with pytest.raises(RunError):
                staged.stage(planted)
            patch.setattr(_Failing, "down", "")
            assert len(staged.store) == 1, "nothing of it stays"
            patch.setattr(_Failing, "down", down)
    staged.stage(planted)
    assert [hit.chunk.text for hit in staged.search("Go.", 1, "u")] == ["Go."]
    assert not staged.holders("A dog ran.")


def test_recall_counts_ties_and_short_answers() -> None:
    hits = [Hit(Chunk(name, name, "t"), score) for name, score in (("a", 0.9), ("b", 0.5))]
    tie = [hits[0], Hit(Chunk("c", "c", "t"), 0.5)]
    assert recall([hits, hits, hits], [hits, tie, hits[1:]], 2) == [1.0, 1.0, 0.5]


def test_a_shared_index_of_words_weighs_what_others_stored() -> None:
    """The score of a chunk depends on another tenant's, and in an index of its own it does not."""
    phrase, words = '"code of Ada is red"', "the code of Ada is red"
    scores = {}
    for per_tenant in (False, True):
        for other in ("blue", "red"):
            index = KeywordIndex(per_tenant=per_tenant)
            index.add([Chunk(f"f{i}", f"filler {i} of the store", "b") for i in range(20)])
            index.add([Chunk("m", words, "a"), Chunk("o", f"the code of Ada is {other}", "b")])
            (hit,) = index.search(phrase, 5, "a")
            assert hit.chunk.id == "m"
            scores[per_tenant, other] = hit.score
    assert scores[False, "red"] < 0.95 * scores[False, "blue"]
    assert scores[True, "red"] == scores[True, "blue"]


def test_folders_of_dead_servers_are_removed_and_others_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hartley.kit.stores import postgres_store

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone, here = 2**22 + 1, os.getpid()  # above the largest number of a process
    names = {
        f"hartley-pg-{gone}-a": gone,
        f"hartley-pg-{gone}-b": here,
        f"hartley-pg-{here}-c": gone,
    }
    for name, server in names.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "postmaster.pid").write_text(f"{server}\n/data\n")
    postgres_store.sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names][1:])
