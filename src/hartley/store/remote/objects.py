"""Objects of a store at a URL, through fsspec: list, read, write and remove, and nothing else.

No two writers write one object, and no object changes: its name holds its digest. So a store needs
no rename, no append and no lock. Only a lease is written again, by its owner.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from hartley.core.errors import MissingExtra, StoreError

_FLAT = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory"})
"""Protocols of stores without folders, where a missing bucket must not be made."""
_NUMBER = re.compile(r"^\[Errno \w+\] ")
_PATIENT: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"max_attempts": 3},
        }
    },
    "sftp": {"timeout": 15},
}
"""Options that keep a host which does not answer from being waited for minutes."""


class Objects:
    """The objects of one store.

    Args:
        url: of the store.

    Raises:
        MissingExtra: fsspec is not installed.
        StoreError: the URL is of no known protocol, its package is not installed, or its host does
            not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            import fsspec.config
            from fsspec.core import url_to_fs
        except ModuleNotFoundError as error:
            raise MissingExtra("fsspec", "remote") from error
        protocol = url.rpartition("::")[2].partition("://")[0]
        for name, value in fsspec.config.conf.get(protocol, {}).items():
            if name == "port":  # the environment holds texts
                fsspec.config.conf[protocol][name] = int(value)
        options = _PATIENT.get("s3" if protocol == "s3a" else protocol, {})
        try:
            self._files, root = url_to_fs(url, **options)
        except ImportError as error:
            raise StoreError(f"{url} needs another package: {error}") from error
        except ValueError as error:
            raise StoreError(
                f"a store must be a folder or a URL that fsspec can open, got {url}: {error}"
            ) from error
        except Exception as error:  # a file system may fail in any way
            raise StoreError(f"cannot reach {url}: {reason(error)}") from error
        # The file system "dir" is one of a folder, and gives the path of that folder besides.
        self._root = "" if self._files.protocol == "dir" else str(root).rstrip("/")
        inner = getattr(self._files, "fs", self._files)
        protocols = {inner.protocol} if isinstance(inner.protocol, str) else set(inner.protocol)
        self._flat = bool(protocols & _FLAT)

    def list(self, folder: str) -> dict[str, float | None]:
        """Return the names of the objects of a folder, and when the store took each.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._reaching("read", folder):
            self._files.invalidate_cache()
            try:
                entries = self._files.ls(self._path(folder), detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return {}
            return {
                str(entry["name"]).rstrip("/").rpartition("/")[2]: _time(entry)
                for entry in entries
                if entry["type"] == "file"
            }

    def get(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the content of objects by name; those that are absent are left out.

        Raises:
            StoreError: the store cannot be read.
        """
        wanted = {self._path(name): name for name in names}
        contents_by_name: dict[str, bytes] = {}
        with self._reaching("read", next(iter(wanted.values()), "")):
            paths = list(wanted)
            for begin in range(0, len(paths), 64):
                part = paths[begin : begin + 64]
                contents = self._files.cat(part, on_error="return")
                for path, content in contents.items():
                    if isinstance(content, bytes):
                        contents_by_name[self._named(path, wanted)] = content
                    elif not isinstance(content, FileNotFoundError):
                        raise content
        return contents_by_name

    def put(self, name: str, content: bytes) -> None:
        """Write an object.

        Raises:
            StoreError: the store cannot be written.
        """
        path = self._path(name)
        with self._reaching("write", name):
            try:
                self._files.pipe_file(path, content)
            except FileNotFoundError:
                if self._flat:
                    raise
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._files.pipe_file(path, content)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there and can be."""
        with contextlib.suppress(Exception):  # what is left over does no harm
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if self._root else name

    def _named(self, path: str, wanted: dict[str, str]) -> str:
        """The name of a path, which a file system may write in another way."""
        if path in wanted:
            return wanted[path]
        ends = path.lstrip("/")
        return next(name for one, name in wanted.items() if one.lstrip("/") == ends)

    @contextlib.contextmanager
    def _reaching(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # a file system may fail in any way
            raise StoreError(f"cannot {verb} {self.url}/{name}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return an error in one line."""
    words = _NUMBER.sub("", " ".join(str(error).split())) or type(error).__name__
    if type(error).__name__ == "NoCredentialsError":
        words = "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    return words if len(words) <= 300 else words[:300] + "…"


def _time(entry: dict[str, Any]) -> float | None:
    """Return when the store took an object, by its clock, in seconds; None where it is silent."""
    for key in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = entry.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(value).timestamp()
    return None
