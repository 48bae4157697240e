"""``dp_sgd:epsilon=8``: a defense with its parameters in one text, as on the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

from hartley import catalog
from hartley.core import Scene
from hartley.core.errors import Mistakes, UsageError
from hartley.core.input_files import toml_table
from hartley.engine.defend import fitting, unfit

EXAMPLE = "dp_sgd:epsilon=8,epochs=10"
_NEXT = re.compile(r"\+(?=[A-Za-z_])")
"""What joins two defenses; the sign in 1e+5 does not."""


def parse_defenses(texts: Iterable[str]) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]]:
    """Read defenses: ``NAME``, ``NAME:KEY=VALUE,KEY=VALUE``, and several together joined by ``+``.

    Returns:
        The names as in ``defenses.use`` of a plan, and the parameters of each defense by its name.

    Raises:
        UnknownName: there is no such defense.
        UsageError: it is written otherwise, or a defense is given two settings.
    """
    use: list[str] = []
    params: dict[str, dict[str, Any]] = {}
    for text in texts:
        names = []
        for part in _NEXT.split(text.strip()):
            name, colon, settings = part.partition(":")
            name = name.strip()
            catalog.find("defense", name)
            values = _values(text, settings) if colon else {}
            if params.setdefault(name, values) != values:
                raise UsageError(
                    f"the defense {name} must have one setting in a run, got two; make two runs "
                    "and hartley compare them"
                )
            names.append(name)
        use.append("+".join(names))
    return tuple(dict.fromkeys(use)), {name: values for name, values in params.items() if values}


def check_fit(use: Sequence[str], scene: Scene) -> None:
    """Refuse defenses that cannot be put into a scene, before anything is played.

    Args:
        use: defenses by name, joined by ``+`` where they act together.
        scene: what they were ordered for.

    Raises:
        UsageError: one of them cannot; the message says what fits.
        Mistakes: several of them.
    """
    names = dict.fromkeys(name for together in use for name in together.split("+"))
    parts = [catalog.load("defense", name) for name in names]
    reasons = [
        _refusal(part.name, reason, scene) for part in parts if (reason := unfit(part, scene))
    ]
    if len(reasons) > 1:
        raise Mistakes(reasons)
    if reasons:
        raise UsageError(reasons[0])


def _refusal(name: str, reason: str, scene: Scene) -> str:
    """Word a refusal with the defense's name and what fits in its place."""
    named = reason if reason.startswith(name) else f"{name}: {reason}"
    if "what fits it" in named:
        return named
    return f"{named}; what fits it: {', '.join(fitting(scene)) or 'none'}"


def _values(text: str, settings: str) -> dict[str, Any]:
    """Read ``epsilon=8,epochs=10``; values are written as in a plan, and a bare word is a string.

    Raises:
        UsageError: it is not of that form.
    """
    values = {}
    for pair in settings.split(","):
        name, equals, value = (word.strip() for word in pair.partition("="))
        if not equals or not name.isidentifier() or not value:
            raise UsageError(
                f"a defense must be given as NAME or NAME:KEY=VALUE,KEY=VALUE, got {text!r}; for "
                f"example: {EXAMPLE}"
            )
        try:
            table = toml_table(f"value = {value}")
        except (tomllib.TOMLDecodeError, ValueError):
            table = {}
        values[name] = table["value"] if list(table) == ["value"] else value
    return values
