"""What the proxy asks of its ledger of charges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

State = Literal["open", "slow", "coarsen", "refuse"]


@dataclass(frozen=True, slots=True)
class Charge:
    """Bits that one answer is charged before it is known.

    Attributes:
        bits: at most what the answer can say, by the configuration and the request alone.
        guaranteed: whether ``bits`` bounds it; without, the answer is counted and not bounded.
        basis: of what it was computed, in words.
        secrets: names of the secrets whose entropy caps it over all answers of a group; empty
            where there is no such cap.
        choices: that the request asks for.
        least: bits of the same request with one choice; None where it has one.
    """

    bits: float
    guaranteed: bool
    basis: str
    secrets: tuple[str, ...] = ()
    choices: int = 1
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A charge that is durable, for an answer that may now be asked for.

    Attributes:
        id: of the charge.
        bits: that were charged now; 0 where a request was repeated before it was answered.
        state: of the group.
    """

    id: str
    bits: float
    state: State


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that may not be forwarded.

    Attributes:
        status: of HTTP.
        reason: in words, which the client may read.
    """

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """What was charged to an account or a group.

    Attributes:
        name: of it.
        charged_bits: in all.
        budget_bits: that it may be charged; None for no budget.
        answers: that were charged.
        state: of its group.
        rule: that brought the state; empty while it is open.
        facts: of the evidence.
    """

    name: str
    charged_bits: float
    budget_bits: float | None
    answers: int
    state: State
    rule: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Ledger(Protocol):
    """Charges, states and the audit log, in one database; each call is durable when it returns."""

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

        Args:
            key: the client's Idempotency-Key; empty for none.
            principal, group: that pay.
            charge: what they pay.
            digest: SHA-256 of the request's body.
            facts: for the audit log.
        """
        ...

    async def begin(self, id: str) -> bool:
        """Record that the first byte of an answer is about to be sent.

        Returns:
            Whether it may be: of two answers to one Idempotency-Key, the second may not.
        """
        ...

    async def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Write into the audit log what else has happened."""
        ...

    async def finish(self, id: str, facts: Mapping[str, Any], events: Sequence[Event]) -> State:
        """Record how an answer ended and what its decoys showed; return the group's state."""
        ...

    async def account(self, name: str) -> Account:
        """Return what a group was charged."""
        ...

    async def health(self) -> str:
        """Return an empty text, or why the database cannot be used."""
        ...

    async def close(self) -> None:
        """Finish what waits, and close the database."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """What one decoy showed in one answer.

    Attributes:
        decoy: its name.
        success: whether the answer named the planted value, where it named one candidate.
        only: where a declared answer replaced what the model wrote: whether what it wrote or what
            left named the candidate; empty for both.
    """

    decoy: str
    success: bool
    only: Literal["", "written", "left"] = ""
