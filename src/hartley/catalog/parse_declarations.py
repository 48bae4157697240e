"""Read what a file declares, from its syntax tree: nothing is run."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, replace
from pathlib import Path
from typing import Any

from hartley.core.errors import UsageError, did_you_mean
from hartley.core.fields import Declared, declared_fields, keyword_mistake
from hartley.core.input_files import read_bytes
from hartley.core.parts import RECORDS
from hartley.core.taxonomy import Modality

_DECORATORS = {record.__name__.lower(): kind for kind, record in RECORDS.items()}
_MARK = re.compile(rb"^@(?:\w+\.)*(?:attack|defense|game|recipe)\(", re.MULTILINE)
_DECORATED = re.compile(rb"^@(?!(?:dataclass|lru_cache|cache|contextmanager)\b)", re.MULTILINE)
"""A line of what may be a part's decorator, under whatever name it was imported."""
_FUNCTION = re.compile(rb"^def \w", re.MULTILINE)
_DOCSTRING = re.compile(
    rb'^\) ?[^\n]*:\n    """.*?"""\n|^def [^\n]*:\n    """.*?"""\n', re.MULTILINE | re.DOTALL
)
"""From the line that ends a signature to the end of the docstring."""
LARGEST_MODULE = 2**22
"""Bytes of a module that may hold parts."""
_STATEMENT = re.compile(rb"^[@A-Za-z_]", re.MULTILINE)
_FIELDS = {
    kind: tuple(f for f in declared_fields(record) if f.listed_as)
    for kind, record in RECORDS.items()
}
DECLARED: dict[str, Any] = {}
for _field in (f for kind in ("attack", "game", "defense", "scene") for f in _FIELDS[kind]):
    DECLARED.setdefault(_field.listed_as, "" if _field.shape == "scalar" else ())
