"""An attack in a process of its own, which never held the truth.

The process is started fresh, not forked. It gets the sealed view: records as copies, and every
callable of the model as a number. When the attack calls one, its process asks here, so that the
meter, the budget and the check of answers stay on this side. What is sent to the process is
pickled, because this side is trusted; what comes back is plain values and arrays
(``plain_values``), because that side is not. A process that dies, ends, or writes garbage fails the
row of its attack.

``engine.run.attack_host`` is the other end.
"""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import pickle
import subprocess
import sys
import types
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import IO, Any

import numpy as np

from hartley import catalog
from hartley.core import Asset, Attack, Outcome, View, errors
from hartley.core.assets import Codec, Ensemble
from hartley.core.capabilities import Calls
from hartley.core.errors import HartleyError, RunError, UsageError
from hartley.engine.run import processes
from hartley.engine.run.plain_values import (
    Reader,
    Unreadable,
    order_of,
    read,
    read_only_mapping,
    state_of,
    write,
)
from hartley.engine.run.threads import THREADS

HOST = "hartley.engine.run.attack_host"

_FUNCTIONS = (types.FunctionType, types.MethodType, partial)


class AttackFailed(Exception):
    """An attack raised an error in its own process.

    Attributes:
        reason: the error in a line, with the place where it was raised.
        trace: the traceback there.
    """

    def __init__(self, words: str, reason: str, trace: str) -> None:
        """Keep them; ``words`` are the error in a line without its place."""
        self.reason, self.trace = reason, trace
        super().__init__(words)


@dataclass(slots=True)
class Isolation:
    """Who plays in a process of its own, and the processes of one experiment.

    Attributes:
        wanted: True for all attacks, False for none, None for those of plugins.
        together: whether all attacks share one process, where none of them needs to be kept from
            another.
    """

    wanted: bool | None = None
    together: bool = False
    _processes: dict[str, AttackProcess] = field(default_factory=dict)

    def of(self, attack: Attack) -> AttackProcess | None:
        """Return the process that an attack plays in, the same one each time; None for this one.

        Raises:
            UsageError: it should play in one, and cannot be imported there.
        """
        if self.wanted is False or (self.wanted is None and not of_plugin(attack)):
            return None
        if not importable(attack):
            raise UsageError(
                f"{attack.name} must be an attack of a module that can be imported to play in a "
                f"process of its own, got one of {attack.run.__module__}"
            )
        key = "" if self.together else attack.name
        if key not in self._processes:
            self._processes[key] = AttackProcess()
        return self._processes[key]

    def close(self) -> None:
        """End the processes, but for those whose loot is still in use."""
        for process in self._processes.values():
            if not process.lends:
                process.close()
        self._processes.clear()


def of_plugin(attack: Attack) -> bool:
    """Whether an attack is not one of Hartley's own."""
    return attack.run.__module__.partition(".")[0] != "hartley"


def importable(attack: Attack) -> bool:
    """Whether another process finds the attack by its module and its name."""
    module = attack.run.__module__
    return module != "__main__" and getattr(sys.modules.get(module), attack.name, None) is attack


