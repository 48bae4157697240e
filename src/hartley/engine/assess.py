"""``hartley assess``, one straight line: load, match, play, measure, judge, write.

Everything that the document needs is in the run folder before anything is measured, so a run can
be continued after a kill, and measured again without a model.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hartley import __version__
from hartley import store as runs
from hartley.core import Scene
from hartley.core.errors import UsageError
from hartley.engine import build_scene
from hartley.engine.plan.blame import Mistaken, check_parameters, told
from hartley.engine.plan.jobs import PLAY, UTILITY, Job
from hartley.engine.plan.plan import Plan, check_names, normalised, parse
from hartley.engine.plan.preflight import rehearse
from hartley.engine.plan.worklist import orders, planned
from hartley.engine.result import document
from hartley.engine.result.defense_rows import shields
from hartley.engine.result.gate import judge
from hartley.engine.run import executor
from hartley.engine.run.player import DONE, FAILED, Result

Watch = Callable[[str, Mapping[str, Any]], None]
"""(event, facts) → nothing. Events: scene, jobs, started, ended, measuring, kept."""


class Stopped(KeyboardInterrupt):
    """The user stopped a run; says what is kept and how to go on."""

    def __init__(self, folder: Path, kept: int, total: int) -> None:
        """Word the message."""
        super().__init__(
            f"stopped: {kept} of {total} jobs are kept in {folder}; "
            "the same command goes on from there"
        )


def assess(
    plan: Plan,
    *,
    store: Path,
    run: str | None = None,
    fresh: bool = False,
    source: str = "",
    watch: Watch = lambda _event, _facts: None,
) -> dict[str, Any]:
    """Play, measure and judge what a plan orders; go on where the same command left off.

    Args:
        plan: what to do.
        store: the folder of all runs.
        run: the run's id; by default made from the plan and the scene.
        fresh: start anew even where the same run stands.
        source: the plan's file, if any.
        watch: told what happens.

    Returns:
        The run document, which also stands in the run folder.

    Raises:
        UsageError: the plan, the scene or the store is at fault; nothing is lost.
        Mistaken: the same, where only the parts could see it, with the document of what was
            measured beside, unless it was seen before the first game.
        Stopped: the user pressed Ctrl-C; what was played is kept.
    """
    check_names(plan)
    check_parameters(plan)
    scene_params = dict(plan.scenes.get(plan.scene, {}))
    build_scene.check(plan.scene, scene_params)
    executor.one_thread()
    watch("scene", {"name": plan.scene})
    scene = build_scene.build(plan.scene, scene_params)
    ordered = orders(plan, scene)
    with executor.prints_apart():
        refused = rehearse(plan, [o.job for o in ordered if o.job is not None], scene)
    if refused:
        raise Mistaken(refused)
    ledger = runs.open_run(
        store,
        name=plan.name or plan.scene,
        plan=normalised(plan),
        source=source,
        scene={"name": scene.name, "digest": scene.digest, "modality": str(scene.modality)},
        version=__version__,
        run=run,
        fresh=fresh,
    )
    try:
        jobs = [o.job for o in ordered if o.job is not None]
        todo = [job for job in jobs if not ledger.done(job.key)]
        lines = planned(ordered, plan, scene)
        if not todo and ledger.finished and ledger.records.get("plan", {}).get("lines") == lines:
            kept = runs.read_run(ledger.folder)
            whole = all(row["status"] != FAILED for row in kept["channels"])
            if whole and dict(kept["plan"]) == _plain(plan):
                watch("kept", {"run": ledger.id, "folder": ledger.folder})
                return kept
        ledger.note("planned", "plan", lines=lines, scene=document.finite(dict(scene.facts)))
        blamed = _play(jobs, plan, scene, ledger, watch)
        watch("measuring", {"jobs": len(jobs)})
        made = _assembled(ledger, plan)
        if found := told(plan, jobs, blamed):
            mistake = Mistaken(found)
            mistake.document = made
            raise mistake
        return made
    finally:
        ledger.close()


def remeasure(folder: Path) -> dict[str, Any]:
    """Measure the stored trials of a run again, without a model, and rewrite its document.

    Raises:
        StoreError: there is no such run, or it is damaged.
    """
    ledger = runs.reopen(folder)
    try:
        plan = parse((folder / "plan.toml").read_text(), source=str(folder / "plan.toml"))
        if "plan" not in ledger.records:
            raise UsageError(f"the run {ledger.id!r} has played nothing yet")
        return _assembled(ledger, plan)
    finally:
        ledger.close()


def _play(
    jobs: list[Job], plan: Plan, scene: Scene, ledger: runs.Ledger, watch: Watch
) -> dict[str, tuple[str, str]]:
    """Play what is not done yet; return the jobs that failed on a mistake of the user's."""
    blamed: dict[str, tuple[str, str]] = {}
    todo = [job for job in jobs if not ledger.done(job.key)]
    total, kept = len(jobs), len(jobs) - len(todo)
    watch("jobs", {"total": total, "kept": kept, "run": ledger.id, "folder": ledger.folder})

    def finished(job: Job, result: Result) -> None:
        nonlocal kept
        if result.status == DONE and result.content:
            ledger.keep_trials(job.key, result.content, result.note)
        else:
            ledger.note(result.status, job.key, **result.note)
        if result.mistake:
            blamed[job.key] = result.blame, result.mistake
        kept += 1
        watch("ended", {"job": job, "status": result.status, **result.note})

    workers = executor.cores() if plan.workers is None else plan.workers
    try:
        executor.perform(
            todo,
            workers=workers,
            scene=scene,
            scene_params=plan.scenes.get(plan.scene, {}),
            logs=ledger.folder / "logs",
            started=lambda job: watch("started", {"job": job}),
            finished=finished,
        )
    except KeyboardInterrupt:
        raise Stopped(ledger.folder, kept, total) from None
    return blamed


