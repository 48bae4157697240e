"""``hartley new attack``: write the file of a new attack, which works and can be changed."""

from __future__ import annotations

import ast
import keyword
import re
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley import catalog
from hartley.cli.terminal import note, say
from hartley.core.errors import StoreError, UsageError

app = App(
    name="new",
    help="Write the file of a new attack, which works and can be changed.",
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

    Inside a checkout of Hartley the file goes to the folder where Hartley finds it, and needs no
    registration. Elsewhere it goes to the current folder, and the command prints how to register it
    from your package.

    Parameters
    ----------
    name
        The attack's name: its function, its file and its name on the command line.
    game
        The game it plays; see hartley list games.
    to
        The folder to write it to.
    force
        Overwrite a file that exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"the name of an attack must be small letters, digits and _, got {name!r}")
    if any(e.name == name for e in catalog.entries("attack")):
        raise UsageError(f"there is already an attack named {name!r}; choose another name")
    entry = catalog.find("game", game)
    home = Path(catalog.__file__).parent.parent / "attacks" / entry.axis / entry.cls
    in_checkout = home.is_dir() and Path.cwd() in home.parents
    folder = to if to is not None else home if in_checkout else Path()
    path = folder / f"{name}.py"
    if path.exists() and not force:
        raise UsageError(
            f"{path} exists already; choose another name, or overwrite it with --force"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(written(name, game), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    say(path)
    if folder.resolve() == home.resolve():
        note(f"Hartley finds it there; try:  hartley attack {name} --scene live:{game}")
        return 0
    note(
        "put it into a package of your own, and name its module in the package's pyproject.toml "
        "(docs/extend.md has a whole one):",
        "",
        f'    [project.entry-points."{catalog.GROUP}"]',
        f'    {name} = "your_package.{name}"',
        "",
        "then install the package and try:",
        "",
        "    pip install -e .",
        f"    hartley attack {name} --scene live:{game}",
    )
    return 0


def written(name: str, game: str) -> str:
    """Return the source of a new attack on a game.

    The source is a copy, under the new name, of the shortest attack among those that play the game
    in the most modalities: of Hartley's, or of plugins' where Hartley has none. So it plays and
    passes the checks at once, and shows what the game gives to an attack.

    Raises:
        UsageError: there is no attack on the game yet.
    """
    playing = [
        e for e in catalog.entries("attack") if e.game == game and not (e.error or e.control)
    ]
    of_hartley = [e for e in playing if e.origin == "hartley"]
    models = [
        (Path(_file(e.module)).read_text(encoding="utf-8"), e.name, len(e.modalities))
        for e in of_hartley or playing
    ]
    if not models:
        raise UsageError(
            f"there is no attack on {game} yet, so there is none to copy; see docs/extend.md"
        )
    source, model, _ = min(
        models, key=lambda candidate: (-candidate[2], len(candidate[0].splitlines()))
    )
    first = ast.parse(source).body[0]
    assert first.end_lineno is not None
    body = "\n".join(source.splitlines()[first.end_lineno :])
    title = name.replace("_", " ").capitalize()
    head = f'"""{title}: copied from {model}; say here what it does."""'
    function = re.sub(rf"\bdef {model}\(", f"def {name}(", body)
    return f"{head}\n{function}\n"


def _file(module: str) -> str:
    from importlib.util import find_spec

    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return spec.origin
