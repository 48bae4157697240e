"""The user's cache folder: what trains here is trained once, keyed by a digest of its recipe.

Only arrays are kept, as safetensors: nothing that is loaded can run code. Two processes that want
the same thing wait for one another instead of making it twice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]


def folder() -> Path:
    """The cache folder: ``$HARTLEY_CACHE``, else the platform's place for caches."""
    if named := os.environ.get("HARTLEY_CACHE"):
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("hartley", appauthor=False)


def digest(recipe: Any) -> str:
    """Return the sha256 (hex) of a recipe: plain values, arrays and bytes, nested as needed.

    Raises:
        TypeError: something in it has no stable bytes.
    """
    state = hashlib.sha256()
    _feed(state, recipe)
    return state.hexdigest()


def cached(name: str, recipe: Any, build: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
    """Return the arrays of ``build()``, from the cache when the same recipe was built before.

    Args:
        name: a word for the file name, for a person who looks into the folder.
        recipe: everything that the result depends on (see ``digest``).
        build: makes the arrays.
    """
    from safetensors.numpy import load_file, save_file

    path = folder() / name / f"{digest(recipe)[:32]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if path.exists():
            return dict(load_file(path))
        made = {key: np.ascontiguousarray(array) for key, array in build().items()}
        partial = path.with_suffix(f".{os.getpid()}.partial")
        save_file(made, partial)
        partial.replace(path)
        return made


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        state.update(f"array{value.dtype.str}{value.shape}".encode())
        state.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, bytes):
        state.update(b"bytes" + len(value).to_bytes(8, "big") + value)
    elif isinstance(value, Mapping):
        state.update(b"map")
        for key in sorted(value, key=str):
            state.update(json.dumps(str(key)).encode())
            _feed(state, value[key])
    elif isinstance(value, list | tuple):
        state.update(f"list{len(value)}".encode())
        for item in value:
            _feed(state, item)
    elif value is None or isinstance(value, bool | int | float | str):
        state.update(f"{type(value).__name__}:{json.dumps(value)}".encode())
    else:
        raise TypeError(f"cannot digest a {type(value).__name__}")
