"""``hartley sign``: vouch for a run, so that a copy that was edited and hashed again is found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley.cli.store_option import Store
from hartley.cli.terminal import print_json, say
from hartley.core.errors import DamagedRun, UsageError

app = App(name="sign")


@app.default
def sign(
    run: str,
    /,
    *,
    key: Path | None = None,
    check: str | None = None,
    store: Store = Path("runs"),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Sign a stored run, or check who signed it.

    The signature is kept beside the run. Exit code: 0 signed, 2 bad input, 3 not signed by it.

    Parameters
    ----------
    run
        A run's name in the store, its folder, or latest.
    key
        The private key of `hartley key make`; a passphrase comes from HARTLEY_KEY_PASSPHRASE.
    check
        In place of a key: a fingerprint, of the key that should have signed the run.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    json
        Print one JSON document.
    """
    from hartley.cli.find_run import folder_of
    from hartley.store.signing import read_key, sign_run

    if (key is None) == (check is None):
        raise UsageError("hartley sign must have --key FILE, or --check FINGERPRINT")
    folder = folder_of(run, store)
    if check is not None:
        return _checked(folder, check, json=json)
    assert key is not None
    signer = read_key(key)
    sign_run(folder, signer)
    facts = {"run": folder.name, "signed": True, "fingerprint": signer.fingerprint}
    if json:
        print_json(facts)
    else:
        say(f"{folder.name}: signed by {signer.fingerprint}")
    return 0


def _checked(folder: Path, fingerprint: str, *, json: bool) -> int:
    """Print whether a run is signed by a key; return the exit code."""
    from hartley.engine.result.gate import EXIT, INCONCLUSIVE
    from hartley.store import read_verified
    from hartley.store.signing import checked_fingerprint, later_verdict, unsigned_reason

    wanted, later = checked_fingerprint(fingerprint), False
    try:
        reading = read_verified(folder)
        reason = unsigned_reason(folder, reading, wanted)
        later = not reason and later_verdict(folder, reading)
    except DamagedRun as damage:
        reason = str(damage)
    if json:
        facts = {"run": folder.name, "signed": not reason, "fingerprint": wanted}
        print_json({**facts, "later_verdict": later, "reason": reason or None})
        return EXIT[INCONCLUSIVE] if reason else 0
    say(f"{folder.name}: " + (f"not signed: {reason}" if reason else f"signed by {wanted}"))
    if later:
        say("  the saved verdict is later than the signature, which does not vouch for it")
    return EXIT[INCONCLUSIVE] if reason else 0
