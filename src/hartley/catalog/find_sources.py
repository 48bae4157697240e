"""Find the files that may hold parts: those of Hartley's own tree, and those that plugins name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hartley.catalog.parse_declarations import Entry, Source

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "hartley.parts"
MOST_FILES = 10_000
"""Files and folders of a plugin's package: one that is a link to ``/`` would never be listed."""
_FOLDERS = {"attack": "attacks", "defense": "defenses", "game": "games", "scene": "scenes"}


def built_in() -> Iterator[Source]:
    """Yield the files of Hartley's own parts."""
    root = Path(__file__).parent.parent
    for kind, folder in _FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            if path.name.startswith("_"):
                continue
            dotted = ".".join(path.relative_to(root).with_suffix("").parts)
            yield Source(f"hartley.{dotted}", path, "hartley", kind)


def plugins(broken: list[Entry]) -> Iterator[Source]:
    """Yield the modules that distributions name under ``hartley.parts``; note the broken ones."""
    for point in _points(broken):
        origin = f"plugin {point.dist.name if point.dist else point.name}"
        sources, module = [], ""
        try:
            module = point.module
            sources = list(_locate(module))
        except AttributeError:
            reason = f"entry point {point.name!r} must name a module, got {point.value!r}"
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            reason = f"entry point {point.name!r} names {module!r}, which cannot be found"
        if not sources:
            broken.append(Entry("plugin", point.name, module=module, origin=origin, error=reason))
        for module, path in sources:
            yield Source(module, path, origin)


def _points(broken: list[Entry]) -> Iterator[EntryPoint]:
    """Yield the entry points of all distributions but those whose list cannot be read."""
    from importlib.metadata import distributions, entry_points

    try:
        yield from entry_points(group=GROUP)
        return
    except Exception:  # one broken file of one package, which need not be a plugin
        names: set[str] = set()
    for distribution in distributions():
        name = "?"
        try:
            name = str(distribution.name)
            points = distribution.entry_points.select(group=GROUP)
        except Exception as error:
            reason = f"its entry points cannot be read: {type(error).__name__}: {error}"
            broken.append(Entry("plugin", name, origin=f"plugin {name}", error=reason))
            continue
        if name not in names:  # the first on the path hides another of its name
            yield from points
        names.add(name)


def _locate(dotted: str) -> Iterator[tuple[str, Path]]:
    """Find the file of a module, or the files of a package, without running any of them.

    ``importlib.util.find_spec`` would import the parents of a dotted name, so only the top is
    asked of it and the rest is looked up along the search path.
    """
    from importlib.machinery import PathFinder
    from importlib.util import find_spec

    top, *rest = dotted.split(".")
    spec, name = find_spec(top), top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        if spec.origin:
            yield name, Path(spec.origin)
        return
    for folder in spec.submodule_search_locations:
        for path in _python_files(Path(folder)):
            inside = path.relative_to(folder).with_suffix("").parts
            inside = inside[:-1] if inside[-1] == "__init__" else inside
            yield ".".join((name, *inside)), path


def _python_files(folder: Path) -> list[Path]:
    """Return the Python files of a package, in order; links to folders in it are not followed.

    Raises:
        ValueError: it holds more than ``MOST_FILES`` files and folders.
    """
    paths, folders, count = [], [folder], 0
    while folders:
        for path in folders.pop().iterdir():
            count += 1
            if count > MOST_FILES:
                raise ValueError(
                    f"the package {folder} must hold at most {MOST_FILES:,} files and folders, "
                    "got more"
                )
            if path.is_dir():
                folders += [] if path.is_symlink() else [path]
            elif path.suffix == ".py":
                paths.append(path)
    return sorted(paths)
