"""The user's cache folder: a model is trained once, keyed by a digest of its recipe.

Files hold arrays only, as safetensors, so that loading cannot run code. Each holds the digest of
its key and its arrays: a file that is damaged, was written for another key or by an earlier version
is not believed, and its arrays are built again. Of two processes that need the same arrays one
builds them and the other waits.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from hartley.core.code_digest import code_of, library_versions
from hartley.kit.shared_work import SECONDS, Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]

DIGEST = "sha256"
"""The note in a file that holds its digest."""

rebuilt: list[str] = []
"""Files that were there, were not believed, and were written again by this process."""

NOUNS = ("hartley.core",)
"""Code that does not compute arrays: a change of it leaves cached weights valid."""


class Busy(Exception):
    """Another process builds these arrays now."""


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
    wait: bool = True,
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
        wait: wait while another process builds them.

    Raises:
        Busy: another process builds them, and ``wait`` is false.
    """
    key, path = _place(name, recipe, code or build)
    path.parent.mkdir(parents=True, exist_ok=True)
    work, lock = Work(name, str(path)), FileLock(f"{path}.lock")
    with contextlib.ExitStack() as entered:
        if not wait:  # before the work is noted as used: who comes back later notes it then
            try:
                entered.enter_context(lock.acquire(blocking=False))
            except Timeout:
                raise Busy(f"{name}/{path.name}") from None
        entered.enter_context(work.use())
        entered.enter_context(lock)
        stored = _load(path, key)
        if stored is not None:
            arrays, seconds = stored
            work.took({SECONDS: seconds})
            return arrays
        if os.path.lexists(path):
            rebuilt.append(f"{name}/{path.name}")
        started = time.perf_counter()
        arrays = {key: np.ascontiguousarray(array) for key, array in build().items()}
        _save(path, key, arrays, time.perf_counter() - started)
        return arrays


def is_cached(name: str, recipe: Any, code: Callable[..., Any]) -> bool:
    """Whether there is a file of these arrays; see ``cached``, which may not believe it."""
    return _place(name, recipe, code)[1].is_file()


def _place(name: str, recipe: Any, code: Callable[..., Any]) -> tuple[str, Path]:
    """Return the key of some arrays, and the file that they are in or will be in."""
    key = digest([recipe, code_of(code, without=NOUNS), library_versions()])
    return key, cache_folder() / name / f"{key[:32]}.safetensors"


def taken_rebuilt() -> list[str]:
    """Return the files that were built again since this was last asked."""
    names = list(rebuilt)
    rebuilt.clear()
    return names


def _load(path: Path, key: str) -> tuple[Arrays, float] | None:
    """Return the arrays of a file and how long they took, or None where it is not believed."""
    from safetensors import safe_open
    from safetensors.numpy import load_file

    try:
        with safe_open(path, "numpy") as file:
            notes = file.metadata() or {}
        if not {SECONDS, DIGEST} <= notes.keys():
            return None
        arrays = dict(load_file(path))
        stated = notes[DIGEST] == _digest_of_file(key, arrays, notes[SECONDS])
        return (arrays, float(notes[SECONDS])) if stated else None
    except Exception:  # a damaged file may fail in any way in its reader
        return None


def _save(path: Path, key: str, arrays: Arrays, took: float) -> None:
    """Write a file under another name, sync it, and rename it into place."""
    from safetensors.numpy import save_file

    for left in path.parent.glob(f"{path.stem}.*.partial"):  # of a process that was killed
        left.unlink(missing_ok=True)
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}.{os.getpid()}.folder"))
    partial = path.with_suffix(f".{os.getpid()}.partial")
    seconds = repr(took)
    notes = {SECONDS: seconds, DIGEST: _digest_of_file(key, arrays, seconds)}
    save_file(arrays, partial, metadata=notes)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _digest_of_file(key: str, arrays: Arrays, seconds: str) -> str:
    """The digest of everything that is read from a file, and of the key that it is read for."""
    state = hashlib.sha256(json.dumps([key, seconds]).encode())
    for name in sorted(arrays):
        array = arrays[name]
        state.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        # The bytes as they are, without a copy; numpy cannot view an array of no bytes as such.
        if array.size:
            state.update(array.reshape(-1).view(np.uint8).data)
    return state.hexdigest()


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
