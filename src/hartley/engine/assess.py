"""``hartley assess``, one straight line: expand the plan, play, measure, assemble, judge.

Everything that the document needs is in the run folder before anything is measured, so a run can
be continued after a kill, and measured again without a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hartley import __version__
from hartley import store as runs
from hartley.core import Experiment, Scene, Slot
from hartley.core.code_digest import code_digest
from hartley.core.errors import DamagedRun, UsageError
from hartley.engine import build_scene
from hartley.engine.completed import inputs_digest, verdict_of_plan
from hartley.engine.loop.loop_row import loop_row
from hartley.engine.plan.check_plan import check_parameters
from hartley.engine.plan.cost import earlier_seconds, shipped_seconds
from hartley.engine.plan.ordered_defenses import check_fit
from hartley.engine.plan.plan import (
    Plan,
    as_table,
    at_look,
    check_names,
    normalised,
    parse,
    scene_params,
)
from hartley.engine.plan.work import WorkLeft
from hartley.engine.plan.worklist import added, batches, expand, experiments, planned
from hartley.engine.result import document
from hartley.engine.result.defense_rows import defense_rows
from hartley.engine.result.edge_family import with_compositions, with_family
from hartley.engine.result.edge_gain import gain, product
from hartley.engine.result.gate import INCONCLUSIVE
from hartley.engine.run import executor, fork_server, ray_executor
from hartley.engine.run.devices import devices_used
from hartley.engine.run.fork_server import ForkServer
from hartley.engine.run.player import DONE, FAILED, MEASURE, Result, measured_row
from hartley.engine.run.pooled_trials import pooled
from hartley.engine.run.threads import one_thread
from hartley.games.poisoning.suspect_records import SuspectRecords
from hartley.kit.cache import taken_rebuilt
from hartley.store.table import trials_to_bytes

Watch = Callable[[str, Mapping[str, Any]], None]
"""(event, facts) → nothing. Events: scene, forking, forked, not resumable, healed, jobs, started,
training, chosen, ended, measuring, kept."""


class Stopped(KeyboardInterrupt):
    """The user stopped a run; says what is kept and how to go on."""

    def __init__(self, folder: Path, already_done: int, total: int, resumable: bool = True) -> None:
        """Make the message."""
        again = (
            "the same command continues from there"
            if resumable
            else "the scene is not resumable, so the same command begins a new run"
        )
        super().__init__(f"stopped: {already_done} of {total} jobs are kept in {folder}; {again}")


class Mistaken(UsageError):
    """Mistakes of the user that only the parts could see, while the other rows were played.

    Attributes:
        lines: one message for each mistake.
        refused: ids of the rows that failed because of them.
        document: the run document, with the rows that were measured.
    """

    def __init__(
        self, lines: Sequence[str], refused: Iterable[str], document: Mapping[str, Any]
    ) -> None:
        """Keep the lines, the ids and the document."""
        self.lines = tuple(dict.fromkeys(lines))
        self.refused = frozenset(refused)
        self.document = document
        super().__init__("; ".join(self.lines))


def assess(
    plan: Plan,
    *,
    store: Path,
    run: str | None = None,
    fresh: bool = False,
    source: str = "",
    inputs: str = "",
    must_fit: Sequence[str] = (),
    watch: Watch = lambda _event, _facts: None,
) -> dict[str, Any]:
    """Play, measure and judge a plan; continue an earlier run of the same plan.

    Args:
        plan: what to do.
        store: the folder of all runs.
        run: the run's id; by default made from the plan and the scene.
        fresh: start from the beginning even if there is a run of the same plan.
        source: the plan's file, if any.
        inputs: the plan's ``inputs_digest``; where it is given, the run notes it once it is
            complete, so that ``completed`` finds it.
        must_fit: defenses of the plan without which nothing is played, where one cannot be put into
            the scene.
        watch: called with each event.

    Returns:
        The run document, which is also in the run folder.

    Raises:
        UsageError: the plan, the scene or the store cannot be used; stored results stay.
        Mistaken: the same, where only the parts could see it; it carries the document of the
            rows that were measured.
        Stopped: the user pressed Ctrl-C; what was played is kept.
    """
    check_names(plan)
    check_parameters(plan)
    params = scene_params(plan)
    build_scene.check(plan.scene, params)
    runs.check_store(store)
    if plan.executor == "ray":
        ray_executor.check(_cluster(plan))
    one_thread()
    watch("scene", {"name": plan.scene})
    with ExitStack() as until_end:
        before = fork_server.holdings()
        scene = build_scene.build(plan.scene, params)
        # Workers are copies of what is here before parts of plugins are imported.
        server = None
        if plan.executor == "local":
            server = until_end.enter_context(
                fork_server.serving((plan.scene, scene, params), before, watch)
            )
        if not scene.resumable:
            watch("not resumable", {"name": scene.name})
        check_fit(must_fit, scene)
        lines = expand(at_look(plan, 1) if plan.looks else plan, scene)
        ledger = runs.open_run(
            store,
            name=plan.name or plan.scene,
            plan=normalised(plan),
            source=source,
            scene={"name": scene.name, "digest": scene.digest, "modality": str(scene.modality)},
            version=__version__,
            run=run,
            # Nothing identifies the scene, so earlier results cannot be trusted.
            fresh=fresh or not scene.resumable,
        )
        until_end.callback(ledger.close)
        ledger.inputs = inputs if scene.resumable else ""
        if plan.looks:
            return _assess_by_looks(plan, scene, server, ledger, watch)
        todo = [experiment for experiment in experiments(lines) if not ledger.done(experiment.key)]
        rows = planned(lines, plan, scene)
        ledger.healed += [_rebuilt(name) for name in taken_rebuilt()]
        stored = None if todo else _complete(ledger, rows, plan)
        _report_healed(ledger, watch)
        if stored is not None:
            return _kept(ledger, stored, watch)
        ledger.begin(lines=rows, scene=document.finite(dict(scene.facts)), **_suspects(scene))
        refused = _play(experiments(lines), plan, scene, ledger, server=server, watch=watch)
        return _finished(ledger, plan, experiments(lines), refused, watch)


def _kept(ledger: runs.Ledger, stored: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """Return the document of a run of which nothing had to be played."""
    ledger.note_inputs()
    watch("kept", {"run": ledger.id, "folder": ledger.folder})
    return stored


def _finished(
    ledger: runs.Ledger,
    plan: Plan,
    done: Sequence[Experiment],
    refused: Mapping[str, str],
    watch: Watch,
) -> dict[str, Any]:
    """Assemble the document of what was played, and raise where parts refused what was ordered."""
    watch("measuring", {"jobs": len(done)})
    if ledger.inputs and inputs_digest(plan) != ledger.inputs:
        ledger.inputs = ""  # a file was changed while it was read
    finished_run = assemble(ledger, plan)
    _report_healed(ledger, watch)
    if mistakes := _mistakes(done, plan, refused):
        ids = [experiment.id for experiment in done if experiment.key in refused]
        raise Mistaken(mistakes, ids, finished_run)
    return finished_run


def _assess_by_looks(
    plan: Plan, scene: Scene, server: ForkServer | None, ledger: runs.Ledger, watch: Watch
) -> dict[str, Any]:
    """Play batch after batch, judge at each look, and stop once the verdict is pass or over.

    The numbers of a look depend on the plan and the look alone: batches have seeds of their own,
    and what was played before a kill is kept.
    """
    ledger.healed += [_rebuilt(name) for name in taken_rebuilt()]
    _report_healed(ledger, watch)
    facts, played = document.finite(dict(scene.facts)), False
    suspects = _suspects(scene)
    for look in range(1, len(plan.looks) + 1):
        lines = expand(at_look(plan, look), scene)
        rows, whole = planned(lines, plan, scene), experiments(lines)
        refused: dict[str, str] = {}
        if not all(ledger.done(experiment.key) for experiment in whole):
            played = True
            ledger.begin(lines=rows, look=look, scene=facts, **suspects)
            parts = [part for row in whole for part in _parts(row, plan, look)]
            refused = _play(parts, plan, scene, ledger, server=server, watch=watch)
            for experiment in whole:
                _pool(ledger, experiment, _parts(experiment, plan, look), refused)
        channels = [_row(ledger, line, anew=False) for line in rows["rows"] if "standing" in line]
        judged = {"channels": channels, "plan": as_table(plan), "scene": ledger.header["scene"]}
        failed = any(row["status"] == FAILED for row in channels)
        if failed or verdict_of_plan(judged, plan)["status"] != INCONCLUSIVE:
            break
    if not played and (stored := _complete(ledger, rows, plan)) is not None:
        return _kept(ledger, stored, watch)
    if not played or ledger.records["plan"]["lines"] != rows:
        ledger.begin(
            lines=rows, look=look, scene=facts, **suspects
        )  # other limits may settle at another look
    return _finished(ledger, plan, whole, refused, watch)


def _suspects(scene: Scene) -> dict[str, Any]:
    """What a scan of the scene's records finds, where they are to be scanned."""
    part = scene.find(SuspectRecords)
    return {} if part is None else {"suspects": document.finite(part.findings())}


