"""Replay of a log: what its traffic would have been charged, and what can be read in its answers.

Each call of a log is charged as the proxy would have charged it, judged by the same judge, and its
decoys, if the traffic came through the proxy, are the same evidence. Nothing of a log was enforced,
so that no charge of a replay is a guarantee: the ledger of exposures says how far a budget would
have reached and which secrets left. A call is charged once, in however many logs it is.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from hartley.core.errors import UsageError, did_you_mean
from hartley.guard import decoys
from hartley.guard.charge import charge_of
from hartley.guard.config import Group, Principal
from hartley.guard.forms import Alphabet, form_of
from hartley.guard.logs import BadLine, LoggedCall, OtherLine, litellm_calls, otel_calls
from hartley.guard.protocols import Refused
from hartley.infotheory.e_values import Breaker

if TYPE_CHECKING:
    from hartley.guard.config import GuardConfig
    from hartley.guard.ledger import BatchedLedger
    from hartley.guard.protocols import Event

Format = Literal["litellm", "otel"]
READERS = {"litellm": litellm_calls, "otel": otel_calls}

BATCH = 256
"""Calls that are written together."""

NAMED = 5
"""Places that are named of each kind of line."""

UNLISTED = "not in the config: "
"""Before the group of an account that the config does not have."""


@dataclass(slots=True)
class Exposure:
    """What the calls of one group gave away.

    Attributes:
        bits: that calls are charged which were not charged before.
        calls: of the group in the logs.
        repeated: of them, charged before.
        total: bits that the ledger of exposures has of the group.
        unbounded: in free text without a bound.
        outside: whose answers are not in the declared alphabet.
        unread: whose answers are not in the log, and could not be judged.
        failed: that ended in an error.
        budget_bits: of the group; None for no budget.
        spent_at: place of the call that the budget would have refused; empty for none.
        secrets: places of the answers in which each secret, or a code without a name, was read.
        breakers: the evidence of each decoy.
        planted: requests that held each decoy.
        tripped: place at which the evidence of a decoy reached 1/alpha.
    """

    bits: float = 0.0
    calls: int = 0
    repeated: int = 0
    total: float = 0.0
    unbounded: int = 0
    outside: int = 0
    unread: int = 0
    failed: int = 0
    budget_bits: float | None = None
    spent_at: str = ""
    secrets: dict[str, list[str]] = field(default_factory=dict)
    breakers: dict[str, Breaker] = field(default_factory=dict)
    planted: dict[str, int] = field(default_factory=dict)
    tripped: dict[str, str] = field(default_factory=dict)

    def add(self, config: GuardConfig, call: LoggedCall, bits: float, total: float) -> None:
        """Count a call of the group.

        Args:
            config: of the proxy.
            call: of a log.
            bits: it was charged.
            total: that the group was charged with it.
        """
        self.calls += 1
        self.bits, self.total = self.bits + bits, total
        self.failed += call.failed
        self.unread += call.answers is None
        over = self.budget_bits is not None and total > self.budget_bits
        if over and bits > 0.0 and not self.spent_at:
            self.spent_at = call.place
        form = form_of(config, {"model": call.model, "n": call.choices})
        if not isinstance(form, Alphabet):
            self.unbounded += not form.guaranteed
        elif call.answers is not None:
            self.outside += not set(call.answers) <= set(form.symbols)


@dataclass(slots=True)
class Replayed:
    """What a replay counted.

    Attributes:
        calls: that were charged now.
        repeated: that are in the logs more than once or had been charged before.
        groups: what was charged to each group, by name.
        bad: lines that could not be read.
        other: places of lines that are about something else, by what they are about.
        ledger: where the charges are.
    """

    calls: int = 0
    repeated: int = 0
    groups: dict[str, Exposure] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)
    other: dict[str, list[str]] = field(default_factory=dict)
    ledger: str = ""


def replay(
    config: GuardConfig, logs: Sequence[Path], kind: str, ledger: str | None = None
) -> Replayed:
    """Charge the calls of some logs to a ledger of exposures, and return what was counted.

    Args:
        config: of the proxy.
        logs: files of one format.
        kind: ``litellm`` or ``otel``.
        ledger: the ledger of exposures; ``NAME.exposure.sqlite`` beside the config unless given.

    Raises:
        UsageError: the format is not known, a file cannot be read, none of its lines is of the
            format, or the ledger cannot be used.
    """
    from hartley.guard.ledger import open_ledger

    if kind not in READERS:
        known = get_args(Format)
        raise UsageError(
            f"format must be one of {', '.join(known)}, got {kind!r}{did_you_mean(kind, known)}"
        )
    entries = list(READERS[kind](logs))
    logged = [entry for entry in entries if isinstance(entry, LoggedCall)]
    bad = [entry for entry in entries if isinstance(entry, BadLine)]
    if bad and len(bad) == len(entries):
        raise UsageError(
            f"no line can be read as a log of {kind}; the first one, {bad[0].place}, "
            f"{bad[0].reason}"
        )
    calls = _distinct(logged)
    address = ledger or str(config.path.parent / f"{config.path.stem}.exposure.sqlite")
    if config.uses(Path(address)):
        raise UsageError(
            f"--ledger must be a ledger of exposures, got {address}, which the proxy needs"
        )
    # What was answered was answered: a log is counted also where the guard would have refused.
    config = replace(config, free_text=replace(config.free_text, allowed=True))
    settings = _counting(config, calls, address)
    result = Replayed(repeated=len(logged) - len(calls), bad=bad, ledger=address)
    for entry in entries:
        if isinstance(entry, OtherLine):
            result.other.setdefault(entry.kind, []).append(entry.place)
    book = open_ledger(settings)
    asyncio.run(_charged(config, settings, calls, book, result))
    return result


def _distinct(calls: Sequence[LoggedCall]) -> list[LoggedCall]:
    """Return each call once, from the first log that has its answer."""
    distinct: dict[str, LoggedCall] = {}
    for call in calls:
        if distinct.setdefault(call.id, call).answers is None and call.answers is not None:
            distinct[call.id] = call
    return list(distinct.values())


def _counting(config: GuardConfig, calls: Iterable[LoggedCall], address: str) -> GuardConfig:
    """Return settings with which every call is counted once and none is refused."""
    principals = dict(config.principals)
    groups = {name: Group(name, None) for name in config.groups}
    for call in calls:
        account, group = _payer(config, call)
        groups.setdefault(group, Group(group, None))
        principals.setdefault(account, Principal(account, "", group))
    principals = {name: replace(row, budget_bits=None) for name, row in principals.items()}
    rules = replace(
        config.rules, authorised_bits_per_hour=None, budget="log", rate="log", evidence="log"
    )
    return replace(
        config, ledger=address, mode="enforce", principals=principals, groups=groups, rules=rules
    )


def _payer(config: GuardConfig, call: LoggedCall) -> tuple[str, str]:
    """Return the account and the group that a call is charged to."""
    account = call.account or call.team or "without a name"
    if account in config.principals:
        return account, config.principals[account].group
    return account, call.team if call.team in config.groups else UNLISTED + account


async def _charged(
    config: GuardConfig,
    settings: GuardConfig,
    calls: Sequence[LoggedCall],
    book: BatchedLedger,
    result: Replayed,
) -> None:
    judge = _judge(config)
    try:
        names = dict.fromkeys(_payer(settings, call)[1] for call in calls)
        totals = {name: (await book.account(name)).charged_bits for name in names}
        for start in range(0, len(calls), BATCH):
            part = calls[start : start + BATCH]
            reserved = await asyncio.gather(*(_reserved(settings, call, book) for call in part))
            finished = []
            for call, (group, bits, number) in zip(part, reserved, strict=True):
                exposure = result.groups.setdefault(group, _begun(config, group))
                totals[group] += bits
                exposure.add(config, call, bits, totals[group])
                # What a log shows is the same however often it is replayed; charges are not.
                facts, events = _judged(config, call, exposure, judge)
                if number is None:
                    result.repeated += 1
                    exposure.repeated += 1
                    continue
                result.calls += 1
                finished.append(_finished(book, number, facts, events))
            await asyncio.gather(*finished)
    finally:
        await book.close()


def _begun(config: GuardConfig, group: str) -> Exposure:
    declared = config.groups.get(group)
    return Exposure(budget_bits=None if declared is None else declared.budget_bits)


async def _reserved(
    settings: GuardConfig, call: LoggedCall, book: BatchedLedger
) -> tuple[str, float, str | None]:
    """Return the group of a call, its bits and the number of its charge; None if charged before."""
    account, group = _payer(settings, call)
    charge = charge_of(settings, {"model": call.model, "n": call.choices})
    charge = replace(charge, guaranteed=False, basis=f"{charge.basis}; from a log")
    result = await book.reserve(
        call.id,
        account,
        group,
        charge,
        digest=hashlib.sha256(call.id.encode()).hexdigest(),
        facts={"replayed": call.place},
    )
    if isinstance(result, Refused):
        return group, 0.0, None
    return group, result.bits, result.id


def _judged(
    config: GuardConfig, call: LoggedCall, exposure: Exposure, judge: Callable[[Sequence[str]], str]
) -> tuple[dict[str, Any], list[Event]]:
    """Read the answers of a call, and return facts and events for the ledger."""
    facts: dict[str, Any] = {"outcome": "failed" if call.failed else "answered"}
    answers = call.answers
    if answers is None:
        return facts, []
    secret = judge(answers)
    if secret:
        exposure.secrets.setdefault(secret, []).append(call.place)
        facts["verdict"] = secret
    planted = decoys.planted_in(call.instructions, config.decoys)
    events = decoys.events(planted, answers)
    facts["planted"] = [decoy.name for decoy in planted.decoys]
    for decoy in planted.decoys:
        exposure.planted[decoy.name] = exposure.planted.get(decoy.name, 0) + 1
        start = Breaker(1.0 / len(decoy.candidates), decoy.alpha)
        breaker = exposure.breakers.setdefault(decoy.name, start)
        for event in events:
            if event.decoy == decoy.name and breaker.update(event.success):
                exposure.tripped.setdefault(decoy.name, call.place)
    return facts, events


async def _finished(
    book: BatchedLedger, number: str, facts: Mapping[str, Any], events: Sequence[Event]
) -> None:
    await book.begin(number)
    await book.finish(number, facts, events)


def _judge(config: GuardConfig) -> Callable[[Sequence[str]], str]:
    """Return what reads the name of a secret, or of a code, in some answers; empty for nothing."""
    if not config.secrets:
        return lambda _answers: ""
    from hartley.guard.judge.window_judge import WindowJudge
    from hartley.guard.stream_judge import judge_whole

    names = [secret.name for secret in config.secrets]
    judge = WindowJudge([secret.text for secret in config.secrets], names)

    def read(answers: Sequence[str]) -> str:
        finding = judge_whole(answers, judge)
        if finding is None:
            return ""
        return finding.secret or f"a code that would be withheld ({finding.reason})"

    return read


def lines(result: Replayed) -> list[str]:
    """Return what a replay counted, as lines to print."""
    out = [
        f"{result.calls} calls charged, {result.repeated} not charged again, "
        f"{len(result.bad)} lines not read; exposures are in {result.ledger}"
    ]
    for name, exposure in sorted(result.groups.items()):
        if exposure.calls:
            out += _group_lines(name, exposure)
    for kind, places in sorted(result.other.items()):
        out.append(f"left out: {len(places)} of {kind} ({_some(places)})")
    reasons: dict[str, list[str]] = {}
    for line in result.bad:
        reasons.setdefault(line.reason, []).append(line.place)
    out += [f"not read: {_some(places)}: {reason}" for reason, places in sorted(reasons.items())]
    out.append("Nothing in a log was enforced: these charges are not a guarantee.")
    return out


def _group_lines(name: str, exposure: Exposure) -> list[str]:
    out = [f"{name}: {exposure.calls} calls, {exposure.bits:.2f} bits"]
    if exposure.repeated:
        out[0] += f" ({exposure.repeated} were charged before; {exposure.total:.2f} in all)"
    if exposure.budget_bits is not None:
        where = f"would refuse {exposure.spent_at}" if exposure.spent_at else "is not spent"
        if exposure.total > exposure.budget_bits and not exposure.spent_at:
            where = "is spent"
        out[0] += f"; its budget of {exposure.budget_bits:g} bits {where}"
    counts = (
        (exposure.unbounded, "in free text, without a bound"),
        (exposure.outside, "with an answer that is not declared"),
        (exposure.failed, "ended in an error"),
        (exposure.unread, "whose answer is not in the log, not judged"),
    )
    out += [f"  {number} {what}" for number, what in counts if number]
    for secret, places in sorted(exposure.secrets.items()):
        answers = "answer" if len(places) == 1 else "answers"
        out.append(f"  {secret}: read in {len(places)} {answers} ({_some(places)})")
    for decoy, breaker in sorted(exposure.breakers.items()):
        trip = f", tripped at {exposure.tripped[decoy]}" if decoy in exposure.tripped else ""
        out.append(
            f"  decoy {decoy}: planted {exposure.planted[decoy]} times, named "
            f"{breaker.n} times, {breaker.successes} of them right (chance {breaker.p0:.4g}){trip}"
        )
    return out


def _some(places: Sequence[str]) -> str:
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return ", ".join(places[:NAMED]) + more
