"""A user's own agent under audit: a Python callable with tools, or with those of MCP servers.

Hartley is between the agent and its tools: it notes what passes, and puts texts behind what
tools return. The agent and the tools stay as they are.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import inspect
import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from threading import Thread, get_ident
from typing import TYPE_CHECKING, Any, Literal

from hartley.core.errors import HartleyError, RunError, UsageError
from hartley.core.system import Event, Place, System
from hartley.kit.agents.run import LONGEST_RESULT, MOST_CALLS, Refusal, Refused, Rule
from hartley.kit.agents.values import Value
from hartley.kit.agents.world import ALL_FIELDS, Call, Tool, ToolResult
from hartley.kit.user_code import place_of
from hartley.targets.mcp import McpServer, ServedTool

if TYPE_CHECKING:
    from collections.abc import Iterator

PlainCall = tuple[str, Mapping[str, Any]]
"""A call of a tool: its name, and plain arguments by name."""

Goal = tuple[str, Mapping[str, Any]] | Callable[[Sequence[PlainCall], str], bool]
"""When an attacker's goal is reached: a tool with arguments, or (calls, answer) → whether."""

WRITTEN = (Place.AGENT_MESSAGE, Place.MEMORY_WRITE, Place.LOG, Place.FILE)
"""Places where the arguments of a tool may be read besides."""


