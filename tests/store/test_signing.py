"""Signatures of runs and evidence packs: what was edited and hashed again is found."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hartley.core.errors import MissingExtra, UsageError
from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse
from hartley.store import read_verified, signing
from hartley.store.journal import line_of
from hartley.store.pack_manifest import VERIFIER, seal_pack
from hartley.store.signing import make_key, read_key, sign_run, unsigned_reason
from hartley.store.verify import digest_of

pytest.importorskip("cryptography")

PLAN = """scene = "live:membership"
only = ["loss_threshold"]
[executor]
workers = 0
"""


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A store with one signed run, and its key."""
    folder = tmp_path_factory.mktemp("signed")
    assess(parse(PLAN, source="plan.toml"), store=folder / "runs", run="release")
    key = make_key(folder / "key.pem")
    sign_run(folder / "runs" / "release", key)
    return folder / "runs", key


@pytest.fixture
def run(signed, tmp_path):
    return Path(shutil.copytree(signed[0], tmp_path / "runs")) / "release"


def _hashed_again(run: Path, change) -> None:
    """Change the lines of a journal, and compute every digest of it anew."""
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_bytes().splitlines()]
    content, before = b"", ""
    for record in change(lines):
        bare = {k: v for k, v in record.items() if k not in ("check", "before")}
        line, before = line_of(bare, before)
        content += line
    (run / "journal.jsonl").write_bytes(content)


def _with_document(run: Path, old: str, new: str):
    text = (run / "run.json").read_text()
    assert old in text
    (run / "run.json").write_text(text.replace(old, new, 1))
    digest = digest_of((run / "run.json").read_bytes())
    _hashed_again(
        run,
        lambda lines: [r | ({"run_sha256": digest} if "run_sha256" in r else {}) for r in lines],
    )


def test_a_signed_run_is_signed_by_its_key_alone(run, signed, tmp_path):
    reading = read_verified(run)
    assert unsigned_reason(run, reading, signed[1].fingerprint) == ""
    other = make_key(tmp_path / "other.pem")
    assert "signed by another key" in unsigned_reason(run, reading, other.fingerprint)
    (run / signing.FILE).unlink()
    assert unsigned_reason(run, reading, signed[1].fingerprint) == "it is not signed"


def test_an_edit_that_was_hashed_again_passes_the_digests_and_not_the_signature(run, signed):
    _with_document(run, '"finished"', '"finished"')
    assert unsigned_reason(run, read_verified(run), signed[1].fingerprint) == ""
    _with_document(run, '"notes": []', '"notes": ["edited"]')
    assert "not the run that was signed" in unsigned_reason(
        run, read_verified(run), signed[1].fingerprint
    )


def test_a_forged_statement_needs_the_key(run, signed):
    _with_document(run, '"notes": []', '"notes": ["edited"]')
    path = run / signing.FILE
    content = json.loads(path.read_text())
    content["statement"] = signing._statement(run, read_verified(run))
    path.write_text(json.dumps(content))
    assert "not that of the key" in unsigned_reason(run, read_verified(run), signed[1].fingerprint)


def test_a_verdict_after_the_signature_is_no_edit_and_a_line_before_it_is(call, run, signed):
    (run.parent.parent / "limits.toml").write_text("[limits]\nmembership = 1\n")
    words = ("gate", "release", "--limits", "limits.toml")
    code = call(*words, "--save").returncode
    done = call(*words, "--signed-by", signed[1].fingerprint)
    assert done.returncode == code
    assert f"signed by {signed[1].fingerprint}" in done.stdout
    _hashed_again(run, lambda lines: [lines[0] | {"added": 1}, *lines[1:]])
    assert call(*words, "--signed-by", signed[1].fingerprint).returncode == 3


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"statement": 1}', "\xff", '{"a":' * 2000])
def test_a_damaged_signature_is_none(run, signed, damage):
    (run / signing.FILE).write_bytes(damage.encode("latin-1"))
    assert "damaged" in unsigned_reason(run, read_verified(run), signed[1].fingerprint)


def test_the_gate_fails_closed_and_names_the_key(call, run, signed, tmp_path):
    done = call("gate", "release", "--against", "release", "--signed-by", "ab")
    assert done.returncode == 2
    (tmp_path / "l.toml").write_text("[limits]\nmembership = 1\n")
    done = call("gate", "release", "--limits", "l.toml", "--signed-by", "0" * 64, "--json")
    assert done.returncode == 3
    assert "signed by another key" in json.loads(done.stdout)["reasons"][0]


def test_keys_are_written_once_readable_by_their_owner_and_may_have_a_passphrase(tmp_path):
    path = tmp_path / "key.pem"
    key = make_key(path, "a passphrase")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path, "a passphrase").fingerprint == key.fingerprint
    for word, message in (("another", "another passphrase"), ("", "needs its passphrase")):
        with pytest.raises(UsageError, match=message):
            read_key(path, word)
    with pytest.raises(UsageError, match="not there yet"):
        make_key(path)
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        read_key(path, "a passphrase")
    bad = tmp_path / "bad.pem"
    bad.write_text("no key")
    bad.chmod(0o600)
    with pytest.raises(UsageError, match="a private key in PEM"):
        read_key(bad)
    with pytest.raises(UsageError, match="cannot be read"):
        read_key(tmp_path / "none.pem")


def test_without_the_package_one_line_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(MissingExtra, match=r"hartley\[crypto\]"):
        make_key(tmp_path / "key.pem")


