"""Check an evidence pack offline: ``python verify_pack.py PACK --fingerprint HEX``.

It needs the package cryptography. The fingerprint and this script must come by another way than the
pack: a script in a pack can be changed with it. Exit code: 0 intact, 1 refused, 2 usage.
"""

import argparse
import hashlib
import json
import re
import stat
import sys
from pathlib import Path

MANIFEST, SEAL, KEY = "manifest.json", "manifest.sig", "public_key.pem"
RUN, JOURNAL = "run.json", "journal.jsonl"


def read_files(pack: Path) -> dict[str, bytes]:
    """Return the content of every file; links, folders and pipes are refused."""
    for path in pack.iterdir():
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ValueError(f"{path.name} is not a plain file")
    files = {path.name: path.read_bytes() for path in pack.iterdir()}
    if missing := {MANIFEST, SEAL, KEY, RUN, JOURNAL} - set(files):
        raise ValueError(f"{min(missing)} is missing: the pack is not signed (--key), or not whole")
    return files


def check_signature(files: dict[str, bytes], fingerprint: str) -> None:
    """Refuse a manifest that the key with this fingerprint did not sign."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public = load_pem_public_key(files[KEY])
    if not isinstance(public, Ed25519PublicKey):
        raise ValueError(f"{KEY} must be an Ed25519 key")
    if (signer := hashlib.sha256(public.public_bytes_raw()).hexdigest()) != fingerprint:
        raise ValueError(f"signed by another key, {signer}")
    if not re.fullmatch(rb"[0-9a-f]{128}\n", files[SEAL]):  # one way to write it, to the byte
        raise ValueError("the signature is damaged")
    try:
        public.verify(bytes.fromhex(files[SEAL].decode()), files[MANIFEST])
    except InvalidSignature:
        raise ValueError("the signature is not that of the manifest") from None


def check_journal(files: dict[str, bytes], lines: int, head: str, run_sha256: str) -> None:
    """Refuse a journal whose chain of digests is broken or cut, or that is of another run."""
    before, document, (*journal, rest) = "", "", files[JOURNAL].split(b"\n")
    for number, line in enumerate(journal, 1):
        record, body = json.loads(line), line[:-78] + b"}"  # 78: , "check": "64 digits"}
        check = hashlib.sha256(body).hexdigest()
        if line[-78:] != f', "check": "{check}"}}'.encode() or record["before"] != before:
            raise ValueError(f"{JOURNAL}, line {number}: the chain is broken")
        before = check
        if record.get("job") != "verdict":  # which does not change what was played
            document = record["run_sha256"] if record.get("job") == "run" else ""
    if rest or (lines, head) != (len(journal), before):
        raise ValueError(f"{JOURNAL} was cut")
    if not hashlib.sha256(files[RUN]).hexdigest() == document == run_sha256:
        raise ValueError(f"{RUN} is not the document of the journal")


def verify(pack: Path, fingerprint: str) -> str:
    """Return the run of a pack that is intact, by this signer; else raise."""
    files = read_files(pack)
    check_signature(files, fingerprint)
    seal = json.loads(files[MANIFEST])
    present = set(files) - {MANIFEST, SEAL}
    for name in sorted(present ^ set(seal["files"])):
        raise ValueError(f"{name} is {'not in the manifest' if name in present else 'missing'}")
    for name, digest in seal["files"].items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise ValueError(f"{name} was changed")
    check_journal(files, seal["journal_lines"], seal["journal_head"], seal["run_sha256"])
    if (seal["schema"], seal["run"]) != ("hartley.pack/1", json.loads(files[RUN])["id"]):
        raise ValueError(f"{MANIFEST} is of another run, or of another version")
    return f"run {seal['run']}, signed by {fingerprint}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Check an evidence pack offline.")
    parser.add_argument("pack", type=Path)
    parser.add_argument("--fingerprint", required=True, help="of the signer's key, 64 digits")
    given = parser.parse_args()
    signer = re.sub(r"[\s:]", "", given.fingerprint.lower()).removeprefix("sha256")
    code, words = 2, "usage: --fingerprint must be the 64 hexadecimal digits of the signer's key"
    if not given.pack.is_dir():
        words = f"usage: {given.pack} must be the folder of a pack"
    elif re.fullmatch("[0-9a-f]{64}", signer):
        try:
            code, words = 0, f"INTACT {given.pack}: {verify(given.pack, signer)}"
        except ImportError as error:
            words = f"usage: Python must have the package cryptography: {error}"
        except Exception as error:  # whatever a forger wrote is refused
            code, words = 1, f"REFUSED {given.pack}: {str(error) or type(error).__name__}"
    sys.stdout.write(words.encode("unicode_escape").decode() + "\n")  # names may hold newlines
    sys.exit(code)
