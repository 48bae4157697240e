"""The audit log: entries of which each carries the digest of the one before it.

An entry is written in the transaction of what it records. A log whose entries were changed, removed
or put in another order does not verify; one whose last entries were cut off verifies, and does not
have the digest that was noted elsewhere (``hartley guard audit CONFIG --head DIGEST``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hartley.core.errors import UsageError

FIRST = "hartley guard ledger "
"""What the digest before the first entry is of, with the ledger's number behind it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Attributes:
        seq: its number, from 1.
        body: JSON, exactly as its digest was computed.
        digest: SHA-256 of the digest before it and the body, hexadecimal.
    """

    seq: int
    body: str
    digest: str


def first_digest(ledger: str) -> str:
    """Return the digest that the first entry follows, of a ledger's number."""
    return hashlib.sha256((FIRST + ledger).encode()).hexdigest()


def entry(before: str, seq: int, fields: Mapping[str, Any], facts: str = "{}") -> Entry:
    """Return the next entry of a log.

    Args:
        before: digest of the entry before it.
        seq: its number.
        fields: what happened, in JSON's types; ``time`` and ``kind`` are among them.
        facts: more of it, as JSON.
    """
    first = {"seq": seq, **fields}
    body = f'{json.dumps(first, separators=(",", ":"))[:-1]},"facts":{facts}}}'
    return Entry(seq, body, digest_of(before, body))


def as_facts(facts: Mapping[str, Any]) -> str:
    """Return facts as JSON.

    Raises:
        TypeError, ValueError: they are not of JSON's types, or hold a number that is not finite.
    """
    return json.dumps(facts, separators=(",", ":"), allow_nan=False)


def digest_of(before: str, body: str) -> str:
    """Return the digest of an entry's body behind the digest of the entry before it."""
    return hashlib.sha256(f"{before}\n{body}".encode()).hexdigest()


@dataclass(slots=True)
class Summary:
    """What a verified log adds up to.

    Attributes:
        entries: in all.
        head: digest of the last one.
        charged: micro-bits of each group since its charges were last set to 0.
        accounts: the same of each account.
        answers: charged of each group, in all.
        trips: rules that are tripped in each group.
        moments: time of the first and of the last entry.
    """

    entries: int = 0
    head: str = ""
    charged: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    trips: dict[str, set[str]] = field(default_factory=dict)
    moments: tuple[str, str] = ("", "")

    def add(self, facts: Mapping[str, Any]) -> None:
        """Add the facts of the next entry."""
        group = str(facts.get("group", ""))
        match facts["kind"]:
            case "charge":
                micro, account = int(facts["micro_bits"]), str(facts["account"])
                self.charged[group] = self.charged.get(group, 0) + micro
                self.accounts[account] = self.accounts.get(account, 0) + micro
                self.answers[group] = self.answers.get(group, 0) + 1
            case "trip" if "account" not in facts:
                self.trips.setdefault(group, set()).add(str(facts["rule"]))
            case "reset":
                self.trips.pop(group, None)
                if facts["charges"] == "set to 0":
                    self.charged[group] = 0
                    for account in facts["accounts"]:
                        self.accounts[account] = 0
        self.moments = (self.moments[0] or str(facts["time"]), str(facts["time"]))


def verify(ledger: str, entries: Iterable[Entry], noted: str = "") -> Summary:
    """Check a log from its first entry to its last, and return what it adds up to.

    Args:
        ledger: its number.
        entries: in their order.
        noted: a digest that was noted elsewhere; empty for none.

    Raises:
        UsageError: an entry is not the one that was written, one is missing, or none has the noted
            digest.
    """
    summary = Summary(head=first_digest(ledger))
    met = not noted or noted == summary.head
    for row in entries:
        expected = summary.entries + 1
        if row.seq != expected:
            raise UsageError(f"the audit log must have entry {expected}, got {row.seq}")
        if digest_of(summary.head, row.body) != row.digest:
            raise UsageError(
                f"entry {row.seq} of the audit log must have the digest of its text and of the "
                "entries before it: it or one before it was changed"
            )
        try:
            facts = json.loads(row.body)
            if facts["seq"] != row.seq:
                raise UsageError(f"entry {row.seq} of the audit log has number {facts['seq']}")
            summary.add(facts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"entry {row.seq} of the audit log cannot be read: {error}") from None
        summary.entries, summary.head = row.seq, row.digest
        met = met or row.digest == noted
    if not met:
        raise UsageError(
            f"the audit log must have an entry with digest {noted}, got {summary.entries} entries "
            "without it: its end was cut off, or it is another log"
        )
    return summary
