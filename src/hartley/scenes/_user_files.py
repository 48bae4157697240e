"""Facts about the files that a user's own scene is made of: what the report calls them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path


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
