"""The package clients: each downloads one archive into a folder and runs none of its code."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hartley.core.errors import UsageError
from hartley.data.packs.table import Pack

if TYPE_CHECKING:
    import tarfile

Progress = Callable[[int, int], None]
"""(bytes so far, bytes expected)."""

Member = tuple[str, Callable[[], IO[bytes]]]
"""Path inside the archive, and how to open it."""


def download(pack: Pack, into: Path, progress: Progress | None = None) -> Path:
    """Download the pack's archive into a folder; return its path.

    Raises:
        UsageError: the client is not on PATH, fails (no network, unknown package), or
            downloads nothing.
    """
    if pack.client == "apt":
        _apt(pack, into, progress)
    else:
        run(_command(pack, into), into, pack, progress)
    files = [path for path in into.iterdir() if path.is_file()]
    if len(files) != 1:
        raise UsageError(
            f"{pack.client} must download one file for {pack.package}, got {len(files)}"
        )
    return files[0]


def run(command: Sequence[str], into: Path, pack: Pack, progress: Progress | None = None) -> None:
    """Run a command of a package client in a folder.

    Raises:
        UsageError: it fails.
    """
    process = _call(command, into, pack, progress)
    if process.returncode:
        raise UsageError(_failed(pack, process))


def pip_command() -> list[str]:
    """Return the command by which pip is called.

    Raises:
        UsageError: there is no pip.
    """
    if importlib.util.find_spec("pip") is None:
        return [_tool("pip", "pip")]
    return [sys.executable, "-m", "pip"]


def members(pack: Pack, archive: Path) -> Iterator[Member]:
    """Yield the plain files of an archive: no links, no devices; nothing is written.

    Raises:
        UsageError: the archive cannot be read.
    """
    import tarfile
    import zipfile

    try:
        if pack.client == "pip":
            with zipfile.ZipFile(archive) as bundle:
                for entry in bundle.infolist():
                    if not entry.is_dir():
                        yield entry.filename, partial(bundle.open, entry)
        elif pack.client == "npm":
            with tarfile.open(archive) as bundle:
                yield from _tar(bundle)
        else:
            yield from _deb(archive)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise UsageError(f"{archive.name} must be a readable archive: {error}") from error


def _deb(archive: Path) -> Iterator[Member]:
    import tarfile

    tool = _tool("dpkg-deb", "Debian's dpkg")
    command = [tool, "--fsys-tarfile", str(archive)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        with tarfile.open(fileobj=child.stdout, mode="r|") as bundle:
            yield from _tar(bundle)
        # The tar ends with padding that tarfile leaves unread: dpkg-deb must not die of it.
        child.stdout.read()
        if child.wait():
            raise UsageError(f"dpkg-deb cannot read {archive.name}")


def _tar(bundle: Iterable[object]) -> Iterator[Member]:
    import tarfile

    assert isinstance(bundle, tarfile.TarFile)
    for entry in bundle:
        if entry.isreg():
            yield entry.name.removeprefix("./"), partial(_opened, bundle, entry)


def _opened(bundle: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    handle = bundle.extractfile(entry)
    assert handle is not None  # a regular file
    return handle


def _command(pack: Pack, into: Path) -> Sequence[str]:
    if pack.client == "pip":
        wanted = f"{pack.package}=={pack.version}"
        # A wheel is only unpacked; a source archive would run its build script.
        flags = ["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
        return [*pip_command(), "download", *flags, "--dest", str(into), wanted]
    npm = _tool("npm", "Node.js")
    flags = ["--ignore-scripts", "--silent", "--pack-destination", str(into)]
    return [npm, "pack", f"{pack.package}@{pack.version}", *flags]


def _apt(pack: Pack, into: Path, progress: Progress | None) -> None:
    tool = _tool("apt-get", "Debian or Ubuntu")
    fetch = [tool, "download", "--quiet", pack.package]
    process = _call(fetch, into, pack, progress)
    if process.returncode and os.geteuid() == 0:
        # A fresh container has no package lists; only root may fetch them.
        _call([tool, "update", "--quiet"], into, pack, None)
        process = _call(fetch, into, pack, progress)
    if process.returncode:
        hint = "" if os.geteuid() == 0 else " (are the package lists here? sudo apt-get update)"
        raise UsageError(_failed(pack, process) + hint)


def _call(
    command: Sequence[str], into: Path, pack: Pack, progress: Progress | None
) -> subprocess.CompletedProcess[str]:
    """Run a client in ``into``, telling how much has arrived by the size of its files."""
    scratch = into.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    log = scratch / "log"
    environment = {**os.environ, "TMPDIR": str(scratch), "LC_ALL": "C.UTF-8"}
    with log.open("w+", encoding="utf-8", errors="replace") as out:
        child = subprocess.Popen(
            command, cwd=into, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        try:
            while child.poll() is None:
                if progress is not None:
                    progress(min(_size(into.parent), pack.size), pack.size)
                time.sleep(0.05)
            if progress is not None:  # it may be over before it was looked at
                progress(min(_size(into.parent), pack.size), pack.size)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        out.seek(0)
        return subprocess.CompletedProcess(command, child.returncode, out.read(), "")


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # the client has just moved it
            continue
    return total


def _tool(name: str, owner: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise UsageError(
            f"{name} must be on PATH (it comes with {owner}); "
            "install it, or give your own files with --from FOLDER"
        )
    return path


def _failed(pack: Pack, done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "e:", "npm err"))]
    reason = (errors or lines or ["no message"])[-1].rstrip(".")[:200]
    return f"{pack.client} could not fetch {pack.package} {pack.version}: {reason}"
