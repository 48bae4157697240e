"""The user's cache folder: what trains here is trained once, keyed by a digest of its recipe.

Only arrays are kept, as safetensors: nothing that is loaded can run code. Two processes that want
the same thing wait for one another instead of making it twice.
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
"""Code that computes no array: a new noun does not make old weights wrong."""


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


def cached(
    name: str,
    recipe: Any,
    build: Callable[[], Mapping[str, NDArray[Any]]],
    *,
    code: Callable[..., Any] | None = None,
) -> Arrays:
    """Return the arrays of ``build()``, from the cache when the same recipe was built before.

    The code that builds is part of the key, with all that it imports: what an edited function
    would make differently is made again. What building took is kept with the arrays, and is shared
    work of everyone who asks for them (``kit.shared_work``).

    Args:
        name: a word for the file name, for a person who looks into the folder.
        recipe: everything else that the result depends on (see ``digest``).
        build: makes the arrays.
        code: a function of the module that does the work, where ``build`` only passes it on.
    """
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    versions = library_versions()
    key = digest([recipe, code_of(code or build, without=NOUNS), versions])
    path = folder() / name / f"{key[:32]}.safetensors"
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
        made = {key: np.ascontiguousarray(array) for key, array in build().items()}
        took = time.perf_counter() - started
        partial = path.with_suffix(f".{os.getpid()}.partial")
        save_file(made, partial, metadata={SECONDS: repr(took)})
        partial.replace(path)
        return made


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
        raise TypeError(f"cannot digest a {type(value).__name__}")
