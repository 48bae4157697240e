"""A ledger whose waiting operations are written together by one thread: one commit for a batch.

A commit that outlives a loss of power costs one write to the disk, a few milliseconds. Whatever
waits meanwhile goes into the next batch, so that a busy ledger pays it once for many answers. What
nothing waits for, the end of an answer that shows nothing, goes into the batch of the next charge.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from hartley.guard.audit_log import as_facts
from hartley.guard.ledger.book import (
    Base,
    Begin,
    Book,
    Finish,
    Head,
    Kept,
    LedgerError,
    Look,
    Moved,
    Note,
    Operation,
    Reserve,
    Reset,
    Stop,
)

if TYPE_CHECKING:
    from hartley.guard.config import GuardConfig
    from hartley.guard.protocols import Account, Charge, Event, Refused, Reservation, State

MOST = 512
"""Operations in a batch."""

MOST_KEPT = 10_000
"""Requests that are under way and whose rows are kept, at most."""

TRIES = 3
"""Times that a batch is tried while other processes move the head of the ledger."""


class Database(Protocol):
    """Where a ledger is stored."""

    name: str
    """Of it, without a password."""

    def transaction(
        self, *, durable: bool = True, head: Head | None = None
    ) -> contextlib.AbstractContextManager[Base]:
        """Hold the lock on the ledger's head; commit at the end, roll back on an error.

        Args:
            durable: the commit outlives what the database was opened to outlive; otherwise the end
                of this process alone.
            head: that the ledger is expected to have; it may be taken for granted until the end.

        Raises:
            LedgerError: the database cannot be used.
            Moved: the head is another one; nothing was written.
        """
        ...

    def close(self) -> None:
        """Close it; it may be closed twice."""
        ...


Tripped = Callable[[Mapping[str, Any]], None]
"""Takes the facts of a trip."""

JUMP_S = 30.0
"""Seconds by which the machine's clock must move against the monotonic one before it is noted."""


@dataclass(slots=True)
class _Waiting:
    """One operation, and the future that waits for it, or the function that takes its result."""

    operation: Operation | None
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[Any] | None = None
    deliver: Callable[[Any], None] | None = None