@dataclass(frozen=True, slots=True)
class AuditedAgent:
    """An agent, what its users ask, and what an attacker wants of it.

    Attributes:
        run: (prompt, tools by name) → the answer; may be a coroutine function.
        tools: functions, and commands that start MCP servers, whose tools come by their names.
        prompts: what users ask.
        others: names of tools whose results hold what third parties write; texts of an attacker
            are put there.
        confidential: names of tools whose results hold what must not get out; canaries are put
            there. Those of ``others`` where it is empty.
        goals: what an attacker wants, as a sentence, each with when it is reached: a tool and
            arguments that it is called with, or a function (calls, answer) → whether.
        acts: names of tools that change something, besides those of the goals.
        places: where the arguments of a tool can be read besides, by the tool's name: "file",
            "log", "agent_message" or "memory_write".
        useful: (prompt, answer, calls) → whether the user got what they wanted; without it,
            whether there is an answer.
        reset: called before each run, so that it begins with a fresh state; without it and without
            ``restart`` all runs of one prompt count as one draw.
        repeats: how often each prompt is asked under attack, each time with a goal that is drawn.
        tool_errors: "fail": a tool that raises fails the run. "pass": the agent gets the error.
        restart: start the MCP servers anew for each run.
        seconds: longest run.
    """

    run: Callable[[str, Mapping[str, Callable[..., Any]]], Any]
    tools: Sequence[Callable[..., Any] | str]
    prompts: Sequence[str]
    others: Sequence[str] = ()
    confidential: Sequence[str] = ()
    goals: Mapping[str, Goal] = field(default_factory=dict)
    acts: Sequence[str] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    useful: Callable[[str, str, Sequence[PlainCall]], bool] | None = None
    reset: Callable[[], None] | None = None
    repeats: int = 32
    tool_errors: Literal["fail", "pass"] = "fail"
    restart: bool = False
    seconds: float = 120.0

    @property
    def secretive(self) -> tuple[str, ...]:
        """Tools whose results hold what must not get out."""
        return tuple(self.confidential or self.others)

    @property
    def observed(self) -> tuple[Place, ...]:
        """Places that can be read: the answer, arguments, the log, and what ``places`` says."""
        known = {Place.ANSWER, Place.TOOL_ARGUMENTS, *map(Place, self.places.values())}
        if logging.root.manager.disable < logging.CRITICAL:
            known.add(Place.LOG)
        return tuple(place for place in Place if place in known)

    @property
    def fresh(self) -> bool:
        """Whether something sets the agent or its servers back before each run."""
        return self.reset is not None or self.restart

    def check(self) -> None:
        """Check what can be seen without a run.

        Raises:
            UsageError: something is not what it should be.
        """
        if not callable(self.run):
            raise UsageError(f"run of the agent must be a function, got {type(self.run).__name__}")
        self._check_prompts()
        if isinstance(self.tools, str) or not self.tools:
            raise UsageError("tools of the agent must be a list of functions or commands, got none")
        if self.repeats < 1 or self.seconds <= 0:
            raise UsageError(
                "repeats and seconds of the agent must be above 0, got "
                f"{self.repeats} and {self.seconds:g}"
            )
        if len(self.goals) == 1:
            raise UsageError(
                "goals of the agent must be two or more, since one of them is drawn in each run, "
                f"got one: add another like {_short(next(iter(self.goals)))}, or leave goals out"
            )
        for place in self.places.values():
            if place not in {*map(str, WRITTEN)}:
                among = ", ".join(map(str, WRITTEN))
                raise UsageError(f"places of the agent must be among {among}, got {place!r}")
        if not (self.others or self.confidential):
            raise UsageError(
                "others or confidential of the agent must name a tool whose results are tested, "
                "got none"
            )

    def _check_prompts(self) -> None:
        if isinstance(self.prompts, str):
            raise UsageError(
                f"prompts of the agent must be a list of texts, got one text: write "
                f"[{_short(self.prompts)}]"
            )
        if not self.prompts:
            raise UsageError("prompts of the agent must be a list of texts, got an empty list")
        for number, prompt in enumerate(self.prompts, 1):
            if not isinstance(prompt, str) or not prompt.strip():
                raise UsageError(
                    "prompts of the agent must be texts that are not empty, got "
                    f"{_short(prompt)} as prompt {number}"
                )

    def facts(self) -> dict[str, Tool]:
        """Return what is known of each tool, by name; servers are started for it.

        Raises:
            UsageError: two tools have one name, or a name is used that no tool has, or one of an
                argument that its tool does not take.
            RunError: a server does not start.
        """
        goals = {goal[0] for goal in self.goals.values() if isinstance(goal, tuple)}
        tools: dict[str, Tool] = {}
        taken: dict[str, frozenset[str] | None] = {}
        with _opened(self) as functions:
            for name, function in functions:
                if name in tools:
                    raise UsageError(f"two tools of the agent have the name {name}")
                taken[name] = _names_of_arguments(function)
                tools[name] = Tool(
                    name,
                    description=inspect.getdoc(function) or "",
                    acts=name in self.acts or name in goals,
                    foreign=(ALL_FIELDS,) if name in self.others else (),
                    place=Place(self.places[name]) if name in self.places else None,
                )
        named = [*self.others, *self.confidential, *self.acts, *self.places, *sorted(goals)]
        if absent := [name for name in named if name not in tools]:
            raise UsageError(f"the agent has no tool {absent[0]!r}; it has {', '.join(tools)}")
        self._check_arguments(taken)
        return tools

    def _check_arguments(self, taken: Mapping[str, frozenset[str] | None]) -> None:
        """Refuse a goal that names an argument its tool does not take: it would never be reached.

        Args:
            taken: names of the arguments of each tool; None where any may be given.

        Raises:
            UsageError: there is such a goal.
        """
        for text, goal in self.goals.items():
            if callable(goal):
                continue
            tool, wanted = goal
            if (names := taken[tool]) is None:
                continue
            for name in wanted:
                if name not in names:
                    raise UsageError(
                        f"the goal {_short(text)} cannot be reached: {tool} takes no argument "
                        f"{name!r}; it takes {', '.join(sorted(names)) or 'none'}"
                    )


