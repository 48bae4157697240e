"""``hartley export``: log a stored run to an MLflow tracking store."""

from __future__ import annotations

import os
from pathlib import Path

from cyclopts import App

from hartley.cli.terminal import note, say

DEFAULT = "sqlite:///mlflow.db"

app = App(name="export")


@app.default
def export(
    run: str,
    /,
    *,
    to: str | None = None,
    experiment: str = "hartley",
    allow_host: str = "",
    accept_unverified: bool = False,
    store: Path = Path("runs"),
) -> int:
    """Log a stored run to an MLflow tracking store (extra mlflow).

    Parameters, the bits of each row with both ends of the interval and n, the verdict and digests
    as tags, the page and the run document as artifacts. A run that is there already is not logged
    a second time. Prints MLflow's id of the run.

    Parameters
    ----------
    run
        A run's name in the store, its folder, its run.json, or latest.
    to
        The tracking URI. Default: that of $MLFLOW_TRACKING_URI, or a database in this folder,
        sqlite:///mlflow.db.
    experiment
        MLflow's experiment, which is made where there is none.
    allow_host
        A host besides this machine that the run may be sent to.
    accept_unverified
        Log the verdict of a document that no journal vouches for, as hartley gate has it.
    store
        The folder of all runs.
    """
    from hartley.cli.find_run import read
    from hartley.report.tracking import log_run

    document = read(run, store, accept_unverified=accept_unverified)
    uri = to or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT
    logged = log_run(document, uri, experiment, allow_host=allow_host)
    say(logged.run_id)
    words = "logged to" if logged.new else "is there already, in"
    note(f"{document['id']} {words} {logged.experiment} at {uri}")
    if logged.earlier:
        note(f"{logged.earlier} earlier of the same run: tagged hartley.superseded_by")
    return 0