def _parts(experiment: Experiment, plan: Plan, look: int) -> list[Experiment]:
    """The jobs of a row up to a look: its batches, or itself where it has no rounds."""
    return batches(experiment, plan.looks[:look]) if experiment.stages else [experiment]


def _pool(
    ledger: runs.Ledger,
    experiment: Experiment,
    parts: Sequence[Experiment],
    refused: dict[str, str],
) -> None:
    """Keep the joined trials of a row and what they measure, or why a batch has none."""
    if ledger.done(experiment.key):
        return
    for part in parts:
        record = ledger.records.get(part.key, {})
        if record.get("event") != DONE:
            note = {name: record[name] for name in ("reason", "cause") if name in record}
            ledger.note(record.get("event", FAILED), experiment.key, **note)
            if part.key in refused:
                refused[experiment.key] = refused[part.key]
            return
    trials = pooled([ledger.trials(part.key) for part in parts])
    spent = [ledger.records[part.key]["cpu"] for part in parts]
    cpu = {name: round(sum(one.get(name, 0.0) for one in spent), 4) for name in spent[0]}
    devices = [name for part in parts for name in ledger.records[part.key]["devices"]]
    row = measured_row(trials)
    note = {"cpu": cpu, "devices": list(dict.fromkeys(devices))}
    ledger.keep_trials(experiment.key, trials_to_bytes(trials), row, note)


