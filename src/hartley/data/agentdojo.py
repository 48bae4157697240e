"""AgentDojo's four worlds: tools with state, tasks of users, goals of attackers, and the judges.

AgentDojo (arXiv:2406.13352), benchmark v1.2.2: workspace, travel, banking and slack with 97 user
tasks and 949 pairs of a user task and an injection task. The library needs the clients of many
model services, so that it lives in an environment of its own: the pack ``agentdojo``, or the
interpreter that ``$HARTLEY_AGENTDOJO_PYTHON`` names. `agentdojo_host` runs there and is asked over
a pipe. One host serves a process. Each answer has a limit of time and of size.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from hartley.core.errors import RunError, UsageError
from hartley.data import packs
from hartley.data.packs import environment

PACK = "agentdojo"
INTERPRETER = "HARTLEY_AGENTDOJO_PYTHON"
BENCHMARK = "v1.2.2"
SUITES = ("workspace", "travel", "banking", "slack")
HOST = Path(__file__).with_name("agentdojo_host.py")

START_SECONDS, CALL_SECONDS = 120.0, 30.0
MOST_SENT, MOST_RECEIVED = 1 << 20, 2 << 20
"""Bytes of a request and of an answer; the host itself cuts off at half of that."""
_BLOCK = 1 << 16
_NOT_PASSED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")


@dataclass(frozen=True, slots=True)
class ToolDescription:
    """A tool as AgentDojo describes it to a model.

    Attributes:
        name: its name.
        description: what it does, in a line or a paragraph.
        parameters: JSON schema of its arguments.
        docstring: the whole docstring of the function.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    docstring: str


@dataclass(frozen=True, slots=True)
class UserTask:
    """What a user asks for.

    Attributes:
        name: for example ``user_task_3``.
        prompt: the request.
        difficulty: ``easy``, ``medium`` or ``hard``.
    """

    name: str
    prompt: str
    difficulty: str


@dataclass(frozen=True, slots=True)
class InjectionTask:
    """What an attacker wants the agent to do.

    Attributes:
        name: for example ``injection_task_3``.
        goal: the request of the attacker.
        difficulty: ``easy``, ``medium`` or ``hard``.
    """

    name: str
    goal: str
    difficulty: str


@dataclass(frozen=True, slots=True)
class InjectionVector:
    """A place of a world into which an attacker can write.

    Attributes:
        name: its name.
        description: what it is; may be empty.
        default: the text that is there without an attacker.
    """

    name: str
    description: str
    default: str


@dataclass(frozen=True, slots=True)
class SuiteDescription:
    """One world with its tasks.

    Attributes:
        name: one of ``SUITES``.
        tools: what an agent may call.
        user_tasks, injection_tasks: in the order of their numbers.
        vectors: where an attacker can write.
    """

    name: str
    tools: tuple[ToolDescription, ...]
    user_tasks: tuple[UserTask, ...]
    injection_tasks: tuple[InjectionTask, ...]
    vectors: tuple[InjectionVector, ...]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned.

    Attributes:
        text: the result as AgentDojo writes it for a model; empty after an error.
        value: the same as plain values, lists and dictionaries; None after an error.
        error: what went wrong, ``"ErrorType: message"``, else None.
    """

    text: str
    value: Any
    error: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How AgentDojo judges a finished run.

    Attributes:
        utility: whether the user's task is done; None where none was given.
        security: whether the attacker's goal is reached; None where none was given.
        goals: the same of each further goal that was asked about, by the name of its task.
    """

    utility: bool | None
    security: bool | None
    goals: Mapping[str, bool] = field(default_factory=dict)


