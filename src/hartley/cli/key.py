"""``hartley key``: keys that runs and evidence packs are signed with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley.cli.terminal import note, print_json, say

app = App(
    name="key",
    help="Make a key to sign runs with, or show its fingerprint.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.command
def make(file: Path, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Write a new private key (Ed25519), and print the fingerprint that readers need.

    The environment variable HARTLEY_KEY_PASSPHRASE, where it is set, encrypts the key. The
    fingerprint must reach readers by another way than the runs: on your site, or on paper.

    Parameters
    ----------
    file
        Of the private key, readable by you alone; it must not be there yet.
    json
        Print one JSON document.
    """
    from hartley.store.signing import PASSPHRASE, make_key

    word = os.environ.get(PASSPHRASE, "")
    key = make_key(file, word)
    if json:
        print_json({"file": str(file), "fingerprint": key.fingerprint, "encrypted": bool(word)})
        return 0
    say(f"fingerprint: {key.fingerprint}")
    note(f"the private key is in {file}; keep it out of repositories")
    if not word:
        note(f"it has no passphrase; set {PASSPHRASE} to make one that has")
    return 0


@app.command
def show(file: Path, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Print the fingerprint of a private key.

    Parameters
    ----------
    file
        Of the private key.
    json
        Print one JSON document.
    """
    from hartley.store.signing import read_key

    key = read_key(file)
    if json:
        print_json({"file": str(file), "fingerprint": key.fingerprint})
    else:
        say(f"fingerprint: {key.fingerprint}")
    return 0