def _report_healed(ledger: runs.Ledger, watch: Watch) -> None:
    for reason in dict.fromkeys(ledger.healed):
        watch("healed", {"run": ledger.id, "reason": reason})
    ledger.healed.clear()


def _rebuilt(name: str) -> str:
    return f"the cache's {name} was damaged or of an earlier version; it was made again"


def _complete(ledger: runs.Ledger, lines: Mapping[str, Any], plan: Plan) -> dict[str, Any] | None:
    """Return the document of a run of which everything is there as it was written, judged anew.

    None: something must be played, measured or written again.
    """
    if ledger.records.get("plan", {}).get("lines") != lines or not _measured_alike(ledger, lines):
        return None
    try:
        stored = runs.read_verified(ledger.folder).document
    except DamagedRun as damage:
        if ledger.journal.ended:
            ledger.healed += [f"{fault}; it is written again" for fault in damage.faults]
        return None
    except UsageError:
        return None
    failed = any(row["status"] == FAILED for row in stored["channels"])
    verdict = verdict_of_plan(stored, plan)
    same = dict(stored["plan"]) == as_table(plan) and stored["verdict"] == verdict
    same = same and stored["id"] == ledger.id  # the folder may be a copy of another run's
    return stored if same and not failed else None


def remeasure(folder: Path) -> dict[str, Any]:
    """Measure the stored trials of a run again, without a model, and rewrite its document.

    Raises:
        StoreError: there is no such run, or it is damaged.
    """
    ledger = runs.reopen(folder)
    try:
        plan = parse(ledger.plan, source=str(folder / "plan.toml"))
        if "plan" not in ledger.records:
            raise UsageError(f"the run {ledger.id!r} holds no trials yet; play it first")
        return assemble(ledger, plan, anew=True)
    finally:
        ledger.close()


def assemble(ledger: runs.Ledger, plan: Plan, *, anew: bool = False) -> dict[str, Any]:
    """Make the run document from what the folder holds, judge it, and write it.

    Args:
        ledger: the run's folder.
        plan: what was ordered.
        anew: measure all trials again, instead of taking the rows that were measured by the
            measurement of today.
    """
    lines = ledger.records["plan"]["lines"]
    channels = [_row(ledger, line, anew=anew) for line in lines["rows"] if "standing" in line]
    utilities = {
        line["utility"]: ledger.records.get(line["key"], {})
        for line in lines["rows"]
        if "utility" in line
    }
    edges = [edge for line in lines["rows"] for edge in _edges(ledger, line, lines["rows"])]
    plain, looks = as_table(plan), {}
    if plan.looks:
        looks = {"looks": {"rounds": list(plan.looks), "look": ledger.records["plan"]["look"]}}
    loops = _loops(ledger, lines, plan) if "loop" in lines else {}
    judged = {
        "channels": channels,
        "plan": plain,
        "scene": ledger.header["scene"],
        **looks,
        **loops,
    }
    verdict = verdict_of_plan(judged, plan)
    flagged = [
        f"{row['id']}: {flag}" for row in channels if row["baseline"] for flag in row["flags"]
    ]
    assembled = document.document(
        identity=ledger.id,
        plan=plain,
        scene={
            **ledger.header["scene"],
            "facts": ledger.records["plan"].get("scene", {}),
            "fitting": lines.get("fitting", []),
        },
        created=ledger.header.get("created", ""),
        channels=channels,
        edges=with_compositions(with_family(edges), channels),
        defenses=defense_rows(lines["defenses"], channels, utilities),
        verdict=verdict,
        notes=flagged,
        devices=[*_devices(ledger), *devices_used()],
    )
    assembled |= loops
    assembled |= looks
    if suspects := ledger.records["plan"].get("suspects"):
        assembled["suspects"] = suspects
    ledger.finish(assembled)
    return assembled


