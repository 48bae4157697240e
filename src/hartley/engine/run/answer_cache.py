"""What a victim has answered already, so that attacks of one deal do not make it answer twice.

Attacks on one deal ask the same victims about the same records. Each of them pays for its own
questions (the meter counts before this is asked, and what an answer cost is charged again when it
is recalled), but the network runs once. Answers are kept by the callable that gave them. The meter
does not ask here for a model that opens sessions (``Model.session``), because its answers depend on
how much was asked before, nor for one that does not always answer alike (``Model.deterministic``).
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.costs import Cost, billed, charge
from hartley.kit.shared_work import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOM = 256 * 2**20
"""Bytes of answers that stay in memory."""

WORTH = 16
"""Records in a question that is worth remembering: a search asks a few at a time, never again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one query.

    Attributes:
        given: a read-only array, or the items of a list.
        cost: what the adapter reported.
        work: the time that it took, counted for every attack that sends the query.
        function: the callable that answered. It is referenced here so that its id stays unique.
        nbytes: how much room it takes.
    """

    given: NDArray[Any] | tuple[Any, ...]
    cost: Cost
    work: Work
    function: Any
    nbytes: int

    def fresh(self) -> Any:
        """The answers as the model gave them: a view, or a new list of copies."""
        return deepcopy([*self.given]) if isinstance(self.given, tuple) else self.given.view()


@dataclass(slots=True)
class Memory:
    """Answers by who gave them and what was asked, the latest used last."""

    entries: OrderedDict[tuple[Any, ...], Answer] = field(default_factory=OrderedDict)
    size: int = 0
    lock: Lock = field(default_factory=Lock)

    def find(self, key: tuple[Any, ...]) -> Answer | None:
        """Return the answer to a question, if it is still here."""
        with self.lock:
            if key not in self.entries:
                return None
            self.entries.move_to_end(key)
            return self.entries[key]

    def keep(self, key: tuple[Any, ...], answer: Answer) -> None:
        """Remember an answer; the oldest go where there is no room."""
        with self.lock:
            if key not in self.entries:
                self.size += answer.nbytes
            self.entries[key] = answer
            while self.size > ROOM:
                self.size -= self.entries.popitem(last=False)[1].nbytes

    def forget(self) -> None:
        """Let go of everything."""
        with self.lock:
            self.entries.clear()
            self.size = 0


_memory = Memory()


def recalled(function: Callable[..., Any], x: Any, *rest: Any) -> Any:
    """Return ``function(x, *rest)``, from memory if the same was asked of the same callable.

    Args:
        function: what answers; the same question gets the same answer from it.
        x: n records: an array, or a list of plain values.
        rest: plain values or arrays.

    Returns:
        What the function returned: an array that cannot be written to, or a list.
    """
    if len(x) < WORTH:
        return function(x, *rest)
    try:
        content = tuple(_content(part) for part in (x, *rest))
    except TypeError:
        return function(x, *rest)
    key = (id(function), *content)
    answer = _memory.find(key)
    if answer is not None:
        charge(**asdict(answer.cost))
        answer.work.used()
        return answer.fresh()
    work = Work("answers of victims")
    with work.use(), billed() as bill:
        returned = function(x, *rest)
    if isinstance(returned, list):
        answer = Answer(tuple(deepcopy(returned)), bill.cost, work, function, len(repr(returned)))
    else:
        # A copy always: what the callable gave may be a part of it, or the question itself.
        array = np.array(returned)
        array.flags.writeable = False
        answer = Answer(array, bill.cost, work, function, array.nbytes)
    if answer.nbytes <= ROOM // 4:
        _memory.keep(key, answer)
    return answer.fresh()


def forget() -> None:
    """Let go of everything, for instance when the victims of a deal are done with."""
    _memory.forget()


def _content(part: Any) -> bytes:
    """The digest of a part of a question.

    Raises:
        TypeError: it holds something without stable bytes.
    """
    if not hasattr(part, "dtype"):
        return json.dumps(part).encode()
    if part.dtype.kind in "OUS":
        text = json.dumps([part.shape, part.tolist()])
        return hashlib.blake2b(text.encode(), digest_size=16).digest()
    array = np.ascontiguousarray(part)
    state = hashlib.blake2b(repr((array.shape, array.dtype.str)).encode(), digest_size=16)
    state.update(array.tobytes())
    return state.digest()
