"""Sign a run, and check that it is the run that was signed (Ed25519, RFC 8032).

Digests find damage; anyone who can write the whole folder can compute them again. A signature
cannot be computed again without the key. What is signed is the digest of the run document and the
digest of the journal's line that ends the run: each line holds the digest of the line before, so
that no line up to there can be changed, left out or moved. Lines after it may only be verdicts.

The fingerprint of a key is the SHA-256 of its 32 public bytes. It must reach a reader by another
way than the run: a key that comes with what it signed vouches for nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core.errors import MissingExtra, StoreError, UsageError
from hartley.store.disk import as_store_error, hold, write_atomically
from hartley.store.journal import RUN, VERDICT
from hartley.store.read_document import read_run
from hartley.store.verify import Reading, read_verified

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "signature.json"
SCHEMA = "hartley.signature/1"
PASSPHRASE = "HARTLEY_KEY_PASSPHRASE"
"""Environment variable of the passphrase of a key; absent for a key without one."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key.

    Attributes:
        private: the key of the package ``cryptography``.
    """

    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return self.private.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key, in hexadecimal digits."""
        return fingerprint_of(self.public)

    @property
    def public_pem(self) -> bytes:
        """The public key as a PEM file."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a signature."""
        return self.private.sign(message)


def fingerprint_of(public: bytes) -> str:
    """Return the SHA-256 of a public key of 32 bytes, in hexadecimal digits."""
    return hashlib.sha256(public).hexdigest()


def checked_fingerprint(text: str) -> str:
    """Return a fingerprint in lower case, without spaces and colons.

    Raises:
        UsageError: it is not 64 hexadecimal digits.
    """
    digits = re.sub(r"[\s:]", "", text).lower().removeprefix("sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise UsageError(
            "a fingerprint must be 64 hexadecimal digits, as `hartley key show` prints them, "
            f"got {text!r}"
        )
    return digits


def make_key(path: Path, passphrase: str = "") -> SigningKey:
    """Write a new private key into a file that its owner alone can read.

    Args:
        path: of the file, which must not be there yet.
        passphrase: that encrypts it; empty for none.

    Raises:
        MissingExtra: the package ``cryptography`` is not installed.
        UsageError: the file is there.
        StoreError: it cannot be written.
    """
    ed25519, serialization = _cryptography()
    private = ed25519.Ed25519PrivateKey.generate()
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    content = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    if path.exists() or path.is_symlink():
        raise UsageError(f"a new key must go into a file that is not there yet, got {path}")
    with as_store_error(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    return SigningKey(private)


def read_key(path: Path, passphrase: str | None = None) -> SigningKey:
    """Return the private key in a PEM file.

    Args:
        path: of the file.
        passphrase: of the key; that of the environment variable ``HARTLEY_KEY_PASSPHRASE`` unless
            given.

    Raises:
        MissingExtra: the package ``cryptography`` is not installed.
        UsageError: the file cannot be read, others may read it, it holds no Ed25519 key, or the
            passphrase is not that of the key.
    """
    ed25519, serialization = _cryptography()
    word = os.environ.get(PASSPHRASE, "") if passphrase is None else passphrase
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"the key {path} must be readable by its owner alone: chmod 600 {path}")
    try:
        private = serialization.load_pem_private_key(content, word.encode() or None)
    except TypeError:
        fault = "has no passphrase, and one was given" if word else "needs its passphrase"
        raise UsageError(f"the key {path} {fault}: set {PASSPHRASE}, or leave it out") from None
    except ValueError:
        what = "has another passphrase, or is damaged" if b"ENCRYPTED" in content else "is none"
        raise UsageError(f"{path} must be a private key in PEM, and {what}") from None
    except Exception as error:  # an algorithm that the installed OpenSSL does not have
        raise UsageError(f"the key {path} cannot be used: {error}") from None
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise UsageError(f"{path} must be an Ed25519 key; `hartley key make FILE` makes one")
    return SigningKey(private)


