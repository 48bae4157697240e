"""The audit computes the ledger's tables from the log again, and names what differs."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hartley.core.errors import UsageError
from hartley.guard.audit_log import digest_of, first_digest
from hartley.guard.config import GuardConfig, read_config
from hartley.guard.ledger import open_ledger
from hartley.guard.ledger.book import Begin, Finish, Reserve
from hartley.guard.ledger.commands import audit, stop
from hartley.guard.protocols import Charge, Event, Reservation

from .conftest import written
from .test_ledger import granted

EXTRA = """
[[secret]]
name = "pass"
file = "pass.txt"
entropy_bits = 48.0
[[decoy]]
name = "ward"
candidates = ["amber", "birch"]
alpha = 0.05
[rules]
authorised_bits_per_hour = 2.0
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger that has caps, evidence, trips of T2 and T3, and a human's stop."""
    folder = tmp_path_factory.mktemp("recount")
    (folder / "pass.txt").write_text("harpoon-velvet-93")
    config = read_config(written(folder / "guard.toml", "guard.sqlite", extra=EXTRA, acme=1e3))
    ledger = open_ledger(config)
    capped = Charge(40.0, True, "free text", ("pass",))
    for key in ("", "k"):
        one = ledger.ask_now(Reserve(key, "bob", "acme", capped, "b" * 64, "{}"))
        assert isinstance(one, Reservation) and one.bits == (8.0 if key else 40.0)
    again = ledger.ask_now(Reserve("k", "bob", "acme", capped, "b" * 64, "{}"))
    assert (again.id, again.bits) == ("2.2", 0.0)
    for n in range(60):
        one = granted(ledger, 1.0, "alice")
        only: Any = "written" if n < 4 else ""
        ledger.ask_now(Begin(one.id))
        ledger.ask_now(Finish(one.id, "{}", ("ward",), (Event("ward", n != 5, only),)))
    ledger.close_now()
    stop(config, "acme", "ann", "a drill")
    return folder


@pytest.fixture
def config(used: Path, tmp_path: Path) -> GuardConfig:
    """A copy of it."""
    return read_config(Path(shutil.copytree(used, tmp_path / "copy")) / "guard.toml")


def test_an_untouched_ledger_adds_up(config: GuardConfig) -> None:
    lines: list[str] = []
    said = audit(config, lines.append)
    assert "charges, requests, caps, evidence and trips are what they add up to" in said
    entries = [json.loads(json.loads(line)["body"]) for line in lines]
    trips = {entry["rule"]: entry["facts"] for entry in entries if entry["kind"] == "trip"}
    assert set(trips) == {"T2", "T3", "human"}
    assert trips["human"] == {"by": "ann", "reason": "a drill"}
    terms = [entry for entry in entries if entry["kind"] == "decoy"]
    assert [(row["candidates"], row["alpha"]) for row in terms] == [(2, 0.025)]


def notes_of(change: Callable[[dict[str, Any]], object]) -> Callable[[sqlite3.Connection], None]:
    def changed(base: sqlite3.Connection) -> None:
        ((text,),) = base.execute("select notes from groups where name = 'acme'").fetchall()
        notes = json.loads(text)
        change(notes)
        base.execute("update groups set notes = ? where name = 'acme'", (json.dumps(notes),))

    return changed


def run(statement: str) -> Callable[[sqlite3.Connection], None]:
    return lambda base: base.execute(statement) and None


def ward(key: str, value: Any) -> Callable[[sqlite3.Connection], None]:
    return notes_of(lambda notes: notes["evidence"]["decoys"]["ward"].update({key: value}))


