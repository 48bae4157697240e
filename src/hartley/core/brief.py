"""Briefs: what a game lets the attacker know in one round, besides the asset they attack.

Each game defines its own frozen dataclass and declares it as ``@game(brief=…)``:

    @dataclass(frozen=True, slots=True)
    class MembershipBrief:
        \"\"\"What an attacker of membership knows.

Attributes:
            question: the records that are asked about; one score answers each.
            classes: of the victim.
        \"\"\"

        question: Data
        classes: int

An attack reads it as ``view.brief.question``, ``hartley show GAME`` prints its fields, and a
type checker knows what each holds.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hartley.core.assets import Data
from hartley.core.errors import UsageError
from hartley.core.parameters import notes_of

if TYPE_CHECKING:
    from hartley.core.scene import Scene

ADAPTIVE_ONLY: Mapping[str, Any] = MappingProxyType({"adaptive_only": True})
"""Metadata of a field that only an attacker who knows the defenses gets; all others find its
default: ``step: Step | None = field(default=None, metadata=ADAPTIVE_ONLY)``."""

B = TypeVar("B")


def adaptive_only_but(before: Callable[[Any, Scene], Any]) -> Mapping[str, Any]:
    """Return the metadata of such a field of which a static attacker knows what is deployed.

    Args:
        before: (value, scene before the added defenses) → the value that a static attacker finds.
    """
    return MappingProxyType({**ADAPTIVE_ONLY, "before": before})


def as_static_brief(brief: B, undefended: Scene | None = None) -> B:
    """Return a brief as an attacker gets it who does not know the added defenses.

    Args:
        brief: as an attacker gets it who knows them.
        undefended: the scene before they were added; None where nothing is deployed.
    """
    read = object.__getattribute__
    changes = {}
    for field in adaptive_only(brief):
        before, value = field.metadata.get("before"), field.default
        if before is not None and undefended is not None:
            value = before(read(brief, field.name), undefended)
        changes[field.name] = value
    return _replaced(brief, changes)


def adaptive_only(brief: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields that only an attacker who knows the defenses gets."""
    return tuple(f for f in _fields(brief) if f.metadata.get("adaptive_only"))


def mapped(brief: B, change: Callable[[Any, str], Any]) -> B:
    """Return a brief with ``change`` applied to the value and the name of every field."""
    # Past the class's own ``__getattribute__``, which conformance uses to see what an attack reads.
    read = object.__getattribute__
    return _replaced(brief, {f.name: change(read(brief, f.name), f.name) for f in _fields(brief)})


def _replaced(brief: B, changes: Mapping[str, Any]) -> B:
    return dataclasses.replace(cast("Any", brief), **changes) if changes else brief


def needed(records: Data | None, attack: str) -> Data:
    """Return the attacker's own records, for an attack that cannot do without.

    Raises:
        UsageError: they have none.
    """
    if records is None:
        raise UsageError(f"{attack} needs records of the attacker's own: the scene has no 'public'")
    return records


def records_in(brief: Any) -> Iterator[Data]:
    """Yield the records that a brief holds, in the order of its fields."""
    for field in _fields(brief):
        value = getattr(brief, field.name)
        if isinstance(value, Data):
            yield value


def mistake_in(kind: Any) -> str:
    """Say what is wrong with a type of briefs, or return an empty string."""
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return f"brief must be a frozen dataclass, got {getattr(kind, '__name__', kind)}"
    silent = [field.name for field in brief_fields(kind) if not field.help]
    if silent:
        return (
            f"the docstring of {kind.__name__} must describe each field under Attributes, "
            f"got nothing about {', '.join(silent)}"
        )
    return ""


@dataclass(frozen=True, slots=True)
class BriefField:
    """One field of a brief.

    Attributes:
        name: of the field.
        type: its annotation, as it is written.
        help: what its docstring says.
        adaptive_only: whether only an attacker who knows the defenses gets it.
    """

    name: str
    type: str
    help: str
    adaptive_only: bool


def brief_fields(kind: type) -> tuple[BriefField, ...]:
    """Return the fields of a type of briefs, in order."""
    notes = notes_of(inspect.getdoc(kind) or "", {"Attributes:"})
    return tuple(
        BriefField(
            field.name,
            field.type if isinstance(field.type, str) else inspect.formatannotation(field.type),
            notes.get(field.name, ""),
            field in adaptive_only(kind),
        )
        for field in _fields(kind)
    )


def _fields(brief: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(brief) if dataclasses.is_dataclass(brief) else ()
