"""One batch of a ledger: rows are read, operations applied in their order, rows written.

All of it is done inside one transaction that holds the lock on the head of the ledger, so that no
other process reads or writes in between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from hartley.core.errors import RunError
from hartley.guard.audit_log import Entry, as_facts, entry
from hartley.guard.ledger.amounts import budgeted, charged, in_bits
from hartley.guard.ledger.tables import COLUMNS, HEAD, selection
from hartley.guard.protocols import Account, Refused, Reservation, State
from hartley.guard.rules import (
    STATES,
    STOPPING,
    Evidence,
    action_of,
    state_of,
    take,
)

if TYPE_CHECKING:
    from hartley.guard.config import GuardConfig
    from hartley.guard.protocols import Charge, Event


class LedgerError(RunError):
    """The ledger cannot be used, or was asked for what it does not have."""


class DamagedRow(LedgerError):
    """A row that was not written by `hartley guard`."""


class Moved(Exception):
    """Another process has written since the head of the ledger was read; nothing was changed."""


Head = tuple[str, int, int, str, int, int]
"""The ledger's number, version, last entry, its digest, last request and clock."""


class Base(Protocol):
    """An open transaction of a database."""

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT with ``?`` for values."""
        ...

    def among(self, select: str, column: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT whose column has one of some values."""
        ...

    def put(self, changes: Mapping[str, Sequence[Sequence[Any]]], head: Head) -> None:
        """Put rows into tables, in place of those that are there, and set the head."""
        ...


@dataclass(frozen=True, slots=True)
class Reserve:
    """See :meth:`hartley.guard.protocols.Ledger.reserve`."""

    key: str
    principal: str
    group: str
    charge: Charge
    digest: str
    facts: str


@dataclass(frozen=True, slots=True)
class Begin:
    """See :meth:`hartley.guard.protocols.Ledger.begin`."""

    id: str


@dataclass(frozen=True, slots=True)
class Finish:
    """See :meth:`hartley.guard.protocols.Ledger.finish`."""

    id: str
    facts: str
    planted: tuple[str, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Return what a group was charged."""

    group: str


@dataclass(frozen=True, slots=True)
class Note:
    """Write an entry into the audit log."""

    kind: str
    facts: str


@dataclass(frozen=True, slots=True)
class Stop:
    """An operator stops a group, until a reset."""

    group: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reset:
    """A human resets a group; ``renewed`` sets charges to 0, where its secrets were replaced."""

    group: str
    by: str
    reason: str
    renewed: bool


Operation = Reserve | Begin | Finish | Look | Note | Stop | Reset


@dataclass(slots=True)
class GroupRow:
    """A group's row.

    Attributes:
        caps: micro-bits charged under the entropy of a set of secrets.
        renewed: the last request whose charge was about secrets that were replaced since.
    """

    name: str
    charged: int = 0
    answers: int = 0
    unbounded: int = 0
    trips: dict[str, Any] = field(default_factory=dict)
    caps: dict[str, int] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    renewed: int = 0

    @classmethod
    def of(cls, row: Sequence[Any]) -> GroupRow:
        """Return a row of the table."""
        name, micro, answers, unbounded, stored = row
        try:
            notes = json.loads(stored)
            evidence = Evidence.of(notes["evidence"])
            trips, caps = dict(notes["trips"]), dict(notes["caps"])
            renewed = int(notes.get("renewed", 0))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise DamagedRow(f"the ledger's row of group {name} is damaged") from None
        return cls(name, micro, answers, unbounded, trips, caps, evidence, renewed)

    def stored(self) -> tuple[Any, ...]:
        """Return the row for the table."""
        notes = {
            **{"trips": self.trips, "caps": self.caps, "evidence": self.evidence.stored()},
            "renewed": self.renewed,
        }
        return self.name, self.charged, self.answers, self.unbounded, as_facts(notes)


@dataclass(slots=True)
class AccountRow:
    """An account's row."""

    name: str
    group: str
    charged: int = 0
    answers: int = 0
    trips: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Sequence[Any]) -> AccountRow:
        """Return a row of the table."""
        name, group, micro, answers, stored = row
        try:
            trips = dict(json.loads(stored))
        except (ValueError, TypeError):
            raise DamagedRow(f"the ledger's row of account {name} is damaged") from None
        return cls(name, group, micro, answers, trips)

    def stored(self) -> tuple[Any, ...]:
        """Return the row for the table."""
        return self.name, self.group, self.charged, self.answers, as_facts(self.trips)


