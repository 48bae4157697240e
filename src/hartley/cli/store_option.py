"""The option ``--store``: a folder, or a URL that fsspec opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def _read(_kind: Any, tokens: Sequence[Any]) -> Path:
    """Return the folder of a store, or the one that stands for a URL."""
    from hartley.store import folder_of_store

    return folder_of_store(tokens[0].value)


Store = Annotated[Path, Parameter(converter=_read)]
