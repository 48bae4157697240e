"""Private copies of what an attack is handed: what it writes there reaches nobody else.

A read-only flag keeps an honest attack from a mistake. It does not keep anyone out: the flag can be
set again, ``array.base`` and ``torch.from_numpy`` do not ask for it, and neither does a pointer.
All attacks on a deal, and its judge, would then go on with what was written. So an attack gets
copies, one of each array in a play, and they are compared with the originals afterwards: an attack
that has written into them loses its row, because what it measured is not what was dealt.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLAIN = (str, int, float, complex, bool, type(None), Enum, np.generic, type)


@dataclass(slots=True)
class Copies:
    """The copies that one attack holds during one play, each made once for all rounds."""

    _arrays: dict[int, tuple[str, NDArray[Any], NDArray[Any]]] = field(default_factory=dict)
    _objects: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def of(self, value: Any, name: str) -> Any:  # noqa: PLR0911 - one return a kind of value
        """Return a copy of a value that nobody else holds; its arrays are read-only.

        Args:
            value: an array, records, a mapping, a sequence or an object. What cannot be copied
                (a callable, an object that holds a lock) is returned as it is.
            name: what to call it where it has changed.
        """
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if isinstance(value, Data):
            return self.records(value, name)
        if isinstance(value, bytes):
            return bytes(bytearray(value))
        if isinstance(value, Mapping):
            return MappingProxyType({k: self.of(v, f"{name}[{k!r}]") for k, v in value.items()})
        if type(value) in (tuple, list):
            return type(value)(self.of(item, f"{name}[{k}]") for k, item in enumerate(value))
        if callable(value):
            return value
        return self._object(value, name)

    def records(self, data: Data, name: str) -> Data:
        """Return a copy of records; see ``of``."""
        return replace(
            data,
            x=self._array(data.x, f"{name}.x"),
            y=None if data.y is None else self._array(data.y, f"{name}.y"),
            edges=None if data.edges is None else self._array(data.edges, f"{name}.edges"),
            facts={k: self.of(fact, f"{name}.facts[{k!r}]") for k, fact in data.facts.items()},
        )

    def written(self) -> list[str]:
        """Return the names of the arrays whose copy is no longer what the original is."""
        return [name for name, array, private in self._arrays.values() if not _same(array, private)]

    def _array(self, value: Any, name: str) -> NDArray[Any]:
        array = np.asarray(value)
        if id(array) not in self._arrays:
            # The original is kept too, so that its id stays its own.
            self._arrays[id(array)] = (name, array, own(array))
        return read_only(self._arrays[id(array)][2])

    def _object(self, value: Any, name: str) -> Any:
        if id(value) not in self._objects:
            self._objects[id(value)] = (value, self._copied(value, name))
        return self._objects[id(value)][1]

    def _copied(self, value: Any, name: str) -> Any:
        if dataclasses.is_dataclass(value):
            twin = copy.copy(value)
            for f in dataclasses.fields(value):
                part = self.of(getattr(value, f.name), f"{name}.{f.name}")
                object.__setattr__(twin, f.name, part)
            return twin
        try:
            return copy.deepcopy(value)
        except Exception:  # an object may refuse in any way
            return value


def own(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that shares no memory with an array, nor objects with one of objects."""
    return copy.deepcopy(array) if array.dtype.hasobject else np.array(array)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written to by mistake."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _same(array: NDArray[Any], other: NDArray[Any]) -> bool:
    if array.shape != other.shape or array.dtype != other.dtype:
        return False
    if array.dtype.hasobject:
        return repr(array.tolist()) == repr(other.tolist())
    return np.array_equal(array, other, equal_nan=array.dtype.kind in "fcmM")
