"""The audit log: entries of which each carries the digest of the one before it.

An entry is written in the transaction of what it records. A log whose entries were changed, removed
or put in another order does not verify; one whose last entries were cut off verifies, and does not
have the digest that was noted elsewhere (``hartley guard audit CONFIG --head DIGEST``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hartley.core.errors import UsageError

FIRST = "hartley guard ledger "
"""What the digest before the first entry is of, with the ledger's number behind it."""


class ChangedLog(UsageError):
    """The log or a table of the ledger is not what was written; `hartley guard audit` exits with 1.

    To a guard that starts it is as any other ledger that cannot be used.
    """


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
    """What was read of a verified log.

    Attributes:
        entries: in all.
        head: digest of the last one.
        moments: time of the first and of the last entry, by the machine's clock.
        set_back: entries whose time is before that of the entry before: the machine's clock was
            set back. Their order is that of their numbers.
    """

    entries: int = 0
    head: str = ""
    moments: tuple[str, str] = ("", "")
    set_back: int = 0

    def add(self, moment: str) -> None:
        """Take the time of the next entry."""
        self.set_back += moment < self.moments[1]
        self.moments = (self.moments[0] or moment, moment)


def verify(
    ledger: str,
    entries: Iterable[Entry],
    noted: str = "",
    each: Callable[[Mapping[str, Any]], None] = lambda _facts: None,
) -> Summary:
    """Check a log from its first entry to its last.

    Args:
        ledger: its number.
        entries: in their order.
        noted: a digest that was noted elsewhere; empty for none.
        each: takes what each entry says, once its digest is right.

    Raises:
        ChangedLog: an entry is not the one that was written, one is missing, or none has the noted
            digest.
    """
    summary = Summary(head=first_digest(ledger))
    met = not noted or noted == summary.head
    for row in entries:
        expected = summary.entries + 1
        if row.seq != expected:
            raise ChangedLog(f"the audit log must have entry {expected}, got {row.seq}")
        if digest_of(summary.head, row.body) != row.digest:
            raise ChangedLog(
                f"entry {row.seq} of the audit log must have the digest of its text and of the "
                "entries before it: it or one before it was changed"
            )
        try:
            facts = json.loads(row.body)
            if facts["seq"] != row.seq:
                raise ChangedLog(f"entry {row.seq} of the audit log has number {facts['seq']}")
            summary.add(str(facts["time"]))
            each(facts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ChangedLog(
                f"entry {row.seq} of the audit log cannot be read: {error!r}"
            ) from None
        summary.entries, summary.head = row.seq, row.digest
        met = met or row.digest == noted
    if not met:
        raise ChangedLog(
            f"the audit log must have an entry with digest {noted}, got {summary.entries} entries "
            "without it: its end was cut off, or it is another log"
        )
    return summary
