"""Sign a run, and check that it is the run that was signed (Ed25519, RFC 8032).

Digests find damage; anyone who can write the whole folder can compute them again. A signature
cannot be computed again without the key. What is signed is the digest of the run document, the
number of lines of the journal, and the digest of its last line: each line holds the digest of the
line before, so that no line up to there can be changed, left out or moved. Lines that came later
may only be verdicts, which the signature does not vouch for.

The fingerprint of a key is the SHA-256 of its 32 public bytes. It must reach a reader by another
way than the run: a key that comes with what it signed vouches for nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core.errors import MissingExtra, UsageError
from hartley.core.input_files import json_value, read_bytes
from hartley.store.disk import hold, write_atomically
from hartley.store.journal import VERDICT, Journal
from hartley.store.verify import Reading, read_verified

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "signature.json"
SCHEMA = "hartley.signature/1"
PASSPHRASE = "HARTLEY_KEY_PASSPHRASE"
"""Environment variable of the passphrase of a key; absent for a key without one."""
LARGEST = 2**16
"""Bytes of a file of a key or a signature: those that are written have some hundred."""
LONGEST_PASSPHRASE = 1000
"""Bytes of a passphrase; OpenSSL takes 1023."""


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
        UsageError: the file is there, or cannot be written, or the passphrase is too long.
    """
    ed25519, serialization = _cryptography()
    private = ed25519.Ed25519PrivateKey.generate()
    word = _as_bytes(passphrase)
    encryption = (
        serialization.BestAvailableEncryption(word) if word else serialization.NoEncryption()
    )
    content = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    try:
        # Exclusive: neither a file nor a link, even one to nowhere, is written over.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(
            f"a new key must go into a file that is not there yet, got {path}"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(_unwritten(path, error)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UsageError(_unwritten(path, error)) from None
    return SigningKey(private)


def _unwritten(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"the key {path} cannot be written: {reason}; choose another file"


def _as_bytes(passphrase: str) -> bytes:
    """Return a passphrase as it is in the environment, of any bytes.

    Raises:
        UsageError: it is too long for OpenSSL.
    """
    word = passphrase.encode("utf-8", "surrogateescape")
    if len(word) > LONGEST_PASSPHRASE:
        raise UsageError(
            f"a passphrase must have at most {LONGEST_PASSPHRASE} bytes, got {len(word)}"
        )
    return word


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
    word = _as_bytes(os.environ.get(PASSPHRASE, "") if passphrase is None else passphrase)
    content = read_bytes(path, "the key", UsageError, LARGEST)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise UsageError(f"the key {path} must be readable by its owner alone: chmod 600 {path}")
    try:
        private = serialization.load_pem_private_key(content, word or None)
    except TypeError:
        needs = f"needs its passphrase: set {PASSPHRASE}"
        fault = f"has no passphrase, and {PASSPHRASE} gives one: unset it" if word else needs
        raise UsageError(f"the key {path} {fault}") from None
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
            raise UsageError(f"a run that is signed must be what its journal says: {reading.doubt}")
        statement = _statement(reading)
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


def later_verdict(folder: Path, reading: Reading) -> bool:
    """Whether a verdict was saved after a run was signed, so that no signature vouches for it.

    Args:
        folder: of the run.
        reading: the run, which is signed (``unsigned_reason``).
    """
    assert reading.journal is not None
    try:
        return bool(_later_jobs(reading.journal, _read_signature(folder)[0]))
    except _Unsigned:
        return True


def signature_in_words(folder: Path, reading: Reading) -> str:
    """Say by what key a run is signed, for a reader who named none; empty where it is not signed.

    Args:
        folder: of the run.
        reading: the run, whose files are as its journal says.
    """
    if not os.path.lexists(folder / FILE):
        return ""
    signer = signer_of(folder)
    try:
        reason = unsigned_reason(folder, reading, signer)
    except MissingExtra as missing:
        return f"its signature was not checked: {missing}"
    if reason:
        return f"its signature does not count: {reason}"
    later = ", but for its verdict, which is later" if later_verdict(folder, reading) else ""
    return f"signed by {signer}{later}; compare that with the fingerprint that the signer gave you"


def signer_of(folder: Path) -> str:
    """Return the fingerprint that a run names as its signer's, unchecked; empty without one."""
    try:
        return fingerprint_of(_read_signature(folder)[1])
    except _Unsigned:
        return ""


class _Unsigned(Exception):
    """Why a run does not count as signed."""


def _check_signature(folder: Path, reading: Reading, fingerprint: str) -> None:
    """Check that a run is signed by a key.

    Raises:
        _Unsigned: it is not.
    """
    if reading.journal is None or not reading.digest:
        raise _Unsigned(f"nothing can be signed of it: {reading.doubt}")
    statement, public, signature = _read_signature(folder)
    if fingerprint_of(public) != fingerprint:
        raise _Unsigned(f"it is signed by another key, {fingerprint_of(public)}")
    if not _verifies(public, signature, _message(statement)):
        raise _Unsigned("its signature is not that of the key")
    run = {"schema": SCHEMA, "run": reading.document["id"], "run_sha256": reading.digest}
    if {key: statement.get(key) for key in run} != run:
        raise _Unsigned("it is not the run that was signed: it was changed, or played again, since")
    if any(job != VERDICT for job in _later_jobs(reading.journal, statement)):
        raise _Unsigned("it was played or measured again since it was signed; sign it again")


def _later_jobs(journal: Journal, statement: Mapping[str, Any]) -> list[str]:
    """Return the jobs of the lines that came after a signature.

    Raises:
        _Unsigned: the lines before are not those that were signed.
    """
    count = statement.get("journal_lines")
    if not isinstance(count, int) or not 0 < count <= len(journal.digests):
        raise _Unsigned("its journal was cut or changed since it was signed")
    if journal.digests[count - 1] != statement.get("journal_head"):
        raise _Unsigned("its journal was cut or changed since it was signed")
    return [str(line.get("job")) for line in journal.lines[count:]]


def _read_signature(folder: Path) -> tuple[dict[str, Any], bytes, bytes]:
    """Return what was signed, the public key, and the signature, all unchecked.

    Raises:
        _Unsigned: there is no signature that can be read.
    """
    if not os.path.lexists(folder / FILE):
        raise _Unsigned("it is not signed")
    try:
        content = json_value(read_bytes(folder / FILE, "the signature", UsageError, LARGEST))
        public, signature = (bytes.fromhex(content[key]) for key in ("public_key", "signature"))
        return dict(content["statement"]), public, signature
    except (UsageError, ValueError, KeyError, TypeError):
        raise _Unsigned(f"its signature, {FILE}, is damaged") from None


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    ed25519, _ = _cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _statement(reading: Reading) -> dict[str, Any]:
    """Return what is signed about a run."""
    assert reading.journal is not None
    return {
        "schema": SCHEMA,
        "run": reading.document["id"],
        "run_sha256": reading.digest,
        "journal_lines": len(reading.journal.digests),
        "journal_head": reading.journal.last,
    }


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
