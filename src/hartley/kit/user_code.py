"""Calls of a user's own code: where it fails, one line names their file and line.

What it prints goes to standard error: standard output is for results, which a program may read.
"""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import hartley
from hartley.core.errors import HartleyError, UsageError


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Turn whatever the user's code raises in this block into one line.

    Args:
        what: was called, for the message: "--fit train.py:fit".

    Raises:
        UsageError: the code failed; the line names the error, and its place in their code.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except HartleyError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())[:200]
        text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise UsageError(f"{what} failed: {text}{place_of(error)}") from error


def place_of(error: BaseException) -> str:
    """Return " (train.py, line 3)": the last place in a user's code that an error came through.

    That is a file neither of Hartley nor of an installed package. Empty where there is none, as
    of a file that is not Python: its error names the line itself.
    """
    installed = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    installed.append(Path(hartley.__file__).parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(path.is_relative_to(folder) for folder in installed):
            return f" ({path.name}, line {frame.lineno})"
    return ""
