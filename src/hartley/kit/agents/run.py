"""One run of an agent: a program calls tools, and everything that passes is noted.

The program was chosen by what the user wrote, before any tool answered. A credulous agent also does
what it reads: after each result it carries out the instructions in it. Where planning
and execution are split (CaMeL, arXiv:2503.18813; f-secure, arXiv:2409.19091), it does not: results
are data, and what a program itself takes as instructions from a result is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hartley.core.errors import RunError
from hartley.core.system import Event, Place
from hartley.kit.agents.instructions import Order
from hartley.kit.agents.instructions import read as instructions_in
from hartley.kit.agents.values import USER, Value, marked, plain, sources_of
from hartley.kit.agents.world import ALL_FIELDS, NAMED, OUTSIDE, Call, Tool, ToolResult, World

MOST_CALLS = 300
"""Calls of tools in one run."""
MOST_DEPTH = 3
"""Instructions that are carried out while another is."""
LONGEST_RESULT = 1_000_000
"""Characters of a result; a longer one is an error."""


class Refused(Exception):
    """Something was not done because a rule of the owner forbids it; the run goes on without."""


class Rule(Protocol):
    """A rule of the owner, asked while an agent runs: it answers with what is left, or refuses."""

    def tools(self, prompt: str, uses: frozenset[str], tools: Mapping[str, Tool]) -> frozenset[str]:
        """Return which tools may be called, before anything is read.

        ``uses`` are those that the program for this prompt names.
        """

    def before(self, call: Call, tool: Tool) -> None:
        """Look at a call before it is made.

        Raises:
            Refused: it must not be made.
        """

    def result(self, call: Call, tool: Tool, result: ToolResult) -> ToolResult:
        """Return what the agent gets to see of a result."""

    def answer(self, text: str) -> str:
        """Return what the user gets to see of the answer."""


class AllowAll:
    """A rule that lets everything pass: what others are derived from."""

    def tools(self, prompt: str, uses: frozenset[str], tools: Mapping[str, Tool]) -> frozenset[str]:
        """Allow every tool."""
        del prompt, uses
        return frozenset(tools)

    def before(self, call: Call, tool: Tool) -> None:
        """Allow the call."""

    def result(self, call: Call, tool: Tool, result: ToolResult) -> ToolResult:
        """Pass the result on."""
        del call, tool
        return result

    def answer(self, text: str) -> str:
        """Pass the answer on."""
        return text


@dataclass(frozen=True, slots=True)
class Program:
    """What an agent does for one kind of prompt.

    Attributes:
        asks: a regular expression that prompts of this kind match, case ignored; spaces in it match
            any white space.
        do: run → nothing; calls tools by ``run.call`` and ends with ``run.answer``.
        uses: the tools that it may call.
    """

    asks: str
    do: Callable[[Run], None]
    uses: tuple[str, ...] = ()

    def fits(self, prompt: str) -> bool:
        """Whether a prompt is of this kind."""
        spaced = re.sub(r"(?<!\\) +", r"\\s+", self.asks)
        return re.search(spaced, prompt, re.IGNORECASE | re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a rule did not let happen.

    Attributes:
        rule: the kind of rule: ``flow``, ``tool``, ``detector`` …
        tool: the tool that was to be called, or empty.
        reason: in words.
    """

    rule: str
    tool: str
    reason: str


