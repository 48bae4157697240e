"""The folder of this machine that stands for a store at a URL.

Object stores cannot append, rename or lock. So a run of such a store is played in a folder of this
machine as every run is, its *spool*, and what is finished is sent. Each store has one spool, whose
file says of which.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from hartley.core.errors import StoreError, UsageError
from hartley.store.disk import as_store_error, write_atomically

FILE = ".store.json"
SCHEMA = "hartley.spool/1"
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*(::|://)")
_LOCAL = re.compile(r"(?:file|local)://")
_SECRETS = {
    "postgres": "PGPASSWORD",
    "postgresql": "PGPASSWORD",
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "s3a": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}
"""Where a password is given; other protocols have a variable that fsspec reads."""


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder that stands for a store at a URL.

    Attributes:
        folder: of this machine.
        url: of the store.
        owner: what this folder is called in the store.
    """

    folder: Path
    url: str
    owner: str


def is_url(store: str) -> bool:
    """Whether a store is named by a URL of fsspec and not by a folder."""
    return bool(_URL.match(store))


def is_index(store: str) -> bool:
    """Whether a store is named by the address of an index over many, in PostgreSQL."""
    return store.startswith(("postgresql://", "postgres://"))


def refuse_index(store: Path, use: str) -> None:
    """Refuse an index where a store must be named.

    Args:
        store: the folder of a store, or one that stands for a store or an index.
        use: what a store is needed for, as the end of a sentence.

    Raises:
        UsageError: the folder stands for an index.
    """
    spool = spool_of(store)
    if spool is not None and is_index(spool.url):
        raise UsageError(
            f"--store must name the store of a run to {use}, got an index, which anyone who "
            "writes it can point elsewhere; hartley list runs says which store has which run"
        )


def folder_of_store(store: str) -> Path:
    """Return the folder of a store: itself, or the spool of a URL, which is made.

    Raises:
        UsageError: the URL holds a password, or names no place.
        StoreError: the spool cannot be written.
    """
    if not is_url(store):
        return Path(store)
    if re.search(r"://(::|/*$)", store):
        scheme = store[: store.index("://")]
        raise UsageError(f"a store must name a place behind {scheme}://, got {store}")
    if local := _LOCAL.match(store):  # a folder of this machine, which can all that a store needs
        return Path(store[local.end() :])
    url = store.rstrip("/")
    for link in url.split("::"):
        scheme, _, rest = link.partition("://")
        user, at, _ = rest.partition("/")[0].rpartition("@")
        if at and ":" in user:
            usual = f"FSSPEC_{scheme.upper()}_PASSWORD, as fsspec reads it"
            given = _SECRETS.get(scheme.lower(), usual)
            raise UsageError(
                "the URL of a store must not hold a password, which would be written down; give it "
                f"in the environment: {given}"
            )
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]
    folder = _spools() / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', url)[:60]}-{digest}"
    if not (folder / FILE).exists():
        with as_store_error(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = {"schema": SCHEMA, "url": url, "owner": secrets.token_hex(8)}
        write_atomically(folder / FILE, json.dumps(facts).encode())
    return folder


def spool_of(store: Path) -> Spool | None:
    """Return what a folder stands for; None where it is a store itself.

    Raises:
        StoreError: its file is damaged.
    """
    path = store / FILE
    try:
        facts = json.loads(path.read_bytes())
        if facts["schema"] != SCHEMA:
            raise ValueError
        return Spool(store, str(facts["url"]), str(facts["owner"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} must say of which store the folder is a spool") from error


def named(store: Path) -> str:
    """Return a store as a person names it: its folder, or its URL."""
    spool = spool_of(store)
    return str(store) if spool is None else spool.url


def _spools() -> Path:
    if place := os.environ.get("HARTLEY_SPOOL"):
        return Path(place)
    from platformdirs import user_data_path

    return user_data_path("hartley", appauthor=False) / "spool"
