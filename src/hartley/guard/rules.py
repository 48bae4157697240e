"""The three rules of a group, and what follows when one trips: a trip stays until a human reset.

T1: the bits charged exceed the budget. T2: the bits an hour that the decoys certify in what left
reach what the users are authorised to receive. T3: the evidence of one decoy reaches 1/alpha. T1
needs nothing but the charges, which no attacker can lower; T2 and T3 need decoys, which are drawn
here (R80).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from hartley.guard.protocols import State
from hartley.infotheory.e_values import Breaker

if TYPE_CHECKING:
    from hartley.guard.config import GuardConfig, RuleSettings
    from hartley.guard.protocols import Event

STATES: tuple[State, ...] = get_args(State)
"""From the mildest to the strictest."""

STOPPING = ("T1", "human")
"""Rules that do not depend on answers: what they refuse is not charged. A refusal by T2 or T3 does,
and is one of the answers that are charged."""

HOUR = 60
"""Minutes of the ledger's clock over which requests are counted for T2."""


def action_of(settings: RuleSettings, rule: str) -> str:
    """Return what the configuration declares for a rule: log, slow, coarsen or refuse."""
    actions = {"T1": settings.budget, "T2": settings.rate, "T3": settings.evidence}
    return actions.get(rule, "refuse")


def state_of(trips: Iterable[str], settings: RuleSettings) -> tuple[State, str]:
    """Return the strictest state that the tripped rules bring, and the rule that brings it."""
    state, source = STATES[0], ""
    for rule in trips:
        action = action_of(settings, rule)
        wanted: State = "open" if action == "log" else action  # type: ignore[assignment]
        if not source or STATES.index(wanted) > STATES.index(state):
            state, source = wanted, rule
    return state, source


@dataclass(slots=True)
class DecoyRecord:
    """What one decoy showed of a group since its last reset.

    Where the number of candidates changes, the evidence goes on: each event is compared with the
    chance that held for it, which keeps the product an e-process.

    Attributes:
        k: candidates now.
        alpha: chance at which each rule may trip falsely now.
        k_least, k_most: candidates since the last reset.
        planted: requests that it was planted in.
        successes, n: events in what the model wrote, for T3.
        left_successes, left_n: events in what left, for T2.
        log2_e, peak: of the e-process.
        bits: a request about it that left, certified at the last event.
    """

    k: int
    alpha: float = 0.0
    k_least: int = 0
    k_most: int = 0
    planted: int = 0
    successes: int = 0
    n: int = 0
    left_successes: int = 0
    left_n: int = 0
    log2_e: float = 0.0
    peak: float = 0.0
    bits: float = 0.0