def _assembled(ledger: runs.Ledger, plan: Plan) -> dict[str, Any]:
    """Measure what the folder holds, judge it, and write the document."""
    lines = ledger.records["plan"]["lines"]
    rows = [(line, _row(ledger, line)) for line in lines["rows"] if line["task"] == PLAY]
    channels = [row for line, row in rows if not line["defense"]]
    behind = [(line, row) for line, row in rows if line["defense"]]
    utilities = {
        line["defense"]: ledger.records.get(line["key"], {})
        for line in lines["rows"]
        if line["task"] == UTILITY
    }
    guards = shields(lines["guards"], channels, behind, utilities)
    verdict = judge({"channels": channels}, plan.limits)
    flagged = [f"{row['attack']}: {flag}" for row in channels for flag in row["flags"]]
    made = document.document(
        identity=ledger.id,
        plan=_plain(plan),
        scene={**ledger.header["scene"], "facts": ledger.records["plan"].get("scene", {})},
        created=ledger.header.get("created", ""),
        channels=channels,
        defenses=guards,
        verdict={
            "status": verdict.status,
            "reasons": list(verdict.reasons),
            "checks": list(verdict.checks),
        },
        notes=flagged,
    )
    ledger.finish(made)
    return made


def _row(ledger: runs.Ledger, line: Mapping[str, Any]) -> dict[str, Any]:
    from hartley.channel.measure import measure

    stands = line["stands"]
    if "status" in line:
        return document.unmeasured(stands, line["status"], line["reason"], line["cause"])
    record = ledger.records.get(line["key"])
    if record is None:
        return document.unmeasured(stands, FAILED, "not played: the run was stopped before it")
    if record["event"] != DONE:
        return document.unmeasured(
            stands, record["event"], record.get("reason", ""), record.get("cause")
        )
    trials = runs.read_trials(ledger.folder / record["trials"])
    try:
        return document.measured(stands, trials, measure(trials))
    except Exception as error:
        reason = f"its trials could not be measured: {type(error).__name__}: {error}"
        return document.unmeasured(stands, FAILED, reason)


def _plain(plan: Plan) -> dict[str, Any]:
    plain: dict[str, Any] = document.finite(tomllib.loads(normalised(plan)))
    return plain
