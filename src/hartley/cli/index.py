"""``hartley index``: write the rows of a store in the shared index anew."""

from __future__ import annotations

import os
from pathlib import Path

from cyclopts import App

from hartley.cli.store_option import Store
from hartley.cli.terminal import note, say
from hartley.core.errors import UsageError

app = App(name="index")


@app.default
def index(*, index: str | None = None, store: Store = Path("runs")) -> int:
    """Note all runs of a store in an index over many stores, in PostgreSQL.

    A run is noted while it is played, where HARTLEY_INDEX is set or assess has --index; this does
    it for runs from before, and removes the rows of runs that the store does not have any more.

    Parameters
    ----------
    index
        The index, postgresql://USER@HOST/NAME; a password comes from PGPASSWORD. Default:
        HARTLEY_INDEX.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    """
    from hartley.store.shared_index import VARIABLE, place, rebuild

    url = index or os.environ.get(VARIABLE)
    if not url:
        raise UsageError(f"the index must be given: --index postgresql://…, or {VARIABLE}")
    count, removed = rebuild(url, store)
    say(f"{count} runs of {place(store)} are in the index")
    if removed:
        note(f"{removed} rows of runs that are not there any more were removed")
    return 0