class AttackProcess:
    """The process of an attack, for as many rounds and plays as an experiment has."""

    def __init__(self) -> None:
        """Start it; it comes up while the caller goes on."""
        self.name = ""
        self._handles: dict[int, Callable[..., Any]] = {}
        self._numbers = count(1)
        self._twins: dict[Any, int] = {}
        self._sent: dict[tuple[Any, ...], Any] = {}
        self._raised: BaseException | None = None
        self._lent: weakref.WeakSet[_Lent] = weakref.WeakSet()
        self._loaded: Attack | None = None
        self._life = 0
        self._start()

    @property
    def lends(self) -> bool:
        """Whether a callable of its loot is still in use."""
        return len(self._lent) > 0

    def begin(self, attack: Attack) -> None:
        """Wait until the process has loaded an attack, and begin a play of it.

        Raises:
            RunError: it has died.
            Exception: what the attack raised as it was imported.
        """
        if self._process.poll() is not None:
            self._start()
        self._sent.clear()
        self._twins.clear()
        self.name = attack.name
        if self._loaded is not attack:
            self._converse(("load", attack.run.__module__, attack.name))
            self._loaded = attack
        self._converse(("begin",))

    def play(self, view: View[Any], rng: np.random.Generator, params: Mapping[str, Any]) -> Outcome:
        """Play one round there.

        Args:
            view: sealed; its callables are called here.
            rng: of the attack, from where it is.
            params: of the attack.

        Raises:
            RunError: the process died, or sent what cannot be read.
            Exception: what the attack raised.
        """
        return self._outcome(self._converse(("play", view, rng, dict(params)), keeps=True))

    def play_all(
        self,
        views: Sequence[View[Any]],
        rngs: Sequence[np.random.Generator],
        params: Mapping[str, Any],
    ) -> list[Outcome]:
        """Play all rounds of a deal there, in one call of the function that the attack names.

        Args:
            views: sealed, one a round.
            rngs: of the attack, one a round.
            params: of the attack, defaults among them.

        Raises:
            RunError: the process died, or sent what cannot be read.
            Exception: what the attack raised.
        """
        answers = self._converse(("play_all", [*views], [*rngs], dict(params)), keeps=True)
        if not isinstance(answers, list):
            raise RunError(f"{self.name} must return an Outcome for each round, got {answers}")
        return [self._outcome(answer) for answer in answers]

    def _outcome(self, answer: Any) -> Outcome:
        if not isinstance(answer, Mapping):
            raise RunError(f"{self.name} must return an Outcome, got {answer}")
        try:
            return Outcome(
                guess=answer["guess"],
                asset=_asset(answer["asset"]),
                posterior=answer["posterior"],
                columns=dict(answer["columns"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._gone(Unreadable(f"{type(error).__name__}: {error}")) from error

    def close(self) -> None:
        """End the process."""
        self._end()

    def _start(self) -> None:
        self._handles.clear()
        self._loaded, self._life = None, self._life + 1
        inbox, child_out = os.pipe()
        child_in, outbox = os.pipe()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if (torch := sys.modules.get("torch")) is not None:
            environment |= dict.fromkeys(THREADS, str(torch.get_num_threads()))
        self._memory_kills = processes.killed_for_memory()
        command = [sys.executable, "-P", "-X", "faulthandler", "-m", HOST]
        try:
            self._process = subprocess.Popen(
                [*command, str(child_in), str(child_out)],
                stdin=subprocess.DEVNULL,
                stdout=2,
                stderr=2,
                env=environment | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                pass_fds=(child_in, child_out),
                start_new_session=True,
            )
        finally:
            os.close(child_in)
            os.close(child_out)
        self._inbox, self._outbox = os.fdopen(inbox, "rb"), os.fdopen(outbox, "wb")
        self._end = weakref.finalize(self, _kill, self._process, self._inbox, self._outbox)

    def _converse(self, order: Any, *, keeps: bool = False) -> Any:
        """Give an order, serve what the attack asks meanwhile, and return the answer."""
        self._raised, answered = None, False
        try:
            self._send(order, keeps=keeps)
            while True:
                kind, content, generators = self._receive()
                if kind == "ask":
                    self._serve(content, generators)
                elif kind == "answer":
                    answered = True
                    return content
                elif kind == "error":
                    answered = True
                    raise self._error(content)
                else:
                    raise self._gone(Unreadable(f"a message {kind!r}"))
        finally:
            if not answered:  # what it says next would answer something else
                self._end()

    def _serve(self, question: Any, generators: Sequence[np.random.Generator]) -> None:
        try:
            released, number, arguments, named = question
            for handle in released:
                self._handles.pop(handle, None)
            call = self._handles[number]
            named = {str(name): value for name, value in named.items()}
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise self._gone(Unreadable(f"a call of {question!r:.80}")) from error
        try:
            value = call(*arguments, **named)
            answer = self._pickled(("returned", value, [*map(state_of, generators)]))
        except Exception as error:
            self._raised = error
            raised = _picklable(error) or Exception(f"{type(error).__name__}: {error}")
            answer = self._pickled(("raised", raised, [*map(state_of, generators)]))
        self._write(answer)

    def lent(self, life: int, number: int, arguments: tuple[Any, ...]) -> Any:
        """Call a callable of the attack's loot.

        Raises:
            RunError: the process that it lives in is gone.
            Exception: what the callable raised.
        """
        if life != self._life or self._process.poll() is not None:
            raise RunError("the loot cannot be used: the process of its attack is gone")
        return self._converse(("call", number, arguments))

    def _send(self, message: Any, *, keeps: bool = False) -> None:
        self._write(self._pickled(message, keeps=keeps))

    def _pickled(self, message: Any, *, keeps: bool = False) -> memoryview:
        stream = io.BytesIO()
        try:
            _Pickler(stream, self, keeps=keeps).dump(message)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            why = " ".join(str(error).split())[:160]
            raise RunError(
                f"what the attack {self.name} is handed cannot be sent to a process of its "
                f"own: {why}"
            ) from error
        return stream.getbuffer()

    def _write(self, content: memoryview) -> None:
        try:
            write(self._outbox, b"", [content])
        except (OSError, ValueError) as error:  # a closed stream raises ValueError
            raise self._gone(EOFError("the other side is gone")) from error

    def _receive(self) -> tuple[str, Any, list[np.random.Generator]]:
        try:
            text, content = read(self._inbox)
            reader = Reader(self._look_up, content)
            kind, value = reader.message(text)
        except (EOFError, OSError, Unreadable, TypeError, ValueError, MemoryError) as error:
            raise self._gone(error) from error
        return str(kind), value, reader.generators

    def _look_up(self, tag: str, number: Any) -> Callable[..., Any]:
        if tag == "handle":
            return self._handles[number]
        if tag == "lent" and type(number) is int:
            lent = _Lent(self, self._life, number)
            self._lent.add(lent)
            return lent
        raise Unreadable(f"a callable {tag!r}")

    def _gone(self, error: BaseException) -> RunError:
        """End the process and say in a line why it is of no more use."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0 if isinstance(error, EOFError | OSError) else 0.0)
        code = self._process.poll()
        self._end()
        name = f"the process of the attack {self.name}"
        if isinstance(error, Unreadable):
            why = " ".join(str(error).split())[:160]
            return RunError(f"{name} sent what cannot be read: {why}")
        if code is None:
            return RunError(f"{name} closed its pipe")
        if code < 0:
            return RunError(f"{name} was {processes.killing(-code, self._memory_kills)}")
        return RunError(f"{name} ended with exit code {code}")

    def _error(self, note: Any) -> BaseException:
        """Return the error that the attack raised, as it would be in this process."""
        try:
            kind, text, reason, trace = (str(note[n]) for n in ("kind", "text", "reason", "trace"))
            module = str(note["module"])
        except (TypeError, KeyError) as error:
            return self._gone(Unreadable(f"an error {error}"))
        raised = self._raised
        if raised is not None and type(raised).__name__ == kind and str(raised) == text:
            return raised
        known = getattr(errors, kind, None)
        if isinstance(known, type) and issubclass(known, HartleyError):
            claimed = known.__new__(known)
            Exception.__init__(claimed, text)
            return claimed
        absent = ImportError(text, name=module)
        if kind in ("ImportError", "ModuleNotFoundError") and catalog.missing(absent):
            return absent  # an extra of Hartley's that is not installed
        words = " ".join(text.split()) or "no message"
        return AttackFailed(f"{kind}: {words}", reason, trace)

    def handle(self, call: Callable[..., Any]) -> tuple[int, int]:
        """Return the number by which the attack's process calls a callable, and that of its twin.

        Two callables that are equal have one twin: what attacks keep by ``fit`` they find again.
        """
        number = next(self._numbers)
        self._handles[number] = call
        if isinstance(call, _FUNCTIONS):  # each is equal to itself alone
            return number, number
        try:
            return number, self._twins.setdefault(call, number)
        except TypeError:  # it cannot be hashed
            return number, number

    def kept(self, array: np.ndarray[Any, Any]) -> tuple[int, bool]:
        """Return the number of an array of the view, and whether the process has it already."""
        place = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)
        if place in self._sent:
            return self._sent[place][0], True
        number = next(self._numbers)
        self._sent[place] = (number, array)  # with the array, so that its place stays its own
        return number, False


class _Lent:
    """A callable of an attack's loot, which lives in the attack's process."""

    def __init__(self, process: AttackProcess, life: int, number: int) -> None:
        self._process, self._life, self._number = process, life, number

    def __call__(self, *arguments: Any) -> Any:
        return self._process.lent(self._life, self._number, arguments)


class _Pickler(pickle.Pickler):
    """Writes callables as numbers, and arrays that are read-only as bytes that stay so."""

    dispatch_table = copyreg.dispatch_table.copy()
    dispatch_table[types.MappingProxyType] = lambda view: (read_only_mapping, (dict(view),))

    def __init__(self, stream: IO[bytes], process: AttackProcess, *, keeps: bool) -> None:
        super().__init__(stream, protocol=pickle.HIGHEST_PROTOCOL)
        self._process, self._keeps = process, keeps

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and not value.flags.writeable:
            return self._array(value)
        if isinstance(value, Calls):
            calls = {name: self._process.handle(call) for name, call in value.items()}
            return "calls", calls, tuple(value.undeclared)
        if isinstance(value, Ensemble):
            handles = self._process.handle(value.query), self._process.handle(value.member)
            return "ensemble", value.size, *handles, dict(value.facts)
        if isinstance(value, Codec):
            handles = self._process.handle(value.encode), self._process.handle(value.decode)
            return "codec", *handles, value.size, value.identity
        if isinstance(value, _FUNCTIONS) and not _by_name(value):
            return "call", self._process.handle(value)
        return None

    def _array(self, array: np.ndarray[Any, Any]) -> Any:
        if array.dtype.hasobject:
            return "objects", array.shape, array.ravel().tolist()
        number, known = self._process.kept(array) if self._keeps else (0, False)
        if known:
            return "array", number
        order = order_of(array)
        return "array", number, array.dtype.str, array.shape, order, array.tobytes(order)


def _by_name(function: Any) -> bool:
    """Whether another process finds a function by its module and its name."""
    module = getattr(function, "__module__", None)
    if module in (None, "__main__") or not isinstance(function, types.FunctionType):
        return False
    return getattr(sys.modules.get(module), function.__qualname__, None) is function


def _picklable(error: Exception) -> Exception | None:
    """Return an error of Hartley's or of Python's own, which the other side has too."""
    if type(error).__module__ not in ("builtins", errors.__name__):
        return None
    try:
        return error if type(pickle.loads(pickle.dumps(error))) is type(error) else None
    except Exception:  # an error may refuse in any way
        return None


def _asset(value: Any) -> Asset | None:
    if value is None or hasattr(value, "lineage"):
        return value  # type: ignore[no-any-return]  # the game checks what kind it is
    raise TypeError(f"an asset of type {type(value).__name__}")


def _kill(process: subprocess.Popen[bytes], *streams: IO[bytes]) -> None:
    if process.poll() is None:
        processes.end(process.pid)
    process.wait()
    for stream in streams:
        with contextlib.suppress(OSError):
            stream.close()


@contextlib.contextmanager
def isolation(wanted: bool | None) -> Iterator[Isolation]:
    """Hold the processes of one experiment, and end them with it."""
    isolated = Isolation(wanted)
    try:
        yield isolated
    finally:
        isolated.close()