@dataclass(slots=True)
class Evidence:
    """What the rules remember of a group.

    Attributes:
        requests: since the last reset.
        authorised: bits an hour that rule T2 compares with; None where it is not used.
        minutes: (minute of the ledger's clock, requests) over the last hour.
        decoys: records by name.
    """

    requests: int = 0
    authorised: float | None = None
    minutes: list[list[int]] = field(default_factory=list)
    decoys: dict[str, DecoyRecord] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Evidence:
        """Return the evidence that :meth:`stored` wrote."""
        records = {name: DecoyRecord(**row) for name, row in stored.get("decoys", {}).items()}
        minutes = [list(pair) for pair in stored.get("minutes", [])]
        return cls(stored.get("requests", 0), stored.get("authorised"), minutes, records)

    def stored(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return asdict(self)

    def count(self, clock_ms: int) -> None:
        """Count a request at a moment of the ledger's clock."""
        self.requests += 1
        minute = clock_ms // 60_000
        if self.minutes and self.minutes[-1][0] >= minute:
            self.minutes[-1][1] += 1
            return
        self.minutes.append([minute, 1])
        while self.minutes[0][0] <= minute - HOUR:
            self.minutes.pop(0)

    def per_hour(self, clock_ms: int) -> int:
        """Return requests of the last 60 minutes of the ledger's clock."""
        first = clock_ms // 60_000 - HOUR
        return sum(count for minute, count in self.minutes if minute > first)

    def renewed(self) -> Evidence:
        """Return what a reset leaves: the requests of the last hour."""
        return Evidence(minutes=self.minutes)

    def certified_bits(self) -> float:
        """Return bits a request that the decoys certify together: their draws are independent."""
        return sum(record.bits for record in self.decoys.values())

    def under(self, config: GuardConfig, names: Iterable[str]) -> list[dict[str, Any]]:
        """Compare decoys by what a configuration says of them, and return what that changed.

        A decoy's alpha bounds the chance that it ever trips a group falsely; where T2 is used too,
        each of the two rules has half of it.

        Args:
            config: of the guard.
            names: of decoys; others than the configuration's are left out.

        Returns:
            One table for the audit log for each decoy that is new or compared otherwise, as
            :meth:`take_terms` reads it.
        """
        authorised, changes = config.rules.authorised_bits_per_hour, []
        decoys = {decoy.name: decoy for decoy in config.decoys}
        for name in dict.fromkeys(names):
            if name not in decoys:
                continue
            k = len(decoys[name].candidates)
            alpha = decoys[name].alpha * (1.0 if authorised is None else 0.5)
            record = self.decoys.get(name)
            same = record is not None and (record.k, record.alpha) == (k, alpha)
            if not same or self.authorised != authorised:
                terms = {
                    **{"decoy": name, "candidates": k, "alpha": alpha},
                    "authorised_bits_an_hour": authorised,
                }
                self.take_terms(terms)
                changes.append(terms)
        return changes

    def take_terms(self, terms: Mapping[str, Any]) -> None:
        """Compare a decoy by these terms from here on."""
        name, k = terms["decoy"], terms["candidates"]
        self.authorised = terms["authorised_bits_an_hour"]
        record = self.decoys.setdefault(name, DecoyRecord(k))
        record.k, record.alpha = k, terms["alpha"]
        record.k_least = min(record.k_least or k, k)
        record.k_most = max(record.k_most, k)


def take(
    evidence: Evidence, planted: Iterable[str], events: Iterable[Event], clock_ms: int
) -> dict[str, dict[str, Any]]:
    """Take what an answer's decoys showed, and return the rules that it trips, with their facts.

    Args:
        evidence: of the group, which is changed; it has a record of each decoy
            (:meth:`Evidence.under`), others are left out.
        planted: names of the decoys in the request.
        events: of its answer.
        clock_ms: of the ledger.
    """
    authorised = evidence.authorised
    trips: dict[str, dict[str, Any]] = {}
    for name in planted:
        if name in evidence.decoys:
            evidence.decoys[name].planted += 1
    for event in events:
        record = evidence.decoys.get(event.decoy)
        if record is None:
            continue
        if event.only != "left" and _bet(record, event.success):
            trips["T3"] = {
                **{"decoy": event.decoy, "successes": record.successes, "events": record.n},
                **{"chance": 1.0 / record.k, "log2_e": round(record.log2_e, 6)},
                "alpha": record.alpha,
            }
        if event.only != "written":
            record.left_successes += event.success
            record.left_n += 1
        record.planted = max(record.planted, record.n, record.left_n)
        if authorised is not None:
            record.bits = _certified(record)
    if authorised is not None:
        bits, requests = evidence.certified_bits(), evidence.per_hour(clock_ms)
        if bits > 0.0 and bits * requests >= authorised:
            trips["T2"] = {
                **{"bits_a_request": round(bits, 6), "requests_an_hour": requests},
                "authorised_bits_an_hour": authorised,
            }
    return trips


def _bet(record: DecoyRecord, success: bool) -> bool:
    """Take one event into a decoy's e-process and return whether it has reached 1/alpha."""
    breaker = Breaker(
        1.0 / record.k, record.alpha, record.successes, record.n, record.log2_e, record.peak
    )
    tripped = breaker.update(success)
    record.successes, record.n = breaker.successes, breaker.n
    record.log2_e, record.peak = breaker.log2_e, breaker.peak
    return tripped


def _certified(record: DecoyRecord) -> float:
    from hartley.guard.decoys import certified_bits

    return certified_bits(
        record.left_successes,
        record.left_n,
        record.planted,
        (record.k_least, record.k_most),
        record.alpha,
    )
