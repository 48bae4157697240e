"""Find the files that may hold parts: those of Hartley's own tree, and those that plugins name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hartley.catalog.parse_declarations import Entry, Source

GROUP = "hartley.parts"
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
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        origin = f"plugin {point.dist.name if point.dist else point.name}"
        try:
            sources = list(_locate(point.module))
        except (Exception, SystemExit) as error:
            sources, reason = [], f"{type(error).__name__}: {error}"
        else:
            reason = f"entry point {point.name!r} names {point.module!r}, which cannot be found"
        if not sources:
            broken.append(
                Entry("plugin", point.name, module=point.module, origin=origin, error=reason)
            )
        for module, path in sources:
            yield Source(module, path, origin)


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
        for path in sorted(Path(folder).rglob("*.py")):
            inside = path.relative_to(folder).with_suffix("").parts
            inside = inside[:-1] if inside[-1] == "__init__" else inside
            yield ".".join((name, *inside)), path