class BatchedLedger:
    """The ledger of the guard; its coroutines may be awaited from any event loop.

    Operations are applied in the order in which they were called.
    """

    def __init__(
        self,
        config: GuardConfig,
        database: Database,
        tripped: Tripped | None = None,
        patience_s: float = 0.0,
    ) -> None:
        """Start the thread that writes.

        Args:
            config: of the guard.
            database: open; closed with the ledger.
            tripped: called with the facts of each trip once it is durable, by the thread that
                writes.
            patience_s: seconds for which what nothing depends on waits for the next batch.
        """
        self.config, self.database, self._tripped = config, database, tripped
        self.patience_s = patience_s
        self._waiting: deque[_Waiting] = deque()
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._later: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None
        self._kept: Kept | None = None
        self._fault = ""
        self._failed, self._failed_since = 0, 0.0
        self._head: tuple[str, int, str] | None = None
        self._clock: tuple[int, float] | None = None
        self._wall: tuple[float, float] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()

    async def reserve(
        self,
        key: str,
        principal: str,
        group: str,
        charge: Charge,
        *,
        digest: str,
        facts: Mapping[str, Any],
    ) -> Reservation | Refused:
        """Charge an answer, if budgets and the group's state allow it.

        A request whose key and body were charged and whose answer was not begun is not charged
        again; each further attempt has an id of its own, and one of them may answer.

        Args:
            key: the client's Idempotency-Key; empty for none.
            principal, group: that pay.
            charge: what they pay; under the entropy of the secrets that it names.
            digest: SHA-256 of the request's body.
            facts: for the audit log.

        Returns:
            The reservation, or a refusal: 429 for a spent budget or a stopped group, 409 for a key
            whose answer was begun, 422 for a key of another body.

        Raises:
            LedgerError: the database cannot be used: nothing may be forwarded.
            ValueError: the charge or the facts are not valid.
        """
        from hartley.guard.ledger.amounts import charged

        charged(charge.bits)
        operation = Reserve(key, principal, group, charge, digest, as_facts(facts))
        return await self._ask(operation)  # type: ignore[no-any-return]

    async def begin(self, id: str) -> bool:
        """Record that an answer's first byte is about to be sent.

        It is durable where the request has an Idempotency-Key, which could be used again. Without
        one it is not waited for: the request was charged, and nothing depends on it.

        Returns:
            Whether it may be: False where another attempt of the same Idempotency-Key was first.

        Raises:
            LedgerError: the database cannot be used, or the request is unknown.
        """
        if "." not in id:
            if self._closing or self._fault:
                raise LedgerError(self._fault or "the ledger is closed")
            self._put(_Waiting(Begin(id)), soon=False)
            return True
        return await self._ask(Begin(id))  # type: ignore[no-any-return]

    async def finish(self, id: str, facts: Mapping[str, Any], events: Sequence[Event]) -> State:
        """Record how an answer ended and what its decoys showed; return the group's state.

        Args:
            id: of the reservation.
            facts: for the audit log; ``planted`` lists the names of the decoys in the request.
            events: of its decoys.

        Raises:
            LedgerError: the database cannot be used, or the request is unknown.
        """
        planted = tuple(str(name) for name in facts.get("planted", ()))
        rest = {key: value for key, value in facts.items() if key != "planted"}
        operation = Finish(id, as_facts(rest), planted, tuple(events))
        shows = bool(planted or events)
        return await self._ask(operation, soon=shows)  # type: ignore[no-any-return]

    async def account(self, name: str) -> Account:
        """Return what a group was charged."""
        return await self._ask(Look(name))  # type: ignore[no-any-return]

    async def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Write an entry into the audit log."""
        await self._ask(Note(kind, as_facts(facts)))

    async def stop(self, group: str, by: str, reason: str) -> State:
        """Stop a group until a human resets it, and return its state."""
        return await self._ask(Stop(group, by, reason))  # type: ignore[no-any-return]

    async def reset(self, group: str, by: str, reason: str, *, renewed: bool = False) -> Account:
        """Open a group again, with fresh evidence.

        Args:
            group: its name.
            by, reason: for the audit log.
            renewed: its secrets were replaced: charges begin at 0 again.
        """
        return await self._ask(Reset(group, by, reason, renewed))  # type: ignore[no-any-return]

    async def health(self) -> str:
        """Return an empty text, or why the database cannot be used."""
        try:
            await self._ask(None)
        except LedgerError as error:
            return str(error)
        return ""

    async def close(self) -> None:
        """Finish what waits, and close the database."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """Finish what waits, and close the database; without an event loop."""
        if not self._closing:
            self._closing = True
            self._put(_Waiting(None))
        self._thread.join()

    def ask_now(self, operation: Operation | None) -> Any:
        """Apply one operation and wait for it, without an event loop."""
        if self._closing:
            raise LedgerError("the ledger is closed")
        done, results = threading.Event(), []

        def deliver(result: Any) -> None:
            results.append(result)
            done.set()

        self._put(_Waiting(operation, deliver=deliver))
        done.wait()
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    async def _ask(self, operation: Operation | None, *, soon: bool = True) -> Any:
        if self._closing:
            raise LedgerError("the ledger is closed")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._put(_Waiting(operation, loop, future), soon=soon)
        return await future

    def _put(self, waiting: _Waiting, *, soon: bool = True) -> None:
        """Queue an operation; call the thread that writes, or let it come with the next batch."""
        self._waiting.append(waiting)
        if soon or not self.patience_s:
            self._calls.put(None)
            return
        loop = asyncio.get_running_loop()
        if self._later is None or self._later[0] is not loop:
            self._later = loop, loop.call_later(self.patience_s, self._call)

    def _call(self) -> None:
        """Call the thread that writes, if something waits still."""
        self._later = None
        if self._waiting:
            self._calls.put(None)

    def _batch(self) -> list[_Waiting]:
        """Wait for a call, and return all operations that wait."""
        batch: list[_Waiting] = []
        while not batch:
            self._calls.get()
            while self._waiting and len(batch) < MOST:
                batch.append(self._waiting.popleft())
        if self._waiting:
            self._calls.put(None)
        return batch

    def _write(self) -> None:
        """Write batches until the ledger is closed."""
        while True:
            batch = self._batch()
            operations = [one.operation for one in batch if one.operation is not None]
            try:
                results = self._committed(operations)
                self._fault = ""
            except Exception as error:  # whatever it was, nothing of the batch was charged
                self._kept = None
                reason = error if isinstance(error, LedgerError) else LedgerError(_line(error))
                self._fault = str(reason)
                self._failed_since = self._failed_since or time.monotonic()
                self._failed += len(operations)
                results = [reason] * len(operations)
            self._deliver(batch, results)
            if self._closing and not self._waiting:
                self.database.close()
                return

    def _deliver(self, batch: Sequence[_Waiting], results: Sequence[Any]) -> None:
        """Give each its result; an event loop is called once for all of its own."""
        fault = LedgerError(self._fault) if self._fault else None
        given = iter(results)
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for one in batch:
            result = next(given) if one.operation is not None else fault
            if one.loop is not None and one.future is not None:
                loops.setdefault(one.loop, []).append((one.future, result))
            elif one.deliver is not None:
                one.deliver(result)
        for loop, pairs in loops.items():
            with contextlib.suppress(RuntimeError):  # the loop of a client that is gone
                loop.call_soon_threadsafe(_settle, pairs)

    def _committed(self, operations: Sequence[Operation]) -> list[Any]:
        """Apply a batch, again where other processes have written meanwhile."""
        for _ in range(TRIES):
            rows, self._kept = self._kept, None
            with contextlib.suppress(Moved):
                return self._commit(operations, rows)
        return self._commit(operations, None)

    def _commit(self, operations: Sequence[Operation], rows: Kept | None) -> list[Any]:
        """Apply a batch in one transaction; return the results once they are durable."""
        failed = self._failed
        durable = failed > 0 or any(map(_must_last, operations))
        if any(isinstance(one, Reset) for one in operations):
            rows = None  # it is about rows of which some may never have been kept
        head = rows.head if rows is not None and rows.hold(operations) else None
        with self.database.transaction(durable=durable, head=head) as base:
            book = Book(self.config, base, rows)
            self._check_head(book)
            wall, now = book.moment.timestamp(), time.monotonic()
            book.clock_ms = self._passed(book.clock_ms, now)
            if failed:
                seconds = round(now - self._failed_since, 3)
                facts = {"operations": failed, "seconds": seconds, "outage": self.config.outage}
                book.apply(Note("outage", as_facts(facts)))
            if abs(jump := self._jump(wall, now)) >= JUMP_S:
                book.apply(Note("clock", as_facts({"moved_s": round(jump, 3)})))
            book.load(operations)
            results = [book.apply(one) for one in operations]
            book.flush()
        self._wall = wall, now
        self._kept = book.rows_kept()
        if len(self._kept.requests) > MOST_KEPT:
            self._kept.requests.clear()
        if durable:
            self._head = book.ledger, book.seq, book.digest
        self._failed, self._failed_since = 0, 0.0
        if self._tripped is not None:
            for trip in book.tripped:
                with contextlib.suppress(Exception):
                    self._tripped(trip)
        return results

    def _passed(self, stored: int, now: float) -> int:
        """Return the ledger's clock: milliseconds for which a guard ran on it.

        They pass with the monotonic clock alone, which no machine's time can set back or forth, and
        which begins anew where the machine does. Where another process is ahead, it is followed.

        Args:
            stored: as the last batch wrote it.
            now: by the monotonic clock.
        """
        if self._clock is None:
            self._clock = stored, now
        clock, since = self._clock
        passed = clock + int((now - since) * 1000)
        if stored > passed:
            self._clock = stored, now
        return max(stored, passed)

    def _jump(self, wall: float, now: float) -> float:
        """Return seconds by which the machine's clock was set since the last batch, or it slept."""
        if self._wall is None:
            return 0.0
        return (wall - self._wall[0]) - (now - self._wall[1])

    def _check_head(self, book: Book) -> None:
        """Refuse a ledger that is not the one of the last durable batch, or an earlier copy."""
        if self._head is None:
            return
        ledger, seq, digest = self._head
        if book.ledger != ledger:
            raise LedgerError(f"the ledger {self.database.name} was replaced by another one")
        if book.seq < seq or (book.seq == seq and book.digest != digest):
            raise LedgerError(
                f"the ledger {self.database.name} must have entry {seq}, got {book.seq}: an "
                "earlier copy was put in its place"
            )


def _settle(pairs: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    """Set the results of futures, in their own event loop."""
    for future, result in pairs:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _must_last(operation: Operation) -> bool:
    """Whether an operation must outlive a loss of power: charges, keys, evidence and resets."""
    if isinstance(operation, Begin):
        return "." in operation.id
    if isinstance(operation, Finish):
        return bool(operation.events)
    return not isinstance(operation, Look)


def _line(error: Exception) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
