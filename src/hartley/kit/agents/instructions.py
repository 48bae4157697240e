"""Instructions in a text: which of the things an agent can do does a text ask for?

An order is a kind of instruction with the way to carry it out. A text asks for it where its pattern
matches. The reader is generous, as a model is: it does not mind case, line breaks, characters that
cannot be seen, look-alike letters and polite words, and it reads a block in base64 or ROT13 that a
text asks to decode.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hartley.kit.agents.values import Value

if TYPE_CHECKING:
    from hartley.kit.agents.run import Run

LONGEST = 200_000
"""Characters of a text that are read for instructions; the rest is passed over."""

_HIDDEN = re.compile(r"[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_BLOCK = re.compile(r"decode\b.{0,80}?([A-Za-z0-9+/]{16,}={0,2})", re.IGNORECASE | re.DOTALL)
_ROTATED = re.compile(r"rot-?13\b[^\n\"]{0,60}[:\"]\s*([^\n\"]{8,})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """One kind of instruction.

    Attributes:
        name: what to call it.
        pattern: a regular expression with a named group for each argument; spaces in it match any
            white space.
        carry_out: (run, arguments by name) → nothing; calls the tools that it takes.
        uses: the tools that it may call.
    """

    name: str
    pattern: str
    carry_out: Callable[[Run, Mapping[str, Value]], None]
    uses: tuple[str, ...] = ()
    compiled: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        spaced = re.sub(r"(?<!\\) +", r"\\s+", self.pattern)
        object.__setattr__(self, "compiled", re.compile(spaced, re.IGNORECASE | re.DOTALL))


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction that was read.

    Attributes:
        order: what kind it is.
        arguments: what it names, by name, with the sources of the text that it was in.
    """

    order: Order
    arguments: Mapping[str, Value]

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the same instruction when it is read again."""
        items = sorted((name, str(value.raw)) for name, value in self.arguments.items())
        return (self.order.name, *(part for item in items for part in item))


def read(text: Value, orders: Iterable[Order]) -> list[Instruction]:
    """Return the instructions in a text, in their order in it, each once."""
    by_key: dict[tuple[str, ...], tuple[tuple[int, int], Instruction]] = {}
    for layer, version in enumerate(readings(str(text.raw)[:LONGEST])):
        for order in orders:
            for match in order.compiled.finditer(version):
                arguments = {
                    name: Value(part.strip(), text.sources)
                    for name, part in match.groupdict().items()
                    if part is not None
                }
                instruction = Instruction(order, arguments)
                by_key.setdefault(instruction.key, ((layer, match.start()), instruction))
    return [instruction for _, instruction in sorted(by_key.values(), key=lambda item: item[0])]


def readings(text: str) -> list[str]:
    """Return a text as it is without hidden characters, then what it asks to decode."""
    clean = _HIDDEN.sub("", unicodedata.normalize("NFKC", text))
    versions = [clean]
    for block in _BLOCK.findall(clean):
        try:
            versions.append(base64.b64decode(block + "=" * (-len(block) % 4)).decode())
        except (binascii.Error, UnicodeDecodeError):
            continue
    versions.extend(codecs.decode(block, "rot13") for block in _ROTATED.findall(clean))
    return versions
