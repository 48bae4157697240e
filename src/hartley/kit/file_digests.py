"""Whether the files of a folder are those that were put there: by SHA-256, read block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_of_files(folder: Path, beside: Collection[str] = ()) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder and below it, by relative path.

    Args:
        folder: the folder.
        beside: names of files and of folders that are not counted.
    """
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {*beside}.intersection(path.relative_to(folder).parts)
    }


def changed_files(
    folder: Path, files: Mapping[str, str], beside: Collection[str] = ()
) -> list[str]:
    """Return which files of a folder differ from these digests, are absent, or are too many.

    A file that this process has read is read again only if its time or its size has changed.

    Args:
        folder: the folder.
        files: SHA-256 by relative path.
        beside: names of files and of folders that are not counted.
    """
    present = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and not {*beside}.intersection(path.relative_to(folder).parts)
    }
    return sorted(
        name
        for name in {*files, *present}
        if name not in present or name not in files or _digest_now(present[name]) != files[name]
    )


def _digest_now(path: Path) -> str:
    try:
        about = path.stat()
        return _remembered(path, about.st_ino, about.st_size, about.st_mtime_ns)
    except OSError:
        return ""


@lru_cache(maxsize=4096)
def _remembered(path: Path, _inode: int, _size: int, _time: int) -> str:
    return sha256_of(path)
