"""In what the attacker of one row is weaker than the attacker of another, in words.

A run that reads less because fewer reference models were trained says nothing about its model: two
rows are about two models only where the attackers are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hartley.core.parameters import Stronger
from hartley.engine.plan.own_scene import RECIPES
from hartley.engine.result.departures import declared, differs, toml

Row = Mapping[str, Any]
REFERENCES = "references"


def weaker_by(row: Row, other: Row) -> list[str]:
    """Return each setting in which the attacker of ``row`` is weaker than that of ``other``.

    Rounds and targets are not among them: fewer widen the interval, which says so itself.
    """
    return [*_models(row, other), *_settings(row, other), *_budget(row, other), *_tuned(row, other)]


def weaker_scene(document: Row, other: Row) -> list[str]:
    """Return each setting of a user's own scene by which less of a record is read, or fewer ways.

    Settings of other scenes make the model; of a user's own they say how it is attacked.
    """
    names = [document["scene"].get("name"), (document.get("plan") or {}).get("scene")]
    recipe = next((name for name in names if name in RECIPES), None)
    part = None if recipe is None else declared("scene", recipe)
    if part is None:
        return []
    values, others = (
        ((d.get("plan") or {}).get("scenes") or {}).get(recipe) or {} for d in (document, other)
    )
    return [
        _differs(parameter.name, values, others, parameter.default)
        for parameter in part.parameters
        if parameter.name != REFERENCES  # of these the rows say how many were trained
        and parameter.stronger in (Stronger.MORE, Stronger.LESS)
        and differs(
            parameter,
            values.get(parameter.name, parameter.default),
            others.get(parameter.name, parameter.default),
        )
    ]


def _models(row: Row, other: Row) -> Iterator[str]:
    trained, before = _trained(row), _trained(other)
    if trained is not None and before is not None and trained < before:
        yield f"it trained {trained} reference models, the other {before}"


def _trained(row: Row) -> int | None:
    """Reference models of one attack, of which victims have the same or each its own."""
    models: float | None = (row.get("cost") or {}).get("models")
    if models is None:
        return None
    allowed = (row.get("params") or {}).get(REFERENCES)
    total = round(models * (row.get("rounds") or 1))
    return min(total, int(allowed)) if isinstance(allowed, int) and allowed else total


def _settings(row: Row, other: Row) -> Iterator[str]:
    stages, others = ((r.get("experiment") or {}).get("stages") or () for r in (row, other))
    counted = _trained(row) is not None and _trained(other) is not None
    for stage, before in zip(stages, others, strict=False):
        for kind, name, field in (("attack", "attack", "params"), ("game", "game", "game_params")):
            part = declared(kind, stage.get(name) or "")
            values, enough = stage.get(field) or {}, before.get(field) or {}
            for parameter in () if part is None else part.parameters:
                if parameter.stronger is Stronger.TRIALS or (
                    counted and parameter.name == REFERENCES
                ):
                    continue
                value, least = (v.get(parameter.name, parameter.default) for v in (values, enough))
                if differs(parameter, value, least):
                    yield _differs(parameter.name, values, enough, parameter.default)


def _differs(name: str, values: Row, others: Row, default: Any) -> str:
    value, before = (toml(v.get(name, default)) for v in (values, others))
    return f"it played with {name} = {value}, the other with {before}"


def _budget(row: Row, other: Row) -> Iterator[str]:
    budget, before = (
        min((d["value"] for d in r.get("departures") or () if d["setting"] == "budget"), default=0)
        for r in (row, other)
    )
    if budget and (not before or budget < before):
        yield f"it was allowed {budget} queries, the other {before or 'any number'}"


def _tuned(row: Row, other: Row) -> Iterator[str]:
    tried, before = (len((r.get("tuning") or {}).get("tried") or ()) for r in (row, other))
    if tried < before:
        yield f"it tried {tried} of its settings beforehand, the other {before}"
