"""Digests of code: a module with everything it imports inside its own package.

Results are kept under the digest of the code that made them. A change in a file that an attack
only reaches through three imports changes its numbers as surely as a change in its own file, so a
digest covers the *import closure*: imports inside functions too, found in the source text, with
nothing run. Packages of other people are covered by their versions (``library_versions``).
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "scipy", "torch", "scikit-learn", "transformers", "opacus")
"""Libraries whose version can change a number."""

Imports = tuple[tuple[str, tuple[str, ...]], ...]
"""(where from, names) of each import of a file."""

_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(?P<origin>\.*[\w.]*)[ \t]+import[ \t]+"
    rb"(?P<names>\((?P<many>[^)]*)\)|[^\n#;]+)|import[ \t]+(?P<plain>[^\n#;]+))",
    re.MULTILINE,
)
_COMMENT = re.compile(rb"#[^\n]*")
_NAME = re.compile(r"^[\w.]+")


def code_digest(*modules: str, without: tuple[str, ...] = (), beside: Iterable[str] = ()) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the import closure of modules.

    Args:
        modules: dotted names, for example ``hartley.attacks.model_to_data.membership.lira``.
        without: dotted prefixes to leave out, with all that only they import.
        beside: more top packages that count as the modules' own.
    """
    state = hashlib.sha256()
    for module, path in sorted(closure(modules, without=without, beside=beside).items()):
        state.update(f"{module}:{_file(path)[0]}\n".encode())
    return state.hexdigest()[:16]


def code_of(function: Callable[..., Any], *, without: tuple[str, ...] = ()) -> str:
    """Return the digest of the module that holds a function, with its import closure."""
    inner = getattr(function, "func", function)
    return code_digest(getattr(inner, "__module__", None) or "", without=without)


def closure(
    modules: Iterable[str], *, without: tuple[str, ...] = (), beside: Iterable[str] = ()
) -> dict[str, Path]:
    """Return the modules that ``modules`` reach by imports inside their top packages.

    Args:
        modules: dotted names; those that cannot be found are left out.
        without: dotted prefixes to leave out.
        beside: more top packages to follow, such as the other files of a user's folder.

    Returns:
        The file of each module, by its dotted name. A module of Hartley reaches Hartley alone; a
        plugin's module reaches its own package and Hartley.
    """
    start = [module for module in modules if module]
    tops = {"hartley", *beside, *(module.partition(".")[0] for module in start)}
    folders = tuple(sys.path)
    paths: dict[str, Path] = {}
    pending = list(start)
    while pending:
        module = pending.pop()
        if module in paths or module.partition(".")[0] not in tops:
            continue
        if any(module == name or module.startswith(f"{name}.") for name in without):
            continue
        path = _located(module, folders)
        # The top package only passes names on, and imports nothing until they are asked for.
        if path is None or module == "hartley":
            continue
        paths[module] = path
        stat = path.stat()
        pending += _reached(module, path, stat.st_mtime_ns, stat.st_size, folders)
    return paths


def library_versions() -> dict[str, str]:
    """Return the installed version of each library that can change a number."""
    return dict(_versions())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    versions = []
    for name in LIBRARIES:
        try:
            versions.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(versions)


@cache
def _reached(
    module: str, path: Path, _modified: int, _size: int, folders: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the modules that a file imports directly; found again once it was changed."""
    # Importing a.b.c runs a and a.b as well.
    parent = [module.rsplit(".", 1)[0]] if "." in module else []
    names = dict.fromkeys([*parent, *_imports(module, path)])
    return tuple(name for name in names if _located(name, folders) is not None)


def _imports(module: str, path: Path) -> Iterator[str]:
    """Yield what a file may import: each name may be a module or something inside one."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for origin, names in _file(path)[1]:
        base = _absolute(origin, package)
        if base:
            yield base
        for name in names:
            yield f"{base}.{name}" if base else name


def _absolute(origin: str, package: str) -> str:
    dots = len(origin) - len(origin.lstrip("."))
    if not dots:
        return origin
    parts = package.split(".")
    parts = parts[: len(parts) - dots + 1]
    return ".".join([*parts, *([origin[dots:]] if origin[dots:] else [])])


def _file(path: Path) -> tuple[str, Imports]:
    """Return the digest and the imports of a file; read again once it was changed."""
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@cache
def _read(
    path: Path, _mtime: int, _size: int
) -> tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    content = path.read_bytes()
    imports = []
    for match in _IMPORT.finditer(content):
        if match["plain"] is not None:
            names = tuple(_names(match["plain"]))
            imports += [("", names)]
        else:
            listed = match["many"] if match["many"] is not None else match["names"]
            imports.append((match["origin"].decode(), tuple(_names(listed))))
    return hashlib.sha256(content).hexdigest(), tuple(imports)


def _names(listed: bytes) -> Iterator[str]:
    for part in _COMMENT.sub(b"", listed).decode(errors="replace").split(","):
        if name := _NAME.match(part.strip()):
            yield name[0]


@cache
def _located(module: str, _search_path: tuple[str, ...]) -> Path | None:
    """The file of a module, found without running any package."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    name = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)
