"""``hartley evidence``: what a stored run says about the clauses of a standard or a law."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley.cli.several import names
from hartley.cli.store_option import Store
from hartley.cli.terminal import note, say
from hartley.core.errors import DamagedRun, RunError, UsageError

app = App(name="evidence")


@app.default
def evidence(
    run: str,
    /,
    *,
    for_: Annotated[
        list[str],
        Parameter(name="--for", consume_multiple=False, negative="", converter=names),
    ],
    out: Path | None = None,
    key: Path | None = None,
    store: Store = Path("runs"),
) -> int:
    """Write what a stored run says about a standard or a law: a page, Markdown, OSCAL, CycloneDX.

    Each sentence carries the id of the row or fact that it rests on, and a clause without a
    measurement says so. No clause is said to be fulfilled: evidence by attacks is a lower bound. A
    run that is damaged, or that no journal vouches for, gives none and exits with 3. Nothing uses
    the network.

    Parameters
    ----------
    run
        A run's name in the store, its folder, its run.json, or latest.
    for_
        edpb (Opinion 28/2024), aisvs (OWASP AISVS 1.0), ai-act-15 (Article 15(5)), ai-act-50
        (Article 50(2)), nist (AI 100-2 E2025 and AI RMF) or mcp (OWASP MCP Top 10); several by
        repeating it, or with commas between them.
    out
        The folder to write; by default the folder evidence in that of the run.
    key
        Sign the pack with this key (hartley key make); HARTLEY_KEY_PASSPHRASE has its passphrase.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    """
    from hartley.cli.find_run import path_of
    from hartley.reference.clauses import clauses
    from hartley.report.evidence.pack import draw, write_pack
    from hartley.store import read_verified
    from hartley.store.signing import read_key

    if not for_:
        raise UsageError("--for must name a document; see: hartley evidence --help")
    for name in for_:
        clauses(name)
    signing = None if key is None else read_key(key)
    path = path_of(run, store)
    folder = path if path.is_dir() else path.parent
    out = out or folder / "evidence"
    try:
        reading = read_verified(path)
        drawn = draw(folder, reading, for_)
        files = write_pack(out, folder, reading, drawn, for_, key=signing)
    except DamagedRun as damage:
        raise RunError(f"a damaged run gives no evidence: {damage}") from damage
    say(f"{out}: {len(files)} files about {', '.join(dict.fromkeys(for_))}")
    if signing is not None:
        say(f"signed by {signing.fingerprint}")
    note(f"open {out / 'evidence.html'}")
    return 0
