"""What an operator asks of a ledger, while the guard runs or not: status, reset and audit."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hartley.core.errors import UsageError, did_you_mean
from hartley.guard.audit_log import Entry, Summary, verify
from hartley.guard.ledger import open_database
from hartley.guard.ledger.amounts import in_bits
from hartley.guard.ledger.book import AccountRow, Book, GroupRow, Reset
from hartley.guard.ledger.tables import ENTRIES, OPEN_REQUESTS, selection

if TYPE_CHECKING:
    from hartley.guard.config import GuardConfig
    from hartley.guard.ledger.batches import Database
    from hartley.guard.protocols import Account

PAGE = 5000
"""Entries of the audit log that are read in one go."""


def accounts(config: GuardConfig) -> tuple[list[Account], dict[str, int], str, str]:
    """Return groups' charges, their requests that have not ended, the log's head and place.

    Args:
        config: of the guard.

    Raises:
        UsageError: the ledger cannot be used.
        LedgerError: it cannot be read now.
    """
    database = open_database(config, create=False)
    try:
        with database.transaction() as base:
            book = Book(config, base, _now())
            rows = {row[0]: GroupRow.of(row) for row in base.read(selection("groups"))}
            waiting = dict(base.read(OPEN_REQUESTS))
            book.flush()  # the head outlives a loss of power before it is printed
    finally:
        database.close()
    names = [*config.groups, *sorted(rows.keys() - config.groups.keys())]
    listed = [book.account(rows.get(name, GroupRow(name))) for name in names]
    return listed, waiting, book.digest, database.name


def status(config: GuardConfig) -> list[str]:
    """Return lines about each group, its budget and its state; see :func:`accounts`."""
    listed, waiting, head, name = accounts(config)
    lines = [f"ledger {name}: mode {config.mode}, outage = {config.outage}"]
    for one in listed:
        budget = "without a budget"
        if one.budget_bits is not None:
            left = max(0.0, one.budget_bits - one.charged_bits)
            budget = f"of {one.budget_bits:g} bits, {left:g} left"
        # In a dry run nothing is refused: the state is what would be.
        state = one.state if config.enforces or one.state == "open" else f"would {one.state}"
        answers = f"{one.answers} answer{'' if one.answers == 1 else 's'}"
        lines.append(
            f"{one.name}: {state}, charged {one.charged_bits:g} {budget}; {answers}"
            + (f", {waiting[one.name]} not ended" if waiting.get(one.name) else "")
            + (f", {one.facts['unbounded']} without a guarantee" if one.facts["unbounded"] else "")
        )
        for rule, facts in one.facts["trips"].items():
            words = ", ".join(f"{key} {value}" for key, value in facts.items() if key != "seq")
            lines.append(f"  {rule} tripped at entry {facts['seq']}: {words}")
        for name, record in one.facts["decoys"].items():
            lines.append(
                f"  decoy {name}: {record['successes']} of {record['n']} events are the planted "
                f"value (1/{record['k']} by chance), log2 e-value {record['log2_e']:.2f}, "
                f"peak {record['peak']:.2f}"
            )
    chance = sum(decoy.alpha for decoy in config.decoys)
    if config.decoys:
        lines.append(
            f"chance that decoys trip a group falsely between two resets: at most {chance:g}"
        )
    lines.append(f"head of the audit log: {head}")
    return lines


def reset(config: GuardConfig, group: str, by: str, reason: str, *, renewed: bool = False) -> str:
    """Open a group again, with fresh evidence, and return what was done in one line.

    Args:
        config: of the guard.
        group: its name.
        by: the human; empty takes the name of the system's user.
        reason: for the audit log.
        renewed: its secrets were replaced: charges begin at 0 again.

    Raises:
        UsageError: the group is unknown, the reason is empty, or the ledger cannot be used.
        LedgerError: it cannot be written now.
    """
    if not reason.strip():
        raise UsageError("the reason of a reset must be a text: it goes into the audit log")
    database = open_database(config, create=False)
    try:
        with database.transaction() as base:
            known = {*config.groups, *(row[0] for row in base.read(selection("groups")))}
            if group not in known:
                hint = did_you_mean(group, known) or f"; it may be {', '.join(sorted(known))}"
                raise UsageError(f"the ledger does not have a group {group!r}{hint}")
            book = Book(config, base, _now())
            operation = Reset(group, by or getpass.getuser(), reason, renewed)
            book.load([operation])
            account = book.apply(operation)
            book.flush()
    finally:
        database.close()
    budget = "" if account.budget_bits is None else f" of {account.budget_bits:g}"
    return (
        f"{group}: {account.state}, charged {account.charged_bits:g}{budget} bits; "
        f"entry {book.seq} of the audit log, head {book.digest}"
    )


def audit(
    config: GuardConfig, write: Callable[[str], object] | None = None, noted: str = ""
) -> str:
    """Check the whole audit log and the sums that are stored beside it.

    Args:
        config: of the guard.
        write: takes each entry as one line of JSON, ``{"digest": …, "body": …}``; the digest is
            SHA-256 of the digest before it, a line feed and the body.
        noted: the digest of a head that was noted elsewhere; empty for none.

    Returns:
        One line: the number of entries and the head.

    Raises:
        UsageError: an entry or a sum was changed, entries are missing, or the ledger cannot be
            used.
        LedgerError: it cannot be read now.
    """
    database = open_database(config, create=False)
    try:
        with database.transaction() as base:
            book = Book(config, base, _now())
            groups = [GroupRow.of(row) for row in base.read(selection("groups"))]
            members = [AccountRow.of(row) for row in base.read(selection("accounts"))]
            book.flush()  # the head outlives a loss of power before it is printed
        summary = verify(book.ledger, _entries(database, book.seq, write), noted.strip().lower())
    finally:
        database.close()
    if (summary.entries, summary.head) != (book.seq, book.digest):
        raise UsageError(
            f"the audit log must have {book.seq} entries and end with {book.digest}, got "
            f"{summary.entries} that end with {summary.head}"
        )
    _compare(summary, groups, members)
    first, last = summary.moments
    span = f" from {first} to {last}" if first else ""
    return f"{summary.entries} entries{span} verify; head of the audit log: {summary.head}"


def _entries(
    database: Database, most: int, write: Callable[[str], object] | None
) -> Iterator[Entry]:
    seq = 0
    while True:
        with database.transaction() as base:
            page = [Entry(*row) for row in base.read(ENTRIES, (seq, PAGE)) if row[0] <= most]
        for row in page:
            if write is not None:
                write(json.dumps({"digest": row.digest, "body": row.body}))
            yield row
        if len(page) < PAGE:
            return
        seq = page[-1].seq


def _compare(summary: Summary, groups: list[GroupRow], members: list[AccountRow]) -> None:
    """Refuse sums and states that the audit log does not add up to."""
    pairs: list[tuple[str, Any, Any]] = []
    for group in groups:
        expected = in_bits(summary.charged.pop(group.name, 0))
        pairs += [
            (f"bits charged to group {group.name}", expected, in_bits(group.charged)),
            (f"answers of group {group.name}", summary.answers.get(group.name, 0), group.answers),
            (
                f"rules tripped by group {group.name}",
                sorted(summary.trips.get(group.name, ())),
                sorted(group.trips),
            ),
        ]
    for account in members:
        expected = in_bits(summary.accounts.pop(account.name, 0))
        pairs.append(
            (f"bits charged to account {account.name}", expected, in_bits(account.charged))
        )
    left = {**summary.charged, **summary.accounts}
    pairs += [(f"bits charged to {name}", in_bits(micro), 0.0) for name, micro in left.items()]
    for what, expected, stored in pairs:
        if expected != stored:
            raise UsageError(
                f"{what} must be {expected}, by the audit log, got {stored}: the ledger was changed"
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