"""What an entry says of a field that it does not declare, by name: in the order of a listing."""
_ALL = tuple(str(modality) for modality in Modality)
"""What ``hartley.ALL`` is read as."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One part with what it declares; ``entry.term`` is the term that it declares.

    Enums are read as their words, functions are left out, mappings are tuples of pairs. A field
    that its kind does not have is empty.

    Attributes:
        kind: ``attack``, ``defense``, ``game`` or ``scene`` (``plugin`` when it cannot be known).
        name: its name on the command line.
        module: dotted name of the module that holds it.
        origin: ``hartley``, or the plugin distribution.
        summary: first line of its docstring.
        error: why it cannot be used; empty when it can.
        declared: values by the names of the fields in ``core.parts``. ``game`` of a game is its own
            name; class, axis and flow of an attack are those of its game.
    """

    kind: str
    name: str
    module: str = ""
    origin: str = "hartley"
    summary: str = ""
    error: str = ""
    declared: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __getattr__(self, name: str) -> Any:
        """Return what is declared under a name of the table."""
        if name in DECLARED:
            return self.declared.get(name, DECLARED[name])
        raise AttributeError(f"no part declares {name!r}; a part may declare {', '.join(DECLARED)}")

    @property
    def cls(self) -> str:
        """The threat class of a game, or of an attack's game."""
        return str(getattr(self, "class"))

    def having(self, **declared: Any) -> Entry:
        """Return the entry with further declared values."""
        return replace(self, declared={**self.declared, **declared})

    def as_json(self) -> dict[str, Any]:
        """Return every field: what is empty is null, or an empty list where it would be a list."""
        plain: dict[str, Any] = {"kind": self.kind, "name": self.name}
        for name in DECLARED:
            value = getattr(self, name)
            if value and isinstance(value, tuple) and isinstance(value[0], tuple):
                plain[name] = {key: _listed(item) for key, item in value}
            else:
                plain[name] = None if value == "" else _listed(value)
        rest = ("summary", "module", "origin", "error")
        return plain | {name: getattr(self, name) or None for name in rest}

    def covers(self, game: str, modality: str) -> bool:
        """Whether a defense claims to narrow that game in that modality."""
        covered = dict(self.covers_only).get(game, self.modalities)
        return game in self.protects and modality in covered


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Source:
    """A module that may hold parts: where it is, who brought it."""

    module: str
    path: Path
    origin: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class _Names:
    """What the names of a file stand for, as far as its own lines say.

    Attributes:
        imported: from the name in the file to the name in the module that it comes from.
        aliases: names that the file binds once to an expression, ``FLAT = Modality.TABULAR``.
        functions: names of the file's functions: of the games, those that attacks name.
    """

    imported: Mapping[str, str]
    aliases: Mapping[str, ast.expr]
    functions: frozenset[str]

    @classmethod
    def of(cls, tree: ast.Module) -> _Names:
        """Read the top level of a file."""
        imported = {
            alias.asname or alias.name: alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        bound = [
            (target.id, node.value)
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        ]
        # Which value holds where a name is bound twice, only running code can say.
        times = Counter(name for name, _ in bound)
        aliases = {name: value for name, value in bound if times[name] == 1}
        functions = frozenset(n.name for n in tree.body if isinstance(n, ast.FunctionDef))
        return cls(imported, aliases, functions)

    def without(self, name: str) -> _Names:
        """Return the names but for one alias, so that an alias of itself comes to an end."""
        return replace(self, aliases={k: v for k, v in self.aliases.items() if k != name})


def read(source: Source) -> Iterator[Entry]:
    """Yield the parts that one file declares."""
    try:
        yield from list(_parts(_parsed(source), source))
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError, UsageError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        reason = f"{type(error).__name__}: {getattr(error, 'msg', error)}{line}"
        if isinstance(error, RecursionError | MemoryError):
            reason = "its expressions are nested too deep to be read"
        elif isinstance(error, UsageError):
            reason = str(error)
        yield Entry(
            source.kind or "plugin",
            source.path.stem,
            module=source.module,
            origin=source.origin,
            error=reason,
        )


def _parts(tree: ast.Module, source: Source) -> Iterator[Entry]:
    names = _Names.of(tree)
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and (kind := _DECORATORS.get(_last(mark.func, names))):
                yield _entry(kind, node, mark, source, names)


def _parsed(source: Source) -> ast.Module:
    """Parse a file; one of Hartley's own only to the end of its part's docstring, else of its part.

    The rest is most of a file, and a listing does not need it; nor does it need a file of Hartley's
    own that holds no part. A plugin is parsed whole, so that a syntax error anywhere in it is
    reported.
    """
    text = read_bytes(source.path, "the module", UsageError, LARGEST_MODULE)
    if source.kind and not _DECORATED.search(text):
        return ast.Module([], [])
    marks = list(_MARK.finditer(text)) if source.kind else []
    if marks and (begun := _FUNCTION.search(text, marks[-1].end())):
        end = _STATEMENT.search(text, begun.end())
        docstring = _DOCSTRING.search(text, begun.start(), end.start() if end else len(text))
        for cut in (docstring and docstring.end(), end and end.start()):
            try:
                if cut:
                    return ast.parse(text[:cut])
            except SyntaxError:  # the cut is inside a string, or the text is not Python
                pass
    return ast.parse(text)


def _entry(
    kind: str, node: ast.FunctionDef, mark: ast.Call, source: Source, names: _Names
) -> Entry:
    summary = (ast.get_docstring(node) or "").split("\n", 1)[0].strip()
    plain = Entry(kind, node.name, module=source.module, origin=source.origin, summary=summary)
    arguments = {mark.arg: mark.value for mark in mark.keywords}
    if None not in arguments and (mistake := keyword_mistake(RECORDS[kind], map(str, arguments))):
        return replace(plain, error=f"{mistake} (line {mark.lineno})")
    try:
        declared = {f.listed_as: _read(f, arguments.get(f.name), names) for f in _FIELDS[kind]}
    except ValueError as error:
        return replace(plain, error=f"its declaration cannot be read without running it: {error}")
    if kind == "game":
        declared |= {"game": node.name, "class": declared["class"] or node.name}
    return replace(plain, declared=declared)


def _read(field: Declared, node: ast.expr | None, names: _Names) -> Any:
    """Read a declared value, or take the field's default: in words, pairs or as it is."""
    if field.shape == "mapping":
        return tuple(_mapping(node, names).items()) if node is not None else ()
    if node is None:
        if field.default is MISSING:  # of `**settings` nothing is known
            raise ValueError(f"{field.name} must be given by its name")
        words = (field.default,) if field.shape == "scalar" else field.default or ()
    else:
        words = _words(node, names)
        odd = [word for word in words if field.words and str(word) not in field.words]
        if odd:
            expected = ", ".join(field.words)
            raise ValueError(
                f"{field.name} must be of {expected}, got {odd[0]!r} in line {node.lineno}"
                f"{did_you_mean(str(odd[0]), field.words)}"
            )
    if DECLARED[field.listed_as] == ():  # as the first kind of part reads the field of that name
        return tuple(str(word) for word in words if word != "nothing")
    value = words[0] if words else None
    return "" if value is None else str(value) if isinstance(value, str) else value


def _mapping(node: ast.expr, names: _Names) -> dict[str, Any]:
    """Read a dictionary of plain values."""
    if isinstance(node, ast.Name) and node.id in names.aliases:
        return _mapping(names.aliases[node.id], names.without(node.id))
    try:
        value = ast.literal_eval(node)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{ast.unparse(node)!r} in line {node.lineno} is not a literal dictionary")
    return value


def _words(node: ast.expr, names: _Names) -> tuple[Any, ...]:
    """Read a declared literal: a constant, an enum member, a union, a tuple of them, or a name.

    A name is one that the file imports, a function of the file, or an alias of a literal.
    """
    match node:
        case ast.Constant():
            return () if node.value is None else (node.value,)
        case ast.Starred():
            return _words(node.value, names)
        case ast.BinOp(op=ast.BitOr()):
            return _words(node.left, names) + _words(node.right, names)
        case ast.Tuple() | ast.List():
            return tuple(word for item in node.elts for word in _words(item, names))
        case ast.Name() | ast.Attribute():
            return _named(node, names)
    raise _unreadable(node)


def _named(node: ast.Name | ast.Attribute, names: _Names) -> tuple[Any, ...]:
    """Read a name, or a member: ``Modality.VISION`` as well as ``hartley.Modality.VISION``."""
    if isinstance(node, ast.Attribute):
        word = node.attr.lower() if node.attr.isupper() else node.attr
        return _ALL if node.attr == "ALL" else (word,)
    if node.id in names.aliases:
        return _words(names.aliases[node.id], names.without(node.id))
    name = names.imported.get(node.id, node.id)
    if name == "ALL":
        return _ALL
    if node.id not in names.imported and node.id not in names.functions:
        raise _unreadable(node)
    return (name,)


def _unreadable(node: ast.expr) -> ValueError:
    return ValueError(f"{ast.unparse(node)!r} in line {node.lineno} is not a literal")


def _last(node: ast.expr, names: _Names) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return names.imported.get(node.id, node.id) if isinstance(node, ast.Name) else ""
