"""Calls of a user's own code: where it fails, one line names their file and line."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hartley
from hartley.core.errors import HartleyError, UsageError


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Turn whatever the user's code raises in this block into one line.

    Args:
        what: was called, for the message: "--fit train.py:fit".

    Raises:
        UsageError: the code failed; the line names the error, and the last place in a file that is
            neither of an installed package nor of Hartley.
    """
    try:
        yield
    except HartleyError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())[:200]
        text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise UsageError(f"{what} failed: {text}{_place(error)}") from error


def _place(error: BaseException) -> str:
    installed = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    installed.append(Path(hartley.__file__).parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(path.is_relative_to(folder) for folder in installed):
            return f" ({path.name}, line {frame.lineno})"
    return ""