@dataclass(slots=True)
class RequestRow:
    """A request's row; ``began`` is the attempt whose first byte was sent."""

    number: int
    account: str
    group: str
    key: str
    digest: str
    charged: int
    attempts: int = 1
    began: int = 0
    finished: int = 0

    def stored(self) -> tuple[Any, ...]:
        """Return the row for the table."""
        return (
            *(self.number, self.account, self.group, self.key, self.digest, self.charged),
            *(self.attempts, self.began, self.finished),
        )


@dataclass(slots=True)
class Kept:
    """Rows as the last batch of this process left them, so that the next need not read them.

    Groups and accounts change with an entry of the audit log alone: while the head of the ledger
    has the same entry, no other process has changed them. A request without a key is changed by the
    process that made it alone; one with a key is never kept.

    Attributes:
        head: of the ledger.
        groups, accounts: by name.
        requests: without a key, and not ended, by number.
    """

    head: Head
    groups: dict[str, GroupRow]
    accounts: dict[str, AccountRow]
    requests: dict[int, RequestRow]

    def hold(self, operations: Sequence[Operation]) -> bool:
        """Whether operations need no other rows."""
        for one in operations:
            if isinstance(one, Reserve):
                there = not one.key and one.group in self.groups and one.principal in self.accounts
            elif isinstance(one, Begin | Finish):
                there = "." not in one.id and _number(one.id)[0] in self.requests
            else:
                there = isinstance(one, Note)
            if not there:
                return False
        return True


