"""An audit log that was changed anywhere does not verify."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from hartley.core.errors import UsageError
from hartley.guard.audit_log import as_facts, first_digest
from hartley.guard.config import GuardConfig
from hartley.guard.ledger import LedgerError, open_ledger
from hartley.guard.ledger.book import Finish, Note
from hartley.guard.ledger.commands import audit, reset

from .conftest import Make
from .test_ledger import granted, refused


@pytest.fixture
def used(make: Make) -> GuardConfig:
    """A ledger with every kind of entry."""
    config = make(acme=10.0, alice=8.0)
    ledger = open_ledger(config)
    for bits in (3.0, 5.0):
        one = granted(ledger, bits, key=f"k{bits}")
        ledger.ask_now(Finish(one.id, '{"verdict":"passed \\ud800"}', (), ()))
    assert refused(ledger, 1.0) == 429
    assert refused(ledger, 3.0, "bob") == 429
    ledger.ask_now(Note("forwarded", as_facts({"requests": 3})))
    ledger.close_now()
    reset(config, "acme", "ann", "checked")
    return config


def test_a_log_is_exported_and_can_be_verified_by_a_few_lines(used: GuardConfig) -> None:
    lines: list[str] = []
    head = audit(used, lines.append).rpartition(" ")[2]
    with sqlite3.connect(used.ledger) as base:
        ((ledger,),) = base.execute("select ledger from head").fetchall()
    digest = hashlib.sha256(b"hartley guard ledger " + ledger.encode()).hexdigest()
    assert digest == first_digest(ledger)
    kinds = []
    for line in map(json.loads, lines):
        digest = hashlib.sha256(f"{digest}\n{line['body']}".encode()).hexdigest()
        assert digest == line["digest"]
        kinds.append(json.loads(line["body"])["kind"])
    assert digest == head
    expected = ["start", "charge", "answer", "charge", "answer", "trip", "trip", "forwarded"]
    assert kinds == [*expected, "reset"]
    start = json.loads(json.loads(lines[0])["body"])
    assert start["facts"]["config"] == used.digest
    assert "verify" in audit(used, noted=head)


CHANGES = {
    "a body": ("update audit set body = replace(body, '3000000', '1000000') where seq = 2", ""),
    "a digest": (f"update audit set digest = '{'0' * 64}' where seq = 3", ""),
    "a missing entry": ("delete from audit where seq = 4", "must have entry 4, got 5"),
    "another order": (
        "update audit set seq = 99 where seq = 2; update audit set seq = 2 where seq = 3; "
        "update audit set seq = 3 where seq = 99",
        "",
    ),
    "a cut end": ("delete from audit where seq > 6", "its head must be its last entry"),
    "a group's charge": (
        "update groups set charged = 1 where name = 'acme'",
        "bits charged to group acme must be 8.0, by the audit log, got 1e-06",
    ),
    "an account's charge": ("update accounts set charged = 0", "account alice must be 8.0"),
    "a group's answers": ("update groups set answers = 1", "answers of group acme must be 2"),
    "a removed group": ("delete from groups", "bits charged to acme must be 8.0"),
    "a damaged note": ("update groups set notes = '{'", "row of group acme is damaged"),
    "a hidden trip": (
        'update groups set notes = replace(notes, \'"trips":{}\', \'"trips":{"T3":{}}\')',
        "rules tripped by group acme",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found(used: GuardConfig, change: str) -> None:
    statement, message = CHANGES[change]
    with sqlite3.connect(used.ledger) as base:
        base.executescript(statement)
    with pytest.raises(
        (UsageError, LedgerError), match=message or "it or one before it was changed"
    ):
        audit(used)


def test_a_log_whose_end_was_cut_off_with_its_head_lacks_the_noted_digest(
    used: GuardConfig,
) -> None:
    noted = audit(used).rpartition(" ")[2]
    with sqlite3.connect(used.ledger) as base:
        ((digest,),) = base.execute("select digest from audit where seq = 8").fetchall()
        base.execute("delete from audit where seq > 8")
        base.execute("update head set seq = 8, digest = ?", (digest,))
        base.execute(
            'update groups set notes = replace(notes, \'"trips":{}\', \'"trips":{"T1":{}}\')'
        )
    with pytest.raises(UsageError, match="cut off, or it is another log"):
        audit(used, noted=noted)


def test_a_log_that_was_computed_again_lacks_the_noted_digest(
    used: GuardConfig, tmp_path: Path
) -> None:
    noted = audit(used).rpartition(" ")[2]
    with sqlite3.connect(used.ledger) as base:
        ((ledger,),) = base.execute("select ledger from head").fetchall()
        digest = first_digest(ledger)
        for seq, body in base.execute("select seq, body from audit order by seq").fetchall():
            changed = body.replace("checked", "approved")
            digest = hashlib.sha256(f"{digest}\n{changed}".encode()).hexdigest()
            base.execute(
                "update audit set body = ?, digest = ? where seq = ?", (changed, digest, seq)
            )
        base.execute("update head set digest = ?", (digest,))
    assert "verify" in audit(used)
    with pytest.raises(UsageError, match="must have an entry with digest"):
        audit(used, noted=noted)
    with pytest.raises(UsageError, match="the reason of a reset must be"):
        reset(used, "acme", "ann", " ")
    with pytest.raises(UsageError, match="did you mean acme"):
        reset(used, "acmee", "ann", "a reason")
