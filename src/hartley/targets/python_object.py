"""Something in a Python file of the user's: ``train.py:fit``, or ``package.module:fit``."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from hartley.core.code_digest import code_digest
from hartley.core.errors import UsageError, did_you_mean
from hartley.core.extras import missing
from hartley.kit.user_code import place_of


def is_object(text: str) -> bool:
    """Whether a text names something in a Python file or module, as ``train.py:fit`` does."""
    place, colon, name = text.rpartition(":")
    return (
        bool(colon)
        and name.isidentifier()
        and (place.endswith(".py") or all(part.isidentifier() for part in place.split(".")))
    )


def load_object(text: str, what: str, kind: type | None = None) -> Any:
    """Import a file or a module, and return what a name means in it.

    The file's folder comes first among those that imports are looked up in, as when Python runs
    the file.

    Args:
        text: ``FILE.py:NAME`` or ``MODULE:NAME``.
        what: it is for, for the message: "--fit".
        kind: what is looked for; of a name that is not there, objects of this kind are suggested.

    Raises:
        UsageError: there is no such file, module or name, or its code fails as it is imported.
    """
    if not is_object(text):
        raise UsageError(f"{what} must be FILE.py:NAME or MODULE:NAME, got {text!r}")
    place, _, name = text.rpartition(":")
    module = _imported(place, what)
    if not hasattr(module, name):
        raise UsageError(f"{what}: {place} has no {name!r}{_nearest(module, name, kind)}")
    return getattr(module, name)


def _nearest(module: ModuleType, name: str, kind: type | None) -> str:
    """Return a suggestion for a name that is not there: of what the file itself defines."""
    public = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    if kind is not None:
        fitting = [key for key, value in public.items() if isinstance(value, kind)]
        if not fitting:
            return f": it has no {kind.__name__} under any name"
        return did_you_mean(name, fitting) or f"; its {kind.__name__} is {' or '.join(fitting)}"
    defined = [
        key
        for key, value in public.items()
        if not inspect.ismodule(value)
        and getattr(value, "__module__", module.__name__) == module.__name__
    ]
    return did_you_mean(name, defined)


def function_beside(text: str, name: str) -> Callable[..., Any] | None:
    """Return a function of a file by its name, or None where the file has none of that name.

    Args:
        text: ``FILE.py:NAME`` of something else in the file.
        name: of the function. What is not a function, such as an object of that name, is not meant.
    """
    module = _imported(text.rpartition(":")[0], text)
    function = getattr(module, name, None)
    return function if inspect.isfunction(function) else None


def code_of_object(text: str) -> str:
    """Return the digest of the code that ``load_object`` runs: its file and those it imports.

    Of a file these are the files beside it; installed packages count by their version.
    """
    place = text.rpartition(":")[0]
    if not place.endswith(".py"):
        return code_digest(place)
    path = Path(place).resolve()
    return code_digest(path.stem, beside=_beside(path.parent))


def _beside(folder: Path) -> tuple[str, ...]:
    """Return the names that can be imported from a folder."""
    files = [path.stem for path in folder.glob("*.py")]
    return tuple(sorted({*files, *(path.parent.name for path in folder.glob("*/__init__.py"))}))


def _try(absent: ModuleNotFoundError) -> str:
    """Name the extra that brings a module along, if there is one."""
    known = missing(absent)
    return "" if known is None else f"; try: pip install 'hartley[{known.extra}]'"


def _imported(place: str, what: str) -> ModuleType:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        path = Path(place).resolve()
        if not path.is_file():
            raise UsageError(f"{what} must be in a file that is there, got {place}")
        return _of_file(path, what)
    except UsageError:
        raise
    except ModuleNotFoundError as absent:
        raise UsageError(
            f"{what}: {place} needs the module {absent.name!r}, which is not found here"
            f"{_try(absent)}"
        ) from absent
    except (Exception, SystemExit) as error:  # a user's code may fail in any way
        reason = " ".join(str(error).split())[:160]
        raise UsageError(
            f"{what}: {place} cannot be imported: {type(error).__name__}: {reason}{place_of(error)}"
        ) from error


def _of_file(path: Path, what: str) -> ModuleType:
    loaded = sys.modules.get(path.stem)
    origin = getattr(loaded, "__file__", None)
    if loaded is not None:
        if origin is not None and Path(origin).resolve() == path:
            return loaded
        raise UsageError(f"{what}: {path.name} has the name of another module; rename the file")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        # Standard output is for results, which a program may read.
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module
