"""``hartley gate``: a stored run against limits, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley.cli.terminal import print_json, say
from hartley.core.errors import BadPlan, UsageError

app = App(name="gate")


@app.default
def gate(
    run: str,
    /,
    *,
    limits: Path,
    store: Path = Path("runs"),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Compare a stored run with limits. Exit code: 0 pass, 1 over, 2 bad input, 3 inconclusive.

    Parameters
    ----------
    run
        A run's name in the store, its folder, its run.json, or latest.
    limits
        A plan file whose table [limits] says how many bits per use are allowed.
    store
        The folder of all runs.
    json
        Print the verdict as one JSON document.
    """
    from hartley.cli.find_run import read
    from hartley.engine.plan.plan import read as read_plan
    from hartley.engine.result.gate import check_metrics, judge
    from hartley.report.format_numbers import meaning

    plan = read_plan(limits)
    if not plan.limits:
        raise BadPlan(
            f"{limits} must have a table [limits]; add one such as: [limits] membership = 0.05"
        )
    document = read(run, store)
    if plan.scene and plan.scene != document["scene"]["name"]:
        raise UsageError(
            f"{limits} is for the scene {plan.scene!r}, but the run {document['id']!r} "
            f"is of {document['scene']['name']!r}"
        )
    check_metrics(document, plan.limits)
    verdict = judge(document, plan.limits, strict=plan.strict)
    if json:
        print_json({"run": document["id"], **verdict.dump(), "meaning": meaning(verdict.dump())})
    else:
        say(f"{document['id']}: {verdict.status}")
        say(f"  meaning: {meaning(verdict.dump())}")
        for reason in verdict.reasons:
            say(f"  {reason}")
    return verdict.code