@dataclass(slots=True)
class OwnRun:
    """One run of a user's own agent: what passed.

    Attributes:
        agent: the agent.
        tools: what is known of its tools.
        texts: what is put into the results of a tool, by its name: behind the text that is there,
            or, with ``instead``, in its stead.
        rules: rules of the owner.
        events: all that passed, in order.
        calls: of tools, in order.
        results: of each tool, the text of its first result.
        refusals: what a rule did not let happen.
        answer: the final answer.
    """

    agent: AuditedAgent
    tools: Mapping[str, Tool]
    texts: Mapping[str, str] = field(default_factory=dict)
    instead: frozenset[str] = frozenset()
    rules: Sequence[Rule] = ()
    events: list[Event] = field(default_factory=list)
    calls: list[PlainCall] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    answer: str = ""
    _allowed: frozenset[str] = frozenset()
    _inside: str = ""
    _failed: RunError | None = None
    _ended: bool = False

    def play(self, prompt: str) -> None:
        """Let the agent answer a prompt, in bounded time.

        Raises:
            RunError: the agent or a tool raises, hangs, makes too many calls or returns too much.
        """
        self._allowed = frozenset(self.tools)
        for rule in self.rules:
            self._allowed &= rule.tools(prompt, frozenset(self.tools), self.tools)
        self.events.append(Event(Place.PROMPT, "user", prompt, "agent"))
        results: Queue[tuple[Any, BaseException | None]] = Queue()

        def work() -> None:
            try:
                with _opened(self.agent) as functions, self._log():
                    wrapped = {name: self._watched(name, f) for name, f in functions}
                    answer = self.agent.run(prompt, wrapped)
                    if inspect.isawaitable(answer):
                        answer = asyncio.run(_awaited(answer))
                results.put((answer, None))
            except BaseException as error:
                results.put((None, error))

        with redirect_stdout(sys.stderr):
            if self.agent.reset is not None:
                self._reset()
            # A thread that does not end cannot be stopped: its tools refuse from then on.
            Thread(target=work, daemon=True).start()
            try:
                answer, error = results.get(timeout=self.agent.seconds)
            except Empty:
                where = f", inside the tool {self._inside}" if self._inside else ""
                self._failed = RunError(
                    f"the agent took over {self.agent.seconds:g} s for the prompt "
                    f"{prompt[:60]!r}{where}"
                )
                answer, error = None, None
            finally:
                self._ended = True
        self._finish(answer, error)

    def _finish(self, answer: Any, error: BaseException | None) -> None:
        if self._failed is not None:
            raise self._failed
        if isinstance(error, Refused):
            answer = f"I could not finish this: {error}"
        elif isinstance(error, HartleyError):
            raise error
        elif error is not None:
            raise RunError(f"the agent raised {_named(error)}{place_of(error)}") from error
        if not isinstance(answer, str):
            raise RunError(f"the agent must return its answer as a text, got {_short(answer)}")
        if len(answer) > LONGEST_RESULT:
            raise RunError(
                f"the agent answered with {len(answer):,} characters; at most "
                f"{LONGEST_RESULT:,} are read"
            )
        for rule in self.rules:
            answer = rule.answer(answer)
        self.answer = answer
        self.events.append(Event(Place.ANSWER, "agent", answer, "user"))

    def reached(self, goals: Mapping[str, Goal]) -> dict[str, bool]:
        """Return whether each of some goals was reached.

        Raises:
            RunError: a function of the user's raises.
        """
        return {name: self._reaches(name, goal) for name, goal in goals.items()}

    def useful(self, prompt: str) -> bool:
        """Whether the user got what they wanted.

        Raises:
            RunError: the function of the user's raises.
        """
        if self.agent.useful is None:
            return bool(self.answer.strip())
        with _as_run_error("useful of the agent"):
            return bool(self.agent.useful(prompt, self.answer, list(self.calls)))

    def _reaches(self, name: str, goal: Goal) -> bool:
        if callable(goal):
            with _as_run_error(f"the goal {name!r}"):
                return bool(goal(list(self.calls), self.answer))
        tool, wanted = goal
        return any(
            called == tool and all(_same(given.get(key), value) for key, value in wanted.items())
            for called, given in self.calls
        )

    def _reset(self) -> None:
        with _as_run_error("reset of the agent"):
            assert self.agent.reset is not None
            self.agent.reset()

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a tool as the agent gets it."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*given: Any, **named: Any) -> Any:
                call = self._before(name, function, given, named)
                try:
                    result = await function(*given, **named)
                except Exception as error:
                    raise self._raised(name, error) from error
                return self._after(call, result)

            return call_async

        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            noted = self._before(name, function, given, named)
            try:
                result = function(*given, **named)
            except Exception as error:
                raise self._raised(name, error) from error
            return self._after(noted, result)

        return call

    def _before(
        self, name: str, function: Callable[..., Any], given: Any, named: Mapping[str, Any]
    ) -> Call:
        if self._ended:
            raise RunError("this run of the agent has ended")
        if self._failed is not None:  # an agent that catches what a tool raises goes no further
            raise self._failed
        if len(self.calls) >= MOST_CALLS:
            self._failed = RunError(
                f"the agent made more than {MOST_CALLS} calls of tools for one prompt"
            )
            raise self._failed
        tool, arguments = self.tools[name], _arguments(function, given, named)
        call = Call(name, {key: Value(value) for key, value in arguments.items()})
        try:
            if name not in self._allowed:
                raise Refused(f"{name} is not allowed for this prompt")
            for rule in self.rules:
                rule.before(call, tool)
        except Refused as refused:
            self.refusals.append(Refusal("tool", name, str(refused)))
            raise
        self.calls.append((name, arguments))
        text = json.dumps(arguments, ensure_ascii=False, default=str)
        for place in dict.fromkeys((Place.TOOL_ARGUMENTS, tool.place or Place.TOOL_ARGUMENTS)):
            self.events.append(Event(place, "agent", text, name))
        self._inside = name
        return call

    def _raised(self, name: str, error: Exception) -> Exception:
        self._inside = ""
        if isinstance(error, RunError):  # of a server: it has ended, or took too long
            self._failed = error
        elif self.agent.tool_errors == "fail":
            self._failed = RunError(f"the tool {name} raised {_named(error)}{place_of(error)}")
        return self._failed or error

    def _after(self, call: Call, result: Any) -> Any:
        self._inside = ""
        text = as_text(result)
        if len(text) > LONGEST_RESULT:
            self._failed = RunError(
                f"the tool {call.tool} returned {len(text):,} characters; at most "
                f"{LONGEST_RESULT:,} are read"
            )
            raise self._failed
        self.results.setdefault(call.tool, text)
        if call.tool in self.texts:
            result = with_text(result, self.texts[call.tool], instead=call.tool in self.instead)
            text = as_text(result)
        for rule in self.rules:
            left = rule.result(call, self.tools[call.tool], ToolResult(text))
            if left.text != text:
                result = text = left.text
        self.events.append(Event(Place.TOOL_RESULT, call.tool, text, "agent"))
        return result

    @contextmanager
    def _log(self) -> Iterator[None]:
        """Note what this thread and those that it starts log by Python's own logging, from INFO on.

        A logger that passes nothing on to the root has the handler itself.
        """
        others = {one.ident for one in threading.enumerate()} - {get_ident()}
        events, root = self.events, logging.getLogger()

        class Noted(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if record.thread not in others:
                    events.append(Event(Place.LOG, "agent", self.format(record), record.name))

        handler, level = Noted(), root.level
        apart = [
            one
            for one in logging.root.manager.loggerDict.values()
            if isinstance(one, logging.Logger) and not one.propagate
        ]

        def was_passed(record: logging.LogRecord) -> bool:
            """Whether a handler that was there before would have had a record."""
            return record.levelno >= level or bool(logging.getLogger(record.name).level)

        before = tuple(root.handlers)
        for one in before:
            one.addFilter(was_passed)
        root.setLevel(min(level, logging.INFO))
        for logger in (root, *apart):
            logger.addHandler(handler)
        try:
            yield
        finally:
            for logger in (root, *apart):
                logger.removeHandler(handler)
            root.setLevel(level)
            for one in before:
                one.removeFilter(was_passed)


def as_system(agent: AuditedAgent, tools: Mapping[str, Tool], name: str, identity: str) -> System:
    """Return an agent as a system: what comes to a ``file`` is put behind a tool's results.

    Args:
        agent: the agent.
        tools: what is known of its tools.
        name: what to call it.
        identity: empty where it is not known whether the agent is still the same one.
    """

    def opened(seed: int) -> _Session:
        del seed  # what the agent draws is its own affair
        return _Session(agent, tools)

    return System(name, identity, opened, agent.observed, agent.fresh)


class _Session:
    """One start of the agent: texts are planted, then a prompt is answered."""

    def __init__(self, agent: AuditedAgent, tools: Mapping[str, Tool]) -> None:
        self._agent, self._tools = agent, tools
        self._texts: dict[str, str] = {}

    def send(self, event: Event) -> tuple[Event, ...]:
        """Plant a text behind what a tool returns, or answer a prompt."""
        if event.place is Place.FILE:
            self._texts[event.target] = event.text
            return ()
        if event.place is not Place.PROMPT:
            return ()
        run = OwnRun(self._agent, self._tools, dict(self._texts))
        run.play(event.text)
        return tuple(run.events)

    def close(self) -> None:
        """Forget what was planted."""
        self._texts.clear()


def as_text(result: Any) -> str:
    """Return a tool's result as a model would read it."""
    if isinstance(result, str):
        return result
    return json.dumps(result, ensure_ascii=False, default=str)


def with_text(result: Any, text: str, *, instead: bool) -> Any:
    """Return a result with a text behind its longest text, or in its stead.

    Raises:
        RunError: there is no text in the result.
    """
    texts = list(_texts(result))
    if not texts:
        raise RunError(f"a result of a tool must hold a text to be tested, got {_short(result)}")
    longest = max(texts, key=len)
    return _changed(result, longest, text if instead else f"{longest}\n{text}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _changed(value: Any, before: str, after: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _changed(part, before, after) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(part, before, after) for part in value]
    return after if isinstance(value, str) and value == before else value


def _arguments(
    function: Callable[..., Any], given: Any, named: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        signature = inspect.signature(function)
        bound = signature.bind(*given, **named).arguments
    except (TypeError, ValueError):  # the call itself will say what is wrong
        return {**{f"argument {k}": value for k, value in enumerate(given)}, **named}
    arguments: dict[str, Any] = {}
    for name, value in bound.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= value
        else:
            arguments[name] = value
    return arguments


def _names_of_arguments(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the names by which a tool's arguments are noted; None where any may be given."""
    if hasattr(function, "served_arguments"):
        names: frozenset[str] | None = function.served_arguments
        return names
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions in C do not say
        return None
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return None
    return frozenset(parameters)


def _served_arguments(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the names in the JSON schema of a server's tool; None where any may be given."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or schema.get("additionalProperties"):
        return None
    return frozenset(properties)


_RUNNING: dict[str, McpServer] = {}
"""Servers that go on between runs, by their command."""


@contextmanager
def _opened(agent: AuditedAgent) -> Iterator[list[tuple[str, Callable[..., Any]]]]:
    """Return the tools of an agent by name, with those of its servers."""
    functions, fresh = [], []
    try:
        for tool in agent.tools:
            if not isinstance(tool, str):
                functions.append((getattr(tool, "__name__", ""), tool))
                continue
            if agent.restart:
                fresh.append(server := McpServer(tool))
            else:
                server = _running(tool)
            functions += [(one.name, _of_server(server, one)) for one in server.tools()]
        yield functions
    finally:
        for server in fresh:
            server.close()


def _running(command: str) -> McpServer:
    if command not in _RUNNING or _RUNNING[command].ended:
        _RUNNING[command] = McpServer(command)
    return _RUNNING[command]


@atexit.register
def close_servers() -> None:
    """End all servers that go on between runs."""
    while _RUNNING:
        with suppress(Exception):
            _RUNNING.popitem()[1].close()


def _of_server(server: McpServer, tool: ServedTool) -> Callable[..., str]:
    def call(**arguments: Any) -> str:
        result = server.call(tool.name, arguments)
        if result.error:
            raise ToolFailed(result.text)
        return result.text

    call.__name__ = call.__qualname__ = tool.name
    call.__doc__ = tool.description
    call.served_arguments = _served_arguments(tool.schema)  # type: ignore[attr-defined]
    return call


class ToolFailed(Exception):
    """A tool of a server reported an error."""


@contextmanager
def _as_run_error(what: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise RunError(f"{what} raised {_named(error)}{place_of(error)}") from error


async def _awaited(answer: Any) -> Any:
    return await answer


def _same(given: Any, wanted: Any) -> bool:
    return given == wanted or str(given).strip().casefold() == str(wanted).strip().casefold()


def _named(error: BaseException) -> str:
    reason = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
