"""Check an evidence pack offline.

``python verify_pack.py PACK --fingerprint HEX`` needs Python and the package cryptography. The
fingerprint must come from the signer by another way. Exit code: 0 intact, 1 not, 2 usage.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import stat
import sys
from pathlib import Path

MANIFEST, SEAL, KEY = "manifest.json", "manifest.sig", "public_key.pem"
TAIL = len(', "check": "') + 64 + len('"}')


class Refused(Exception):
    """The pack is not what was signed."""


def read_files(pack: Path) -> dict[str, bytes]:
    """Return the content of every file; links and folders are refused."""
    content = {}
    for path in sorted(pack.iterdir()):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise Refused(f"{path.name} is not a plain file")
        content[path.name] = path.read_bytes()
    return content


def check_signature(files: dict[str, bytes], fingerprint: str) -> None:
    """Refuse a manifest that the key with this fingerprint did not sign."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    for name in (MANIFEST, SEAL, KEY):
        if name not in files:
            raise Refused(f"{name} is missing: the pack is not signed")
    try:
        public = load_pem_public_key(files[KEY])
        assert isinstance(public, Ed25519PublicKey)
        signer = hashlib.sha256(public.public_bytes_raw()).hexdigest()
        if signer != fingerprint:
            raise Refused(f"signed by another key, {signer}")
        public.verify(bytes.fromhex(files[SEAL].decode().strip()), files[MANIFEST])
    except (InvalidSignature, ValueError, AssertionError):
        raise Refused("the signature is not that of the manifest") from None


def check_files(files: dict[str, bytes], digests: dict[str, str]) -> None:
    """Refuse a pack whose files are not exactly those of the manifest."""
    present = set(files) - {MANIFEST, SEAL}
    if odd := sorted(present ^ set(digests)):
        raise Refused(f"{odd[0]} is {'not in the manifest' if odd[0] in present else 'missing'}")
    for name, digest in digests.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise Refused(f"{name} was changed")


def check_journal(files: dict[str, bytes], manifest: dict[str, object]) -> None:
    """Refuse a journal whose chain of digests is broken or cut, or that is of another run."""
    before, document, lines = "", "", files["journal.jsonl"].splitlines()
    for number, line in enumerate(lines, 1):
        record = json.loads(line)
        check = hashlib.sha256(line[:-TAIL] + b"}").hexdigest()
        if record.get("check") != check or record.get("before") != before:
            raise Refused(f"journal.jsonl, line {number}: the chain is broken")
        before, document = check, record.get("run_sha256", document)
    if len(lines) != manifest["journal_lines"] or before != manifest["journal_head"]:
        raise Refused("journal.jsonl was cut")
    digest = hashlib.sha256(files["run.json"]).hexdigest()
    if not digest == document == manifest["run_sha256"]:
        raise Refused("run.json is not the document of the journal")


def main() -> int:
    """Check the pack and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--fingerprint", required=True, help="of the signer's key, 64 digits")
    given = parser.parse_args()
    try:
        files = read_files(given.pack)
        check_signature(files, given.fingerprint.replace(":", "").lower())
        manifest = json.loads(files[MANIFEST])
        check_files(files, manifest["files"])
        check_journal(files, manifest)
    except (Refused, OSError, ValueError, KeyError) as error:
        sys.stdout.write(f"REFUSED {given.pack}: {error}\n")
        return 1
    sys.stdout.write(f"INTACT {given.pack}: run {manifest['run']}, by {given.fingerprint}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
