"""Seal an evidence pack: digests of all its files in one manifest, signed where a key is given.

A pack holds the run document and the journal beside the pages, so that its receiver can check,
without Hartley and without a network, that nothing was changed, left out or added
(``verify_pack.py``, which is in the pack; a careful receiver takes a copy of their own).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from hartley import __version__
from hartley.core.errors import UsageError
from hartley.store.disk import as_store_error, write_atomically
from hartley.store.journal import read_journal
from hartley.store.signing import FILE as SIGNATURE
from hartley.store.signing import SigningKey, signer_of, unsigned_reason
from hartley.store.verdict_file import FILE as VERDICT
from hartley.store.verdict_file import saved_verdict
from hartley.store.verify import Reading, digest_of, read_verified

SCHEMA = "hartley.pack/1"
MANIFEST, SEAL, KEY, VERIFIER = "manifest.json", "manifest.sig", "public_key.pem", "verify_pack.py"
COPIED = ("run.json", "journal.jsonl")
RESERVED = (*COPIED, VERDICT, SIGNATURE, MANIFEST, SEAL, KEY, VERIFIER)
"""Names of a pack that no page may have."""


def seal_pack(
    folder: Path, run: Path, *, facts: Mapping[str, Any], key: SigningKey | None = None
) -> Path:
    """Add the run, the verifier and the manifest to the pages of a pack.

    Args:
        folder: of the pack, with its pages; it has no folders.
        run: folder of the run that the pages are about.
        facts: what the manifest says besides, such as the editions of clauses.
        key: that signs the manifest; without one a pack shows damage and no forgery.

    Returns:
        The manifest.

    Raises:
        DamagedRun: the run is not what its journal says.
        UsageError: nothing vouches for the run, its verdict or its signature, or the folder holds
            what a pack cannot.
        StoreError: the folder cannot be written.
    """
    reading = read_verified(run)
    if not reading.digest or reading.doubt:
        raise UsageError(f"the run of a pack must have its journal: {reading.doubt}")
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            raise UsageError(f"a pack must hold files alone, got {path}")
        if path.name in RESERVED:
            raise UsageError(f"no page of a pack may be named {path.name}")
    with as_store_error(folder):
        for name in _vouched_names(run, reading):
            shutil.copyfile(run / name, folder / name)
        script = files("hartley.store").joinpath(VERIFIER).read_bytes()
        (folder / VERIFIER).write_bytes(script)
        if key is not None:
            (folder / KEY).write_bytes(key.public_pem)
    journal = read_journal(folder / "journal.jsonl")
    read = reading.journal
    same = read is not None and (journal.last, journal.digests) == (read.last, read.digests)
    if not same or digest_of((folder / "run.json").read_bytes()) != reading.digest:
        raise UsageError(f"the run {run} changed while its pack was made; make it again")
    manifest = {
        "schema": SCHEMA,
        "run": reading.document["id"],
        "run_sha256": reading.digest,
        "journal_lines": len(journal.digests),
        "journal_head": journal.last,
        "hartley": __version__,
        "facts": dict(facts),
        "files": {
            path.name: digest_of(path.read_bytes())
            for path in sorted(folder.iterdir())
            if path.name not in (MANIFEST, SEAL)
        },
    }
    content = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    write_atomically(folder / MANIFEST, content)
    if key is not None:
        write_atomically(folder / SEAL, key.sign(content).hex().encode() + b"\n")
    return folder / MANIFEST


def _vouched_names(run: Path, reading: Reading) -> list[str]:
    """Return the files of a run that a pack holds: those that the journal or a key vouches for.

    Anything else of these names may be a verdict on another document, or a link to a private file.

    Raises:
        UsageError: the verdict that was saved, or the signature, is damaged.
    """
    assert reading.journal is not None
    names = list(COPIED)
    if (saved := saved_verdict(run, reading.journal)) is not None:
        if "judged" not in saved:
            raise UsageError(f"the run of a pack must be intact: {saved['reasons'][0]}")
        names.append(VERDICT)
    if signer := signer_of(run):
        if wrong := unsigned_reason(run, reading, signer):
            raise UsageError(f"the run of a pack must not have a wrong signature: {wrong}")
        names.append(SIGNATURE)
    return names
