"""The process that an attack plays in: it gets the sealed view, and nothing else.

Run as ``python -m hartley.engine.run.attack_host IN OUT``, with the descriptors of two pipes. What
the attack prints goes to standard error, so it never mixes with what is sent. The process ends when
the one that started it is gone.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import signal
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from hartley.core import Attack, Outcome
from hartley.core.assets import Codec, Ensemble
from hartley.core.capabilities import Calls
from hartley.core.errors import HartleyError
from hartley.engine.run.plain_values import Writer, read, set_state, write


class Host:
    """This end of the two pipes."""

    def __init__(self, inbox: IO[bytes], outbox: IO[bytes]) -> None:
        """Take over the pipes."""
        self._inbox, self._outbox = inbox, outbox
        self._turn, self._pid = threading.RLock(), os.getpid()
        self._attack: Attack | None = None
        self._arrays: dict[int, np.ndarray[Any, Any]] = {}
        self._lent: list[Callable[..., Any]] = []
        self._released: list[int] = []

    def serve(self) -> None:
        """Carry out orders until the other side is gone."""
        while True:
            self._carry_out(self._receive())

    def ask(self, number: int, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Have the other side call one of its callables; one thread at a time."""
        with self._turn:
            released, self._released = self._released, []
            lent = self._send("ask", [released, number, [*arguments], named])
            while True:
                word, *content = self._receive()
                if word in ("returned", "raised"):
                    # What was drawn from a generator there is drawn from it here too.
                    for generator, state in zip(lent, content[1], strict=True):
                        set_state(generator, state)
                    if word == "returned":
                        return content[0]
                    raise content[0]
                # The other side needs this one before it can answer.
                self._carry_out((word, *content))

    def release(self, number: int) -> None:
        """Report, with the next question, that a callable is not used any more."""
        self._released.append(number)

    def kept(self, number: int) -> np.ndarray[Any, Any]:
        """Return an array of this play that was sent before."""
        return self._arrays[number]

    def keep(self, number: int, array: np.ndarray[Any, Any]) -> None:
        """Keep an array for the other rounds of this play."""
        if number:
            self._arrays[number] = array

    def _carry_out(self, order: tuple[Any, ...]) -> None:
        word, *content = order
        try:
            answer = getattr(self, f"_{word}")(*content)
            self._send("answer", answer)
        except BaseException as error:
            self._send("error", _note(error))

    def _load(self, module: str, name: str) -> None:
        part = getattr(importlib.import_module(module), name)
        if not isinstance(part, Attack):
            raise TypeError(f"{module}:{name} must be an attack, got {type(part).__name__}")
        self._attack = part

    def _begin(self) -> None:
        self._arrays.clear()

    def _play(self, view: Any, rng: np.random.Generator, params: dict[str, Any]) -> Any:
        assert self._attack is not None
        return _answer(self._attack(view, rng, **params))

    def _play_all(
        self, views: list[Any], rngs: list[np.random.Generator], params: dict[str, Any]
    ) -> Any:
        assert self._attack is not None
        together = vars(sys.modules[self._attack.run.__module__])[self._attack.together]
        return [_answer(outcome) for outcome in together(views, rngs, **params)]

    def _call(self, number: int, arguments: tuple[Any, ...]) -> Any:
        return self._lent[number](*arguments)

    def _refer(self, call: Callable[..., Any]) -> tuple[str, int]:
        if isinstance(call, Remote):
            return "handle", call.number
        self._lent.append(call)
        return "lent", len(self._lent) - 1

    def _send(self, word: str, value: Any) -> list[np.random.Generator]:
        """Send a value; return the random generators in it."""
        if os.getpid() != self._pid:  # a copy of this process must not answer too
            os._exit(0)
        writer = Writer(self._refer)
        text, parts = writer.message([word, value])
        write(self._outbox, text, parts)
        return writer.generators

    def _receive(self) -> tuple[Any, ...]:
        _, content = read(self._inbox)
        order: tuple[Any, ...] = _Unpickler(io.BytesIO(content), self).load()
        return order


def _answer(outcome: Any) -> Any:
    """What is sent of an outcome; the name of its type where it is something else."""
    if not isinstance(outcome, Outcome):
        empty = isinstance(outcome, str | tuple | list | dict) and not outcome
        return f"{'an empty ' if empty else ''}{type(outcome).__name__}"
    names = ("guess", "asset", "posterior", "columns")
    return {name: getattr(outcome, name) for name in names}


class Remote:
    """A callable of the other side; two of one twin are equal."""

    __slots__ = ("__weakref__", "_host", "number", "twin")

    def __init__(self, host: Host, number: int, twin: int) -> None:
        """Take its number there, and that of the first one that is equal to it."""
        self._host, self.number, self.twin = host, number, twin
        weakref.finalize(self, host.release, number)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Have it called there."""
        return self._host.ask(self.number, arguments, named)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and other.twin == self.twin

    def __hash__(self) -> int:
        return hash(self.twin)


class _Unpickler(pickle.Unpickler):
    """Reads what the trusted side wrote."""

    def __init__(self, stream: IO[bytes], host: Host) -> None:
        super().__init__(stream)
        self._host = host

    def persistent_load(self, pid: Any) -> Any:
        word, *content = pid
        return getattr(self, f"_{word}")(*content)

    def _array(self, number: int, *content: Any) -> Any:
        if not content:
            return self._host.kept(number)
        dtype, shape, order, raw = content
        array = np.frombuffer(bytearray(raw), dtype).reshape(shape, order=order)
        array.flags.writeable = False
        self._host.keep(number, array)
        return array

    def _objects(self, shape: tuple[int, ...], items: list[Any]) -> Any:
        array = np.empty(len(items), dtype=object)
        array[:] = items
        array = array.reshape(shape)
        array.flags.writeable = False
        return array

    def _call(self, handle: tuple[int, int]) -> Remote:
        return Remote(self._host, *handle)

    def _calls(self, calls: dict[str, tuple[int, int]], undeclared: tuple[str, ...]) -> Calls:
        return Calls({name: self._call(handle) for name, handle in calls.items()}, undeclared)

    def _ensemble(self, size: int, query: Any, member: Any, facts: dict[str, Any]) -> Ensemble:
        return Ensemble(size, self._call(query), self._call(member), facts)

    def _codec(self, encode: Any, decode: Any, size: int, identity: str) -> Codec:
        return Codec(self._call(encode), self._call(decode), size, identity)


def _note(error: BaseException) -> dict[str, str]:
    """Return an error as plain values, worded as the player words it."""
    text = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    known = isinstance(error, HartleyError)
    return {
        "kind": type(error).__name__,
        "text": str(error),
        "reason": f"{type(error).__name__}: {text}{'' if known else place}",
        "trace": "".join(traceback.format_exception(error)),
        "module": str(getattr(error, "name", "") or ""),
    }


def _follow(parent: int) -> None:
    """End this process when the one that started it was killed."""
    wait = threading.Event()
    while not wait.wait(0.5):
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    """Carry out orders until the input ends."""
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side decides when to stop
    inbox, outbox = (int(word) for word in sys.argv[1:3])
    for descriptor in (inbox, outbox):
        os.set_inheritable(descriptor, False)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    try:
        Host(os.fdopen(inbox, "rb"), os.fdopen(outbox, "wb")).serve()
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    main()
