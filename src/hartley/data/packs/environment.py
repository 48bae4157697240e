"""A pack that is a program with an environment of its own: its packages never meet Hartley's.

Every package is pinned by version and sha256 in a lock file, and comes as a wheel, so that no
build script is run. The program's files are compared with the digest of the table besides.
"""

from __future__ import annotations

import sys
from importlib.resources import as_file, files
from pathlib import Path

from hartley.core.errors import DamagedPack, UsageError
from hartley.data.packs import downloaders
from hartley.data.packs.table import Pack
from hartley.kit.file_digests import sha256_of

FOLDER = "environment"


def interpreter(home: Path) -> Path:
    """Return the path of the Python in a pack's folder."""
    return home / FOLDER / "bin" / "python"


def packages(pack: Pack, home: Path) -> Path:
    """Return the folder of the installed packages.

    Raises:
        DamagedPack: it is not there.
    """
    folders = sorted((home / FOLDER / "lib").glob("python3*/site-packages"))
    if len(folders) != 1:
        raise DamagedPack(pack.name, [FOLDER])
    return folders[0]


def program(pack: Pack, home: Path) -> Path:
    """Return the folder of the program itself among the installed packages.

    Raises:
        DamagedPack: the environment is not whole, or the Python that it was made with is gone.
    """
    if not interpreter(home).exists():
        raise DamagedPack(pack.name, [f"{FOLDER}/bin/python"])
    return packages(pack, home) / pack.strip


def build(pack: Pack, ready: Path, work: Path) -> None:
    """Make the environment in ``ready`` and install the packages of the lock file into it.

    Args:
        pack: with a lock file.
        ready: an empty folder; it may be moved afterwards.
        work: a folder for what is needed meanwhile.

    Raises:
        UsageError: pip is missing, the network is, or a package is not the one that is pinned.
    """
    into = work / "archive"
    into.mkdir()
    venv = [sys.executable, "-m", "venv", "--without-pip", str(ready / FOLDER)]
    downloaders.run(venv, into, pack)
    with as_file(files("hartley.data.packs").joinpath(pack.lock)) as lock:
        if sha256_of(lock) != pack.archive:
            raise UsageError(f"{pack.lock} must have sha256 {pack.archive[:16]}…, got another")
        checks = ["--require-hashes", "--no-deps", "--only-binary=:all:"]
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        pip = [*downloaders.pip_command(), "--python", str(interpreter(ready)), "install"]
        downloaders.run([*pip, *checks, *quiet, "--requirement", str(lock)], into, pack)