class Book:
    """Applies one batch."""

    def __init__(self, config: GuardConfig, base: Base, rows: Kept | None = None) -> None:
        """Lock the ledger and read its head.

        Args:
            config: of the guard.
            base: the open transaction.
            rows: of the batch before; it is used up.

        Attributes:
            tripped: the trips of this batch, for the log of the guard.
            moment: by the machine's clock, for the audit log alone.
        """
        self.config, self.base = config, base
        self.tripped: list[dict[str, Any]] = []
        row = base.read(HEAD)[0]
        # Not before the lock is held: entries of other processes may be written until then.
        self.moment = datetime.now(UTC)
        self.ledger, self.version, self.seq, self.digest, self.requests, self.clock_ms = row
        self._groups: dict[str, GroupRow] = {}
        self._accounts: dict[str, AccountRow] = {}
        self._requests: dict[int, RequestRow] = {}
        if rows is not None and rows.head[0] == self.ledger:
            self._requests = rows.requests
            if (rows.head[2], rows.head[3]) == (self.seq, self.digest):
                self._groups, self._accounts = rows.groups, rows.accounts
        self._by_key: dict[tuple[str, str], RequestRow] = {}
        self._entries: list[Entry] = []
        self._changed: dict[str, set[Any]] = {table: set() for table in COLUMNS}

    def load(self, operations: Sequence[Operation]) -> None:
        """Read every row that operations need."""
        numbers = {_number(one.id)[0] for one in operations if isinstance(one, Begin | Finish)}
        keys = {one.key for one in operations if isinstance(one, Reserve) and one.key}
        rows = self._among("requests", "number", numbers - self._requests.keys())
        # Only rows with a key are in the index by key.
        rows += self._among("requests", "repeat_key", keys, "repeat_key <> '' and")
        for row in sorted(rows):  # of two requests with one key the later one counts
            request = self._requests.setdefault(row[0], RequestRow(*row))
            if request.key:
                self._by_key[request.account, request.key] = request
        groups = {self._requests[number].group for number in numbers & self._requests.keys()}
        groups |= {request.group for request in self._by_key.values()}
        groups |= {
            one.group for one in operations if isinstance(one, Reserve | Look | Stop | Reset)
        }
        for row in self._among("groups", "name", groups - self._groups.keys()):
            self._groups[row[0]] = GroupRow.of(row)
        accounts = {one.principal for one in operations if isinstance(one, Reserve)}
        resets = {one.group for one in operations if isinstance(one, Reset)}
        rows = self._among("accounts", "name", accounts - self._accounts.keys())
        for row in rows + self._among("accounts", "group_name", resets):
            self._accounts.setdefault(row[0], AccountRow.of(row))

    def _among(
        self, table: str, column: str, values: set[Any], more: str = ""
    ) -> list[tuple[Any, ...]]:
        if not values:
            return []
        return self.base.among(f"{selection(table)} where {more}", column, sorted(values))

    def apply(self, operation: Operation) -> Any:
        """Apply one operation and return its result, or the error of what cannot be applied."""
        apply: dict[type, Callable[[Any], Any]] = {
            Reserve: self._reserve,
            Begin: self._begin,
            Finish: self._finish,
            Look: lambda one: self.account(self._group(one.group)),
            Note: lambda one: self._write(one.kind, {}, one.facts),
            Stop: self._stop,
            Reset: self._reset,
        }
        return apply[type(operation)](operation)

    @property
    def head(self) -> Head:
        """The ledger's head after what was applied."""
        return self.ledger, self.version, self.seq, self.digest, self.requests, self.clock_ms

    def flush(self) -> None:
        """Write all rows that changed."""
        rows: dict[str, Mapping[Any, Any]] = {
            "groups": self._groups,
            "accounts": self._accounts,
            "requests": self._requests,
        }
        changes: dict[str, list[tuple[Any, ...]]] = {
            table: [of[name].stored() for name in sorted(self._changed[table])]
            for table, of in rows.items()
            if self._changed[table]
        }
        if self._entries:
            changes["audit"] = [(row.seq, row.body, row.digest) for row in self._entries]
        self.base.put(changes, self.head)

    def rows_kept(self) -> Kept:
        """Return rows for the next batch, once this one is committed."""
        requests = {
            number: row for number, row in self._requests.items() if not (row.key or row.finished)
        }
        return Kept(self.head, self._groups, self._accounts, requests)

    def _group(self, name: str) -> GroupRow:
        if name not in self._groups:
            self._groups[name] = GroupRow(name)
        return self._groups[name]

    def _account(self, name: str, group: str) -> AccountRow:
        if name not in self._accounts:
            self._accounts[name] = AccountRow(name, group)
        return self._accounts[name]

    def _write(self, kind: str, fields: Mapping[str, Any], facts: str = "{}") -> None:
        moment = self.moment.isoformat(timespec="milliseconds")
        when = {"time": moment, "clock_ms": self.clock_ms}
        row = entry(self.digest, self.seq + 1, {**when, "kind": kind, **fields}, facts)
        self.seq, self.digest = row.seq, row.digest
        self._entries.append(row)

    def _state(self, group: GroupRow, account: AccountRow | None = None) -> tuple[State, str]:
        """Return the stricter state of a group and an account, and the rule that brings it."""
        state, rule = state_of(group.trips, self.config.rules)
        if account is not None and account.trips:
            narrower, source = state_of(account.trips, self.config.rules)
            if STATES.index(narrower) > STATES.index(state):
                return narrower, source
        return state, rule

    def _trip(self, group: GroupRow, rule: str, facts: Mapping[str, Any]) -> State:
        """Latch a rule, if it has not tripped yet, and return the group's state."""
        before = self._state(group)[0]
        if rule not in group.trips:
            group.trips[rule] = {"seq": self.seq + 1, **facts}
            after = self._state(group)[0]
            action = action_of(self.config.rules, rule)
            self._changed["groups"].add(group.name)
            fields = {
                **{"group": group.name, "rule": rule, "action": action, "mode": self.config.mode},
                **{"before": before, "after": after, "charged_micro_bits": group.charged},
            }
            self._write_trip(fields, facts)
        return self._state(group)[0]

    def _write_trip(self, fields: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self._write("trip", fields, as_facts(facts))
        named = ("group", "account", "rule", "action", "mode")
        self.tripped.append({key: fields[key] for key in named if key in fields})
        self.tripped[-1] |= {"entry": self.seq, **facts}

    def _stop(self, one: Stop) -> State:
        return self._trip(self._group(one.group), "human", {"by": one.by, "reason": one.reason})

    def _reserve(self, one: Reserve) -> Reservation | Refused:
        config = self.config
        group, account = self._group(one.group), self._account(one.principal, one.group)
        earlier = self._by_key.get((one.principal, one.key)) if one.key else None
        if earlier is not None and _outdated(earlier, group, one):
            earlier = None
        if earlier is not None and config.enforces and (conflict := _conflict(earlier, one)):
            return conflict
        repeats = earlier is not None and earlier.digest == one.digest and not earlier.began
        micro, cap = (0, 0) if repeats else self._price(group, one.charge)
        if (refusal := self._refusal(group, account, one.charge, micro)) is not None:
            return refusal
        # Nothing is refused any more: charge it.
        state, _ = self._state(group, account)
        group.evidence.count(self.clock_ms)
        group.charged += micro
        account.charged += micro
        account.group = group.name  # it may have been of another one
        if cap:
            label = _label(one.charge.secrets)
            group.caps[label] = group.caps.get(label, 0) + cap
        group.answers += 1
        account.answers += 1
        group.unbounded += not one.charge.guaranteed
        if repeats and earlier is not None:
            request = earlier
            request.attempts += 1
            request.finished = 0
        else:
            self.requests += 1
            # In dry-run a key that was used is passed on, and charged as a request without one.
            key = "" if earlier is not None else one.key
            request = RequestRow(self.requests, one.principal, one.group, key, one.digest, micro)
            self._requests[request.number] = request
            if key:
                self._by_key[one.principal, key] = request
        self._changed["requests"].add(request.number)
        self._changed["groups"].add(group.name)
        self._changed["accounts"].add(account.name)
        fields = {
            **{"request": request.number, "attempt": request.attempts, "account": account.name},
            **{"group": group.name, "micro_bits": micro},
            **{"guaranteed": one.charge.guaranteed, "basis": one.charge.basis},
            **{"digest": one.digest, "state": state, "total_micro_bits": group.charged},
            **({"secrets": sorted(set(one.charge.secrets))} if cap else {}),
        }
        self._write("charge", fields, one.facts)
        id = f"{request.number}.{request.attempts}" if request.key else str(request.number)
        return Reservation(id, in_bits(micro), state)

    def _refusal(
        self, group: GroupRow, account: AccountRow, charge: Charge, micro: int
    ) -> Refused | None:
        """Trip T1 where a charge does not fit; return why a request is refused and not charged."""
        if not self.config.enforces:
            self._check_budgets(group, account, micro)
            return None
        both = (group.trips, account.trips)
        if rule := next(filter(None, (self._stopped(trips, charge) for trips in both)), ""):
            return Refused(429, f"the account or its group is stopped (rule {rule})")
        if (fewer := self._too_many(group, account, charge, micro)) is not None:
            return fewer
        self._check_budgets(group, account, micro)
        if rule := next(filter(None, (self._stopped(trips, charge) for trips in both)), ""):
            return Refused(429, f"the budget is spent (rule {rule})")
        return None

    def _stopped(self, trips: Mapping[str, Any], charge: Charge) -> str:
        """Return the rule by which a request is refused and not charged; empty for none."""
        for rule in trips:
            free = rule in STOPPING or not charge.guaranteed
            if free and action_of(self.config.rules, rule) == "refuse":
                return rule
        return ""

    def _price(self, group: GroupRow, charge: Charge) -> tuple[int, int]:
        """Return micro-bits of a charge, and those of them that are under the secrets' entropy.

        The cap is of each set of secrets apart: what answers about one set were charged says
        nothing about how much of another set they gave.
        """
        micro = charged(charge.bits)
        if not charge.secrets:
            return micro, 0
        entropies = {secret.name: secret.entropy_bits for secret in self.config.secrets}
        names = set(charge.secrets)
        if not names <= entropies.keys():
            return micro, 0  # a secret of unknown entropy is not a cap
        cap = charged(sum(entropies[name] for name in sorted(names)))
        micro = min(micro, max(0, cap - group.caps.get(_label(charge.secrets), 0)))
        return micro, micro

    def _left(self, group: GroupRow, account: AccountRow) -> int | None:
        """Return micro-bits that the budgets of a group and an account leave; None for no end."""
        declared = self.config.groups.get(group.name)
        principal = self.config.principals.get(account.name)
        pairs = (
            (None if declared is None else declared.budget_bits, group.charged),
            (None if principal is None else principal.budget_bits, account.charged),
        )
        lefts = [budgeted(bits) - spent for bits, spent in pairs if bits is not None]
        return min(lefts) if lefts else None

    def _too_many(
        self, group: GroupRow, account: AccountRow, charge: Charge, micro: int
    ) -> Refused | None:
        """Refuse a request whose choices do not fit where one of them would; nobody is stopped."""
        left = self._left(group, account)
        if charge.least is None or left is None or micro <= left:
            return None
        least = self._price(group, replace(charge, bits=charge.least))[0]
        if least > left or action_of(self.config.rules, "T1") != "refuse":
            return None
        return Refused(
            400,
            f"{charge.choices} choices are charged {in_bits(micro):g} bits, and the budget has "
            f"{in_bits(left):g} left: ask for fewer (n, prompts)",
        )

    def _check_budgets(self, group: GroupRow, account: AccountRow, micro: int) -> None:
        """Trip T1 where a charge exceeds the budget of the group, or the account's own."""
        declared = self.config.groups.get(group.name)
        budget = None if declared is None else declared.budget_bits
        if budget is not None and group.charged + micro > budgeted(budget):
            facts = {"asked_bits": in_bits(micro), "budget_bits": budget, "account": account.name}
            self._trip(group, "T1", facts)
        principal = self.config.principals.get(account.name)
        budget = None if principal is None else principal.budget_bits
        if budget is not None and account.charged + micro > budgeted(budget):
            if "T1" in account.trips:
                return
            account.trips["T1"], account.group = {"seq": self.seq + 1}, group.name
            self._changed["accounts"].add(account.name)
            facts = {"asked_bits": in_bits(micro), "budget_bits": budget}
            fields = {
                **{"account": account.name, "group": group.name, "rule": "T1"},
                **{"action": action_of(self.config.rules, "T1"), "mode": self.config.mode},
                "charged_micro_bits": account.charged,
            }
            self._write_trip(fields, facts)

    def _begin(self, one: Begin) -> bool | LedgerError:
        number, attempt = _number(one.id)
        request = self._requests.get(number)
        if request is None or attempt > request.attempts:
            return LedgerError(f"the ledger does not have a request {one.id!r}")
        if request.began and request.began != attempt and self.config.enforces:
            return False
        if not request.began:
            request.began = attempt
            self._changed["requests"].add(number)
        return True

    def _finish(self, one: Finish) -> State | LedgerError:
        number, attempt = _number(one.id)
        request = self._requests.get(number)
        if request is None or attempt > request.attempts:
            return LedgerError(f"the ledger does not have a request {one.id!r}")
        group = self._group(request.group)
        if request.finished >= attempt:
            return self._state(group)[0]
        request.finished = attempt
        self._changed["requests"].add(number)
        fields = {
            **{"request": number, "attempt": attempt, "account": request.account},
            **{"group": group.name, "answered": request.began == attempt},
            "planted": list(one.planted),
            "events": [_as_list(event) for event in one.events],
        }
        named = (*one.planted, *(event.decoy for event in one.events))
        for terms in group.evidence.under(self.config, named):
            self._write("decoy", {"group": group.name, **terms})
        self._write("answer", fields, one.facts)
        if named:
            trips = take(group.evidence, one.planted, one.events, self.clock_ms)
            self._changed["groups"].add(group.name)
            for rule, facts in trips.items():
                self._trip(group, rule, facts)
        return self._state(group)[0]

    def _reset(self, one: Reset) -> Account:
        group = self._group(one.group)
        before, rule = self._state(group)
        members = [row for row in self._accounts.values() if row.group == group.name]
        group.trips, group.evidence = {}, group.evidence.renewed()
        for account in members:
            account.trips = {}
            self._changed["accounts"].add(account.name)
        fields = {
            **{"group": group.name, "by": one.by, "reason": one.reason, "before": before},
            **{"rule": rule, "charged_micro_bits": group.charged},
            "charges": "set to 0" if one.renewed else "kept",
            "accounts": sorted(account.name for account in members),
        }
        if one.renewed:
            group.charged, group.caps, group.renewed = 0, {}, self.requests
            for account in members:
                account.charged = 0
        self._changed["groups"].add(group.name)
        self._write("reset", fields)
        return self.account(group)

    def account(self, group: GroupRow) -> Account:
        """Return what a group was charged."""
        declared = self.config.groups.get(group.name)
        state, rule = self._state(group)
        facts = {
            **{"unbounded": group.unbounded, "trips": group.trips},
            **{"requests": group.evidence.requests},
            "requests_an_hour": group.evidence.per_hour(self.clock_ms),
            "decoys": group.evidence.stored()["decoys"],
        }
        return Account(
            group.name,
            in_bits(group.charged),
            None if declared is None else declared.budget_bits,
            group.answers,
            state,
            rule,
            facts,
        )


def _as_list(event: Event) -> list[Any]:
    """Return an event for the audit log."""
    return [event.decoy, event.success, *([event.only] if event.only else [])]


def _conflict(earlier: RequestRow, one: Reserve) -> Refused | None:
    """Return why a key cannot be used again, or None where its answer was not begun."""
    if earlier.digest != one.digest:
        return Refused(422, "the Idempotency-Key was used for another request")
    if earlier.began:
        return Refused(409, "the answer to this Idempotency-Key was begun already")
    return None


def _outdated(earlier: RequestRow, group: GroupRow, one: Reserve) -> bool:
    """Whether an answer that did not begin was paid for by another group, or for other secrets."""
    unanswered = not earlier.began and earlier.digest == one.digest
    return unanswered and (earlier.group != group.name or earlier.number <= group.renewed)


def _label(names: Sequence[str]) -> str:
    """Return how a set of secrets is named in a group's caps."""
    return json.dumps(sorted(set(names)))


def _number(id: str) -> tuple[int, int]:
    """Return the number of a request and of its attempt; 0 and 0 where it is not one."""
    number, _, attempt = (id if "." in id else f"{id}.1").partition(".")
    both = number.isdecimal() and attempt.isdecimal() and len(id) < 18
    return (int(number), int(attempt)) if both else (0, 0)
