"""Names → parts, from the file tree and from entry points, without importing a single part.

Declarations are read from the syntax tree, so a listing costs no heavy import and a part that
cannot be imported is still listed. What cannot be read is never dropped: the catalogue lists it
with its error, because an audit that silently loses an attack looks safe (it would fail open).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from importlib import import_module
from traceback import TracebackException
from typing import Any

from hartley.catalog.find_sources import GROUP, built_in, plugins
from hartley.catalog.parse_declarations import DECLARED, Entry, Source, read
from hartley.core.errors import UnknownName, UsageError, did_you_mean
from hartley.core.extras import absent, missing
from hartley.core.parts import RECORDS
from hartley.core.taxonomy import AXES, EDITION, Modality

KINDS = tuple(RECORDS)
__all__ = [
    "DECLARED",
    "GROUP",
    "KINDS",
    "Entry",
    "absent",
    "classes",
    "entries",
    "find",
    "load",
    "matrix",
    "missing",
    "own_code_only",
    "protects_mistake",
    "refresh",
]


def entries(kind: str | None = None) -> list[Entry]:
    """Return every part, or every part of one kind (and whatever is broken), sorted by name."""
    return [e for e in _all() if kind is None or e.kind in {kind, "plugin"}]


def find(kind: str, name: str) -> Entry:
    """Return one entry.

    Raises:
        UnknownName: no part of that kind and name; offers the nearest.
        UsageError: the part cannot be used, or the name is that of a class and not of a game.
    """
    matches = [e for e in entries(kind) if e.name == name]
    if not matches:
        if kind == "game" and (games := [e.name for e in entries(kind) if e.cls == name]):
            raise UsageError(_is_class(name, games))
        raise UnknownName(kind, name, [e.name for e in entries(kind) if e.kind == kind])
    for entry in matches:
        if entry.error:
            raise UsageError(f"the {kind} {name!r} cannot be used: {entry.error}")
    return matches[0]


_FOREIGN_CODE = ContextVar("foreign_code", default=True)


@contextmanager
def own_code_only() -> Iterator[None]:
    """Within this, load no part of a plugin: its module could do anything as it is imported."""
    token = _FOREIGN_CODE.set(False)
    try:
        yield
    finally:
        _FOREIGN_CODE.reset(token)


def load(kind: str, name: str) -> Any:
    """Import the module of a part and return the part.

    Raises:
        UnknownName: no part of that kind and name.
        MissingExtra: its module needs a dependency that is not installed.
        UsageError: its module cannot be imported, or holds no such part; or it is of a plugin,
            within ``own_code_only``.
    """
    entry = find(kind, name)
    if entry.origin != "hartley" and not _FOREIGN_CODE.get():
        raise UsageError(f"the {kind} {name!r} is of {entry.origin}, whose code is not run here")
    try:
        part = getattr(import_module(entry.module), name)
    except ModuleNotFoundError as error:
        raise missing(error) or _broken(entry, error) from error
    except (Exception, SystemExit) as error:  # a module may end the program as it is imported
        raise _broken(entry, error) from error
    if not isinstance(part, RECORDS[kind]):
        raise UsageError(
            f"{entry.module}:{name} must be a part of kind {kind}, got {type(part).__name__}"
        )
    return part


def protects_mistake(protects: Iterable[str], games: Mapping[str, str]) -> str:
    """Return what is wrong with the games that a defense names, or an empty string.

    Args:
        protects: what it declares.
        games: the class of each game, by the game's name.
    """
    for name in protects:
        if name in games:
            continue
        if of_class := [game for game, cls in games.items() if cls == name]:
            return f"protects must name games, got {name!r}: {_is_class(name, sorted(of_class))}"
        return f"protects must name games, got {name!r}{did_you_mean(name, games)}"
    return ""


def _is_class(name: str, games: Iterable[str]) -> str:
    return f"{name} is a class; its games are {', '.join(games)}"


def classes() -> list[str]:
    """Return every threat class: the taxonomy's own, then those that a plugin's game adds."""
    added = [e.cls for e in entries("game") if e.kind == "game" and not e.error]
    return list(dict.fromkeys([*AXES[EDITION], *added]))


def matrix() -> list[dict[str, Any]]:
    """Return the cells class × modality: the attacks and defenses of each, or why it has none.

    ``unfit`` are the other parts of the class that say why they leave the modality out.
    """
    games = [e for e in entries("game") if e.kind == "game" and not e.error]
    attacks = [e for e in entries("attack") if e.kind == "attack" and not (e.error or e.control)]
    defenses = [e for e in entries("defense") if e.kind == "defense" and not e.error]
    cells = []
    for name in classes():
        class_games = [game for game in games if game.cls == name]
        for modality in Modality:
            fitting = {game.name for game in class_games if modality in game.modalities}
            names = [a.name for a in attacks if a.game in fitting and modality in a.modalities]
            covering = [d.name for d in defenses if any(d.covers(g, modality) for g in fitting)]
            defined = dict.fromkeys(m for game in class_games for m in game.modalities)
            if not class_games:
                reason: str | None = f"no game of the class {name} is built yet"
            elif not fitting:
                excuse = "; ".join(filter(None, (_excuse(g, modality) for g in class_games)))
                reason = f"{name} is not defined for {modality} (it fits {', '.join(defined)})"
                reason += excuse and f": {excuse}"
            else:
                reason = None if names else f"no attack on {name} fits {modality} yet"
            cells.append(
                {
                    "class": name,
                    "modality": str(modality),
                    "attacks": names,
                    "defenses": covering,
                    "reason": reason,
                    "unfit": {
                        part.name: excuse
                        for part in (*attacks, *defenses)
                        for game in sorted(fitting & {part.game, *part.protects})
                        if (excuse := _excuse(part, modality, game))
                    },
                }
            )
    return cells


def _excuse(entry: Entry, modality: str, game: str = "") -> str:
    """Return why a part leaves a modality out, of all games or of one, or an empty string."""
    unfit = dict(entry.unfit)
    return str(unfit.get(str(modality)) or unfit.get(f"{game} {modality}", ""))


def refresh() -> None:
    """Read the file tree and the entry points again, after something was installed."""
    _all.cache_clear()


@cache
def _all() -> tuple[Entry, ...]:
    parsed: list[Entry] = []
    for source in (*built_in(), *plugins(parsed)):
        parsed.extend(_declared(source))
    games = {e.name: e for e in parsed if e.kind == "game"}
    located = [_placed(e, games) for e in parsed]
    return tuple(sorted(_collided(located), key=lambda e: (e.kind, e.name, e.origin)))


def _declared(source: Source) -> tuple[Entry, ...]:
    """Return the parts of a file; one of Hartley's own is parsed again only once it was changed."""
    if source.kind is None:
        return tuple(read(source))
    try:
        stat = source.path.stat()
    except OSError:
        return tuple(read(source))
    return _own(source, stat.st_mtime_ns, stat.st_size)


