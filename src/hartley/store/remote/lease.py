"""Which machine writes a run of a store at a URL: an object that its owner writes again and again.

Both of two machines that begin at once write theirs, and list afterwards: at least one of them sees
the other's and leaves. How old a lease is is the difference of two times of the store's own clock.
"""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime

from hartley.core.errors import StoreError
from hartley.store.remote.objects import Objects

FOLDER = "leases"
SECONDS = 60.0
"""A lease that was not renewed for so long is over: its machine is lost."""
RENEWAL = 15.0
"""Seconds between two renewals."""


def claim(objects: Objects, run: str, owner: str) -> None:
    """Write the lease of a run, unless another machine holds it.

    Args:
        objects: of the store.
        run: its name.
        owner: what the spool of this machine is called.

    Raises:
        StoreError: another machine holds it, or the store cannot be written.
    """
    renew(objects, run, owner)
    leases = objects.list(FOLDER)
    now = leases.get(_name(run, owner))
    for name, written in leases.items():
        if not name.startswith(f"{run}~") or name == _name(run, owner):
            continue
        if now is not None and written is not None and now - written > SECONDS:
            objects.remove(f"{FOLDER}/{name}")
            continue
        who = _words(objects.get([f"{FOLDER}/{name}"]).get(f"{FOLDER}/{name}", b""))
        release(objects, run, owner)
        raise StoreError(
            f"the run {run!r} of {objects.url} is written by {who}; wait for it, or for "
            f"{SECONDS:g} seconds after that machine was lost, or choose another --run"
        )


def renew(objects: Objects, run: str, owner: str) -> None:
    """Write the lease of a run again.

    Raises:
        StoreError: the store cannot be written.
    """
    facts = {
        "host": socket.gethostname(),
        "process": os.getppid(),
        "renewed": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    objects.put(f"{FOLDER}/{_name(run, owner)}", json.dumps(facts).encode())


def release(objects: Objects, run: str, owner: str) -> None:
    """Remove the lease of a run, if the store can be reached."""
    objects.remove(f"{FOLDER}/{_name(run, owner)}")


def _name(run: str, owner: str) -> str:
    return f"{run}~{owner}.json"


def _words(content: bytes) -> str:
    try:
        facts = json.loads(content)
        return f"process {int(facts['process'])} of {str(facts['host'])[:80]!r}"
    except (ValueError, KeyError, TypeError):
        return "another machine"
