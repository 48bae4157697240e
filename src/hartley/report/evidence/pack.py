"""Write a pack: a folder with the evidence of a run in four formats, and the run's own documents.

::

    DIR/evidence.html        the page
        evidence.md          the same sentences as Markdown
        evidence.oscal.json  assessment results (OSCAL)
        evidence.cdx.json    ML-BOM (CycloneDX)
        plan.toml            the plan of the run
        run.json             the run document, as the journal vouches for it
        journal.jsonl        the journal of the run
        verdict.json         the verdict that was saved, if any
        signature.json       the signature of the run, if any
        manifest.json        SHA-256 of every other file, the run and its digest
        manifest.sig         its signature, and public_key.pem, where a key is given
        verify_pack.py       what checks all that, without Hartley

The same run gives the same bytes: nothing in a pack is of the time at which it was written.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hartley.core.errors import RunError, UsageError
from hartley.reference.clauses import clause_sets
from hartley.report.evidence import cyclonedx, html, markdown, oscal
from hartley.report.evidence.collect import collect
from hartley.report.evidence.lint import faults
from hartley.report.evidence.statements import Source
from hartley.store import Reading, as_bytes, saved_verdict
from hartley.store.pack_manifest import MANIFEST, SCHEMA, SEAL, seal_pack
from hartley.store.signing import FILE as SIGNATURE
from hartley.store.signing import SigningKey, later_verdict, signer_of, unsigned_reason
from hartley.store.verify import is_intact

DRAWN = {
    "evidence.html": html.render,
    "evidence.md": markdown.render,
    "evidence.oscal.json": oscal.render,
    "evidence.cdx.json": cyclonedx.render,
}


def draw(folder: Path, reading: Reading, names: Sequence[str]) -> dict[str, bytes]:
    """Return the files of a pack that are drawn from a run, by name.

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
    signer = signer_of(folder)
    if (folder / SIGNATURE).exists() and (wrong := unsigned_reason(folder, reading, signer)):
        raise RunError(f"a run whose signature is wrong gives no evidence: {wrong}")
    source = Source(
        reading.document,
        reading.document["verdict"] if verdict is None else verdict,
        reading.digest,
        reading.journal.last,
        signer,
        verdict is not None and bool(signer) and later_verdict(folder, reading),
    )
    evidence = collect(source, names)
    drawn = {name: as_bytes(render(evidence)) for name, render in DRAWN.items()}
    if unsourced := faults(evidence, drawn):
        more = f" and {len(unsourced) - 1} more" if len(unsourced) > 1 else ""
        raise RunError(f"nothing was written, please report it: {unsourced[0]}{more}")
    return drawn


def write_pack(
    out: Path,
    folder: Path,
    reading: Reading,
    drawn: Mapping[str, bytes],
    names: Sequence[str],
    *,
    key: SigningKey | None = None,
) -> list[str]:
    """Write a pack into a folder that is new, empty, or a pack of the same run.

    It is written beside the folder and then renamed: a process that is killed leaves no half pack.

    Args:
        out: the folder to write.
        folder: of the run.
        reading: the run, verified.
        drawn: the files of ``draw``.
        names: of the documents.
        key: that signs the manifest, if any.

    Returns:
        The names of its files.

    Raises:
        UsageError: the folder is something else, has files that are not the pack's, or cannot be
            written.
        RunError: the run changed since it was read.
    """
    _check_place(out, str(reading.document["id"]), signed=key is not None)
    sets = clause_sets()
    facts = {"for": {name: sets[name].edition for name in dict.fromkeys(names)}}
    with _as_usage_error(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
        try:
            beside.chmod(0o755)
            for name, content in drawn.items():
                (beside / name).write_bytes(content)
            shutil.copyfile(folder / "plan.toml", beside / "plan.toml")
            seal_pack(beside, folder, facts=facts, key=key)
            if not is_intact(beside / "run.json", reading.digest):
                raise RunError(f"the run in {folder} changed while the pack was written; try again")
            files = sorted(path.name for path in beside.iterdir())
            for path in beside.iterdir():
                _sync(path)
            _replace(out, beside)
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(beside)
    return files


@contextlib.contextmanager
def _as_usage_error(out: Path) -> Iterator[None]:
    """Turn an operating system's error into one line that says what to do."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot write {out}: {reason}; choose another --out") from error


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


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


def _check_place(out: Path, run: str, signed: bool) -> None:
    """Refuse to write over what is not a pack of this run, or over a signed one without a key.

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
    if SEAL in names and not signed:
        raise UsageError(
            f"{out} is a signed pack: sign the new one by --key, or choose another --out"
        )
    listed = manifest.get("files")
    others = names - set(listed if isinstance(listed, dict) else ()) - {MANIFEST, SEAL}
    if others:
        raise UsageError(
            f"{out} has files that are not the pack's, such as {min(others)}; choose another --out"
        )
