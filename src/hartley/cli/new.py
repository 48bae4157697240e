"""``hartley new attack``: one working file to begin from."""

from __future__ import annotations

import ast
import keyword
import re
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley import catalog
from hartley.cli.terminal import note
from hartley.core.errors import StoreError, UsageError

app = App(
    name="new",
    help="Write a new attack: one working file to begin from.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.command
def attack(
    name: str,
    /,
    *,
    game: str = "membership",
    to: Path | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write a new attack that already plays its game; change its one function.

    In a checkout of Hartley the file goes where the house finds it: nothing has to be registered.
    Elsewhere it goes into this folder, and what to write into your package is printed.

    Parameters
    ----------
    name
        The attack's name: its function, its file and its name on the command line.
    game
        The game it plays; see hartley list games.
    to
        The folder to write it to.
    force
        Write over a file that is there.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"{name!r} is no name for an attack: use small letters, digits and _")
    if any(e.name == name for e in catalog.entries("attack")):
        raise UsageError(f"there is an attack named {name!r} already; choose another name")
    entry = catalog.find("game", game)
    house = Path(catalog.__file__).parent.parent / "attacks" / entry.axis / entry.cls
    at_home = house.is_dir() and Path.cwd() in house.parents
    folder = to if to is not None else house if at_home else Path()
    path = folder / f"{name}.py"
    if path.exists() and not force:
        raise UsageError(f"{path} is there already; choose another name, or --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(written(name, game), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    print(path)
    if folder.resolve() == house.resolve():
        note(f"it is in the house: try  hartley attack {name} --scene live:{game}")
        return 0
    note(
        "to register it from a package of yours, name its module in pyproject.toml:\n\n"
        f'    [project.entry-points."{catalog.GROUP}"]\n'
        f'    {name} = "your_package.{name}"\n\n'
        f"or put the file into the house itself: {house}\n"
        f"then try:  hartley attack {name} --scene live:{game}"
    )
    return 0


def written(name: str, game: str) -> str:
    """Return the source of a new attack on a game.

    It begins as the shortest of the house's attacks that play that game in most modalities, under
    the new name: it plays and passes the checks from the first minute, and shows what the game
    hands over.

    Raises:
        UsageError: no attack of the house plays the game yet.
    """
    models = [
        (Path(_file(e.module)).read_text(encoding="utf-8"), e.name, len(e.modalities))
        for e in catalog.entries("attack")
        if e.game == game and e.origin == "hartley" and not e.error
    ]
    if not models:
        raise UsageError(f"no attack plays {game} yet, so there is none to begin from")
    source, model, _ = min(models, key=lambda one: (-one[2], len(one[0].splitlines())))
    first = ast.parse(source).body[0]
    assert first.end_lineno is not None
    body = "\n".join(source.splitlines()[first.end_lineno :])
    title = name.replace("_", " ").capitalize()
    head = f'"""{title}: begun from {model}; say here what it does."""'
    function = re.sub(rf"\bdef {model}\(", f"def {name}(", body)
    return f"{head}\n{function}\n"


def _file(module: str) -> str:
    from importlib.util import find_spec

    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return spec.origin
