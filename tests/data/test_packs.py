"""Packs: whole and checked, or not at all. A small fake client stands on PATH, nothing else is."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from hartley.core.errors import DamagedPack, MissingPack, UnknownName, UsageError
from hartley.data import packs
from hartley.data.packs import convert, downloaders, environment, pack_store
from hartley.data.packs.table import Pack

FILES = {
    "package/data/a.txt": b"first",
    "package/data/b.txt": b"second",
    "package/data/../../evil.txt": b"outside",
    "package/run.js": b"never wanted",
    "package/LICENSE": b"terms",
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    """A pack that the fake npm serves, and counts its calls in ``calls``."""
    archive = tmp_path / "toy.tgz"
    with tarfile.open(archive, "w:gz") as bundle:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            bundle.addfile(entry, io.BytesIO(content))
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    npm = bin_ / "npm"
    npm.write_text(
        f'#!/bin/sh\necho x >> {tmp_path}/calls\nfor a; do last="$a"; done\n'
        f'/bin/cp {archive} "$last"/\n'
    )
    npm.chmod(0o755)
    kept = {n: hashlib.sha256(FILES[f"package/data/{n}"]).hexdigest() for n in ("a.txt", "b.txt")}
    pack = Pack(
        name="toy", summary="", client="npm", package="toy", version="1", licence="MIT",
        size=archive.stat().st_size, archive=hashlib.sha256(archive.read_bytes()).hexdigest(),
        digest=pack_store.fingerprint(kept), strip="package/data/", keep=("*.txt",),
        notice="package/LICENSE",
    )  # fmt: skip
    monkeypatch.setenv("PATH", str(bin_))
    monkeypatch.setenv("HARTLEY_PACKS", str(tmp_path / "packs"))
    monkeypatch.setattr(pack_store, "catalogue", lambda: (pack,))
    return pack


def calls(tmp_path: Path) -> int:
    log = tmp_path / "calls"
    return len(log.read_text().split()) if log.exists() else 0


def nothing_left(tmp_path: Path) -> bool:
    home = tmp_path / "packs"
    return [p.name for p in home.iterdir() if p.name != ".toy.lock"] == []


def test_only_declared_files_come_and_only_once(toy: Pack, tmp_path: Path) -> None:
    with pytest.raises(MissingPack, match="hartley pack get toy"):
        packs.locate("toy")
    seen: list[tuple[int, int]] = []
    home = packs.get("toy", progress=lambda done, whole: seen.append((done, whole)))
    assert {p.name for p in home.iterdir()} == {"a.txt", "b.txt", "pack.json", "LICENSE.txt"}
    assert (home / "LICENSE.txt").read_bytes() == b"terms"
    card = json.loads((home / "pack.json").read_text())
    assert card["verified"] is True and card["origin"] == "npm: toy 1" and card["licence"] == "MIT"
    assert not list(tmp_path.rglob("evil.txt"))
    assert seen and all(done <= whole == toy.size for done, whole in seen)
    packs.get("toy")
    assert calls(tmp_path) == 1 and packs.verify("toy")
    (home / "a.txt").write_text("changed")
    assert not packs.verify("toy")


def test_a_pack_that_is_not_as_it_was_fetched_is_refused_and_fetched_again(toy: Pack) -> None:
    home = packs.get("toy")
    card = (home / "pack.json").read_text()

    def edit_card() -> None:
        changed = json.loads(card)
        (home / "a.txt").write_text("changed")
        changed["files"]["a.txt"] = hashlib.sha256(b"changed").hexdigest()
        (home / "pack.json").write_text(json.dumps(changed))

    for damage, named in {
        lambda: (home / "a.txt").write_bytes(b"firsT"): "a.txt",
        (home / "b.txt").unlink: "b.txt",
        lambda: (home / "c.txt").write_text("more"): "c.txt",
        edit_card: "pack.json",
        lambda: (home / "pack.json").write_text(card.replace('"files"', '"fiLes"')): "pack.json",
    }.items():
        damage()
        with pytest.raises(DamagedPack, match=rf"{named} must be as fetched.*hartley pack get toy"):
            packs.locate("toy")
        packs.get("toy")
        assert packs.locate("toy") == home and (home / "a.txt").read_bytes() == b"first"
        assert not (home / "c.txt").exists()


def test_a_changed_archive_is_thrown_away(
    toy: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_store, "catalogue", lambda: (replace(toy, archive="0" * 64),))
    with pytest.raises(UsageError, match="sha256"):
        packs.get("toy")
    assert nothing_left(tmp_path)


def test_changed_data_are_refused(
    toy: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_store, "catalogue", lambda: (replace(toy, digest="0" * 64),))
    with pytest.raises(UsageError, match="must have digest"):
        packs.get("toy")
    assert nothing_left(tmp_path)


def test_an_archive_that_unpacks_to_too_much_is_refused_block_by_block(
    toy: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[int] = []

    class Endless(io.RawIOBase):
        """A member of any size: it is never held whole."""

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= 1 << 20, "the member is read whole"
            blocks.append(size)
            return bytes(size)

    monkeypatch.setattr(downloaders, "members", lambda *_: [("package/data/a.txt", Endless)])
    with pytest.raises(UsageError, match="must unpack to at most 100 times the archive"):
        packs.get("toy")
    assert sum(blocks) <= (64 << 20) + (1 << 20)
    assert not (tmp_path / "packs/toy").exists()


def test_an_older_version_counts_as_absent(toy: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    packs.get("toy")
    monkeypatch.setattr(pack_store, "catalogue", lambda: (replace(toy, digest="1" * 64),))
    with pytest.raises(MissingPack):
        packs.locate("toy")


@pytest.mark.parametrize(
    ("script", "says"),
    [("echo 'npm ERR! network down' >&2; exit 1", "network down"), ("exit 0", "got 0")],
)
def test_a_client_that_fails_is_one_line(toy: Pack, tmp_path: Path, script: str, says: str) -> None:
    (tmp_path / "bin" / "npm").write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(UsageError, match=says) as caught:
        packs.get("toy")
    assert "\n" not in str(caught.value) and nothing_left(tmp_path)


def test_no_client_is_one_line(toy: Pack, tmp_path: Path) -> None:
    (tmp_path / "bin" / "npm").unlink()
    with pytest.raises(UsageError, match="npm must be on PATH"):
        packs.get("toy")
    assert nothing_left(tmp_path)


def test_a_full_disk_is_one_line(
    toy: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pack_store, "_unpack", full)
    with pytest.raises(UsageError, match="not enough space on the disk"):
        packs.get("toy")
    assert nothing_left(tmp_path)


def test_what_a_killed_download_left_does_not_count(toy: Pack, tmp_path: Path) -> None:
    half = tmp_path / "packs" / ".toy.partial" / "ready"
    half.mkdir(parents=True)
    (half / "a.txt").write_text("half")
    with pytest.raises(MissingPack):
        packs.locate("toy")
    assert (packs.get("toy") / "a.txt").read_bytes() == b"first"


def test_several_at_once_fetch_once(toy: Pack, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        homes = set(pool.map(lambda _: packs.get("toy"), range(4)))
    assert len(homes) == 1 and calls(tmp_path) == 1


def test_a_folder_of_ones_own(toy: Pack, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.txt").write_bytes(b"first")
    (own / "b.txt").write_bytes(b"mine")
    with pytest.raises(UsageError, match="must have digest"):
        packs.get("toy", source=own)
    home = packs.get("toy", source=own, trust=True)
    assert json.loads((home / "pack.json").read_text())["verified"] is False
    assert packs.locate("toy") == home
    (own / "b.txt").write_bytes(b"second")
    packs.get("toy", source=own)
    assert json.loads((home / "pack.json").read_text())["verified"] is True
    assert calls(tmp_path) == 0


def test_unknown_pack_suggests() -> None:
    with pytest.raises(UnknownName, match="fashion-mnist"):
        packs.locate("fashion-mnits")


def test_the_table_is_complete() -> None:
    table = packs.catalogue()
    assert {p.name for p in table if p.core} == {"dialogue", "fashion-mnist", "smollm2"}
    for pack in table:
        assert pack.client in {"pip", "npm", "apt"}
        assert pack.convert in {"", "torch", "rdb", "ctranslate2"}
        assert len(bytes.fromhex(pack.archive)) == len(bytes.fromhex(pack.digest)) == 32
        assert pack.licence and pack.summary and pack.keep and pack.size > 0


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Pack]:
    """A pack with an environment: a wheel of one module, which pip finds in a folder."""
    code, meta = b"ANSWER = 42\n", b"Metadata-Version: 2.1\nName: toyprog\nVersion: 1\n"
    tags = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = "toyprog-1.dist-info"
    content = {"toyprog/__init__.py": code, f"{info}/METADATA": meta, f"{info}/WHEEL": tags}
    content |= {f"{info}/LICENSE": b"terms", f"{info}/RECORD": b""}
    wheel = tmp_path / "wheels" / "toyprog-1-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as bundle:
        for name, data in content.items():
            bundle.writestr(name, data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("HARTLEY_PACKS", str(tmp_path / "packs"))

    def pinned(digest: str = "") -> Pack:
        lock = tmp_path / "toy.lock"
        digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
        lock.write_text(f"toyprog==1 --hash=sha256:{digest}\n")
        monkeypatch.setattr(environment, "files", lambda package: tmp_path)
        kept = {"__init__.py": hashlib.sha256(code).hexdigest()}
        pack = Pack(
            name="toyprog", summary="", client="pip", package="toyprog", version="1",
            licence="MIT", size=1, archive=hashlib.sha256(lock.read_bytes()).hexdigest(),
            digest=pack_store.fingerprint(kept), strip="toyprog/", keep=("*",),
            notice=f"{info}/LICENSE", lock="toy.lock",
        )  # fmt: skip
        monkeypatch.setattr(pack_store, "catalogue", lambda: (pack,))
        return pack

    return pinned


def test_a_program_comes_in_an_environment_of_its_own(program: Callable[[str], Pack]) -> None:
    pack = program("")
    home = packs.get("toyprog")
    asked = "import toyprog, importlib.util as u; print(toyprog.ANSWER, u.find_spec('hartley'))"
    ran = [str(environment.interpreter(home)), "-c", asked]
    free = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(ran, capture_output=True, text=True, check=True, env=free)
    assert done.stdout == "42 None\n" and (home / "LICENSE.txt").read_bytes() == b"terms"
    assert packs.locate("toyprog") == home and packs.verify("toyprog")
    with pytest.raises(UsageError, match="--from must be given for a pack of data"):
        packs.get("toyprog", source=home)
    (environment.program(pack, home) / "__init__.py").write_text("ANSWER = 41\n")
    assert not packs.verify("toyprog")
    environment.interpreter(home).unlink()
    with pytest.raises(DamagedPack, match="environment/bin/python must be as fetched"):
        packs.locate("toyprog")


def test_a_package_that_is_not_the_pinned_one_is_refused(
    program: Callable[[str], Pack], tmp_path: Path
) -> None:
    program("0" * 64)
    with pytest.raises(UsageError, match=r"pip could not fetch toyprog 1: .*HASHES"):
        packs.get("toyprog")
    assert [p.name for p in (tmp_path / "packs").iterdir()] == [".toyprog.lock"]


def test_every_package_of_a_lock_file_is_pinned() -> None:
    for pack in packs.catalogue():
        if pack.lock:
            text = files("hartley.data.packs").joinpath(pack.lock).read_text()
            assert hashlib.sha256(text.encode()).hexdigest() == pack.archive
            entries = [x for x in text.replace("\\\n", "").splitlines() if x[0] != "#"]
            assert all(re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", x) for x in entries)
            assert any(x.startswith(f"{pack.package}=={pack.version} ") for x in entries)


def test_r_character_vectors() -> None:
    def text(line: bytes) -> bytes:
        return struct.pack(">ii", 0x00040009, len(line)) + line

    lines = text(b"EMMA") + text(b"") + struct.pack(">ii", 9, -1) + text("é".encode())
    head = b"X\n" + struct.pack(">iii", 3, 0, 0) + struct.pack(">i", 5) + b"UTF-8"
    raw = head + struct.pack(">ii", 16, 4) + lines
    assert convert.strings(raw) == ["EMMA", "", "", "é"]
    with pytest.raises(UsageError):
        convert.strings(head + struct.pack(">ii", 13, 4) + lines)
