"""The decorators that turn a function into a part.

Their keywords are the fields of the records in ``core.parts``. Values are written as literals of
the enums, because the catalogue reads them from the syntax tree without importing anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from hartley.core.fields import declared_fields, keyword_mistake
from hartley.core.parts import Attack, Defense, Game, Recipe

_Declared = ParamSpec("_Declared")
_Function = TypeVar("_Function", bound=Callable[..., Any])
_Part = TypeVar("_Part")


def _decorator(
    record: Callable[Concatenate[_Function, _Declared], _Part], what: str
) -> Callable[_Declared, Callable[[_Function], _Part]]:
    """Return the decorator that makes parts of one record; its keywords are the record's fields."""
    assert isinstance(record, type)

    def declare(*_: _Declared.args, **declared: _Declared.kwargs) -> Callable[[_Function], _Part]:
        if mistake := keyword_mistake(record, declared):
            raise TypeError(mistake)

        def wrap(function: _Function) -> _Part:
            part: _Part = record(function, **declared)
            return part

        return wrap

    declare.__name__ = declare.__qualname__ = record.__name__.lower()
    keywords = "\n".join(f"    {f.name}: {f.help}." for f in declared_fields(record))
    raised = "TypeError: a keyword is unknown or missing, or its value is of another type."
    declare.__doc__ = f"{what}\n\nArgs:\n{keywords}\n\nRaises:\n    {raised}\n"
    return declare


recipe = _decorator(Recipe, "Declare the recipe of a scene.")
game = _decorator(Game, "Declare a game.")
attack = _decorator(Attack, "Declare an attack.")
defense = _decorator(Defense, "Declare a defense.")
