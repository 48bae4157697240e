"""``hartley gate``: a stored run against limits, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from hartley.cli.terminal import note, print_departures, print_json, say
from hartley.core.errors import DamagedRun, UsageError

if TYPE_CHECKING:
    from hartley.engine.result.gate import Verdict

app = App(name="gate")


@app.default
def gate(
    run: str,
    /,
    *,
    limits: Path,
    store: Path = Path("runs"),
    accept_unverified: Annotated[bool, Parameter(negative="")] = False,
    save: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Compare a stored run with limits. Exit code: 0 pass, 1 over, 2 bad input, 3 inconclusive.

    The files of the run are compared with the digests in its journal: a run that is damaged or was
    edited is inconclusive, and nothing in it is judged. No code of plugins is run.

    Parameters
    ----------
    run
        A run's name in the store, its folder, its run.json, or latest.
    limits
        A TOML file, or a plan, whose table [limits] says how many bits per use are allowed:
        a line [limits], and below it a line such as membership = 0.05.
    store
        The folder of all runs.
    accept_unverified
        Let a document pass that no journal vouches for: a copy of run.json, or a run of an earlier
        version.
    save
        Keep the verdict in the folder of the run, where reports, JUnit and SARIF read it.
    json
        Print the verdict as one JSON document.
    """
    from hartley.catalog import own_code_only

    with own_code_only():
        return _judged(
            run, limits, store, accept_unverified=accept_unverified, save=save, json=json
        )


def _judged(
    run: str, limits: Path, store: Path, *, accept_unverified: bool, save: bool, json: bool
) -> int:
    """Judge a run and print the verdict; return the exit code."""
    from hartley.cli.find_run import path_of
    from hartley.engine.result.judge_stored import judge_stored, read_limits
    from hartley.report.format_numbers import meaning
    from hartley.report.summary import limited
    from hartley.store import read_verified

    plan = read_limits(limits)
    path = path_of(run, store)
    try:
        reading = read_verified(path)
    except DamagedRun as damage:
        if save:
            note("nothing was saved: a damaged run keeps no verdict")
        return _inconclusive(path.name, str(damage), json=json)
    if save and not reading.digest:
        raise UsageError(f"--save must be given a run with its journal, got {path}, which has none")
    document = reading.document
    verdict = judge_stored(reading, plan, limits, accept_unverified=accept_unverified)
    if json:
        facts = {"run": document["id"], "verified": not reading.doubt}
        print_json(facts | {**verdict.dump(), "meaning": meaning(verdict.dump())})
    else:
        unverified = " (unverified)" if reading.doubt else ""
        say(f"{document['id']}: {verdict.status}{unverified}")
        say(f"  meaning: {meaning(verdict.dump())}")
        if words := limited({**document, "verdict": verdict.dump()}):
            say(f"  {words}")
        for reason in verdict.reasons:
            say(f"  {reason}")
        print_departures(verdict.departures)
    if save:
        _save(path, reading.digest, verdict, limits)
    return verdict.code


def _save(path: Path, digest: str, verdict: Verdict, limits: Path) -> None:
    """Keep the verdict in the run's folder, for reports."""
    from hartley.engine.result.judge_stored import judged_with
    from hartley.store import save_verdict

    folder = path if path.is_dir() else path.parent
    judged = judged_with(limits)
    place = save_verdict(folder, digest, {"verdict": verdict.dump(), "judged": judged})
    note(f"saved in {place}; hartley report reads it")


def _inconclusive(run: str, reason: str, *, json: bool) -> int:
    """Print that a damaged run is not judged; return the exit code."""
    from hartley.engine.result.gate import EXIT, INCONCLUSIVE

    if json:
        print_json({"run": run, "verified": False, "status": INCONCLUSIVE, "reasons": [reason]})
    else:
        say(f"{run}: {INCONCLUSIVE}")
        say(f"  {reason}")
    return EXIT[INCONCLUSIVE]
