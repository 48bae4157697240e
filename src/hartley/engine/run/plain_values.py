"""Values as JSON and raw bytes: how an attack's process answers without being trusted.

Unpickling runs whatever the sender chose. So what comes from an attack is read as JSON, in which
every object is one tag with its content, and arrays are numbers of a declared type and shape.
Nothing that is read here can name a class or a function; a callable is a number, which the reader
looks up among those that it gave out. A random generator is the state that it is in.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import IO, Any, Literal

import numpy as np

from hartley.core import Access, Data, Form, Modality, Model

_HEAD = struct.Struct(">IQ")

MOST_TEXT = 2**28
"""Bytes of the JSON of a message."""

MOST_BYTES = 2**32
"""Bytes of the arrays of a message."""

_KINDS = "biufcUSmM"
"""Kinds of arrays that hold numbers or texts, and no objects."""

_MOST_STATE = (2**128, 2**128, 2, 2**32)
"""One more than the largest numbers of the state of a PCG64: state, increment, whether half of a
draw is left, and that half."""

_MODEL = ("name", "output", "classes", "width", "reads", "identity", "deterministic")


class Unreadable(Exception):
    """A message is not what the other side should send."""


def read_only_mapping(items: dict[Any, Any]) -> Mapping[Any, Any]:
    """Return a mapping that cannot be written to; pickles of one name this function."""
    return MappingProxyType(items)


def state_of(rng: np.random.Generator) -> list[int]:
    """Return the state of a random generator as four whole numbers.

    Raises:
        TypeError: it is not a PCG64, which is NumPy's usual one.
    """
    if type(rng.bit_generator) is not np.random.PCG64:
        name = type(rng.bit_generator).__name__
        raise TypeError(f"a generator of {name} cannot be sent to another process")
    state: Mapping[str, Any] = rng.bit_generator.state
    numbers = (*state["state"].values(), state["has_uint32"], state["uinteger"])
    return [*map(int, numbers)]


def set_state(rng: np.random.Generator, numbers: Sequence[int]) -> None:
    """Set a random generator to a state of ``state_of``.

    Raises:
        Unreadable: the numbers are not a state.
    """
    if len(numbers) != len(_MOST_STATE) or not all(
        type(n) is int and 0 <= n < most for n, most in zip(numbers, _MOST_STATE, strict=True)
    ):
        raise Unreadable("a generator without its state")
    state, increment, left, half = numbers
    rng.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": increment},
        "has_uint32": left,
        "uinteger": half,
    }


def order_of(array: np.ndarray[Any, Any]) -> Literal["C", "F"]:
    """Return the memory order of an array: F where columns come first, else C."""
    return "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"


def write(stream: IO[bytes], text: bytes, content: Sequence[Any]) -> None:
    """Write one message: two lengths, JSON, and the bytes of its arrays."""
    stream.write(_HEAD.pack(len(text), sum(len(part) for part in content)))
    stream.write(text)
    for part in content:
        stream.write(part)
    stream.flush()


def read(stream: IO[bytes]) -> tuple[bytes, bytes]:
    """Read one message.

    Raises:
        EOFError: the other side is gone.
        Unreadable: it says that it is larger than a message may be.
    """
    text_length, length = _HEAD.unpack(_exactly(stream, _HEAD.size))
    if text_length > MOST_TEXT or length > MOST_BYTES:
        raise Unreadable(f"a message of {text_length + length} bytes")
    return _exactly(stream, text_length), _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if content is None or len(content) != length:
        raise EOFError("the other side is gone")
    return content


@dataclass(slots=True)
class Writer:
    """Writes values as JSON and bytes.

    Attributes:
        refer: a callable → its tag and number, for the reader to look it up.
        parts: the bytes of the arrays so far.
        generators: the random generators so far, each once.
    """

    refer: Callable[[Any], tuple[str, int]]
    parts: list[bytes] = field(default_factory=list)
    generators: list[np.random.Generator] = field(default_factory=list)
    _size: int = 0

    def message(self, value: Any) -> tuple[bytes, list[bytes]]:
        """Return a value as one message.

        Raises:
            TypeError: it holds something that is neither plain, nor records, nor a model.
        """
        return json.dumps(self.plain(value)).encode("utf-8", "surrogatepass"), self.parts

    def plain(self, value: Any) -> Any:
        """Return a value as JSON; the bytes of its arrays go to ``parts``."""
        for kinds, write_one in _WRITERS:
            if isinstance(value, kinds):
                return write_one(self, value)
        if callable(value):
            tag, number = self.refer(value)
            return {tag: number}
        if hasattr(value, "__array__"):
            return {"array": self._array(np.asarray(value))}
        raise TypeError(f"a {type(value).__name__} cannot be sent to another process")

    def _ndarray(self, array: np.ndarray[Any, Any]) -> dict[str, Any]:
        if array.dtype.hasobject:
            return {"objects": [list(array.shape), [*map(self.plain, array.ravel().tolist())]]}
        return {"array": self._array(array)}

    def _generator(self, rng: np.random.Generator) -> dict[str, Any]:
        for number, one in enumerate(self.generators):
            if one is rng:
                return {"generator": number}
        self.generators.append(rng)
        return {"generator": state_of(rng)}

    def _pairs(self, mapping: Mapping[Any, Any]) -> dict[str, Any]:
        return {"map": [[self.plain(k), self.plain(v)] for k, v in mapping.items()]}

    def _array(self, array: np.ndarray[Any, Any]) -> list[Any]:
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"an array of {array.dtype} cannot be sent to another process")
        order = order_of(array)
        content = array.tobytes(order)
        start, self._size = self._size, self._size + len(content)
        self.parts.append(content)
        return [array.dtype.str, list(array.shape), order, start]

    def _data(self, data: Data) -> dict[str, Any]:
        return {
            "name": str(data.name),
            "modality": str(data.modality),
            "role": str(data.role),
            "form": str(data.form),
            "lineage": [*map(str, data.lineage)],
            "facts": self.plain(dict(data.facts)),
            **{name: self.plain(getattr(data, name)) for name in ("x", "y", "edges")},
        }

    def _model(self, model: Model) -> dict[str, Any]:
        return {
            **{name: getattr(model, name) for name in _MODEL},
            "modality": str(model.modality),
            "offers": model.offers.value,
            "lineage": [*map(str, model.lineage)],
            "facts": self.plain(dict(model.facts)),
            "calls": self.plain(dict(model.calls)),
        }


_WRITERS: tuple[tuple[Any, Callable[[Writer, Any], Any]], ...] = (
    ((type(None), bool), lambda _, value: value),
    (str, lambda _, value: str(value)),
    (np.generic, lambda writer, value: {"scalar": writer._array(np.asarray(value))}),
    (int, lambda _, value: int(value)),
    (float, lambda _, value: float(value)),
    (np.ndarray, Writer._ndarray),
    (bytes, lambda _, value: {"bytes": value.hex()}),
    (tuple, lambda writer, value: {"tuple": [*map(writer.plain, value)]}),
    (Mapping, Writer._pairs),
    (list, lambda writer, value: [*map(writer.plain, value)]),
    (Data, lambda writer, value: {"data": writer._data(value)}),
    (Model, lambda writer, value: {"model": writer._model(value)}),
    (np.random.Generator, Writer._generator),
)
"""How a value of each kind is written; the first kind that fits counts."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what a ``Writer`` wrote, and believes none of it.

    Attributes:
        look_up: (tag, number) → the callable that goes by it; raises KeyError where there is none.
        content: the bytes of the arrays.
        generators: the random generators so far, in the order of the writer's.
    """

    look_up: Callable[[str, int], Callable[..., Any]]
    content: bytes
    generators: list[np.random.Generator] = field(default_factory=list)

    def message(self, text: bytes) -> Any:
        """Return the value of a message.

        Raises:
            Unreadable: it is not what a ``Writer`` writes.
        """
        try:
            return self.value(json.loads(text.decode("utf-8", "surrogatepass")))
        except Unreadable:
            raise
        except (Exception, RecursionError) as error:
            raise Unreadable(f"{type(error).__name__}: {error}") from error

    def value(self, plain: Any) -> Any:
        """Return the value that JSON stands for."""
        if plain is None or isinstance(plain, bool | int | float | str):
            return plain
        if isinstance(plain, list):
            return [*map(self.value, plain)]
        ((tag, content),) = plain.items()
        readers: dict[str, Callable[[Any], Any]] = {
            "array": self._array,
            "scalar": lambda given: self._array(given)[()],
            "objects": self._objects,
            "bytes": bytes.fromhex,
            "tuple": lambda given: tuple(map(self.value, given)),
            "map": lambda given: {self.value(k): self.value(v) for k, v in given},
            "data": self._data,
            "model": self._model,
            "generator": self._generator,
        }
        if tag in readers:
            return readers[tag](content)
        return self.look_up(tag, content)

    def _array(self, given: Any) -> np.ndarray[Any, Any]:
        name, shape, order, start = tuple(given)
        dtype = np.dtype(str(name))
        if dtype.kind not in _KINDS or dtype.hasobject or order not in ("C", "F"):
            raise Unreadable(f"an array of {name!r}")
        if not all(type(n) is int and 0 <= n < 2**48 for n in (*shape, start)):
            raise Unreadable(f"an array of shape {shape!r}")
        size = prod(shape)
        if start + size * dtype.itemsize > len(self.content):
            raise Unreadable("an array without its bytes")
        if not size or not dtype.itemsize:
            return np.zeros(shape, dtype)
        flat = np.frombuffer(self.content, dtype, size, start)
        return flat.reshape(shape, order=order).copy(order)

    def _objects(self, given: Any) -> np.ndarray[Any, Any]:
        shape, items = given
        array = np.empty(len(items), dtype=object)
        array[:] = [self.value(item) for item in items]
        return array.reshape(tuple(map(int, shape)))

    def _generator(self, given: Any) -> np.random.Generator:
        if type(given) is int:
            return self.generators[given]
        rng = np.random.Generator(np.random.PCG64(0))
        set_state(rng, given)
        self.generators.append(rng)
        return rng

    def _data(self, given: Any) -> Data:
        return Data(
            str(given["name"]),
            Modality(given["modality"]),
            x=self.value(given["x"]),
            y=self.value(given["y"]),
            edges=self.value(given["edges"]),
            role=str(given["role"]),
            lineage=tuple(map(str, given["lineage"])),
            facts=self.value(given["facts"]),
            form=Form(given["form"]),
        )

    def _model(self, given: Any) -> Model:
        values = {name: given[name] for name in _MODEL}
        sizes = (values["classes"], values["width"], values["reads"])
        if not all(type(size) is int for size in sizes):
            raise Unreadable(f"a model of {sizes}")
        return Model(
            modality=Modality(given["modality"]),
            calls=self.value(given["calls"]),
            offers=Access(given["offers"]),
            lineage=tuple(map(str, given["lineage"])),
            facts=self.value(given["facts"]),
            **values,
        )