class WorldSession:
    """An open world; closed by ``finish``, ``close`` or the end of a ``with`` block."""

    def __init__(
        self, host: _Host, number: int, user_task: str | None, injection_task: str | None
    ) -> None:
        """Keep the number by which the host knows it."""
        self._host, self._number = host, number
        self.user_task, self.injection_task = user_task, injection_task

    def call(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Call a tool. What is wrong with the call itself is in the result, for the agent to read.

        Raises:
            RunError: the host died, or the tool took too long or returned too much.
        """
        answer = self._host.ask("call", session=self._number, name=name, arguments=dict(arguments))
        return ToolResult(answer["text"], answer["value"], answer["error"])

    def finish(
        self,
        answer: str,
        calls: Sequence[tuple[str, Mapping[str, Any]]] | None = None,
        goals: Sequence[str] = (),
    ) -> Verdict:
        """Judge the run, by AgentDojo's functions of the world's tasks, and close the world.

        Args:
            answer: the agent's final answer.
            calls: the tools that the agent asked for, with arguments; None for those called here.
            goals: injection tasks to judge besides the one that the world was opened with.

        Raises:
            RunError: the host died, or a judge raised an error.
        """
        first = () if self.injection_task is None else (self.injection_task,)
        verdict = self._host.ask(
            "finish",
            session=self._number,
            answer=answer,
            calls=None if calls is None else [[name, dict(args)] for name, args in calls],
            user_task=self.user_task,
            injection_tasks=list(dict.fromkeys((*first, *goals))),
        )
        reached = verdict["security"]
        security = None if self.injection_task is None else reached[self.injection_task]
        return Verdict(verdict["utility"], security, {name: reached[name] for name in goals})

    def close(self) -> None:
        """Close the world without a verdict."""
        if self._host.alive:
            self._host.ask("close", session=self._number)

    def __enter__(self) -> Self:
        """Return the world."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        with contextlib.suppress(RunError):
            self.close()


@cache
def describe(suite: str) -> SuiteDescription:
    """Describe a suite: its tools, its tasks, and where an attacker can write.

    Raises:
        UsageError: the suite is unknown, or AgentDojo is missing or broken.
        RunError: the host failed.
    """
    parts = _host().ask("describe", suite=_checked(suite))

    def built(kind: Callable[..., Any], name: str) -> tuple[Any, ...]:
        return tuple(kind(**fields) for fields in parts[name])

    return SuiteDescription(
        suite,
        built(ToolDescription, "tools"),
        built(UserTask, "user_tasks"),
        built(InjectionTask, "injection_tasks"),
        built(InjectionVector, "vectors"),
    )


@cache
def reachable(suite: str) -> Mapping[str, tuple[str, ...]]:
    """Return, for each user task, the vectors whose text is shown to an agent that solves it.

    Each vector holds a placeholder; the results of the ground truth's calls are searched for it,
    by AgentDojo's own function. A user task with no vector cannot be attacked.

    Raises:
        UsageError: the suite is unknown, or AgentDojo is missing or broken.
        RunError: the host failed.
    """
    by_task = _host().ask("reachable", suite=_checked(suite))
    return {task: tuple(vectors) for task, vectors in by_task.items()}


def cases(suite: str) -> tuple[tuple[str, str], ...]:
    """Return every pair of a user task and an injection task: 949 over the four suites.

    Raises:
        UsageError: the suite is unknown, or AgentDojo is missing or broken.
        RunError: the host failed.
    """
    about = describe(suite)
    return tuple((u.name, i.name) for u in about.user_tasks for i in about.injection_tasks)


def open(
    suite: str,
    injections: Mapping[str, str] | None = None,
    user_task: str | None = None,
    injection_task: str | None = None,
) -> WorldSession:
    """Open a fresh world. The same arguments and calls give the same results.

    Args:
        suite: one of ``SUITES``.
        injections: a text for each vector that the attacker writes into; the world holds it
            character by character. Others keep their defaults.
        user_task: the task that the world is prepared for, and that ``finish`` judges.
        injection_task: the goal that ``finish`` judges.

    Raises:
        UsageError: the suite is unknown, or AgentDojo is missing or broken.
        RunError: a vector or a task is unknown, or the host failed.
    """
    host = _host()
    number = host.ask(
        "open", suite=_checked(suite), injections=dict(injections or {}), user_task=user_task
    )
    return WorldSession(host, number, user_task, injection_task)


def ground_truth(world: WorldSession, task: str) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """Return the calls and the answer by which AgentDojo's authors solve a task.

    For tests of this client: an agent under audit never sees them.

    Raises:
        RunError: the task is unknown, or the host failed.
    """
    solved = world._host.ask("ground_truth", session=world._number, task=task)
    return [(name, args) for name, args in solved["calls"]], solved["answer"]


def same_as_loaded(suite: str) -> bool:
    """Whether a world without injections equals the one that AgentDojo loads itself. For tests.

    Raises:
        UsageError: the suite is unknown, or AgentDojo is missing or broken.
        RunError: the host failed.
    """
    return bool(_host().ask("same_as_loaded", suite=_checked(suite)))


def interpreter() -> Path:
    """Return the Python that has AgentDojo: ``$HARTLEY_AGENTDOJO_PYTHON``, else that of the pack.

    Raises:
        UsageError: the variable names no file.
        MissingPack: the variable is not set, and the pack is not here or damaged.
    """
    if named := os.environ.get(INTERPRETER):
        if not Path(named).is_file():
            raise UsageError(f"{INTERPRETER} must be the path of a Python, got {named}")
        return Path(named)
    return environment.interpreter(packs.locate(PACK))


def _checked(suite: str) -> str:
    if suite not in SUITES:
        raise UsageError(f"the suite must be one of {', '.join(SUITES)}, got {suite}")
    return suite


_LOCK = threading.Lock()
_RUNNING: dict[int, _Host] = {}


def _host() -> _Host:
    """Return the host of this process; a process that was forked off starts one of its own."""
    with _LOCK:
        host = _RUNNING.get(os.getpid())
        if host is None or not host.alive:
            host = _Host(interpreter())
            _RUNNING[os.getpid()] = host
        return host


class _Host:
    """The program in AgentDojo's environment, and the pipe to it."""

    def __init__(self, python: Path) -> None:
        """Start it and wait until it has loaded AgentDojo.

        Raises:
            UsageError: it cannot be started, or holds another version.
        """
        self.alive = False
        self._lock = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its end
        passed = {name: text for name, text in os.environ.items() if name not in _NOT_PASSED}
        try:
            self._process = subprocess.Popen(
                [str(python), str(HOST)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**passed, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise UsageError(f"{python} must be a Python with agentdojo: {error}") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._end = weakref.finalize(
            self,
            _ended,
            os.getpid(),
            self._process,
            *(self._process.stdin, self._process.stdout, self._errors),
        )
        for stream in (self._process.stdin, self._process.stdout):
            os.set_blocking(stream.fileno(), False)
        self.alive = True
        wanted = next(pack.version for pack in packs.catalogue() if pack.name == PACK)
        try:
            versions = self.ask("version", seconds=START_SECONDS)
        except RunError as error:
            raise UsageError(f"{python} must have agentdojo {wanted}: {error}") from error
        if versions != {"library": wanted, "benchmark": BENCHMARK}:
            self.end()
            raise UsageError(f"{python} must have agentdojo {wanted}, got {versions['library']}")

    def ask(self, op: str, seconds: float | None = None, **fields: Any) -> Any:
        """Send a request and return its answer, which may take ``seconds``, else CALL_SECONDS.

        Raises:
            RunError: the host refused, died, took too long or answered too much.
        """
        limit = CALL_SECONDS if seconds is None else seconds
        what = f"{op} {fields['name']}" if "name" in fields else op
        try:
            request = json.dumps({"op": op, **fields}).encode() + b"\n"
        except (TypeError, ValueError, RecursionError) as error:
            raise RunError(f"AgentDojo can only be sent JSON ({what}): {error}") from error
        if len(request) > MOST_SENT:
            raise RunError(
                f"a request to AgentDojo must have at most {MOST_SENT:,} bytes, "
                f"got {len(request):,} ({what})"
            )
        answer = self._answered(request, limit, what)
        if not isinstance(answer, dict) or len(answer) != 1:
            raise RunError(f"AgentDojo's process gave an answer of a wrong form ({what})")
        if "large" in answer:
            raise RunError(f"AgentDojo's answer is too large: {answer['large']:,} bytes ({what})")
        if "bad" in answer:
            raise RunError(f"{answer['bad']} ({what})")
        return answer["ok"]

    def _answered(self, request: bytes, limit: float, what: str) -> Any:
        with self._lock:
            if not self.alive:
                raise RunError(f"AgentDojo's process has ended, and its worlds with it ({what})")
            try:
                return json.loads(self._exchange(request, time.monotonic() + limit))
            except TimeoutError:
                raise self._failed(f"did not answer within {limit:g} s ({what})") from None
            except (EOFError, OSError):
                raise self._failed(f"ended ({what}){self._last_words()}") from None
            except OverflowError:
                raise self._failed(f"answered more than {MOST_RECEIVED:,} bytes ({what})") from None
            except ValueError:
                raise self._failed(f"wrote what is not an answer ({what})") from None

    def end(self) -> None:
        """End the process at once."""
        self.alive = False
        self._end()

    def _exchange(self, request: bytes, deadline: float) -> bytes:
        """Write the request and read one line, neither beyond the deadline."""
        assert self._process.stdin is not None and self._process.stdout is not None
        sink, source = self._process.stdin.fileno(), self._process.stdout.fileno()
        unsent, received = memoryview(request), bytearray()
        with selectors.DefaultSelector() as ready:
            ready.register(sink, selectors.EVENT_WRITE)
            ready.register(source, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                for key, _ in ready.select(left):
                    if key.fd == sink:
                        unsent = unsent[os.write(sink, unsent[:_BLOCK]) :]
                        if not unsent:
                            ready.unregister(sink)
                        continue
                    block = os.read(source, _BLOCK)
                    received += block
                    if not block:
                        raise EOFError
                    if received.endswith(b"\n"):
                        return bytes(received)
                    if len(received) > MOST_RECEIVED:
                        raise OverflowError

    def _failed(self, words: str) -> RunError:
        self.end()
        return RunError(f"AgentDojo's process {words}")

    def _last_words(self) -> str:
        """Return how the process ended and the last line that it printed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        code = self._process.returncode
        how = "" if code is None else f", signal {-code}" if code < 0 else f", exit code {code}"
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 4096))
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how}: {last[:200]}" if last else how


def _ended(owner: int, process: subprocess.Popen[bytes], *streams: IO[bytes]) -> None:
    """End the process; one that was forked off its owner only closes its ends of the pipes."""
    if os.getpid() == owner and process.poll() is None:
        process.kill()
    for stream in streams:
        with contextlib.suppress(OSError):
            stream.close()
    if os.getpid() == owner:
        process.wait()
