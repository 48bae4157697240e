"""Stores at a URL of fsspec: S3, Google Cloud Storage, SFTP and others.

::

    URL/hartley-store.json                   what the place is
        runs/RUN/GGGGGG-NNNNNN-DIGEST.zip    segments of a run, which never change: a piece of its
                                             journal with the files that the piece vouches for
        heads/RUN~NUMBER.json                what the list says of a run; the newest counts
        leases/RUN~OWNER.json                which machine writes a run now

A run is played in a folder of this machine (``spool``), and what is finished is sent (``replica``)
by a process beside the command (``carrier``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hartley.store.remote.spool import (
    folder_of_store,
    is_index,
    is_url,
    named,
    refuse_index,
    spool_of,
)

__all__ = [
    "Lease",
    "bring",
    "folder_of_store",
    "is_index",
    "is_url",
    "listed",
    "named",
    "reach",
    "refuse_index",
    "spool_of",
]


def reach(store: Path) -> None:
    """Check that the store of a spool can be written, and make it if it is not there yet.

    Raises:
        StoreError: it cannot be reached, or holds something else.
    """
    _ask(store, "check", write=True)


def listed(store: Path) -> list[dict[str, Any]]:
    """Return a row for each run of the store of a spool, as its writer noted it.

    Raises:
        StoreError: it cannot be reached.
    """
    rows: list[dict[str, Any]] = _ask(store, "list")
    return rows


def bring(store: Path, run: str) -> list[str]:
    """Fetch a run into a spool, as far as it is not there yet.

    Returns:
        What a person should know, in sentences.

    Raises:
        StoreError: the store cannot be reached, or what it holds is damaged.
    """
    notices: list[str] = _ask(store, "bring", run=run)
    return notices


class Lease:
    """The right to write a run of a store at a URL, and the lock of its folder.

    Args:
        folder: of the run, in the spool.
        lock: of the folder, held.

    Attributes:
        notices: what a person should know, in sentences.

    Raises:
        StoreError: another machine writes the run, or the store cannot be reached.
    """

    def __init__(self, folder: Path, lock: Any) -> None:
        self._folder, self._lock = folder, lock
        try:
            self.notices: list[str] = _ask(folder.parent, "hold", run=folder.name)
        except BaseException:
            lock.release()
            raise

    def release(self) -> None:
        """Send what is not sent yet, and let others write.

        Raises:
            StoreError: not all of it could be sent; it is kept in the folder.
        """
        try:
            _ask(self._folder.parent, "release", run=self._folder.name)
        finally:
            self._lock.release()


def _ask(store: Path, do: str, **facts: Any) -> Any:
    from hartley.store.remote.client import ask

    return ask(store, do, **facts)
