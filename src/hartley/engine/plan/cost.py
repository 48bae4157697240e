"""What a plan costs, said before it is played: its jobs, and their processor seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from hartley.channel.readouts.information import FEW_CLUSTERS
from hartley.core import Experiment, Knowledge, Scene
from hartley.core.errors import HartleyError
from hartley.engine.plan.plan import Plan
from hartley.engine.plan.work import WorkLeft
from hartley.engine.plan.worklist import Skipped, expand, experiments
from hartley.store import runs
from hartley.store.journal import read_journal

RUNS = 5
"""Newest runs of a scene whose jobs are looked up."""


def earlier_seconds(store: Path, scene: str, *, but: str = "") -> dict[str, float]:
    """Return processor seconds of jobs that runs of a store played, by id; the newest count.

    Args:
        store: the folder of all runs; it need not exist.
        scene: of the runs.
        but: id of a run that does not count.
    """
    seconds: dict[str, float] = {}
    try:
        listed = runs(store) if store.is_dir() else []
    except HartleyError:
        return seconds
    folders = [
        store / str(row["id"])
        for row in listed
        if row.get("scene") == scene and row["status"] != "damaged" and row["id"] != but
    ]
    for folder in folders[:RUNS]:
        try:
            records = read_journal(folder / "journal.jsonl").records
        except HartleyError:
            continue
        for job, record in records.items():
            spent = record.get("cpu")
            if record.get("event") == "done" and isinstance(spent, Mapping):
                seconds.setdefault(job.partition(".")[0], float(spent["all"]))
    return seconds


def shipped_seconds(name: str, jobs: Iterable[Experiment]) -> dict[str, float]:
    """Return processor seconds of the jobs of a plan that ships, by id, as they were measured once.

    They are kept by what was played (the attacks, the defenses that were added, what the attacker
    knew) and not by id, which is another one as soon as a part has one more parameter.

    Args:
        name: of the plan; most have no such table, and then nothing is known.
        jobs: those of the plan.
    """
    table = files("hartley.scenes").joinpath("plans", f"{name}.seconds.tsv")
    if not name or not table.is_file():
        return {}
    _, *rows = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    seconds = {(label, defenses, knows): float(spent) for label, defenses, knows, spent in rows}
    named = {
        job.id: (job.label, "+".join(d.name for d in job.defenses) or "-", str(job.knowledge))
        for job in jobs
    }
    return {key: seconds[what] for key, what in named.items() if what in seconds}


def plan_cost(plan: Plan, scene: Scene, store: Path) -> dict[str, Any]:
    """Return how many jobs a plan has and about how long they take, as plain values.

    Args:
        plan: what is to be played.
        scene: the plan's, built.
        store: where earlier runs are looked for.

    Raises:
        UsageError: the plan cannot be played on the scene.
    """
    lines = expand(plan, scene)
    jobs = experiments(lines)
    earlier, shipped = earlier_seconds(store, scene.name), shipped_seconds(plan.name, jobs)
    work = WorkLeft(jobs, {**shipped, **earlier})
    sources = Counter(
        "earlier" if job.id in earlier else "shipped" if job.id in shipped else "judged"
        for job in jobs
    )
    played = [job for job in jobs if job.stages]
    behind = [job for job in played if not job.baseline]
    kinds = Counter(str(job.knowledge) for job in behind)
    reasons = Counter(line.cause for line in lines if isinstance(line, Skipped))
    known = sources["earlier"] + sources["shipped"]
    return {
        "plan": plan.name,
        "scene": scene.name,
        "attacks": len({job.label for job in played}),
        "defenses": len({tuple(d.name for d in job.defenses) for job in behind}),
        "jobs": {
            "all": len(jobs),
            "baseline": len(played) - len(behind),
            "static": kinds[str(Knowledge.STATIC)],
            "adaptive": kinds[str(Knowledge.ADAPTIVE)],
            "utility": len(jobs) - len(played),
        },
        "not_played": dict(reasons),
        "few": _few(played, scene.settings.rounds),
        "settings": max((len(job.sweep) + 1 for job in played if job.sweep), default=1),
        # What nothing is known of has no seconds.
        "cpu_seconds": round(work.seconds, 1) if known else None,
        "known_by": {name: sources[name] for name in ("earlier", "shipped", "judged")},
    }


def _few(jobs: Iterable[Experiment], settled: Mapping[str, int]) -> dict[str, int]:
    """Return games that are dealt too few victims for intervals over them, with their number.

    Args:
        jobs: that play.
        settled: victims that the scene settles, where a plan leaves their number to it (0).
    """
    dealt: dict[str, int] = {}
    for job in jobs:
        stage = job.stages[-1]
        rounds = int(stage.game_params.get("rounds", 0)) or settled.get(stage.game, 0)
        if 0 < rounds < FEW_CLUSTERS:
            dealt[stage.game] = rounds
    return dict(sorted(dealt.items()))
