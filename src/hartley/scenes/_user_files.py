"""Facts about the files that a user's own scene is made of: what the report calls them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from hartley.core.errors import UsageError


def check_there(files: Mapping[str, str]) -> None:
    """Check that every file which a user named is there, before any of them is read.

    A model may take a minute to load: a name that is wrong is said at once.

    Args:
        files: paths, or ``FILE.py:NAME``, by their flag; an empty one is not given.

    Raises:
        UsageError: one is not there.
    """
    for flag, name in files.items():
        place = name.rpartition(":")[0]
        in_python = place.endswith(".py")
        if name and not Path(place if in_python else name).exists() and (in_python or not place):
            raise UsageError(
                f"--{flag} must be {'in ' * in_python}a file that is there, got "
                f"{place if in_python else name}, which is not there"
            )


def described(files: Mapping[str, str]) -> dict[str, str]:
    """Return the name, size and digest of files, by what each is for.

    Args:
        files: paths by purpose, such as ``{"model": "rf.skops"}``; a folder is described by its
            name alone.
    """
    out = {}
    for purpose, name in files.items():
        place, _, part = name.rpartition(":")
        in_python = place.endswith(".py")
        path = Path(place if in_python else name)
        if path.is_file():
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            out[f"{purpose} file"] = (
                f"{path.name}{':' + part if in_python else ''}, {path.stat().st_size:,} bytes, "
                f"sha256 {sha256[:16]}"
            )
        else:
            out[f"{purpose} folder"] = path.name
    return out
