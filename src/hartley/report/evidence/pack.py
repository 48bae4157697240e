"""Write a pack: a folder with the evidence of a run in four formats, and the run's own documents.

::

    DIR/evidence.html        the page
        evidence.md          the same sentences as Markdown
        evidence.oscal.json  assessment results (OSCAL)
        evidence.cdx.json    ML-BOM (CycloneDX)
        run.json             the run document, as the journal vouches for it
        journal.jsonl        the journal of the run
        plan.toml            its plan
        verdict.json         the verdict that was saved, if any
        manifest.json        SHA-256 of every other file, the run, its digest, the journal's chain

The same run gives the same bytes: nothing in a pack is of the time at which it was written.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hartley.core.errors import RunError, UsageError
from hartley.report.evidence import cyclonedx, html, markdown, oscal
from hartley.report.evidence.collect import collect
from hartley.report.evidence.lint import faults
from hartley.report.evidence.statements import Source
from hartley.store import Reading, as_bytes, saved_verdict
from hartley.store.disk import as_store_error
from hartley.store.verify import digest_of

SCHEMA = "hartley.evidence/1"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
DRAWN = {
    "evidence.html": html.render,
    "evidence.md": markdown.render,
    "evidence.oscal.json": oscal.render,
    "evidence.cdx.json": cyclonedx.render,
}
COPIED = ("run.json", "journal.jsonl", "plan.toml", "verdict.json")


def files_of(folder: Path, reading: Reading, names: Sequence[str]) -> dict[str, bytes]:
    """Return the files of a pack, by name.

    Args:
        folder: of the run.
        reading: the run, verified.
        names: of the documents, keys of ``hartley.reference.clauses.clause_sets``.

    Raises:
        RunError: nothing vouches for the run, a saved verdict is damaged, or a sentence of the pack
            has no source, which is a mistake of Hartley's.
        UnknownName: there is no such document.
    """
    if reading.doubt or reading.journal is None:
        raise RunError(f"an unverified run gives no evidence: {reading.doubt}")
    verdict = saved_verdict(folder, reading.journal)
    if verdict is not None and "judged" not in verdict:
        raise RunError(f"a damaged run gives no evidence: {'; '.join(verdict['reasons'])}")
    source = Source(
        reading.document,
        reading.document["verdict"] if verdict is None else verdict,
        reading.digest,
        reading.journal.last,
    )
    evidence = collect(source, names)
    drawn = {name: as_bytes(render(evidence)) for name, render in DRAWN.items()}
    if wrong := faults(evidence, drawn):
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise RunError(f"nothing was written, please report it: {wrong[0]}{more}")
    copied = {name: (folder / name).read_bytes() for name in COPIED if (folder / name).exists()}
    if verdict is None:
        copied.pop("verdict.json", None)  # of another document than this one
    if digest_of(copied["run.json"]) != reading.digest:
        raise RunError(f"the run in {folder} changed while the pack was written; try again")
    out = drawn | copied
    out[MANIFEST] = _manifest(source, list(dict.fromkeys(names)), out)
    return out


def _manifest(source: Source, names: list[str], files: Mapping[str, bytes]) -> bytes:
    facts = {
        "schema": SCHEMA,
        "run": source.document["id"],
        "run_sha256": source.run_sha256,
        "chain": source.chain,
        "version": source.document["version"],
        "for": names,
        "files": {name: digest_of(files[name]) for name in sorted(files)},
    }
    return as_bytes(json.dumps(facts, indent=1, ensure_ascii=False)) + b"\n"


def write_pack(out: Path, files: Mapping[str, bytes]) -> None:
    """Write a pack into a folder that is new, empty, or a pack of the same run.

    It is written beside the folder and then renamed: a process that is killed leaves no half pack.

    Raises:
        UsageError: the folder is something else, or has files that are not the pack's.
        StoreError: it cannot be written.
    """
    run = json.loads(files[MANIFEST])["run"]
    _check_place(out, run)
    with as_store_error(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
        try:
            beside.chmod(0o755)
            for name, content in files.items():
                with (beside / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            _replace(out, beside)
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(beside)


def _replace(out: Path, beside: Path) -> None:
    """Put a folder in the place of another, which is there until the new one is."""
    old = beside.with_suffix(".old")
    if out.is_dir():
        out.rename(old)
    try:
        beside.rename(out)
    except OSError:
        if old.is_dir():
            old.rename(out)
        raise
    if old.is_dir():
        shutil.rmtree(old)


def _check_place(out: Path, run: str) -> None:
    """Refuse to write over what is not a pack of this run.

    Raises:
        UsageError: it is not.
    """
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not out.is_dir():
        raise UsageError(f"--out must be a folder, got {out}")
    names = {path.name for path in out.iterdir()}
    if not names:
        return
    manifest: Any = None
    with contextlib.suppress(OSError, ValueError, RecursionError):
        manifest = json.loads((out / MANIFEST).read_bytes())
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise UsageError(f"--out must be a new folder or a pack, got {out}, which is neither")
    if manifest.get("run") != run:
        raise UsageError(f"{out} is a pack of the run {manifest.get('run')}; choose another --out")
    listed = manifest.get("files")
    others = names - set(listed if isinstance(listed, dict) else ()) - {MANIFEST, SIGNATURE}
    if others:
        raise UsageError(
            f"{out} has files that are not the pack's, such as {min(others)}; choose another --out"
        )
