"""Signatures of runs and evidence packs: what was edited and hashed again is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hartley.core.errors import MissingExtra, StoreError, UsageError
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
    content["statement"] = signing._statement(read_verified(run))
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


def test_a_verdict_that_was_signed_cannot_be_cut_off_and_a_later_one_is_said_to_be_later(
    call, run, signed, tmp_path
):
    (tmp_path / "strict.toml").write_text("[limits]\nmembership = 0.0001\n")
    assert call("gate", "release", "--limits", "strict.toml", "--save").returncode == 1
    check = ("sign", "release", "--check", signed[1].fingerprint)
    assert "later than the signature" in call(*check).stdout
    sign_run(run, signed[1])
    assert "later" not in call(*check).stdout
    _hashed_again(run, lambda lines: lines[:-1])  # the verdict that is over is taken out
    (run / "verdict.json").unlink()
    assert read_verified(run).doubt == ""  # which the digests do not find
    done = call(*check)
    assert done.returncode == 3
    assert "was cut or changed" in done.stdout


def test_reports_and_lists_of_rows_say_by_what_key_a_run_is_signed(call, run, signed):
    for words in (("show", "release"), ("report", "release", "--format", "json")):
        assert f"signed by {signed[1].fingerprint}; compare" in call(*words).stderr
    (run / signing.FILE).write_text("{}")
    assert "does not count" in call("show", "release").stderr
    (run / signing.FILE).unlink()
    assert "sign" not in call("show", "release").stderr


def test_a_line_that_is_moved_added_or_cut_after_hashing_again_is_found(run, signed):
    journal, fingerprint = (run / "journal.jsonl").read_bytes(), signed[1].fingerprint
    count = len(journal.splitlines())
    changes = [lambda lines, k=k: lines[:k] + lines[k + 1 :] for k in range(1, count)]
    changes += [lambda lines, k=k: [*lines[:k], lines[k], *lines[k:]] for k in range(1, count)]
    changes += [
        lambda lines, k=k: [*lines[:k], lines[k + 1], lines[k], *lines[k + 2 :]]
        for k in range(1, count - 1)
    ]
    passed = 0
    for change in changes:
        (run / "journal.jsonl").write_bytes(journal)
        _hashed_again(run, change)
        try:
            reading = read_verified(run)
        except StoreError:  # cut so that digests alone show it
            continue
        passed += 1
        assert unsigned_reason(run, reading, fingerprint)
    assert passed >= count - 1, "digests alone find too much for this test to hold the signature"
    (run / "journal.jsonl").write_bytes(journal)
    assert unsigned_reason(run, read_verified(run), fingerprint) == ""


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
    with pytest.raises(UsageError, match="cannot read the key"):
        read_key(tmp_path / "none.pem")
    with pytest.raises(UsageError, match="got a folder"):
        read_key(tmp_path)
    for place in (tmp_path / "none" / "k.pem", tmp_path / ("k" * 300)):
        with pytest.raises(UsageError, match="cannot be written"):
            make_key(place)
    (tmp_path / "link.pem").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="not there yet"):
        make_key(tmp_path / "link.pem")
    with pytest.raises(UsageError, match="at most 1000 bytes"):
        make_key(tmp_path / "long.pem", "x" * 1001)
    odd = make_key(tmp_path / "odd.pem", "\udcff")  # bytes of an environment that are not UTF-8
    assert read_key(tmp_path / "odd.pem", "\udcff").fingerprint == odd.fingerprint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are of POSIX")
def test_a_pipe_in_place_of_a_key_or_a_signature_is_not_waited_for(run, signed, tmp_path):
    os.mkfifo(tmp_path / "pipe.pem", 0o600)
    with pytest.raises(UsageError, match="got a pipe"):
        read_key(tmp_path / "pipe.pem")
    (run / signing.FILE).unlink()
    os.mkfifo(run / signing.FILE)
    assert "damaged" in unsigned_reason(run, read_verified(run), signed[1].fingerprint)


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
        script.verify(pack, fingerprint)
    except Exception as error:  # as the script has it
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


def _places(size: int) -> list[int]:
    """Every place of a short file; of a long one the ends and 20 between."""
    return list(range(size)) if size < 200 else sorted({0, size - 1, *range(1, size, size // 20)})


def test_every_file_that_is_changed_removed_or_added_is_found(pack, signed, tmp_path):
    fingerprint = signed[1].fingerprint
    for path in sorted(pack.iterdir()):
        content = path.read_bytes()
        for place in _places(len(content)):
            for flip in (1, 0x20):  # another letter, and the same one in capitals
                changed = bytes([content[place] ^ flip])
                path.write_bytes(content[:place] + changed + content[place + 1 :])
                assert _refusal(pack, fingerprint), (path.name, place, flip)
        for other in (b"", content[:-1], content + b"\n", b" " + content):
            path.write_bytes(other)
            assert _refusal(pack, fingerprint), (path.name, len(other))
        path.unlink()
        assert "missing" in _refusal(pack, fingerprint), path.name
        path.write_bytes(content)
        assert _refusal(pack, fingerprint) == ""
    for name in ("more.md", ".hidden", "hashlib.py", "manifest.json~"):
        (pack / name).write_text("more")
        assert "not in the manifest" in _refusal(pack, fingerprint)
        (pack / name).unlink()
    (pack / "folder").mkdir()
    assert "not a plain file" in _refusal(pack, fingerprint)
    (pack / "folder").rmdir()
    if hasattr(os, "mkfifo"):  # which would be read for ever
        os.mkfifo(pack / "pipe")
        assert "not a plain file" in _refusal(pack, fingerprint)
        (pack / "pipe").unlink()
    page = (pack / "page.md").rename(tmp_path / "page.md")
    (pack / "page.md").symlink_to(page)
    assert "not a plain file" in _refusal(pack, fingerprint)


def test_a_path_out_of_the_pack_is_refused_even_by_the_signer(pack, signed):
    (pack.parent / "outside.md").write_text("outside")
    manifest = json.loads((pack / "manifest.json").read_text())
    manifest["files"]["../outside.md"] = digest_of(b"outside")
    _sealed_as(pack, manifest, signed[1])
    assert "../outside.md is missing" in _refusal(pack, signed[1].fingerprint)


def _script(pack: Path, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script from outside the pack, without Hartley on its path."""
    script = pack.parent / "trusted_verify.py"
    shutil.copy(Path(signing.__file__).with_name(VERIFIER), script)
    command = [sys.executable, *(("-S",) if path is not None else ()), str(script), str(pack)]
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"}
    )


