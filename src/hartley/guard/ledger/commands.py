"""What an operator asks of a ledger, while the guard runs or not: status, reset and audit."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hartley.core.errors import UsageError, did_you_mean
from hartley.guard.audit_log import ChangedLog, Entry, verify
from hartley.guard.ledger import open_database
from hartley.guard.ledger.book import AccountRow, Book, DamagedRow, GroupRow, Look, Reset, Stop
from hartley.guard.ledger.recount import Recount
from hartley.guard.ledger.tables import ATTEMPTS, ENTRIES, OPEN_REQUESTS, REQUESTS, selection

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
            book = Book(config, base)
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
        state = _state(config, one)
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
    _check_reason(reason, "a reset")
    account, book = _written(config, Reset(group, by or getpass.getuser(), reason, renewed))
    return _line(config, account, book)


def stop(config: GuardConfig, group: str, by: str, reason: str) -> str:
    """Stop a group until a human resets it, and return what was done in one line.

    Args:
        config: of the guard.
        group: its name.
        by: the human; empty takes the name of the system's user.
        reason: for the audit log.

    Raises:
        UsageError: the group is unknown or was stopped before, the reason is empty, or the ledger
            cannot be used.
        LedgerError: it cannot be written now.
    """
    _check_reason(reason, "a stop")
    account, book = _written(config, Stop(group, by or getpass.getuser(), reason))
    return _line(config, account, book)


def _check_reason(reason: str, of: str) -> None:
    if not reason.strip():
        raise UsageError(f"the reason of {of} must be a text: it goes into the audit log")


def _written(config: GuardConfig, operation: Reset | Stop) -> tuple[Account, Book]:
    """Apply what a human decided about a group; return its account and the book after it."""
    group = operation.group
    database = open_database(config, create=False)
    try:
        with database.transaction() as base:
            known = {*config.groups, *(row[0] for row in base.read(selection("groups")))}
            if group not in known:
                hint = did_you_mean(group, known) or f"; it may be {', '.join(sorted(known))}"
                raise UsageError(f"the ledger does not have a group {group!r}{hint}")
            book = Book(config, base)
            look = Look(group)
            book.load([operation])
            before = book.apply(look).facts["trips"].get("human")
            if isinstance(operation, Stop) and before:
                raise UsageError(
                    f"group {group} was stopped at entry {before['seq']}, by {before['by']}: "
                    f"{before['reason']}"
                )
            book.apply(operation)
            account = book.apply(look)
            book.flush()
    finally:
        database.close()
    return account, book


def _line(config: GuardConfig, account: Account, book: Book) -> str:
    """Return the state of a group after a human's decision."""
    budget = "" if account.budget_bits is None else f" of {account.budget_bits:g}"
    return (
        f"{account.name}: {_state(config, account)}, charged {account.charged_bits:g}{budget} "
        f"bits; entry {book.seq} of the audit log, head {book.digest}"
    )


def _state(config: GuardConfig, account: Account) -> str:
    """Return a group's state; in a dry run nothing is refused: what it would be."""
    if config.enforces or account.state == "open":
        return account.state
    return f"would {account.state} (dry run: nothing is)"


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
        ChangedLog: an entry or a table was changed, or entries are missing; the message names the
            first value that differs.
        UsageError: the ledger cannot be used.
        LedgerError: it cannot be read now.
    """
    database = open_database(config, create=False)
    try:
        return _audited(config, database, write, noted)
    except DamagedRow as error:
        raise ChangedLog(f"{error}: it was changed") from None
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        # A ledger that was changed may have anything in it.
        words = " ".join(str(error).split())[:120]
        raise ChangedLog(f"a value of the ledger was changed into another kind: {words}") from None
    finally:
        database.close()


def _audited(
    config: GuardConfig, database: Database, write: Callable[[str], object] | None, noted: str
) -> str:
    """Return the line of :func:`audit`."""
    with database.transaction() as base:
        book = Book(config, base)
        groups = [GroupRow.of(row) for row in base.read(selection("groups"))]
        members = [AccountRow.of(row) for row in base.read(selection("accounts"))]
        waiting = dict(base.read(OPEN_REQUESTS))
        book.flush()  # the head outlives a loss of power before it is printed
    recount = Recount(_pages(database, REQUESTS, book.requests))
    entries = _entries(database, book.seq, write)
    summary = verify(book.ledger, entries, noted.strip().lower(), recount.add)
    if (summary.entries, summary.head) != (book.seq, book.digest):
        raise ChangedLog(
            f"the audit log must have {book.seq} entries and end with {book.digest}, got "
            f"{summary.entries} that end with {summary.head}"
        )
    recount.compare(groups, members, waiting)
    recount.compare_attempts(_pages(database, ATTEMPTS, book.requests))
    if book.requests != recount.requests or book.clock_ms < recount.clock_ms:
        raise ChangedLog(
            f"the ledger must have {recount.requests} requests and a clock of at least "
            f"{recount.clock_ms} ms, got {book.requests} and {book.clock_ms}: it was changed"
        )
    first, last = summary.moments
    span = f" from {first} to {last}" if first else ""
    notes = ""
    if summary.set_back:
        times = "once" if summary.set_back == 1 else f"{summary.set_back} times"
        notes = f" (the machine's clock was set back {times}; entries are in order)"
    what = "charges, requests, caps, evidence and trips"
    if recount.older:
        what = "charges, requests and trips"
        notes += f" ({recount.older} are an earlier Hartley's, which do not say caps and evidence)"
    return (
        f"{summary.entries} entries{span} verify, and {what} are what they add up to{notes}; "
        f"head of the audit log: {summary.head}"
    )


def _pages(database: Database, statement: str, most: int) -> Iterator[Any]:
    """Yield rows of requests that a statement reads in pages, up to a number."""
    number = 0
    while True:
        with database.transaction() as base:
            page = [tuple(row) for row in base.read(statement, (number, PAGE)) if row[0] <= most]
        yield from page
        if len(page) < PAGE:
            return
        number = page[-1][0]


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
