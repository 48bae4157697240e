"""The user's cache folder: a model is trained once, keyed by a digest of its recipe.

Files hold arrays only, as safetensors, so that loading cannot run code. Of two processes that need
the same arrays one builds them and the other waits.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from hartley.core.code_digest import code_of, library_versions
from hartley.kit.shared_work import SECONDS, Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]

NOUNS = ("hartley.core",)
"""Code that does not compute arrays: a change of it leaves cached weights valid."""


def cache_folder() -> Path:
    """The cache folder: ``$HARTLEY_CACHE``, else the platform's place for caches."""
    if named := os.environ.get("HARTLEY_CACHE"):
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("hartley", appauthor=False)


def digest(recipe: Any) -> str:
    """Return the sha256 (hex) of a recipe: plain values, arrays and bytes, nested as needed.

    Raises:
        TypeError: a value has no stable bytes.
    """
    state = hashlib.sha256()
    _feed(state, recipe)
    return state.hexdigest()


def cached(
    name: str,
    recipe: Any,
    build: Callable[[], Mapping[str, NDArray[Any]]],
    *,
    code: Callable[..., Any] | None = None,
) -> Arrays:
    """Return the arrays of ``build()``, from the cache when the same recipe was built before.

    The key includes the building code with all its imports: after an edit the arrays are built
    again. The build time is stored with the arrays; it counts as shared work of every part that
    uses them (``kit.shared_work``).

    Args:
        name: the sub-folder, readable for a person.
        recipe: everything else that the result depends on (see ``digest``).
        build: computes the arrays.
        code: a function of the module that does the work, where ``build`` only passes it on.
    """
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    versions = library_versions()
    key = digest([recipe, code_of(code or build, without=NOUNS), versions])
    path = cache_folder() / name / f"{key[:32]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Work(name, str(path))
    with work.use(), FileLock(f"{path}.lock"):
        if path.exists():
            with safe_open(path, "numpy") as file:
                recorded = file.metadata() or {}
            if SECONDS in recorded:
                work.took({SECONDS: float(recorded[SECONDS])})
            return dict(load_file(path))
        started = time.perf_counter()
        arrays = {key: np.ascontiguousarray(array) for key, array in build().items()}
        took = time.perf_counter() - started
        partial = path.with_suffix(f".{os.getpid()}.partial")
        save_file(arrays, partial, metadata={SECONDS: repr(took)})
        partial.replace(path)
        return arrays


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
        state.update(f"texts{value.shape}".encode())
        _feed(state, value.tolist())
    elif isinstance(value, np.ndarray):
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
        raise TypeError(
            f"a recipe must hold plain values, arrays and bytes, got {type(value).__name__}"
        )
