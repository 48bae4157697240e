"""What the entries of an audit log add up to: charges, caps, evidence, trips, request by request.

The ledger's tables are a shortcut to what its log says. They are computed again here, by the rules
(:mod:`hartley.guard.rules`) and from the entries alone, so that a table that was changed beside the
log does not stay unnoticed, nor a trip that the evidence did not bring, nor one that is missing.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from hartley.guard.audit_log import ChangedLog
from hartley.guard.ledger.amounts import budgeted, in_bits
from hartley.guard.protocols import Event
from hartley.guard.rules import Evidence, take

if TYPE_CHECKING:
    from hartley.guard.ledger.book import AccountRow, GroupRow

Row = tuple[int, str, str, str, int]
"""Of a request: number, account, group, digest, micro-bits."""


@dataclass(slots=True)
class _Group:
    """A group, as the entries have it; see :class:`hartley.guard.ledger.book.GroupRow`."""

    charged: int = 0
    answers: int = 0
    unbounded: int = 0
    renewed: int = 0
    trips: dict[str, Any] = field(default_factory=dict)
    caps: dict[str, int] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    due: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Account:
    group: str = ""
    charged: int = 0
    answers: int = 0
    trips: dict[str, Any] = field(default_factory=dict)


class Recount:
    """Takes entries in their order; then its sums can be compared with a ledger's tables.

    Attributes:
        requests: numbered until now.
        open: requests whose last attempt has not ended, with their groups.
        clock_ms: of the last entry.
        older: entries without a ledger's clock, by an earlier Hartley: evidence is not compared.
    """

    def __init__(self, rows: Iterator[Row]) -> None:
        """Begin with nothing.

        Args:
            rows: the table of requests, by number.
        """
        self._rows = rows
        self._groups: dict[str, _Group] = {}
        self._accounts: dict[str, _Account] = {}
        self.requests, self.clock_ms, self.older = 0, 0, 0
        self.open: dict[int, str] = {}
        self._attempts, self._answered = array("I"), array("I")
        self._seq = 0

    def add(self, entry: Mapping[str, Any]) -> None:
        """Take the next entry.

        Raises:
            ChangedLog: it contradicts the entries before it or the table of requests.
        """
        self._seq, kind = entry["seq"], entry["kind"]
        group = self._groups.setdefault(entry["group"], _Group()) if "group" in entry else _Group()
        clock = entry.get("clock_ms")
        self.older += clock is None
        if clock is not None and clock < self.clock_ms:
            self._fault(f"has the ledger's clock at {clock} ms, before the entry before it")
        self.clock_ms = self.clock_ms if clock is None else clock
        if group.due and not (kind == "trip" and entry["rule"] in group.due):
            self._fault(f"must be the trip of {', '.join(group.due)} of group {entry['group']}")
        match kind:
            case "charge":
                self._charge(group, entry)
            case "decoy":
                group.evidence.take_terms(entry)
            case "answer":
                self._answer(group, entry)
            case "trip":
                self._trip(group, entry)
            case "reset":
                self._reset(group, entry)

    def _fault(self, what: str) -> NoReturn:
        raise ChangedLog(f"entry {self._seq} of the audit log {what}: the ledger was changed")

    def _charge(self, group: _Group, entry: Mapping[str, Any]) -> None:
        name, micro, number = entry["account"], entry["micro_bits"], entry["request"]
        account = self._accounts.setdefault(name, _Account())
        if entry["attempt"] == 1:
            self.requests += 1
            if number != self.requests:
                self._fault(f"charges request {number}, and the next one is {self.requests}")
            expected = (number, name, entry["group"], entry["digest"], micro)
            self._compare_request(expected)
            self._attempts.append(1)
            self._answered.append(0)
        elif not 1 <= number <= self.requests or micro:
            self._fault(f"is another attempt of request {number}, for {in_bits(micro):g} bits")
        self._attempts[number - 1] = max(self._attempts[number - 1], entry["attempt"])
        self.open[number] = entry["group"]
        group.charged += micro
        account.charged += micro
        account.group = entry["group"]
        group.answers += 1
        account.answers += 1
        group.unbounded += not entry["guaranteed"]
        if "secrets" in entry:
            label = json.dumps(entry["secrets"])
            group.caps[label] = group.caps.get(label, 0) + micro
        if entry["total_micro_bits"] != group.charged:
            self._fault(
                f"says that group {entry['group']} was charged "
                f"{in_bits(entry['total_micro_bits'])} bits, and the entries add up to "
                f"{in_bits(group.charged)}"
            )
        group.evidence.count(self.clock_ms)

    def _compare_request(self, expected: Row) -> None:
        row = next(self._rows, None)
        if row == expected:
            return
        number = expected[0]
        if row is None or row[0] != number:
            raise ChangedLog(
                f"request {number} is in the audit log, and not in the ledger: it was changed"
            )
        names = ("number", "account", "group", "digest", "micro-bits")
        for name, right, stored in zip(names, expected, row, strict=True):
            if right != stored:
                raise ChangedLog(
                    f"{name} of request {number} must be {right}, by the audit log, got {stored}: "
                    "the ledger was changed"
                )

    def _answer(self, group: _Group, entry: Mapping[str, Any]) -> None:
        number, attempt = entry["request"], entry["attempt"]
        if not 1 <= number <= self.requests or attempt > self._attempts[number - 1]:
            self._fault(f"is the end of request {number}.{attempt}, which was not charged")
        self.open.pop(number, None)
        if entry["answered"]:
            self._answered[number - 1] = attempt
        planted = entry.get("planted", entry["facts"].get("planted", ()))
        events = [Event(*event) for event in entry["events"]]
        if planted or events:
            trips = take(group.evidence, planted, events, self.clock_ms)
            # A trip of a group whose entries have no clock may be of an hour that is not known.
            group.due = (
                {}
                if self.older
                else {rule: facts for rule, facts in trips.items() if rule not in group.trips}
            )

    def _trip(self, group: _Group, entry: Mapping[str, Any]) -> None:
        rule, facts, name = entry["rule"], entry["facts"], entry.get("account")
        of = f"account {name}" if name is not None else f"group {entry['group']}"
        payer = group if name is None else self._accounts.setdefault(name, _Account())
        if isinstance(payer, _Account):
            payer.group = entry["group"]
        if entry["charged_micro_bits"] != payer.charged:
            self._fault(
                f"says that {of} was charged {in_bits(entry['charged_micro_bits'])} bits, and the "
                f"entries add up to {in_bits(payer.charged)}"
            )
        if rule in payer.trips:
            self._fault(f"is a second trip of {rule} of {of}, without a reset between them")
        if rule == "T1":
            wanted = payer.charged + round(facts["asked_bits"] * 1_000_000)
            if wanted <= budgeted(facts["budget_bits"]):
                self._fault(f"is a trip of T1 of {of}, and its budget was not spent")
        elif rule in ("T2", "T3") and not self.older and group.due.pop(rule, None) != facts:
            self._fault(f"is a trip of {rule} of {of} that its evidence does not bring")
        payer.trips[rule] = {"seq": self._seq} if name is not None else {"seq": self._seq, **facts}

    def _reset(self, group: _Group, entry: Mapping[str, Any]) -> None:
        accounts = [self._accounts.setdefault(name, _Account()) for name in entry["accounts"]]
        group.trips, group.evidence = {}, group.evidence.renewed()
        for account in accounts:
            account.trips = {}
        if entry["charges"] == "set to 0":
            group.charged, group.caps, group.renewed = 0, {}, self.requests
            for account in accounts:
                account.charged = 0

    def compare_attempts(self, rows: Iterator[tuple[int, int, int]]) -> None:
        """Compare which attempts were made and answered with the table of requests.

        An attempt that is forgotten there could be answered a second time.

        Args:
            rows: (number, attempts, attempt whose first byte was sent) of each request, by number;
                a guard that runs may have added to them.

        Raises:
            ChangedLog: one says less than the entries.
        """
        for number, attempts, began in rows:
            right = self._attempts[number - 1], self._answered[number - 1]
            if attempts < right[0]:
                raise ChangedLog(
                    f"attempts of request {number} must be {right[0]}, by the audit log, got "
                    f"{attempts}: the ledger was changed"
                )
            if right[1] and began != right[1]:
                raise ChangedLog(
                    f"the attempt of request {number} that was answered must be {right[1]}, by the "
                    f"audit log, got {began}: the ledger was changed"
                )

    def compare(
        self, groups: Sequence[GroupRow], accounts: Sequence[AccountRow], waiting: Mapping[str, int]
    ) -> None:
        """Compare the sums with the ledger's tables.

        Args:
            groups, accounts: rows of the tables.
            waiting: requests of each group that have not ended, by the table of requests.

        Raises:
            ChangedLog: one is not what the entries add up to; the message names it.
        """
        for group in self._groups.values():
            if group.due:
                raise ChangedLog(
                    f"the audit log must end with a trip of {', '.join(group.due)}: it was cut off"
                )
        for what, expected, stored in self._pairs(groups, accounts, waiting):
            if expected != stored:
                raise ChangedLog(
                    f"{what} must be {expected}, by the audit log, got {stored}: the ledger was "
                    "changed"
                )
        if (row := next(self._rows, None)) is not None:
            raise ChangedLog(
                f"request {row[0]} is in the ledger, and not in the audit log: it was changed"
            )

    def _pairs(
        self, groups: Sequence[GroupRow], accounts: Sequence[AccountRow], waiting: Mapping[str, int]
    ) -> Iterator[tuple[str, Any, Any]]:
        """Yield what each value is of, its value by the entries and that of the table."""
        missing = dict(self._groups)
        for row in groups:
            group = missing.pop(row.name, _Group())
            of = f"group {row.name}"
            yield f"bits charged to {of}", in_bits(group.charged), in_bits(row.charged)
            yield f"answers of {of}", group.answers, row.answers
            yield f"answers without a guarantee of {of}", group.unbounded, row.unbounded
            yield f"rules tripped by {of}", sorted(group.trips), sorted(row.trips)
            yield f"facts of trips of {of}", group.trips, row.trips
            yield f"the last request before a renewal of {of}", group.renewed, row.renewed
            if self.older:
                continue
            for label in group.caps | row.caps:
                names = ", ".join(json.loads(label))
                caps = group.caps.get(label, 0), row.caps.get(label, 0)
                yield f"bits about {names} of {of}", in_bits(caps[0]), in_bits(caps[1])
            yield from _of_evidence(of, group.evidence.stored(), row.evidence.stored())
        for name, group in missing.items():
            yield f"bits charged to {name}", in_bits(group.charged), 0.0
            yield f"rules tripped by group {name}", sorted(group.trips), []
        known = dict(self._accounts)
        for member in accounts:
            account = known.pop(member.name, _Account())
            of = f"account {member.name}"
            yield f"bits charged to {of}", in_bits(account.charged), in_bits(member.charged)
            yield f"answers of {of}", account.answers, member.answers
            yield f"the group of {of}", account.group or member.group, member.group
            yield f"rules tripped by {of}", account.trips, member.trips
        for name, account in known.items():
            yield f"bits charged to {name}", in_bits(account.charged), 0.0
        unanswered: dict[str, int] = {}
        for name in self.open.values():
            unanswered[name] = unanswered.get(name, 0) + 1
        for name in {**unanswered, **waiting}:
            counts = unanswered.get(name, 0), waiting.get(name, 0)
            yield f"requests of group {name} that have not ended", *counts


def _of_evidence(
    of: str, right: Mapping[str, Any], stored: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield the values of a group's evidence, decoy by decoy."""
    for name in right["decoys"] | stored["decoys"]:
        expected, record = right["decoys"].get(name, {}), stored["decoys"].get(name, {})
        for key in expected | record:
            yield f"{key} of decoy {name} of {of}", expected.get(key), record.get(key)
    for key in ("requests", "minutes", "authorised"):
        yield f"{key} of the evidence of {of}", right[key], stored[key]
