"""Rules T1 to T3: when they trip, that a trip stays, and what a clock cannot do."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from hartley.guard.config import RuleSettings
from hartley.guard.ledger import book, open_ledger
from hartley.guard.ledger.book import Finish, Look
from hartley.guard.ledger.commands import audit, reset, status
from hartley.guard.protocols import Event, Refused, Reservation
from hartley.guard.rules import Evidence, state_of, take
from hartley.infotheory.e_values import log2_kt

from .conftest import Make
from .test_ledger import asked, granted, refused

TERMS = {"decoy": "ward", "alpha": 0.001, "authorised_bits_an_hour": 1e9}
DECOY = '[[decoy]]\nname = "ward"\ncandidates = ["amber", "birch"]\nalpha = 0.001\n'


def test_the_strictest_rule_brings_the_state() -> None:
    settings = RuleSettings(budget="log", rate="slow", evidence="coarsen")
    assert state_of([], settings) == ("open", "")
    assert state_of(["T1"], settings) == ("open", "T1")
    assert state_of(["T1", "T3", "T2"], settings) == ("coarsen", "T3")
    assert state_of(["T2", "human"], settings) == ("refuse", "human")


def test_evidence_trips_at_the_event_that_the_e_process_says(make: Make) -> None:
    config = make(acme=1e6, extra=DECOY)
    ledger = open_ledger(config)
    trips_at = next(n for n in range(1, 99) if log2_kt(n, n, 0.5) >= 9.965785)
    for n in range(1, trips_at + 3):
        one = granted(ledger, 1.0, "bob")
        assert one.state == ("open" if n <= trips_at else "refuse")
        assert one.bits == 1.0  # the refusal is one of the answers that are charged
        event = (Event("ward", True),)
        ledger.ask_now(Finish(one.id, "{}", ("ward",), event))
    free = asked(1.0)
    unbounded = type(free.charge)(1.0, False, "free text")
    request = type(free)("", "alice", "acme", unbounded, "a" * 64, "{}")
    assert isinstance(ledger.ask_now(request), Refused)
    assert granted(ledger, 1.0, "carol").state == "open"
    assert "decoy ward" in "\n".join(status(config))
    account = ledger.ask_now(Look("acme"))
    assert (account.rule, account.facts["decoys"]["ward"]["n"]) == ("T3", trips_at + 2)
    reset(config, "acme", "ann", "a drill")
    account = ledger.ask_now(Look("acme"))
    assert (account.state, account.facts["decoys"]) == ("open", {})
    ledger.close_now()
    audit(config)


def test_benign_decoys_trip_no_more_often_than_declared(make: Make) -> None:
    config = make(extra=DECOY.replace("0.001", "0.05"))
    rng, trips = random.Random(3), 0
    for _ in range(150):
        evidence = Evidence()
        evidence.under(config, ("ward",))
        for _ in range(60):
            if take(evidence, ("ward",), [Event("ward", rng.random() < 0.5)], 0):
                trips += 1
                break
    assert trips <= 14  # chance below 0.01 at a rate of 0.05


def test_evidence_goes_on_under_another_number_of_candidates_and_stays_an_e_process(
    make: Make,
) -> None:
    narrow, wide = (
        make(extra=DECOY),
        make(extra=DECOY.replace('"birch"', '"birch", "cedar", "elm"')),
    )
    means = [0.0] * 5
    for path in range(2**5):  # all sequences of events, each with its chance under the null
        chance, evidence = 1.0, Evidence()
        for n in range(5):
            success, k = bool(path >> n & 1), 2 if n < 2 else 4
            evidence.under(narrow if n < 2 else wide, ("ward",))
            take(evidence, ("ward",), [Event("ward", success)], 0)
            chance *= 1 / k if success else 1 - 1 / k
            means[n] += chance * 2 ** evidence.decoys["ward"].log2_e * 2.0 ** (n - 4)
    assert means == pytest.approx([1.0] * 5)
    record = evidence.decoys["ward"]
    assert (record.k, record.k_least, record.k_most, record.n) == (4, 2, 4, 5)


def test_bits_are_certified_in_what_left_and_for_every_number_of_candidates() -> None:
    evidence = Evidence()
    evidence.take_terms(TERMS | {"candidates": 4})
    for only in ("written", "left", ""):
        take(evidence, ("ward",), [Event("ward", True, only)] * 40, 0)  # type: ignore[arg-type]
    record = evidence.decoys["ward"]
    assert (record.n, record.left_n, record.left_successes) == (80, 80, 80)
    before = record.bits
    assert 0.9 < before < 2.0
    evidence.take_terms(TERMS | {"candidates": 16})
    take(evidence, ("ward",), [Event("ward", True)], 0)
    assert 0.9 < evidence.decoys["ward"].bits < 2.0  # as of 4 candidates, not of 16
    alone = Evidence()
    alone.take_terms(TERMS | {"candidates": 4})
    take(alone, ("ward",), [Event("ward", True, "written")] * 80, 0)
    assert alone.decoys["ward"].bits == 0.0


def test_the_rate_is_of_the_last_hour_of_the_ledgers_clock() -> None:
    evidence = Evidence()
    for minute in (0, 0, 1, 30, 59, 59, 60):
        evidence.count(minute * 60_000)
    assert evidence.per_hour(60 * 60_000) == 5
    assert evidence.per_hour(90 * 60_000) == 3
    assert len(evidence.minutes) <= 60
    assert Evidence.of(evidence.stored()) == evidence


@pytest.mark.parametrize("years", [-30, 0, 30])
def test_the_rate_trips_whatever_the_machines_clock_says(
    make: Make, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    extra = DECOY.replace("0.001", "0.05") + (
        '[rules]\nauthorised_bits_per_hour = 20.0\nevidence = "log"\nrate = "slow"'
    )
    config = make(acme=1e6, extra=extra)

    class Jumping:
        turns = 0

        @classmethod
        def now(cls, _zone: object) -> datetime:
            cls.turns += 1
            return datetime(2026 + years * (cls.turns % 2), 1, 1, tzinfo=UTC)

    monkeypatch.setattr(book, "datetime", Jumping)
    ledger = open_ledger(config)
    states = []
    for _ in range(60):
        one = ledger.ask_now(asked(1.0))
        assert isinstance(one, Reservation)
        event = (Event("ward", True),)
        states.append(ledger.ask_now(Finish(one.id, "{}", ("ward",), event)))
    n = states.index("slow")
    account = ledger.ask_now(Look("acme"))
    assert 20 <= n + 1 < 60 and set(states[n:]) == {"slow"}
    assert account.facts["trips"]["T2"]["requests_an_hour"] == n + 1
    ledger.close_now()
    audit(config)


def test_an_unknown_decoy_and_an_empty_finish_change_nothing(make: Make) -> None:
    ledger = open_ledger(make(extra=DECOY))
    one = granted(ledger, 1.0)
    assert ledger.ask_now(Finish(one.id, "{}", ("other",), (Event("other", True),))) == "open"
    assert ledger.ask_now(Finish(one.id, "{}", ("ward",), (Event("ward", True),))) == "open"
    assert ledger.ask_now(Look("acme")).facts["decoys"] == {}  # it had ended
    assert refused(ledger, 99.0) == 429
    ledger.close_now()
