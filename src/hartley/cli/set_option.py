"""``--set NAME=VALUE``: a parameter of the scene, on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any

from hartley.core.errors import UsageError
from hartley.core.input_files import toml_table


def settings(pairs: Iterable[str]) -> dict[str, Any]:
    """Return scene parameters by name; values are written as in a plan file.

    Raises:
        UsageError: a pair is not NAME=VALUE.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not all(part.isidentifier() for part in name.split(".")):
            raise UsageError(
                f"--set must be NAME=VALUE, got {pair!r}; for example: --set opened=true"
            )
        try:
            table = toml_table(f"value = {value}")
        except tomllib.TOMLDecodeError:
            table = {}
        except ValueError as error:
            raise UsageError(f"--set {name}: {error}") from error
        # A bare word is a string, as it is for any other flag; a list of assignments is not read.
        values[name] = table["value"] if list(table) == ["value"] else value
    return values