# Packs ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sealed(signed, tmp_path_factory):
    pack = tmp_path_factory.mktemp("packs") / "pack"
    pack.mkdir()
    (pack / "page.md").write_text("# A page\n")
    seal_pack(pack, signed[0] / "release", facts={"for": ["nist"]}, key=signed[1])
    return pack


@pytest.fixture
def pack(sealed, tmp_path):
    return Path(shutil.copytree(sealed, tmp_path / "pack"))


def _refusal(pack: Path, fingerprint: str) -> str:
    """What the verifier says of a pack, in this process; empty where it is intact."""
    from hartley.store import verify_pack as script

    try:
        files = script.read_files(pack)
        script.check_signature(files, fingerprint)
        manifest = json.loads(files[script.MANIFEST])
        script.check_files(files, manifest["files"])
        script.check_journal(files, manifest)
    except (script.Refused, OSError, ValueError, KeyError) as error:
        return str(error) or "refused"
    return ""


def test_the_script_of_a_pack_verifies_it_without_hartley(pack, signed, tmp_path):
    shutil.copy(pack / VERIFIER, tmp_path / "mine.py")
    for fingerprint, code, word in ((signed[1].fingerprint, 0, "INTACT"), ("0" * 64, 1, "REFUSED")):
        command = [sys.executable, "-P", str(tmp_path / "mine.py"), str(pack)]
        done = subprocess.run(
            [*command, "--fingerprint", fingerprint], capture_output=True, text=True, check=False,
            env={"PATH": "/usr/bin"},
        )  # fmt: skip
        assert (done.returncode, done.stdout.split()[0]) == (code, word)
        assert len(done.stdout.splitlines()) == 1
    text = (pack / VERIFIER).read_text()
    assert "import hartley" not in text and "from hartley" not in text
    assert len(text.splitlines()) <= 100


def test_every_file_that_is_changed_removed_or_added_is_found(pack, signed, tmp_path):
    for path in sorted(pack.iterdir()):
        content = path.read_bytes()
        for place in {0, len(content) // 2, len(content) - 2}:
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            assert _refusal(pack, signed[1].fingerprint), (path.name, place)
        path.unlink()
        assert _refusal(pack, signed[1].fingerprint), path.name
        path.write_bytes(content)
        assert _refusal(pack, signed[1].fingerprint) == ""
    (pack / "more.md").write_text("more")
    assert "not in the manifest" in _refusal(pack, signed[1].fingerprint)
    (pack / "more.md").unlink()
    (pack / "folder").mkdir()
    assert "not a plain file" in _refusal(pack, signed[1].fingerprint)
    (pack / "folder").rmdir()
    page = (pack / "page.md").rename(tmp_path / "page.md")
    (pack / "page.md").symlink_to(page)
    assert "not a plain file" in _refusal(pack, signed[1].fingerprint)


def _resealed(pack: Path, key=None) -> None:
    """Compute every digest of a manifest anew, as a forger would; sign with their own key."""
    manifest = json.loads((pack / "manifest.json").read_text())
    journal = (pack / "journal.jsonl").read_bytes()
    manifest["journal_lines"] = journal.count(b"\n")
    manifest["journal_head"] = json.loads(journal.splitlines()[-1])["check"]
    if key is not None:
        (pack / "public_key.pem").write_bytes(key.public_pem)
    manifest["files"] = {name: digest_of((pack / name).read_bytes()) for name in manifest["files"]}
    content = json.dumps(manifest).encode()
    (pack / "manifest.json").write_bytes(content)
    if key is not None:
        (pack / "manifest.sig").write_text(key.sign(content).hex())


def test_an_edit_that_was_hashed_or_signed_again_is_refused(pack, signed, tmp_path):
    (pack / "page.md").write_text("# Another page\n")
    _resealed(pack)
    assert "not that of the manifest" in _refusal(pack, signed[1].fingerprint)
    _resealed(pack, make_key(tmp_path / "forger.pem"))
    assert "signed by another key" in _refusal(pack, signed[1].fingerprint)


def test_a_chain_that_is_cut_at_any_line_is_refused_even_by_the_signer(pack, signed):
    journal = (pack / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for cut in range(1, len(journal)):
        for rest in (journal[:cut], journal[cut:], journal[: cut - 1] + journal[cut:]):
            (pack / "journal.jsonl").write_bytes(b"".join(rest))
            assert _refusal(pack, signed[1].fingerprint)
            _resealed(pack, signed[1])
            assert _refusal(pack, signed[1].fingerprint), cut


def test_a_page_may_not_take_the_place_of_what_vouches_for_it(signed, tmp_path):
    for name in ("manifest.json", "run.json", "verify_pack.py"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("x")
        with pytest.raises(UsageError, match="may be named"):
            seal_pack(folder, signed[0] / "release", facts={})


def test_keys_and_signatures_from_the_command_line(call, run, tmp_path):
    done = call("key", "make", "k.pem")
    fingerprint = done.stdout.split()[-1]
    assert call("key", "show", "k.pem").stdout.split()[-1] == fingerprint
    assert call("sign", "release", "--key", "k.pem").returncode == 0
    assert call("sign", "release", "--check", fingerprint).returncode == 0
    assert call("sign", "release", "--check", "1" * 64).returncode == 3
    for words in (
        ("sign", "release"),
        ("key", "make", "k.pem"),
        ("sign", "relaese", "--key", "k.pem"),
    ):
        done = call(*words)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
