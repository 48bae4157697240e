"""``hartley.audit``: what ``hartley assess --model …`` does, called from a program.

Objects in memory are written to files once (``program.inputs``); from there on the scene, the plan,
the run folder and every check are those of the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from hartley.core.errors import UsageError
from hartley.engine.assess import Watch
from hartley.engine.assess import assess as run_plan
from hartley.engine.completed import completed, inputs_digest
from hartley.engine.plan.ordered_defenses import parse_defenses
from hartley.engine.plan.own_scene import own_scene
from hartley.engine.plan.plan import Plan, normalised, parse
from hartley.program.inputs import Inputs
from hartley.program.progress import Lines, looked_at, to_stderr
from hartley.program.report import Report
from hartley.program.wording import for_programs
from hartley.store import folder_of_store

SCAN = "own_records"
"""The scene of records that are scanned without a model."""
FOLDER = ".inputs"
"""Folder of the store for what was in memory: of each object one, named by its content."""


@for_programs
def audit(
    model: Any = None,
    train: Any = None,
    test: Any = None,
    *,
    target: str = "",
    fit: Any = None,
    retrain: bool = True,
    trust: bool = False,
    members: Any = None,
    nonmembers: Any = None,
    records: Any = None,
    clean: Any = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    seed: int = 0,
    limits: Mapping[str, float] | None = None,
    games: Mapping[str, Mapping[str, Any]] | None = None,
    attacks: Mapping[str, Mapping[str, Any]] | None = None,
    defenses: Sequence[str] = (),
    workers: int | None = None,
    store: str | Path = "runs",
    run: str | None = None,
    fresh: bool = False,
    verbose: bool | None = None,
    watch: Watch = lambda _event, _facts: None,
    **settings: Any,
) -> Report:
    """Audit a model of your own: play every attack that fits, measure each in bits, judge.

    A path stands for its file, as on the command line. What is in memory is written to the folder
    ``.inputs`` of the store, named by its content: the same objects continue the same run.

    Args:
        model: a fitted scikit-learn classifier or pipeline, a torch module, a function of the
            records, a language model of transformers, or a path of any of them.
        train: what it was trained on: a frame (pandas, polars, Arrow), (x, y), or for a network
            a torch Dataset or DataLoader without random transforms.
        test: records of the same kind that it never saw.
        target: the column of a frame that it predicts.
        fit: fit(x, y) → a trained model of the network's form, which LiRA and RMIA call.
        retrain: let attackers train the same scikit-learn estimator anew.
        trust: load a pickle that is given by its path; only if you made it.
        members: texts that a language model was trained on: a list of texts or of chats.
        nonmembers: texts of the same kind that it never saw.
        records: instead of a model: a data set that is scanned for poison before training, a frame,
            (x, y) or a Dataset.
        clean: records like these that you trust.
        only: patterns of attacks and classes that are played; empty: all.
        skip: patterns that are not.
        seed: of every random choice.
        limits: bits by class, attack or metric, as in a plan's table ``[limits]``.
        games: parameters of games, by name.
        attacks: parameters of attacks, by name.
        defenses: what to play behind besides, such as ``dp_sgd:epsilon=8`` or ``rounding``.
        workers: worker processes; 0 plays in this process. None: one for each processor, or 0
            where the objects need modules of your own, which a fresh process may not find.
        store: the folder of all runs, or a URL that fsspec opens.
        run: name of the run; by default made from the model and the data.
        fresh: begin a new run even if there is one of the same plan and objects.
        verbose: write a line to standard error for each attack that was played, with how long the
            rest takes; None does so in a terminal and in a notebook. Standard output stays empty.
        watch: called with each event, (event, facts).
        settings: further ones of ``hartley assess``: device, references, gives, modality, weights,
            canaries, reference, base, tokenizer, text_field, longest, endpoint …

    Raises:
        UsageError: what ``hartley assess`` exits with 2 for.
    """
    if verbose or (verbose is None and looked_at()):
        watch = _both(watch, Lines(to_stderr).on_event)
    inputs = Inputs(Path(store) / FOLDER)
    given: dict[str, Any] = {
        **inputs.model(model, settings),
        **inputs.records({"train": train, "test": test}, target, model),
        **inputs.scanned({"records": records, "clean": clean}, target),
        **inputs.texts({"members": members, "nonmembers": nonmembers}),
        **inputs.function(fit),
    }
    given |= {key: value for key, value in settings.items() if value is not None and key != "trust"}
    given = {key: str(v) if isinstance(v, Path) else v for key, v in given.items()}
    if target and "target" not in given and records is None:
        given["target"] = target
    if trust:
        given["trust"] = True
    if not retrain:
        given["retrain"] = False
    scene, params = own_scene(given)
    use, params_of_defenses = parse_defenses(defenses)
    plan = Plan(
        scene=scene,
        use=use,
        defenses=params_of_defenses,
        only=tuple(only),
        skip=tuple(skip),
        seed=seed,
        scenes={scene: params},
        games=games or {},
        attacks=attacks or {},
        limits=limits or {},
    )
    if scene == SCAN and not only:
        plan = _as_ships(plan)
    # Read like a plan in a file: what the command line refuses is refused here in its words.
    title = str(params.get("model") or params.get("records") or scene)
    name = Path(title.rpartition(":")[0] or title)
    plan = replace(parse(normalised(plan), source="the audit"), name=name.stem)
    if workers is not None and workers < 0:
        raise UsageError(f"workers must be at least 0, got {workers}")
    alone = workers is None and inputs.needs_this_process
    plan = replace(plan, workers=0 if alone else workers)
    folder = folder_of_store(str(store))
    return Report(_document(plan, folder, run, fresh, watch), folder)


def _both(first: Watch, second: Watch) -> Watch:
    def watch(event: str, facts: Mapping[str, Any]) -> None:
        first(event, facts)
        second(event, facts)

    return watch


def _as_ships(plan: Plan) -> Plan:
    """Return a plan of a scan with what the shipped one plays, where it does not say otherwise."""
    text = files("hartley.scenes").joinpath("plans/scan.toml").read_text("utf-8")
    shipped = parse(text, source="the plan scan")
    return replace(
        plan,
        only=shipped.only,
        attacks={**shipped.attacks, **plan.attacks},
        games={**shipped.games, **plan.games},
        use=plan.use or shipped.use,
    )


def _document(
    plan: Plan, store: Path, run: str | None, fresh: bool, watch: Watch
) -> Mapping[str, Any]:
    digest = inputs_digest(plan)
    if not fresh and (complete := completed(plan, digest, store=store, run=run)) is not None:
        watch("kept", {"run": complete["id"], "folder": store / complete["id"]})
        return complete
    return run_plan(
        plan, store=store, run=run, fresh=fresh, inputs=digest, must_fit=plan.use, watch=watch
    )