@dataclass(slots=True)
class Run:
    """One run of an agent in one world.

    Attributes:
        prompt: what the user wrote.
        world: where the tools act.
        tools: by name.
        orders: the instructions that the agent understands.
        rules: rules of the owner, asked in order.
        split: whether planning is split from execution: instructions in results stay undone.
        uses: the tools that the program names.
        events: all that passed, in order.
        calls: the calls that were made, in order.
        refusals: what was not let happen, in order.
        ending: the final answer.
    """

    prompt: Value
    world: World
    tools: Mapping[str, Tool]
    orders: tuple[Order, ...] = ()
    rules: tuple[Rule, ...] = ()
    split: bool = False
    uses: frozenset[str] = frozenset()
    agent: str = "agent"
    events: list[Event] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    ending: Value | None = None
    _allowed: frozenset[str] = frozenset()
    _done: set[tuple[str, ...]] = field(default_factory=set)
    _depth: int = 0

    def __post_init__(self) -> None:
        self._allowed = frozenset(self.tools)
        for rule in self.rules:
            self._allowed &= rule.tools(str(self.prompt.raw), self.uses, self.tools)
        self.events.append(Event(Place.PROMPT, "user", str(self.prompt.raw), self.agent))

    def call(self, name: str, **arguments: Any) -> Any:
        """Call a tool; what it answers comes back as values with their sources.

        A structured answer is lists and mappings of values; ``text_of`` has the whole as one text.
        A credulous agent carries out the instructions in it before it goes on.

        Raises:
            Refused: a rule forbids it.
            ToolError: the tool failed.
            RunError: there were too many calls, the answer is too long, or there is no such tool.
        """
        return self._called(name, arguments)[0]

    def text_of(self, name: str, **arguments: Any) -> Value:
        """Call a tool; return its answer as the one text that a model would read.

        Raises: as ``call``.
        """
        return self._called(name, arguments)[1]

    def _called(self, name: str, arguments: Mapping[str, Any]) -> tuple[Any, Value]:
        tool = self.tools.get(name)
        if tool is None:
            raise RunError(f"the agent has no tool {name!r}")
        if len(self.calls) >= MOST_CALLS:
            raise RunError(f"the agent made more than {MOST_CALLS} calls of tools in one run")
        call = Call(name, {key: _value(given) for key, given in arguments.items()}, self._depth > 0)
        self._ask_rules(call, tool)
        self.calls.append(call)
        self._note_arguments(call, tool)
        result = self.world.call(name, {key: plain(v) for key, v in call.arguments.items()})
        if len(result.text) > LONGEST_RESULT:
            raise RunError(f"{name} answered with more than {LONGEST_RESULT:,} characters")
        for rule in self.rules:
            result = rule.result(call, tool, result)
        self.events.append(Event(Place.TOOL_RESULT, name, result.text, self.agent))
        if tool.reads_memory:
            self.events.append(Event(Place.RETRIEVED, name, result.text, self.agent))
        # What a tool answers depends on what it was asked.
        inputs = frozenset().union(*(value.sources for value in call.arguments.values()))
        named = tool.named and inputs == {USER}
        all_of_it = _sources(tool, ALL_FIELDS if tool.foreign else "", named)
        text = Value(result.text, inputs | all_of_it)
        if not self.split:
            for part in _read(result):
                self.obey(Value(part, text.sources))
        if result.error:
            raise ToolError(name, result.text)
        if result.value is None or isinstance(result.value, str):
            return text, text
        return _labelled(result.value, tool, inputs, "", named), text

    def obey(self, text: Value) -> int:
        """Carry out the instructions in a text, each once in a run; return how many were begun.

        Raises:
            Refused: planning is split from execution and the text is not the user's.
        """
        if self.split and text.sources - {USER}:
            self._refuse("flow", "", "instructions in a result are data")
        return self.heed(text)

    def heed(self, text: Value) -> int:
        """Carry out the instructions in a text that the plan itself is made of, as ``obey`` does.

        Descriptions of tools are such: what plans reads them, also where results are data.
        """
        if self._depth >= MOST_DEPTH:
            return 0
        fresh = [one for one in instructions_in(text, self.orders) if one.key not in self._done]
        # All are taken on before the first is carried out: on the way the same text may be read
        # again, and the last of them must not be done before the first.
        self._done.update(one.key for one in fresh)
        for instruction in fresh:
            self._depth += 1
            try:
                instruction.order.carry_out(self, instruction.arguments)
            except (Refused, ToolError, ValueError, LookupError):
                # What cannot be done as it is written is left; the agent goes on with its task.
                continue
            finally:
                self._depth -= 1
        return len(fresh)

    def answer(self, text: Value | str) -> None:
        """Say the final answer; one that was said before stays in front of it."""
        ending = _value(text)
        if self.ending is not None:
            ending = Value(f"{self.ending.raw}\n{ending.raw}", self.ending.sources | ending.sources)
        self.ending = ending

    @property
    def answered(self) -> str:
        """The final answer as the user gets to see it."""
        text = "" if self.ending is None else str(self.ending.raw)
        for rule in self.rules:
            text = rule.answer(text)
        return text

    def note(self, place: Place, text: str, target: str = "") -> None:
        """Note something that passed at a place of its own, such as a log."""
        self.events.append(Event(place, self.agent, text, target))

    def follow(self, program: Program) -> None:
        """Do a program to its end, or as far as the owner's rules and the tools let it."""
        try:
            program.do(self)
        except (Refused, ToolError, ValueError, LookupError) as error:
            # A model would say so and stop; that the task is not done, the world's measure says.
            self.answer(f"I could not finish this: {error}")
        self.events.append(Event(Place.ANSWER, self.agent, self.answered, "user"))

    def _ask_rules(self, call: Call, tool: Tool) -> None:
        if call.tool not in self._allowed:
            self._refuse("tool", call.tool, f"{call.tool} is not allowed for this prompt")
        for rule in self.rules:
            try:
                rule.before(call, tool)
            except Refused as refused:
                kind = getattr(rule, "kind", type(rule).__name__)
                self.refusals.append(Refusal(str(kind), call.tool, str(refused)))
                raise

    def _refuse(self, rule: str, tool: str, reason: str) -> None:
        self.refusals.append(Refusal(rule, tool, reason))
        raise Refused(reason)

    def _note_arguments(self, call: Call, tool: Tool) -> None:
        arguments = {name: plain(value) for name, value in call.arguments.items()}
        text = json.dumps(arguments, ensure_ascii=False, default=str)
        for place in dict.fromkeys((Place.TOOL_ARGUMENTS, tool.place or Place.TOOL_ARGUMENTS)):
            self.events.append(Event(place, self.agent, text, call.tool))


