"""Clocks that are set forth and back by a day, and a machine that starts again."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from tests.guard.model_server import said
from tests.guard.served import chat

from hartley.guard.ledger import batches, book, open_ledger
from hartley.guard.ledger.book import Look
from hartley.guard.ledger.commands import audit

MORE = """
[[decoy]]
name = "ward"
candidates = ["amber", "birch"]
alpha = 0.05
[[answers]]
model = "word"
allowed = ["yes", "no"]
otherwise = "no"
[rules]
authorised_bits_per_hour = 3
evidence = "log"
slow_ms = 0
"""


class Jumping(datetime):
    """A clock that is a day ahead at every third look, and a day behind at another."""

    turns = 0

    @classmethod
    def now(cls, _zone=None):
        cls.turns += 1
        return datetime(2026, 12, 1, tzinfo=UTC) + timedelta(days=(0, 1, -1)[cls.turns % 3])


def planted(_path, body):
    return said(re.search(r"ward is (\w+)\.", body.decode())[1])


def test_a_clock_that_jumps_by_a_day_trips_nothing_and_hides_nothing(
    serving, model, monkeypatch, caplog
):
    monkeypatch.setattr(book, "datetime", Jumping)
    monkeypatch.setattr("time.time", lambda: Jumping.now().timestamp())
    model.reply = planted
    guard = serving(more=MORE)
    with caplog.at_level(logging.WARNING, "hartley.guard"):
        for _ in range(9):
            assert guard.ask("word")[0] == 200  # what is named does not leave
        record = guard.group().facts["decoys"]["ward"]
        assert record["n"] >= 8 and (record["left_n"], record["bits"]) == (0, 0.0)
        assert set(guard.group().facts["trips"]) == {"T3"}
        n, facts = 0, guard.group().facts
        while "T2" not in facts["trips"] and n < 70:
            assert guard.ask("free")[0] == 200
            n, facts = n + 1, guard.group().facts
    assert 10 <= n < 70 and 8 + n <= facts["trips"]["T2"]["requests_an_hour"] <= 9 + n
    lines = [json.loads(row.getMessage()) for row in caplog.records]
    trips = [line for line in lines if line["event"] == "tripped"]
    assert [(row["rule"], row["action"], row["group"]) for row in trips] == [
        ("T3", "log", "acme"),
        ("T2", "slow", "acme"),
    ]
    key = {"Idempotency-Key": "once"}
    assert guard.ask("label", headers=key)[0] == 200
    assert [guard.ask("label", headers=key)[0] for _ in range(3)] == [409] * 3
    assert guard.ask("label", headers=key, raw=chat("label", n=2))[0] == 422
    guard.close()
    entries = []
    said_by_audit = audit(guard.config, lambda line: entries.append(json.loads(line)["body"]))
    assert "the machine's clock was set back" in said_by_audit
    bodies = [json.loads(entry) for entry in entries]
    clocks = [body["clock_ms"] for body in bodies]
    assert clocks == sorted(clocks) and clocks[-1] < 60_000
    moved = [body["facts"]["moved_s"] for body in bodies if body["kind"] == "clock"]
    assert min(moved) < -86_000 and max(moved) > 86_000


def test_after_a_reboot_the_hour_goes_on(serving, model, monkeypatch):
    model.reply = lambda _path, _body: said("yes")
    guard = serving()
    for _ in range(3):
        guard.ask("label")
    guard.close()
    for boot in (0.0, 5.0):  # the monotonic clock begins anew
        moment = [boot]
        monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=lambda m=moment: m[0]))
        ledger = open_ledger(guard.config)
        moment[0] += 59 * 30.0
        assert ledger.ask_now(Look("acme")).facts["requests_an_hour"] == 3
        ledger.close_now()
    ledger = open_ledger(guard.config)
    moment[0] += 61.0
    assert ledger.ask_now(Look("acme")).facts["requests_an_hour"] == 0
    ledger.close_now()
    assert "verify" in audit(guard.config)


def test_the_ledgers_clock_does_not_stand_still_between_batches_shorter_than_its_tick(
    serving,
):
    ledger, stored = serving().ledger, 0
    ledger._clock = None
    for n in range(1025):
        stored = ledger._passed(stored, 100.0 + n / 2048)
    assert stored == 500
    assert ledger._passed(5000, 100.75) == 5000  # another guard is ahead
    assert ledger._passed(5000, 100.875) == 5125
