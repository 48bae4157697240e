"""``hartley gate``: a stored run against limits, for CI."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley.cli.terminal import print_departures, print_json, say
from hartley.core.errors import BadPlan, DamagedRun, UsageError

app = App(name="gate")


@app.default
def gate(
    run: str,
    /,
    *,
    limits: Path,
    store: Path = Path("runs"),
    accept_unverified: Annotated[bool, Parameter(negative="")] = False,
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
        A plan file whose table [limits] says how many bits per use are allowed.
    store
        The folder of all runs.
    accept_unverified
        Let a document pass that no journal vouches for: a copy of run.json, or a run of an earlier
        version.
    json
        Print the verdict as one JSON document.
    """
    from hartley.catalog import own_code_only

    with own_code_only():
        return _judged(run, limits, store, accept_unverified=accept_unverified, json=json)


def _judged(run: str, limits: Path, store: Path, *, accept_unverified: bool, json: bool) -> int:
    """Judge a run and print the verdict; return the exit code."""
    from hartley.cli.find_run import path_of
    from hartley.engine.plan.plan import read as read_plan
    from hartley.engine.result.gate import INCONCLUSIVE, OVER, check_metrics, judge
    from hartley.report.format_numbers import meaning
    from hartley.store import read_verified

    plan = read_plan(limits)
    if not plan.limits:
        raise BadPlan(
            f"{limits} must have a table [limits]; add one such as: [limits] membership = 0.05"
        )
    path = path_of(run, store)
    try:
        reading = read_verified(path)
    except DamagedRun as damage:
        return _inconclusive(path.name, str(damage), json=json)
    document = reading.document
    if plan.scene and plan.scene != document["scene"]["name"]:
        raise UsageError(
            f"{limits} is for the scene {plan.scene!r}, but the run {document['id']!r} "
            f"is of {document['scene']['name']!r}"
        )
    check_metrics(document, plan.limits)
    verdict = judge(
        document,
        plan.limits,
        strict=plan.strict,
        least=plan.least,
        scene=plan.scenes.get(plan.scene, {}) if plan.scene else None,
    )
    if reading.doubt and not accept_unverified and verdict.status != OVER:
        reason = f"unverified: {reading.doubt}; --accept-unverified judges it as it is"
        verdict = replace(verdict, status=INCONCLUSIVE, reasons=(reason, *verdict.reasons))
    if json:
        facts = {"run": document["id"], "verified": not reading.doubt}
        print_json(facts | {**verdict.dump(), "meaning": meaning(verdict.dump())})
    else:
        unverified = " (unverified)" if reading.doubt else ""
        say(f"{document['id']}: {verdict.status}{unverified}")
        say(f"  meaning: {meaning(verdict.dump())}")
        for reason in verdict.reasons:
            say(f"  {reason}")
        print_departures(verdict.departures)
    return verdict.code


def _inconclusive(run: str, reason: str, *, json: bool) -> int:
    """Print that a damaged run is not judged; return the exit code."""
    from hartley.engine.result.gate import EXIT, INCONCLUSIVE

    if json:
        print_json({"run": run, "verified": False, "status": INCONCLUSIVE, "reasons": [reason]})
    else:
        say(f"{run}: {INCONCLUSIVE}")
        say(f"  {reason}")
    return EXIT[INCONCLUSIVE]
