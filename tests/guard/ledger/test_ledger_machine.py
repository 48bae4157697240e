"""Any order of operations, against a model that was written apart: never over budget, latched."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hartley.guard.config import read_config
from hartley.guard.ledger import open_ledger
from hartley.guard.ledger.book import Begin, Finish, Look, Reserve, Reset, Stop
from hartley.guard.ledger.commands import audit
from hartley.guard.protocols import Charge, Event, Refused, Reservation
from hartley.infotheory.e_values import log2_kt

from .conftest import ACCOUNTS, written

DECOY = '[[decoy]]\nname = "ward"\ncandidates = ["amber", "birch", "cedar", "delta"]\nalpha = 0.1\n'
GROUPS = st.sampled_from(["acme", "umbra"])


class Ledgers(RuleBasedStateMachine):
    """A ledger in a file, and what it must say."""

    @initialize(acme=st.integers(0, 12), umbra=st.integers(0, 12))
    def start(self, acme: int, umbra: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.budgets = {"acme": acme * 10**6, "umbra": umbra * 10**6}
        path = written(
            self.folder / "guard.toml", "guard.sqlite", extra=DECOY, acme=acme, umbra=umbra
        )
        self.config = read_config(path)
        self.ledger = open_ledger(self.config)
        self.spent = {"acme": 0, "umbra": 0}
        self.answers = {"acme": 0, "umbra": 0}
        self.trips: dict[str, set[str]] = {"acme": set(), "umbra": set()}
        self.events = {"acme": [0, 0], "umbra": [0, 0]}
        self.keys: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []

    @rule(
        who=st.sampled_from(sorted(ACCOUNTS)),
        micro=st.integers(0, 3_000_000),
        key=st.sampled_from(["", "", "k", "l"]),
        body=st.sampled_from("aab"),
    )
    def reserve(self, who: str, micro: int, key: str, body: str) -> None:
        group = ACCOUNTS[who]
        charge = Charge(micro / 10**6, True, "test")
        result = self.ledger.ask_now(Reserve(key, who, group, charge, body * 64, "{}"))
        before = self.keys.get((who, key)) if key else None
        if before and (before["body"] != body or before["began"]):
            expected = 409 if before["body"] == body else 422
            assert isinstance(result, Refused) and result.status == expected
            return
        before = None if before and before.get("old") else before
        micro = 0 if before else micro
        stopped = self.trips[group] & {"T1", "human"}
        if not stopped and self.spent[group] + micro > self.budgets[group]:
            self.trips[group].add("T1")
        if self.trips[group] & {"T1", "human"}:
            assert isinstance(result, Refused) and result.status == 429
            return
        assert isinstance(result, Reservation)
        assert result.bits == micro / 10**6
        assert result.state == ("refuse" if self.trips[group] else "open")
        self.spent[group] += micro
        self.answers[group] += 1
        record = before or {"body": body, "began": "", "group": group}
        if key:
            self.keys[who, key] = record
        assert all(result.id != request["id"] for request in self.requests)
        self.requests.append({"id": result.id, "record": record, "ended": False})

    @precondition(lambda self: self.requests)
    @rule(number=st.integers(0, 10**6))
    def begin(self, number: int) -> None:
        request = self.requests[-1 - number % min(len(self.requests), 6)]
        may = request["record"]["began"] in ("", request["id"])
        assert self.ledger.ask_now(Begin(request["id"])) is may
        if may:
            request["record"]["began"] = request["id"]

    @precondition(lambda self: self.requests)
    @rule(number=st.integers(0, 10**6), success=st.sampled_from([True, True, False, None]))
    def finish(self, number: int, success: bool | None) -> None:
        request = self.requests[-1 - number % min(len(self.requests), 6)]
        group = request["record"]["group"]
        events = () if success is None else (Event("ward", success),)
        state = self.ledger.ask_now(Finish(request["id"], "{}", ("ward",), events))
        later = any(
            one["ended"] and one["record"] is request["record"]
            for one in self.requests[self.requests.index(request) :]
        )
        if not later and success is not None:
            self.events[group][0] += success
            self.events[group][1] += 1
            if log2_kt(*self.events[group], 0.25) >= math.log2(1 / 0.1) - 1e-9:
                self.trips[group].add("T3")
        request["ended"] = True
        assert state == ("refuse" if self.trips[group] else "open")

    @rule(group=GROUPS)
    def stop(self, group: str) -> None:
        assert self.ledger.ask_now(Stop(group, "ann", "a drill")) == "refuse"
        self.trips[group].add("human")

    @rule(group=GROUPS, renewed=st.booleans())
    def reset(self, group: str, renewed: bool) -> None:
        account = self.ledger.ask_now(Reset(group, "ann", "a drill", renewed))
        assert account.state == "open"
        self.trips[group], self.events[group] = set(), [0, 0]
        if renewed:
            self.spent[group] = 0
            for record in self.keys.values():
                if record["group"] == group:
                    record["old"] = True

    @rule()
    def open_again(self) -> None:
        self.ledger.close_now()
        self.ledger = open_ledger(self.config)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for group in ("acme", "umbra"):
            account = self.ledger.ask_now(Look(group))
            assert account.charged_bits == self.spent[group] / 10**6
            assert account.charged_bits <= self.budgets[group] / 10**6
            assert account.answers == self.answers[group]
            assert account.state == ("refuse" if self.trips[group] else "open")
            assert set(account.facts["trips"]) == self.trips[group]

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close_now()
            assert "verify" in audit(self.config)
            shutil.rmtree(self.folder)


Ledgers.TestCase.settings = settings(max_examples=12, stateful_step_count=40, deadline=None)
TestLedgers = Ledgers.TestCase
