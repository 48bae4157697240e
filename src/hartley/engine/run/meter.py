"""The seal between an attack and a scene: it hides, counts, freezes and checks.

An attack gets exactly what it declared. Every answer is counted and checked against the units that
the model declares, because a model that answers with logits where it declared probabilities makes
an attack look weak without an error.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np

from hartley.core import Access, Data, Form, Model, Output, View
from hartley.core.assets import Ensemble, Session, is_text
from hartley.core.brief import B, mapped
from hartley.core.capabilities import (
    CAPABILITIES,
    Calls,
    Capability,
    CapabilityRow,
    Counted,
    opened_by,
)
from hartley.core.costs import Bill, Cost, billed
from hartley.core.errors import AccessDenied, BudgetSpent, HartleyError, RunError
from hartley.engine.run.answer_cache import recalled
from hartley.engine.run.private_copies import Copies, own, read_only
from hartley.kit.shared_work import SECONDS, Ledger

Ask = Callable[..., Any]
"""(callable, records, …) → what it answers, from memory or anew."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an attack used, in one round or until now.

    Attributes:
        queries: records the victim answered.
        models: models that were trained for it.
        cost: what the adapters reported.
        seconds: the attacker's own time, without shared work.
    """

    queries: int
    models: float
    cost: Cost
    seconds: float = 0.0

    def since(self, before: Spent) -> Spent:
        """Return what was used after ``before``."""
        return Spent(
            self.queries - before.queries,
            self.models - before.models,
            self.cost - before.cost,
            self.seconds - before.seconds,
        )


def with_shared(rounds: Sequence[Spent], ledger: Ledger) -> list[Spent]:
    """Return what each round used, with its share of the shared work that the attack used.

    Every attack that uses shared work has all of it here, whichever attack it was made for, so that
    what is recorded does not depend on the order of play. Time is reported apart: see
    ``Trials.shared_seconds``.
    """
    total: dict[str, float] = {}
    for amounts in ledger.shared().values():
        for unit, amount in amounts.items():
            total[unit] = total.get(unit, 0.0) + amount / len(rounds)
    models, cost = total.get("models", 0.0), _cost(total)
    return [replace(r, models=r.models + models, cost=r.cost + cost) for r in rounds]


def by_column(rounds: Sequence[Spent]) -> list[dict[str, float]]:
    """Return what each round used, by columns of the trials; tokens and money if there are any."""
    costs = [r.cost for r in rounds]
    tokens = any(c.tokens_in or c.tokens_out for c in costs)
    money = any(c.money for c in costs)
    return [
        {
            "cost_queries": float(r.queries),
            "cost_s": r.seconds,
            **({"cost_tokens": r.cost.tokens_in + r.cost.tokens_out} if tokens else {}),
            **({"cost_money": r.cost.money} if money else {}),
        }
        for r in rounds
    ]


def by_unit(rounds: Sequence[Spent]) -> list[dict[str, float]]:
    """Return what each round used besides queries and time, by unit, without unused units.

    Units: ``models`` trained, ``tokens_in`` and ``tokens_out``, ``money``, ``model_s``, the
    seconds that the model itself took, where its adapter measures them, and ``lost_requests``.
    """
    amounts = [_amounts(r.models, r.cost) for r in rounds]
    units = [unit for unit in (amounts[0] if amounts else ()) if any(r[unit] for r in amounts)]
    return [{unit: r[unit] for unit in units} for r in amounts]


def by_judge(bill: Bill, rounds: int) -> dict[str, float]:
    """Return what the judge used in a round, by unit: ``judge_queries``, ``judge_money`` etc.

    It is the auditor's and no attacker's: it counts neither towards a budget nor as a use.
    """
    amounts = {"queries": float(bill.queries), **_amounts(0.0, bill.cost)}
    return {f"judge_{unit}": amount / rounds for unit, amount in amounts.items() if amount}


def _amounts(models: float, cost: Cost) -> dict[str, float]:
    return {
        "models": float(models),
        "tokens_in": cost.tokens_in,
        "tokens_out": cost.tokens_out,
        "money": cost.money,
        "model_s": cost.seconds,
        "lost_requests": cost.lost_requests,
    }


def _cost(amounts: Mapping[str, float]) -> Cost:
    """The way back, but for the models."""
    units = ("tokens_in", "tokens_out", "money", "model_s", "lost_requests")
    return Cost(*(amounts.get(unit, 0.0) for unit in units))


@dataclass(slots=True)
class Meter:
    """Counts what an attack uses, over all rounds of one play.

    Attributes:
        budget: queries allowed, or None.
        counts: uses by capability, each in the units of its row.
        cost: what the adapters reported: tokens, money, seconds of the model.
        ledger: what was used of work that several attacks share; open while the attack runs.
        copies: what the attack holds of what was dealt.
        total: the meter of the whole play where this one is of a single round; it counts too, and
            its budget holds.
    """

    budget: int | None = None
    counts: dict[Capability, int] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    ledger: Ledger = field(init=False)
    copies: Copies = field(default_factory=Copies, repr=False)
    total: Meter | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(lambda: _amounts(self.models, self.cost))

    @property
    def queries(self) -> int:
        """Records the victim answered, by any of its callables."""
        return self._sum(Counted.QUERIES)

    @property
    def models(self) -> int:
        """Models that were trained for the attacker."""
        return self._sum(Counted.MODELS)

    def reading(self) -> Spent:
        """Return what was used until now, without shared work."""
        inside = self.ledger.inside
        return Spent(
            self.queries,
            self.models - inside.get("models", 0.0),
            self.cost - _cost(inside),
            time.perf_counter() - inside.get(SECONDS, 0.0),
        )

    def spend(self, what: Capability, uses: int) -> None:
        """Count ``uses`` of ``what``.

        Raises:
            BudgetSpent: the budget does not cover them; they are not answered.
        """
        how = CAPABILITIES[what].counted
        if how is Counted.NOTHING:
            return
        if self.total is not None:
            self.total.spend(what, uses)
        total = self.queries + uses
        if how is Counted.QUERIES and self.budget is not None and total > self.budget:
            raise BudgetSpent(
                f"{total} queries, but the budget is {self.budget}: "
                "ask for fewer records or raise the budget"
            )
        self.counts[what] = self.counts.get(what, 0) + uses

    def _sum(self, unit: Counted) -> int:
        return sum(n for name, n in self.counts.items() if CAPABILITIES[name].counted is unit)


def seal(view: View[B], needs: Access, meter: Meter) -> View[B]:
    """Return the view that the attack gets: copied, metered, without what it did not declare.

    Raises:
        AccessDenied: the model does not offer what the attack needs.
    """
    copies, source, defenses = meter.copies, view.source, view.defenses
    if isinstance(source, Model):
        source = seal_model(source, needs, meter)
    elif isinstance(source, Data):
        source = copies.records(source, "source")
    if type(defenses) is tuple:
        defenses = copies.of(defenses, "defenses")

    def private(value: Any, name: str) -> Any:
        if isinstance(value, Model):  # beside the source: a detector, a tool of the attacker's own
            return seal_model(value, needs & value.offers, meter)
        return copies.of(value, name)

    return replace(view, source=source, brief=mapped(view.brief, private), defenses=defenses)


def seal_model(model: Model, needs: Access, meter: Meter) -> Model:
    """Return the model with metered callables, and only those that ``needs`` opens.

    Raises:
        AccessDenied: the model does not offer what ``needs`` declares.
    """
    if lacking := needs & ~model.offers & opened_by():
        raise AccessDenied(
            f"needs {', '.join(lacking.words)}, which {model.name!r} does not offer "
            f"(it offers {', '.join(model.offers.words) or 'nothing'})"
        )
    if model.clear is not None and needs & (Access.WEIGHTS | Access.GRADIENTS):
        undefended = model.clear
        calls = {name: call for name, call in model.calls.items() if not _by_record(name)}
        calls |= {name: call for name, call in undefended.calls.items() if _by_record(name)}
        model = replace(
            model,
            calls=Calls(calls),
            output=undefended.output,
            # An attacker with gradients alone still has to ask for them, within the budget.
            session=undefended.session if needs & Access.WEIGHTS else model.session,
        )
    ask: Ask = recalled if model.deterministic and model.session is None else _anew
    if model.session is not None:
        model = _opened(model, model.session())
    output = _output(model, needs)
    opened = {n: c for n, c in model.calls.items() if CAPABILITIES[n].access & needs}
    sealed = {n: Sealed(_Metered(c, n, model, output, meter, ask)) for n, c in opened.items()}
    return replace(
        model,
        calls=Calls(sealed, undeclared=model.calls.keys() - sealed.keys()),
        output=output,
        clear=None,
        offers=needs,
        facts=meter.copies.of(model.facts, "source.facts"),
    )


def _by_record(name: Capability) -> bool:
    return CAPABILITIES[name].by_record


def _anew(function: Callable[..., Any], *arguments: Any) -> Any:
    """Ask the model itself: the same question may cost again and have another answer."""
    return function(*arguments)


def _opened(model: Model, session: Session) -> Model:
    """The model as it answers one attacker from now on."""
    calls = {n: session(n, c) if _by_record(n) else c for n, c in model.calls.items()}
    return replace(model, calls=Calls(calls), session=None)


def _output(model: Model, needs: Access) -> Output:
    """The units of the answers to an attack that may see labels alone, or all of them."""
    scores = {Output.PROBABILITIES, Output.LOGITS}
    if needs & Access.LABELS and not needs & (Access.SCORES | Access.EMBEDDINGS):
        return Output.LABELS if model.output in scores else model.output
    return model.output


class Sealed:
    """A callable of a model as an attack has it: counted, billed, checked and frozen.

    It holds a number alone, and what answers is looked up by it: no field and no closure leads an
    attack to the model itself. Two of one callable are equal: what attacks keep by ``fit`` they
    find again in the next round.
    """

    __slots__ = ("__weakref__", "_number")

    def __init__(self, metered: _Metered) -> None:
        """Take a number for what answers."""
        self._number = next(_numbers)
        _metered[self._number] = metered
        weakref.finalize(self, _metered.pop, self._number)

    def __call__(self, *arguments: Any) -> Any:
        """Ask, within the budget."""
        return _metered[self._number].answer(arguments)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sealed):
            return NotImplemented
        return bool(_metered[self._number].call == _metered[other._number].call)

    def __hash__(self) -> int:
        return hash(_metered[self._number].call)


_numbers = count()
_metered: dict[int, _Metered] = {}
"""What answers, by the number of its ``Sealed``."""


@dataclass(frozen=True, slots=True)
class _Metered:
    """What answers an attack in place of a callable of a model."""

    call: Callable[..., Any]
    name: Capability
    model: Model
    output: Output
    meter: Meter
    ask: Ask

    def answer(self, arguments: tuple[Any, ...]) -> Any:
        """Count, ask, bill, check and freeze.

        Raises:
            BudgetSpent: the budget does not cover it.
            BadModel: the answer is not what the model declares.
            RunError: the model failed.
        """
        row, meter = CAPABILITIES[self.name], self.meter
        if row.reads is not None:
            arguments = (as_read(self.model, row.reads, arguments[0]), *arguments[1:])
        if not row.by_record:
            # A pipeline may keep the records, and the attack go on writing into its own.
            arguments = tuple(map(_owned, arguments))
        meter.spend(self.name, row.uses(arguments))
        with billed() as bill:
            try:
                answer = self._asked(row, arguments)
            finally:
                meter.cost = meter.cost + bill.cost
        answer = row.check(self.model, answer, arguments)
        if self.output is not self.model.output and self.name == "query":
            answer = answer.argmax(1)
        return _frozen(answer)

    def _asked(self, row: CapabilityRow, arguments: tuple[Any, ...]) -> Any:
        try:
            remembers = row.by_record and row.repeats
            return self.ask(self.call, *arguments) if remembers else self.call(*arguments)
        except (HartleyError, MemoryError):
            raise
        except Exception as error:
            shape = getattr(arguments[0], "shape", None) if arguments else None
            shape_note = "" if shape is None else f" of arguments of shape {shape}"
            why = " ".join(str(error).split())[:160]
            raise RunError(
                f"{self.name}{shape_note} failed in the model {self.model.name!r}: "
                f"{type(error).__name__}: {why}"
            ) from error


def as_read(model: Model, form: Form, records: Any) -> Any:
    """Records as a capability reads them: texts become tokens, or what a user says."""
    if form is Form.TOKENS and model.codec is not None and is_text(records):
        return model.codec.encode(list(records))
    if form is Form.MESSAGES and is_text(records):
        return [[{"role": "user", "content": text}] for text in records]
    return records


def _frozen(answer: Any) -> Any:
    """Return an answer that shares nothing with the model or with the memory of answers."""
    if isinstance(answer, np.ndarray):
        return read_only(own(answer))
    if isinstance(answer, Mapping):
        return {name: read_only(own(np.asarray(array))) for name, array in answer.items()}
    if isinstance(answer, Ensemble):
        return replace(answer, query=_apart(answer.query), member=_members(answer.member))
    return answer


def _members(member: Callable[[int], Model]) -> Callable[[int], Model]:
    """Return the members of an ensemble, whose weights and answers are the attack's own."""

    def apart(k: int) -> Model:
        model = member(k)
        calls = {name: c if name == "fit" else _apart(c) for name, c in model.calls.items()}
        return replace(model, calls=Calls(calls, model.calls.undeclared))

    return apart


def _apart(call: Callable[..., Any]) -> Callable[..., Any]:
    def answered(*arguments: Any) -> Any:
        return _frozen(call(*arguments))

    return answered


def _owned(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        return own(argument)
    return Copies().records(argument, "records") if isinstance(argument, Data) else argument