class ToolError(Exception):
    """A tool failed.

    Attributes:
        tool: its name.
    """

    def __init__(self, tool: str, text: str) -> None:
        super().__init__(f"{tool}: {text}")
        self.tool = tool


def _value(given: Any) -> Value:
    """Return a value as it is, and anything else as a constant of the program."""
    if isinstance(given, Value):
        return given
    return Value(plain(given), sources_of(given))


def _sources(tool: Tool, name: str, named: bool) -> frozenset[str]:
    """Return where a field of a result comes from; ``named``: from where the user said."""
    foreign = ALL_FIELDS in tool.foreign or name in tool.foreign or name == ALL_FIELDS
    if not foreign:
        return frozenset({tool.name})
    return frozenset({(NAMED if named else OUTSIDE) + tool.name})


def _read(result: ToolResult) -> list[str]:
    """Return what a model understands of a result: each text in it by itself.

    In the text of the whole, quotation marks are doubled and long lines are broken.
    """
    if result.error or result.value is None or isinstance(result.value, str):
        return [result.text]
    return list(_texts(result.value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield str(name)
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _labelled(value: Any, tool: Tool, inputs: frozenset[str], name: str, named: bool) -> Any:
    """Return plain values as values, each with the sources of the field that it is in."""
    if isinstance(value, Mapping):
        if tool.users is not None and value.get(tool.users[0]) == tool.users[1]:
            return marked(value, inputs | {tool.name})
        return {key: _labelled(part, tool, inputs, str(key), named) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_labelled(part, tool, inputs, name, named) for part in value]
    return Value(value, inputs | _sources(tool, name, named))


def play(
    program: Program,
    prompt: str,
    world: World,
    tools: Mapping[str, Tool],
    *,
    orders: Iterable[Order] = (),
    rules: Sequence[Rule] = (),
    split: bool = False,
) -> Run:
    """Let an agent do a program for a prompt in a world; return the run with all that passed."""
    run = Run(
        prompt=Value(prompt, frozenset({USER})),
        world=world,
        tools=tools,
        orders=tuple(orders),
        rules=tuple(rules),
        split=split,
        uses=frozenset(program.uses),
    )
    run.follow(program)
    return run
