"""Killed writers, killed servers and files that are not ledgers: nothing is lost or let through."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.databases import new_database

from hartley.core.errors import UsageError
from hartley.guard.config import GuardConfig
from hartley.guard.ledger import BatchedLedger, LedgerError, open_ledger
from hartley.guard.ledger.commands import accounts, audit, status

from .conftest import Make
from .test_ledger import asked, granted

WRITER = """
import os, sys, threading
from pathlib import Path
from hartley.guard.config import read_config
from hartley.guard.ledger import open_ledger
from hartley.guard.ledger.book import Begin, Finish, Reserve
from hartley.guard.protocols import Charge
ledger = open_ledger(read_config(Path(sys.argv[1])))
os.write(1, b"ready\\n")
def answer(who):
    while True:
        one = ledger.ask_now(Reserve("", who, "acme", Charge(1.0, True, "t"), "a" * 64, "{}"))
        os.write(1, f"{one.id}\\n".encode())
        ledger.ask_now(Begin(one.id))
        ledger.ask_now(Finish(one.id, "{}", (), ()))
for who in ("alice", "bob") * 2:
    threading.Thread(target=answer, args=(who,), daemon=True).start()
threading.Event().wait()
"""


def test_a_killed_writer_leaves_every_answer_charged_once(make: Make, place: str) -> None:
    config = make(place, acme=1e6)
    open_ledger(config).close_now()
    answered: list[str] = []
    rng = random.Random(2)
    for _ in range(3):
        run = [sys.executable, "-c", WRITER, str(config.path)]
        with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
            answered += [writer.stdout.readline().strip() for _ in range(rng.randrange(3, 25))]
            time.sleep(rng.uniform(0.0, 0.01))
            writer.kill()
            answered += writer.stdout.read().splitlines()
        while True:  # a server may still commit what a killed client sent
            lines: list[str] = []
            summary = audit(config, lines.append)
            listed, _, head, _ = accounts(config)
            if summary.endswith(head):
                break
        bodies = [json.loads(json.loads(line)["body"]) for line in lines]
        charged = [str(body["request"]) for body in bodies if body["kind"] == "charge"]
        assert len(charged) == len(set(charged))
        assert set(answered) <= set(charged)
        assert len(charged) <= len(answered) + 4 * 3  # at most those that were under way
        (account,) = [one for one in listed if one.name == "acme"]
        assert account.charged_bits == len(charged)


def _unhealthy(ledger: BatchedLedger) -> bool:
    try:
        ledger.ask_now(None)
    except LedgerError:
        return True
    return False


def test_a_killed_server_lets_nothing_through_and_returns(make: Make, tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the extra 'postgres'")
    pytest.importorskip("pgserver", reason="needs the extra 'postgres'")
    from pgserver import get_server

    folder = tmp_path / "data"
    running: Any = get_server(folder, cleanup_mode="stop")
    try:
        ledger = open_ledger(make(running.get_uri().replace(":@", "@"), acme=1e6))
        for _ in range(5):
            granted(ledger, 1.0)
        process = int((folder / "postmaster.pid").read_text().split()[0])
        os.kill(process, signal.SIGQUIT)  # every process of it ends at once, without a checkpoint
        deadline = time.monotonic() + 10
        while (folder / "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(20):
            with pytest.raises(LedgerError, match="cannot be"):
                ledger.ask_now(asked(1.0))
        running.ensure_postgres_running()
        deadline = time.monotonic() + 60
        while _unhealthy(ledger) and time.monotonic() < deadline:
            time.sleep(0.1)  # the server recovers
        assert granted(ledger, 1.0).bits == 1.0
        config = ledger.config
        ledger.close_now()
        assert "acme: open, charged 6 of" in "\n".join(status(config))
        lines: list[str] = []
        audit(config, lines.append)
        (outage,) = [line for line in lines if '\\"kind\\":\\"outage\\"' in line]
        assert '\\"operations\\":20' in outage
    finally:
        running.cleanup()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "was removed while it was in use"),
        (lambda path: (path.unlink(), path.write_bytes(b"")), "was replaced while it was in use"),
    ],
    ids=["removed", "replaced"],
)
def test_a_file_that_is_harmed_lets_nothing_through(
    make: Make, harm: Callable[[Path], object], message: str
) -> None:
    ledger = open_ledger(make())
    granted(ledger, 1.0)
    harm(Path(ledger.config.ledger))
    with pytest.raises(LedgerError, match=message):
        for _ in range(3):
            ledger.ask_now(asked(1.0))
    ledger.close_now()


def test_an_earlier_copy_in_its_place_lets_nothing_through(make: Make) -> None:
    ledger = open_ledger(make())
    path = Path(ledger.config.ledger)
    granted(ledger, 1.0)
    with sqlite3.connect(path) as base:
        base.execute("delete from audit where seq > 1")
        base.execute("update head set seq = 1, digest = (select digest from audit where seq = 1)")
    with pytest.raises(LedgerError, match=r"must have entry \d+, got 1: an earlier copy"):
        ledger.ask_now(asked(1.0))
    ledger.close_now()


def test_a_locked_file_is_an_outage_that_ends(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hartley.guard.ledger.sqlite.PATIENCE", 0.05)
    ledger = open_ledger(make())
    other = sqlite3.connect(ledger.config.ledger, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(LedgerError, match="is locked by another program"):
        ledger.ask_now(asked(1.0))
    with pytest.raises(UsageError, match="is locked by another program"):
        open_ledger(ledger.config)
    other.execute("rollback")
    assert granted(ledger, 1.0).bits == 1.0
    ledger.close_now()
    other.close()
    audit(ledger.config)


FULL = """
import resource, sys
from pathlib import Path
from hartley.guard.config import read_config
from hartley.guard.ledger import BatchedLedger, LedgerError, open_ledger
from hartley.guard.ledger.book import Reserve
from hartley.guard.protocols import Charge
ledger = open_ledger(read_config(Path(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # what a full disk does to a write
n = 0
try:
    while True:
        one = Reserve("", "alice", "acme", Charge(1.0, True, "t"), "a" * 64, "{}")
        ledger.ask_now(one)
        n += 1
except LedgerError as error:
    print(n, error)
"""


def test_a_disk_that_is_full_is_an_outage_and_loses_nothing(make: Make) -> None:
    config = make(acme=1e6)
    run = [sys.executable, "-c", FULL, str(config.path)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    n, _, message = done.stdout.strip().partition(" ")
    assert "cannot be" in message and "\n" not in message and not done.stderr
    assert int(n) > 3
    assert f"acme: open, charged {n} of" in "\n".join(status(config))
    audit(config)


def _another_program(path: Path) -> None:
    with sqlite3.connect(path) as base:
        base.execute("create table notes (text)")


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as base:
        base.execute("pragma user_version = 99")


def _damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("begun", "harm", "message"),
    [
        (False, lambda path: path.write_text("a note\n" * 999), "a file that is not SQLite's"),
        (False, _another_program, "must be a ledger, got another program's file"),
        (True, _newer, "must be of version 1 or earlier, got 99: a newer Hartley wrote it"),
        (True, _damaged, "damaged"),
        (False, lambda path: path.mkdir(), "cannot be opened: it must be a file"),
    ],
    ids=["text", "another program", "newer", "damaged", "folder"],
)
def test_a_file_that_is_not_a_ledger_is_refused_in_one_line(
    make: Make, begun: bool, harm: Callable[[Path], object], message: str
) -> None:
    config = make()
    if begun:
        open_ledger(config).close_now()
    harm(Path(config.ledger))
    with pytest.raises(UsageError, match=message) as caught:
        open_ledger(config)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        status(config)


def test_ledgers_that_are_absent_are_not_made_by_questions(make: Make) -> None:
    config = make()
    with pytest.raises(UsageError, match="is absent: `hartley guard` makes it"):
        status(config)
    assert not Path(config.ledger).exists()
    with pytest.raises(UsageError, match="must be in a folder that exists"):
        open_ledger(make("nowhere/guard.sqlite"))


READ_ONLY = """
import os, sys
from pathlib import Path
from hartley.guard.config import read_config
from hartley.guard.ledger import open_ledger, sqlite
config = read_config(Path(sys.argv[1]))
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    open_ledger(config)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_file_that_may_only_be_read_is_refused(make: Make, tmp_path: Path) -> None:
    config: GuardConfig = make()
    open_ledger(config).close_now()
    Path(config.ledger).chmod(0o444)
    folders = {folder: folder.stat().st_mode for folder in (tmp_path, *tmp_path.parents[:2])}
    for folder in folders:
        folder.chmod(0o555)
    try:
        run = [sys.executable, "-c", READ_ONLY, str(config.path)]
        done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    finally:
        for folder, mode in folders.items():
            folder.chmod(mode & 0o777)
    assert done.stdout.startswith("UsageError") and "cannot be" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_servers_that_cannot_be_used_are_refused_in_one_line(make: Make, server: str) -> None:
    import psycopg

    url = new_database(server)
    cases = [
        ("postgresql://ann@127.0.0.1:9/guard", "127.0.0.1:9/guard cannot be used: .*refused"),
        ("postgresql://ann:pw@127.0.0.1:9/guard", "without a password: set .* PGPASSWORD"),
        (url.replace("/test_", "/none_"), "does not exist"),
    ]
    for place, message in cases:
        with pytest.raises(UsageError, match=message) as caught:
            open_ledger(make(place))
        assert "\n" not in str(caught.value) and "pw" not in str(caught.value)
    with pytest.raises(UsageError, match="is absent: `hartley guard` makes it"):
        status(make(url))
    open_ledger(make(url)).close_now()
    with psycopg.connect(url, autocommit=True) as base:
        base.execute("update hartley_guard.head set version = 99")
    with pytest.raises(UsageError, match="must be of version 1 or earlier, got 99"):
        open_ledger(make(url))


def test_a_server_whose_ledger_is_held_is_an_outage_that_ends(
    make: Make, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr("hartley.guard.ledger.postgres.PATIENCE", 1)
    ledger = open_ledger(make(new_database(server)))
    with psycopg.connect(ledger.config.ledger) as other:
        other.execute("select * from hartley_guard.head for update")
        with pytest.raises(LedgerError, match="timeout"):
            ledger.ask_now(asked(1.0))
    deadline = time.monotonic() + 30
    while _unhealthy(ledger) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert granted(ledger, 1.0).bits == 1.0
    ledger.close_now()
    audit(ledger.config)


def test_a_guard_that_starts_waits_for_a_ledger_that_is_held(
    make: Make, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    config = make(new_database(server))
    open_ledger(config).close_now()
    monkeypatch.setattr("hartley.guard.ledger.postgres.PATIENCE", 1)
    with psycopg.connect(config.ledger) as other:
        other.execute("select * from hartley_guard.head for update")
        timer = threading.Timer(1.6, other.rollback)
        timer.start()
        open_ledger(config).close_now()
        timer.join()
    assert "3 entries" in audit(config)
