"""Judge the run of ``hartley assess`` a second time, in a process that has imported no plugin.

Parts of plugins are imported, and scenes are built, in the command's own process. One of them could
replace the gate there, or confirm an exit code that nobody has decided. So where that process
answers 0, the process that supervises it reads the stored run and judges it as ``hartley gate``
does: by the plan as it was when the command began.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.cli.terminal import complain, note

if TYPE_CHECKING:
    from hartley.engine.plan.plan import Plan

INCONCLUSIVE = 3


def second_verdict(arguments: Sequence[str]) -> Callable[[], int]:
    """Return what judges the run of an ``assess`` command again, once it has answered 0.

    The plan is read now. What the command needs anyhow is imported here, so that its process, a
    copy of this one, and the second verdict do not import it again.

    Args:
        arguments: those of the whole command; the first is ``assess``.
    """
    from hartley import catalog
    from hartley.engine.plan.plan import read_content

    plans: dict[str, bytes] = {}
    for word in arguments:
        with contextlib.suppress(Exception):  # the command itself says what is wrong
            if Path(word).is_file():
                plans[word] = read_content(Path(word))
    with contextlib.suppress(Exception):
        catalog.entries()
    return lambda: _judged(arguments, plans)


def _judged(arguments: Sequence[str], plans: dict[str, bytes]) -> int:
    """Judge the stored run; return 0, or the exit code of the verdict that is not a pass."""
    from hartley.catalog import own_code_only
    from hartley.cli.assess import app

    try:
        command, bound, _ = app.parse_args(
            list(arguments[1:]), exit_on_error=False, print_error=False
        )
        if command is not app.default_command:  # --help
            return 0
        bound.apply_defaults()
        if part := _plugin_in_limits(plans):
            note(
                f"[limits.least.{part}] is about a part of a plugin, whose code alone can judge "
                "it: the stored run is not judged a second time"
            )
            return 0
        with own_code_only():
            code, reason = _verdict(bound.arguments, plans)
    except Exception as error:  # whatever it is, nothing vouches for a pass
        code, reason = INCONCLUSIVE, f"cannot be judged: {str(error) or type(error).__name__}"
    if code:
        complain(f"the stored run, judged again without code of plugins, {reason}")
    return code


def _plugin_in_limits(plans: dict[str, bytes]) -> str:
    """Return the part of a plugin whose settings a plan states in ``[limits.least]``, if any."""
    from hartley import catalog
    from hartley.core.input_files import toml_table

    foreign = {entry.name for entry in catalog.entries() if entry.origin != "hartley"}
    for content in plans.values():
        with contextlib.suppress(
            ValueError, KeyError, TypeError, AttributeError
        ):  # it is not a plan
            least = toml_table(content.decode("utf-8-sig"))["limits"]["least"]
            tables = [name for name, value in least.items() if isinstance(value, dict)]
            return next((name for name in tables if name in foreign), "")
    return ""


def _verdict(given: dict[str, Any], plans: dict[str, bytes]) -> tuple[int, str]:
    """Return the exit code of a stored run and, in words, its verdict."""
    from hartley.cli.assess import ordered_plan
    from hartley.cli.find_run import folder_of
    from hartley.engine.plan.plan import normalised, parse
    from hartley.engine.result.gate import judge
    from hartley.store import read_verified

    store: Path = given["store"]
    if given["remeasure"] is not None:
        folder = folder_of(given["remeasure"], store)
        plan = parse((folder / "plan.toml").read_text("utf-8"))
    else:
        names = (
            "own_model",
            "set_",
            "only",
            "skip",
            "seed",
            "workers",
            "time_limit",
            "memory_limit",
        )
        flags = {name: given[name] for name in (*names, "isolate", "defense", "defenses")}
        plan, _ = ordered_plan(given["plan"], given["scene"], plans=plans, **flags)
        folder = _folder_of(plan, normalised(plan), given["run"], store)
    reading = read_verified(folder)
    document = reading.document
    scene = plan.scenes.get(plan.scene, {})
    verdict = judge(document, plan.limits, strict=plan.strict, least=plan.least, scene=scene)
    if verdict.code:
        return verdict.code, f"is {verdict.status}: {verdict.reasons[0]}"
    if reading.doubt and verdict.checks:
        return INCONCLUSIVE, f"is unverified: {reading.doubt}"
    return 0, ""


def _folder_of(plan: Plan, text: str, run: str | None, store: Path) -> Path:
    """Return the folder of the run of a plan; ``text`` is the plan as runs keep it.

    Raises:
        StoreError: there is none of this plan.
    """
    from hartley.core.errors import StoreError
    from hartley.store import latest, run_folders

    def is_of_plan(folder: Path) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return (folder / "run.json").is_file() and text == (folder / "plan.toml").read_text(
                "utf-8"
            )
        return False

    if run is None:
        with contextlib.suppress(StoreError):
            run = latest(store)
            if not is_of_plan(store / run):  # another command has begun a run since
                run = None
    folders = run_folders(store) if run is None else [store / run]
    folders = [folder for folder in folders if is_of_plan(folder)]
    if not folders:
        raise StoreError(
            f"{store} must hold a finished run of the plan {plan.name or plan.scene!r}, got none"
        )
    return max(folders, key=lambda folder: (folder / "run.json").stat().st_mtime_ns)
