"""Read what a file declares, from its syntax tree: nothing is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hartley.core.taxonomy import Modality

_DECORATORS = {"attack": "attack", "defense": "defense", "game": "game", "recipe": "scene"}
_MARK = re.compile(rb"^@(?:\w+\.)*(?:attack|defense|game|recipe)\(", re.MULTILINE)
_FUNCTION = re.compile(rb"^def \w", re.MULTILINE)
_TOLD = re.compile(
    rb'^\) ?[^\n]*:\n    """.*?"""\n|^def [^\n]*:\n    """.*?"""\n', re.MULTILINE | re.DOTALL
)
"""From the line that ends a signature to the end of the docstring."""
_STATEMENT = re.compile(rb"^[@A-Za-z_]", re.MULTILINE)
_FIELDS = frozenset(
    (
        *(
            "game",
            "flow",
            "axis",
            "term",
            "modalities",
            "modality",
            "access",
            "paper",
            "role",
            "stage",
        ),
        *("protects", "requires", "packs", "tags"),
    )
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One part as it declares itself.

    Attributes:
        kind: ``attack``, ``defense``, ``game`` or ``scene`` (``plugin`` when it cannot be told).
        name: its name on the command line.
        game: an attack's game, or the game's own name.
        axis, flow: of its game, by the taxonomy; empty for defences and scenes.
        term: signal, noise or bandwidth.
        modalities: modalities.
        access: access, in words.
        paper: ``arXiv:…``, ``doi:…`` or ``hartley``.
        summary: first line of its docstring.
        module: dotted name of the module that holds it.
        origin: ``hartley``, or the plugin distribution.
        role: of a game: tap, inject or jam.
        stage: of a defence: where it stands.
        protects: of a defence: the games it should narrow.
        covers_only: of a defence: games that it narrows in fewer modalities than it fits.
        requires: what a scene must hold; ``packs`` for scenes.
        tags: of an attack: further framework ids.
        game_params: of an attack: the parameters of its game that it settles, by name.
        error: why it cannot be used; empty when it can.
    """

    kind: str
    name: str
    game: str = ""
    axis: str = ""
    flow: str = ""
    term: str = ""
    modalities: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    paper: str = ""
    summary: str = ""
    module: str = ""
    origin: str = "hartley"
    role: str = ""
    stage: str = ""
    protects: tuple[str, ...] = ()
    covers_only: tuple[tuple[str, tuple[str, ...]], ...] = ()
    requires: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    game_params: tuple[tuple[str, bool | int | float | str], ...] = ()
    error: str = ""

    def covers(self, game: str, modality: str) -> bool:
        """Whether a defence claims to narrow that game in that modality."""
        return game in self.protects and modality in dict(self.covers_only).get(
            game, self.modalities
        )


@dataclass(frozen=True, slots=True)
class Source:
    """A module that may hold parts: where it is, who brought it."""

    module: str
    path: Path
    origin: str
    kind: str | None = None


def read(source: Source) -> Iterator[Entry]:
    """Yield the parts that one file declares."""
    stem = source.path.stem
    try:
        tree = _parsed(source)
    except (SyntaxError, ValueError, OSError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        yield Entry(
            source.kind or "plugin",
            stem,
            module=source.module,
            origin=source.origin,
            error=f"{type(error).__name__}: {getattr(error, 'msg', error)}{line}",
        )
        return
    imported = {
        alias.asname or alias.name: alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and (kind := _DECORATORS.get(_last(mark.func, imported))):
                yield _entry(kind, node, mark, source, imported)


def _parsed(source: Source) -> ast.Module:
    """Parse a file; of the house's own only as far as its part's docstring, else its part's end.

    What stands below is most of a file, and nothing of a listing needs it. A plugin is read whole,
    so that its mistakes are told wherever they are.
    """
    text = source.path.read_bytes()
    marks = list(_MARK.finditer(text)) if source.kind else []
    if marks and (begun := _FUNCTION.search(text, marks[-1].end())):
        end = _STATEMENT.search(text, begun.end())
        told = _TOLD.search(text, begun.start(), end.start() if end else len(text))
        for cut in (told and told.end(), end and end.start()):
            try:
                if cut:
                    return ast.parse(text[:cut])
            except SyntaxError:  # it fell into a string, or the text is no Python at all
                pass
    return ast.parse(text)


def _entry(
    kind: str, node: ast.FunctionDef, mark: ast.Call, source: Source, imported: dict[str, str]
) -> Entry:
    summary = (ast.get_docstring(node) or "").split("\n", 1)[0].strip()
    plain = Entry(kind, node.name, module=source.module, origin=source.origin, summary=summary)
    try:
        said = {k.arg: _words(k.value, imported) for k in mark.keywords if k.arg in _FIELDS}
        asks = [_plain(k.value) for k in mark.keywords if k.arg == "game_params"]
        only = [_plain(k.value) for k in mark.keywords if k.arg == "covers_only"]
    except ValueError as error:
        return replace(plain, error=f"its declaration cannot be read without running it: {error}")
    one = {name: (words[0] if words else "") for name, words in said.items() if name}
    return replace(
        plain,
        game=one.get("game", node.name if kind == "game" else ""),
        flow=one.get("flow", ""),
        axis=one.get("axis", ""),
        term=one.get("term", ""),
        modalities=said.get("modalities", said.get("modality", ())),
        access=tuple(w for w in said.get("access", ()) if w != "nothing"),
        paper=one.get("paper", "arXiv:2603.24857" if kind == "game" else ""),
        role=one.get("role", ""),
        stage=one.get("stage", ""),
        protects=said.get("protects", ()),
        covers_only=tuple(only[0].items()) if only else (),
        requires=said.get("packs" if kind == "scene" else "requires", ()),
        tags=said.get("tags", ()),
        game_params=tuple(asks[0].items()) if asks else (),
    )


def _plain(node: ast.expr) -> dict[str, Any]:
    """Read a dictionary of plain values."""
    try:
        found = ast.literal_eval(node)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{ast.unparse(node)!r} in line {node.lineno} is not a literal dictionary")
    return found


def _words(node: ast.expr, imported: dict[str, str]) -> tuple[str, ...]:
    """Read a literal of the house: a string, an enum member, a union, a tuple of them, a name."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    if isinstance(node, ast.Constant) and node.value is None:
        return ()
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(word for item in node.elts for word in _words(item, imported))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _words(node.left, imported) + _words(node.right, imported)
    if isinstance(node, ast.Attribute):
        # Modality.VISION as well as hartley.Modality.VISION; hartley.ALL is ALL.
        if node.attr != "ALL":
            return (node.attr.lower() if node.attr.isupper() else node.attr,)
        node = ast.Name(node.attr)
    if isinstance(node, ast.Name):
        name = imported.get(node.id, node.id)
        return tuple(str(m) for m in Modality) if name == "ALL" else (name,)
    raise ValueError(f"{ast.unparse(node)!r} in line {node.lineno} is not a literal")


def _last(node: ast.expr, imported: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return imported.get(node.id, node.id) if isinstance(node, ast.Name) else ""
