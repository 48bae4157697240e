"""Atomic writes: a reader never gets half a file, and a full disk is one clear error."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hartley.core.errors import StoreError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name, sync it, and rename it into place.

    Raises:
        StoreError: the disk is full or the folder cannot be written; the old file is unchanged.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with as_store_error(path):
        try:
            with partial.open("wb") as file:
                _write(file.fileno(), content)
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        sync_folder(path.parent)


def hold(folder: Path) -> Any:
    """Return the lock of a run folder, held by this process until it is released.

    Where the store is at a URL, the run is fetched before it is held, and sent before it is
    released.

    Raises:
        StoreError: another process holds it, or the folder cannot be written; or another machine
            writes the run of a store at a URL, or that cannot be reached.
    """
    from filelock import FileLock, Timeout

    from hartley.store.remote import Lease, spool_of

    lock = FileLock(folder / ".lock")
    with as_store_error(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:  # a subclass of OSError, so it is handled first
            raise StoreError(
                f"another process is writing to {folder}; wait for it, or choose another --run"
            ) from None
    return lock if spool_of(folder.parent) is None else Lease(folder, lock)


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing into a folder."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".*.partial"):
            writer = path.suffixes[-2].removeprefix(".") if len(path.suffixes) > 1 else ""
            if not (writer.isdecimal() and _is_running(int(writer))):
                path.unlink()


def _is_running(process: int) -> bool:
    """Whether a process of another writer runs; where that cannot be asked, it is taken as so."""
    if os.name != "posix":
        return True
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def as_bytes(text: str) -> bytes:
    """Return text as UTF-8; half a character, as a server's broken answer may hold, becomes "?"."""
    return text.encode("utf-8", "replace")


def append(path: Path, line: bytes) -> None:
    """Append one line and sync it.

    A write that fails half-way is undone, so that the file ends with a whole line.

    Raises:
        StoreError: the disk is full or the file cannot be written.
    """
    with as_store_error(path), path.open("ab") as file:
        size = file.seek(0, os.SEEK_END)
        try:
            _write(file.fileno(), line)
            os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), size)
            raise


@contextlib.contextmanager
def as_store_error(path: Path) -> Iterator[None]:
    """Turn an operating system's error into a ``StoreError`` that says what to do.

    Raises:
        StoreError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        what = "no space left" if full else (error.strerror or str(error)).lower()
        do = (
            "free some space, or choose another disk with --store; "
            "finished work is kept, and the same command continues the run"
            if full
            else "choose a writable folder with --store"
        )
        raise StoreError(f"cannot write {path}: {what}; {do}") from error


def sync_folder(folder: Path) -> None:
    """Make a rename durable, where the system can sync a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _write(handle: int, content: bytes) -> None:
    """Write everything; a short write (a full disk) is continued until it raises."""
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]