CHANGES: dict[str, tuple[Callable[[sqlite3.Connection], None], str]] = {
    "a cap": (
        notes_of(lambda notes: notes["caps"].update({'["pass"]': 0})),
        r"bits about pass of group acme must be 48.0, by the audit log, got 0.0",
    ),
    "an e-value": (ward("log2_e", 0.0), "log2_e of decoy ward of group acme must be"),
    "an event": (ward("successes", 1), "successes of decoy ward of group acme must be 59"),
    "another K": (ward("k", 16), "k of decoy ward of group acme must be 2, .* got 16"),
    "certified bits": (ward("bits", 0.0), "bits of decoy ward of group acme must be"),
    "the hour": (
        notes_of(lambda notes: notes["evidence"].update(minutes=[])),
        "minutes of the evidence of group acme must be",
    ),
    "the facts of a trip": (
        notes_of(lambda notes: notes["trips"]["human"].update(by="bob")),
        "facts of trips of group acme must be .*ann.* got .*bob",
    ),
    "a lifted stop": (
        notes_of(lambda notes: notes["trips"].pop("human")),
        r"rules tripped by group acme must be \['T2', 'T3', 'human'\]",
    ),
    "a request's charge": (
        run("update requests set charged = 0 where number = 3"),
        "micro-bits of request 3 must be 1000000, by the audit log, got 0",
    ),
    "a request's account": (
        run("update requests set account = 'carol' where number = 4"),
        "account of request 4 must be alice",
    ),
    "a removed request": (
        run("delete from requests where number = 5"),
        "request 5 is in the audit log, and not in the ledger",
    ),
    "an added request": (
        run("insert into requests values (63, 'bob', 'acme', 'k9', '', 0, 1, 0, 1)"),
        "request 63 is in the ledger, and not in the audit log",
    ),
    "an answered request that is forgotten": (
        run("update requests set began = 0 where number = 7"),
        "the attempt of request 7 that was answered must be 1, by the audit log, got 0",
    ),
    "an attempt": (
        run("update requests set attempts = 1 where number = 2"),
        "attempts of request 2 must be 2",
    ),
    "an account's group": (
        run("update accounts set group_name = 'umbra' where name = 'bob'"),
        "the group of account bob must be acme, by the audit log, got umbra",
    ),
    "the ledger's clock": (run("update head set clock_ms = -5"), "a clock of at least"),
    "requests in the head": (run("update head set requests = 2000"), "must have 6[0-9] requests"),
    "a text for a number": (
        run("update groups set charged = 'x' where name = 'acme'"),
        "charged in its table groups must be integer, got text",
    ),
    "bytes for a text": (
        run("update head set ledger = x'ff'"),
        "ledger in its table head must be text, got blob",
    ),
    "a note that no guard writes": (
        run("update accounts set notes = '[1]' where name = 'bob'"),
        "row of account bob is damaged: it was changed",
    ),
    "a request that ended": (
        run("update requests set finished = 0 where number = 3"),
        "requests of group acme that have not ended must be 2, by the audit log, got 3",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_was_changed_is_named(config: GuardConfig, change: str) -> None:
    function, message = CHANGES[change]
    with sqlite3.connect(config.ledger) as base:
        function(base)
        if change == "an added request":
            base.execute("update head set requests = 63")
    with pytest.raises(UsageError, match=message) as caught:
        audit(config)
    assert "\n" not in str(caught.value)


def without(kind: str, place: int = -1) -> Callable[[list[dict[str, Any]]], object]:
    def cut(entries: list[dict[str, Any]]) -> None:
        entries.remove([entry for entry in entries if entry["kind"] == kind][place])

    return cut


def one_event(success: bool) -> Callable[[list[dict[str, Any]]], object]:
    def changed(entries: list[dict[str, Any]]) -> None:
        answers = [entry for entry in entries if entry["kind"] == "answer"]
        answers[0]["events"][0][1] = success

    return changed


def back(entries: list[dict[str, Any]]) -> None:
    entries[9]["clock_ms"] = -1


REWRITTEN: dict[str, tuple[Callable[[list[dict[str, Any]]], object], str]] = {
    "a trip that is missing": (without("trip", 0), "must be the trip of T3 of group acme"),
    "an answer that is missing": (without("answer", 3), "must be|does not bring|have not ended"),
    "an event": (one_event(False), "evidence does not bring|must be the trip"),
    "a charge that is missing": (
        without("charge", 5),
        "the end of request 5.1, which was not charged",
    ),
    "a clock that goes back": (back, "has the ledger's clock at -1 ms"),
}


@pytest.mark.parametrize("change", REWRITTEN)
def test_a_log_that_was_written_anew_contradicts_itself(config: GuardConfig, change: str) -> None:
    function, message = REWRITTEN[change]
    with sqlite3.connect(config.ledger) as base:
        ((ledger,),) = base.execute("select ledger from head").fetchall()
        rows = base.execute("select body from audit order by seq").fetchall()
        entries = [json.loads(body) for (body,) in rows]
        function(entries)
        base.execute("delete from audit")
        digest = first_digest(ledger)
        for seq, entry in enumerate(entries, 1):
            body = json.dumps({**entry, "seq": seq}, separators=(",", ":"))
            digest = digest_of(digest, body)
            base.execute("insert into audit values (?, ?, ?)", (seq, body, digest))
        base.execute("update head set seq = ?, digest = ?", (len(entries), digest))
    with pytest.raises(UsageError, match=message):
        audit(config)


def test_a_stop_is_a_humans_and_is_made_once(config: GuardConfig) -> None:
    with pytest.raises(UsageError, match=r"group acme was stopped at entry .*, by ann: a drill"):
        stop(config, "acme", "bob", "again")
    with pytest.raises(UsageError, match="the reason of a stop must be a text"):
        stop(config, "umbra", "bob", "")
    with pytest.raises(UsageError, match="did you mean umbra"):
        stop(config, "umbr", "bob", "a drill")
    ledger = open_ledger(config)
    said = stop(config, "umbra", "", "an alarm")  # while a guard runs
    assert said.startswith("umbra: refuse, charged 0 of 20 bits; entry ")
    result = ledger.ask_now(
        Reserve("", "carol", "umbra", Charge(1.0, True, ""), hashlib.sha256(b"").hexdigest(), "{}")
    )
    assert result.status == 429 and "human" in result.reason
    ledger.close_now()
    assert "verify" in audit(config)