@cache
def _own(source: Source, _mtime: int, _size: int) -> tuple[Entry, ...]:
    return tuple(read(source))


def _placed(entry: Entry, games: dict[str, Entry]) -> Entry:
    """Fill in the class, the axis and the flow from the game; check the games of a defense."""
    if entry.kind == "defense" and not entry.error:
        named = {name: game.cls for name, game in games.items()}
        return replace(entry, error=protects_mistake(entry.protects, named))
    if entry.kind not in {"attack", "game"} or entry.error:
        return entry
    game = games.get(entry.game)
    if game is None:
        return replace(entry, error=f"there is no game named {entry.game!r}")
    axis = game.axis or AXES[EDITION].get(game.cls, "")
    return entry.having(**{"class": game.cls}, axis=str(axis), flow=game.flow)


def _collided(placed: Iterable[Entry]) -> Iterator[Entry]:
    """Mark parts of the same kind and name as unusable, with an error that names both origins."""
    named: dict[tuple[str, str], list[Entry]] = {}
    all_entries = list(placed)
    for entry in all_entries:
        named.setdefault((entry.kind, entry.name), []).append(entry)
    for entry in all_entries:
        twins = named[entry.kind, entry.name]
        if len(twins) > 1 and entry.kind != "plugin":
            places = " and ".join(f"{e.origin} ({e.module})" for e in twins)
            yield replace(entry, error=f"two {entry.kind}s are named {entry.name!r}: {places}")
        else:
            yield entry


def _broken(entry: Entry, error: BaseException) -> UsageError:
    return UsageError(
        f"the {entry.kind} {entry.name!r} from {entry.origin} cannot be imported: {_reason(error)}"
    )


def _reason(error: BaseException) -> str:
    """Return the error in a line, with the name that was meant, where Python knows a near one."""
    if isinstance(error, AttributeError) and isinstance(error.obj, type):
        near = did_you_mean(error.name or "", dir(error.obj))
        return f"AttributeError: {error.obj.__name__} has no {error.name}{near}"
    if isinstance(error, AttributeError | ImportError | NameError):
        return "".join(TracebackException.from_exception(error).format_exception_only()).strip()
    return f"{type(error).__name__}: {error}"