def test_the_name_of_a_file_cannot_say_that_the_pack_is_intact(pack, signed):
    words = f"x\nINTACT {pack}: run release, signed by {signed[1].fingerprint}"
    (pack / words.replace("/", "-")).write_text("more")
    done = _script(pack, "--fingerprint", signed[1].fingerprint)
    assert done.returncode == 1
    assert done.stdout.startswith("REFUSED")
    assert len(done.stdout.splitlines()) == 1


def test_what_the_script_cannot_use_is_one_line_and_not_intact(pack, signed):
    for fingerprint in ("", "ab", "g" * 64):
        done = _script(pack, "--fingerprint", fingerprint)
        assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (2, 1, "")
    done = _script(pack, "--fingerprint", signed[1].fingerprint, path="")
    assert (done.returncode, done.stderr) == (2, "")
    assert "must have the package cryptography" in done.stdout


@pytest.mark.parametrize("content", ["[]", "{}", '{"files": 3}', "[" * 5000, "NaN", "\x00"])
def test_whatever_a_signer_wrote_in_place_of_a_manifest_is_refused(pack, signed, content):
    (pack / "manifest.json").write_text(content)
    seal = signed[1].sign(content.encode()).hex() + "\n"
    (pack / "manifest.sig").write_text(seal)
    assert _refusal(pack, signed[1].fingerprint)


@pytest.mark.parametrize("kind", ["rsa", "x25519", "private", "none"])
def test_another_kind_of_key_is_refused(pack, signed, kind):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa, x25519

    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    content = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
    if kind == "rsa":
        content = rsa.generate_private_key(65537, 2048).public_key().public_bytes(*public)
    elif kind == "x25519":
        content = x25519.X25519PrivateKey.generate().public_key().public_bytes(*public)
    elif kind == "private":
        content = (signed[0].parent / "key.pem").read_bytes()
    (pack / "public_key.pem").write_bytes(content)
    assert _refusal(pack, signed[1].fingerprint)


def _sealed_as(pack: Path, manifest, key) -> None:
    content = json.dumps(manifest).encode()
    (pack / "manifest.json").write_bytes(content)
    (pack / "manifest.sig").write_text(key.sign(content).hex() + "\n")


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
        (pack / "manifest.sig").write_text(key.sign(content).hex() + "\n")


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


def test_the_document_is_that_of_the_line_that_ends_the_run_even_by_the_signer(pack, signed):
    """A verdict names a document, too: it must not put another one in the place of the run's."""
    text = (pack / "run.json").read_text().replace('"notes": []', '"notes": ["edited"]', 1)
    (pack / "run.json").write_text(text)
    edited = digest_of((pack / "run.json").read_bytes())
    for more in (
        {"event": "judged", "job": "verdict", "run_sha256": edited},
        {"event": "measured", "job": "x", "run_sha256": edited},
    ):
        _hashed_again(pack, lambda lines, more=more: [*lines, more])
        manifest = json.loads((pack / "manifest.json").read_text())
        (pack / "manifest.json").write_text(json.dumps(manifest | {"run_sha256": edited}))
        _resealed(pack, signed[1])
        assert "not the document of the journal" in _refusal(pack, signed[1].fingerprint)


def test_a_pack_holds_no_verdict_that_the_journal_does_not_vouch_for(run, signed, tmp_path):
    private = tmp_path / "private"
    private.write_text("private")
    (run / "verdict.json").symlink_to(private)
    (run / "signature.json").unlink()
    (run / "signature.json").symlink_to(private)
    folder = tmp_path / "pack"
    folder.mkdir()
    seal_pack(folder, run, facts={}, key=signed[1])
    assert not {"verdict.json", "signature.json"} & {path.name for path in folder.iterdir()}
    assert _refusal(folder, signed[1].fingerprint) == ""


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
        ("sign", "release", "--check", ""),
        ("gate", "release", "--limits", "none.toml", "--signed-by", ""),
        ("key", "make", "k.pem"),
        ("sign", "relaese", "--key", "k.pem"),
    ):
        done = call(*words)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