def sign_run(folder: Path, key: SigningKey) -> Path:
    """Sign a run and keep the signature beside it; it takes the place of an older one.

    Args:
        folder: of the run.
        key: of the signer.

    Returns:
        The file.

    Raises:
        DamagedRun: the run is not what its journal says.
        StoreError: it is unfinished, or cannot be written.
        UsageError: nothing vouches for the run.
    """
    lock = hold(folder)
    try:
        reading = read_verified(folder)
        if not reading.digest or reading.doubt:
            raise UsageError(f"a run that is signed must have its journal: {reading.doubt}")
        statement = _statement(folder, reading)
        message = _message(statement)
        content = {
            "schema": SCHEMA,
            "statement": statement,
            "public_key": key.public.hex(),
            "signature": key.sign(message).hex(),
        }
        write_atomically(folder / FILE, json.dumps(content, indent=1).encode() + b"\n")
    finally:
        lock.release()
    return folder / FILE


def unsigned_reason(folder: Path, reading: Reading, fingerprint: str) -> str:
    """Return why a run does not count as signed by a key, or an empty text.

    Args:
        folder: of the run.
        reading: the run, whose files are as its journal says.
        fingerprint: of the key, from another place than the run.

    Raises:
        MissingExtra: the package ``cryptography`` is not installed.
    """
    try:
        _check_signature(folder, reading, fingerprint)
    except _Unsigned as reason:
        return str(reason)
    return ""


class _Unsigned(Exception):
    """Why a run does not count as signed."""


def _check_signature(folder: Path, reading: Reading, fingerprint: str) -> None:
    """Check that a run is signed by a key.

    Raises:
        _Unsigned: it is not.
    """
    if not reading.digest:
        raise _Unsigned("it has no journal, so that no signature can be checked")
    try:
        content = json.loads((folder / FILE).read_bytes())
        statement = dict(content["statement"])
        public = bytes.fromhex(content["public_key"])
        signature = bytes.fromhex(content["signature"])
    except FileNotFoundError:
        raise _Unsigned("it is not signed") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise _Unsigned(f"its signature, {FILE}, is damaged") from None
    if fingerprint_of(public) != fingerprint:
        raise _Unsigned(f"it is signed by another key, {fingerprint_of(public)}")
    if not _verifies(public, signature, _message(statement)):
        raise _Unsigned("its signature is not that of the key")
    try:
        is_the_same = statement == _statement(folder, reading)
    except StoreError as error:
        raise _Unsigned(str(error)) from None
    if not is_the_same:
        raise _Unsigned("it is not the run that was signed: it was changed, or played again, since")


def signer_of(folder: Path) -> str:
    """Return the fingerprint that a run names as its signer's, unchecked; empty without one."""
    try:
        content = json.loads((folder / FILE).read_bytes())
        return fingerprint_of(bytes.fromhex(content["public_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    ed25519, _ = _cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _statement(folder: Path, reading: Reading) -> dict[str, Any]:
    """Return what is signed about a run.

    Raises:
        StoreError: lines other than verdicts follow the line that ends the run.
    """
    head, after = _end_of(folder, reading.digest)
    if not head or any(job != VERDICT for job in after):
        raise StoreError(f"the journal of {folder} must end with the run document, and verdicts")
    return {
        "schema": SCHEMA,
        "run": read_run(folder)["id"],
        "run_sha256": reading.digest,
        "journal_head": head,
    }


def _end_of(folder: Path, digest: str) -> tuple[str, list[str]]:
    """Return the digest of the last line that has the run document, and the jobs after it."""
    head = ""
    after: list[str] = []
    for line in (folder / "journal.jsonl").read_bytes().splitlines():
        record = json.loads(line)
        if record.get("job") == RUN and record.get("run_sha256") == digest:
            head, after = str(record["check"]), []
        else:
            after.append(str(record.get("job")))
    return head, after


def _message(statement: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: JSON with sorted keys and no spaces."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingExtra("cryptography", "crypto") from error
    return ed25519, serialization