def _loops(ledger: runs.Ledger, lines: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Return the loops of a run, the scene as it is deployed first, and its weakest cut."""
    clusters: dict[str, list[Any]] = {}
    for line in lines["rows"]:
        if "loop" in line:
            played = ledger.records.get(line["key"], {})
            clusters.setdefault(line["loop"], [])
            if played.get("event") == DONE:
                clusters[line["loop"]].append(played["loop"])
    loops = [
        loop_row(lines["loop"], played, added=added, alpha=plan.alpha, seed=plan.seed)
        for added, played in clusters.items()
    ]
    plain: dict[str, Any] = document.finite({"loops": loops, "weakest_cut": loops[0]["cut"]})
    return plain


def _devices(ledger: runs.Ledger) -> list[str]:
    """The devices that whatever was played has used."""
    return [name for record in ledger.records.values() for name in record.get("devices", ())]


def _play(
    todo: list[Experiment],
    plan: Plan,
    scene: Scene,
    ledger: runs.Ledger,
    *,
    server: ForkServer | None,
    watch: Watch,
) -> dict[str, str]:
    """Play what is not done yet; return what was refused as the user's mistake, by key."""
    refused: dict[str, str] = {}
    pending = [job for job in todo if not ledger.done(job.key)]
    total, already_done = len(todo), len(todo) - len(pending)
    work = _work(plan, scene, ledger, todo, pending)
    watch(
        "jobs",
        {
            **{"total": total, "kept": already_done, "run": ledger.id, "folder": ledger.folder},
            "seconds": work.seconds if work.known else None,
        },
    )

    def finished(experiment: Experiment, result: Result) -> None:
        nonlocal already_done
        if result.status == DONE and result.content:
            ledger.keep_trials(experiment.key, result.content, result.row, result.note)
        else:
            ledger.note(result.status, experiment.key, **result.note)
        ledger.healed += [_rebuilt(name) for name in result.note.get("rebuilt", ())]
        _report_healed(ledger, watch)
        if result.mistake:
            refused[experiment.key] = result.mistake
        already_done += 1
        share = work.ended(experiment, result.note["seconds"])
        watch("ended", {"job": experiment, "status": result.status, **result.note, "share": share})

    workers = executor.cores() if plan.workers is None else plan.workers
    limits = executor.limits(plan.time_limit, plan.memory_limit)
    try:
        if plan.executor == "ray":
            ray_executor.perform_on_ray(
                pending,
                cluster=_cluster(plan),
                workers=plan.workers,
                logs=ledger.folder / "logs",
                limits=limits,
                isolate=plan.isolate,
                started=lambda experiment: watch("started", {"job": experiment}),
                finished=finished,
            )
            return refused
        executor.perform(
            pending,
            workers=workers,
            scene=scene,
            scene_params=scene_params(plan),
            logs=ledger.folder / "logs",
            artifacts=ledger.folder / "artifacts",
            limits=limits,
            isolate=plan.isolate,
            server=server,
            started=lambda experiment: watch("started", {"job": experiment}),
            finished=finished,
            on_news=lambda experiment, news: watch(
                "chosen" if "words" in news else "training", {"job": experiment, **news}
            ),
        )
    except KeyboardInterrupt:
        raise Stopped(ledger.folder, already_done, total, scene.resumable) from None
    return refused


def _cluster(plan: Plan) -> ray_executor.Cluster:
    return ray_executor.Cluster(plan.address, plan.shipped_code)


def _work(
    plan: Plan,
    scene: Scene,
    ledger: runs.Ledger,
    todo: Sequence[Experiment],
    pending: Sequence[Experiment],
) -> WorkLeft:
    """Return the work of a run, judged by earlier runs and by what this one played already."""
    store = ledger.folder.parent
    known = {
        **shipped_seconds(plan.name, todo),
        **earlier_seconds(store, scene.name, but=ledger.id),
    }
    waiting = {job.key for job in pending}
    played = [
        (job, float(record["seconds"]))
        for job in todo
        if job.key not in waiting and "seconds" in (record := ledger.records.get(job.key, {}))
    ]
    return WorkLeft(pending, known, played)


def _mistakes(done: Sequence[Experiment], plan: Plan, refused: Mapping[str, str]) -> list[str]:
    """Messages for each game, defense or configured attack of which every row was refused."""
    subjects: dict[str, list[Experiment]] = {}
    for experiment in done:
        if experiment.loop:
            behind = "" if experiment.baseline else f" behind {added(experiment, plan)!r}"
            names = [f"the loop cannot be run{behind}"]
        elif not experiment.baseline:
            names = [f"the defense {added(experiment, plan)!r} cannot be applied"]
        elif experiment.stages:
            stage = experiment.stages[-1]
            names = [f"the game {stage.game!r} cannot be played"]
            if len(experiment.stages) > 1:
                chain = "+".join(stage.attack for stage in experiment.stages)
                names.append(f"the chain {chain!r} cannot be played")
            if stage.attack in plan.attacks:
                names.append(f"the attack {stage.attack!r} cannot be played")
        else:
            names = []
        for name in names:
            subjects.setdefault(name, []).append(experiment)
    lines: dict[str, str] = {}
    for subject, rows in subjects.items():
        if all(experiment.key in refused for experiment in rows):
            reason = " ".join(refused[rows[0].key].split())
            lines.setdefault(reason, f"{subject}: {reason}")
    return list(lines.values())


def _row(ledger: runs.Ledger, line: Mapping[str, Any], *, anew: bool) -> dict[str, Any]:
    row_standing = line["standing"]
    if "status" in line:
        return document.unmeasured(row_standing, line["status"], line["reason"], line["cause"])
    record = ledger.records.get(line["key"])
    if record is None:
        return document.unmeasured(
            row_standing, FAILED, "not played: the run was stopped before it"
        )
    if record["event"] != DONE:
        return document.unmeasured(
            row_standing, record["event"], record.get("reason", ""), record.get("cause")
        )
    stored = None if anew else ledger.row(line["key"])
    if stored is None or stored["measurement"] != code_digest(MEASURE):
        stored = measured_row(ledger.trials(line["key"]))
        if stored["row"]["status"] != FAILED:
            ledger.keep_row(line["key"], stored)
    return {**row_standing, **stored["row"]}


def _edges(
    ledger: runs.Ledger, line: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield what a chain gains over what it is compared with, on the same deals."""
    experiment = line.get("standing", {}).get("experiment", {})
    if len(experiment.get("stages", ())) < 2 or not line.get("key"):
        return
    for other in lines:
        row_standing = other.get("standing", {})
        if "against" in line:
            compared = row_standing.get("id") in line["against"]
        else:  # a run of before there were controls
            alone = {**experiment, "stages": experiment["stages"][-1:]}
            compared = row_standing.get("experiment") == alone
        played = compared and all(
            ledger.records.get(str(row.get("key")), {}).get("event") == DONE
            for row in (line, other)
        )
        if played:
            yield _edge(ledger, line, other)


def _edge(ledger: runs.Ledger, line: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return one edge: the chain of one line against the attacks of the other."""
    before, after = (ledger.trials(row["key"]) for row in (other, line))
    gains = gain(before, after)
    stages = line["standing"]["experiment"]["stages"]
    names = [stage["attack"] for stage in stages]
    slots = [stage["slot"] for stage in stages[:-1]]
    control = other["standing"]["experiment"]["stages"][:-1]
    return {
        "from": names[-2],
        "to": names[-1],
        "path": names,
        "slots": slots,
        "control": [stage["attack"] for stage in control],
        "row": line["standing"]["id"],
        "alone": other["standing"]["id"],
        "gain": gains["bits"]["value"],
        "low": gains["bits"]["low"],
        "high": gains["bits"]["high"],
        "n": gains["bits"]["n"],
        "ratio": gains["ratio"],
        "auc": gains["auc"],
        "product": product(after),
        "log_gain": gains["log"],
        # What is asked of a copy is not asked of the victim.
        "queried": bool(after.queried) and slots[-1] != Slot.SOURCE,
    }


def _measured_alike(ledger: runs.Ledger, lines: Mapping[str, Any]) -> bool:
    """Whether every stored row was measured by the measurement of today."""
    digest = code_digest(MEASURE)
    keys = [line["key"] for line in lines["rows"] if "standing" in line and line["key"]]
    stored = [ledger.row(k) for k in keys if ledger.records.get(k, {}).get("event") == DONE]
    return all(row is not None and row["measurement"] == digest for row in stored)
