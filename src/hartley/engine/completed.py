"""Answer for a run that is complete without building its scene.

Whether a run is complete is decided by the keys of its rows, for which the scene is built and the
parts are imported: seconds, although nothing is played. What all this depends on can be digested in
a fraction of a second: the plan, every file of Hartley, the versions of what is installed, and the
content of the user's files. A run that ended well notes this digest in its journal; where it is the
same today, the keys are the same too.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from hartley import catalog
from hartley import store as runs
from hartley.core.code_digest import code_digest
from hartley.core.errors import DamagedRun, HartleyError
from hartley.data.canary_files import truth_path
from hartley.engine.plan.plan import Plan, as_table, normalised
from hartley.engine.result.gate import judge
from hartley.kit.file_digests import sha256_of
from hartley.targets.python_object import code_of_object, is_object

LISTS = ("pairs",)
"""Parameters of scenes that name a list of further files."""

SERVICES = ("url",)
"""Parameters of scenes that name a server, which may hold something else today."""

ADAPTER = "adapter_config.json"
"""The file of an adapter, whose base may be anywhere."""


def inputs_digest(plan: Plan) -> str:
    """Return the SHA-256 of all that the numbers of a plan depend on.

    Empty where it cannot be known without running code: a recipe in the user's file, records that
    a function returns, or an endpoint.
    """
    try:
        lines = [*_of_installation(), *_of_plugins(), normalised(plan), *_of_scene(plan)]
    except (OSError, HartleyError):  # a file is not there: the scene says which
        return ""
    return "" if "" in lines else hashlib.sha256("\0".join(lines).encode()).hexdigest()


def files_of_scene(scene: str, params: Mapping[str, Any]) -> list[str]:
    """Return a line for each parameter of a scene that names files, with the digest of these.

    A line is empty where the content cannot be known without running code.
    """
    try:
        return list(_of_scene(Plan(scene=scene, scenes={scene: params})))
    except OSError:
        return [""]


def completed(
    plan: Plan, digest: str, *, store: Path, run: str | None = None
) -> dict[str, Any] | None:
    """Return the document of a complete run of a plan, judged anew; None where there is none.

    Args:
        plan: what was ordered.
        digest: its ``inputs_digest`` of now; empty finds nothing.
        store: the folder of all runs.
        run: the run's id, where the user chose one.

    Raises:
        StoreError: another process uses the run.
    """
    folder = _folder(plan, digest, store, run) if digest else None
    if folder is None:
        return None
    try:
        ledger = runs.reopen(folder)
    except DamagedRun:
        return None
    try:
        if ledger.noted_inputs != digest:
            return None
        reading = runs.read_verified(folder)
        document = reading.document
        whole = not reading.doubt and document["plan"] == as_table(plan)
        if not whole or any(row["status"] == "failed" for row in document["channels"]):
            return None
        return document if document["verdict"] == verdict_of_plan(document, plan) else None
    except HartleyError:  # what is damaged is played again
        return None
    finally:
        ledger.close()


def verdict_of_plan(document: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Judge a run by the limits of its own plan, which names its scene."""
    scene = plan.scenes.get(plan.scene, {})
    judged = judge(document, plan.limits, strict=plan.strict, least=plan.least, scene=scene)
    return judged.dump()


def _folder(plan: Plan, digest: str, store: Path, run: str | None) -> Path | None:
    """The folder that continues a run of this plan, if its journal notes this digest."""
    text = runs.as_bytes(normalised(plan))
    runs.fetch_matching(store, digest, run)
    folders = runs.run_folders(store) if run is None else [store / run]
    for folder in folders:
        try:
            if (folder / "plan.toml").read_bytes() == text and digest == runs.noted_inputs(
                folder, None if run else plan.name or plan.scene
            ):
                return folder
        except (OSError, HartleyError):
            continue
    return None


def _of_installation() -> Iterator[str]:
    """The code of Hartley, and the versions of everything that could be imported."""
    package = Path(str(files("hartley")))
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield f"{path.relative_to(package)} {sha256_of(path)}"
    yield f"{platform.python_version()} {platform.machine()} {sys.byteorder}"
    for folder in sys.path:
        try:
            names = [path.name for path in Path(folder).glob("*.dist-info")]
        except OSError:
            continue
        yield from sorted(names)


def _of_plugins() -> Iterator[str]:
    """The code of each part that a plugin brings, with what it imports."""
    for entry in catalog.entries():
        if entry.origin != "hartley":
            known = code_digest(entry.module) if entry.module else ""
            yield f"{entry.kind} {entry.name} {entry.origin} {entry.module} {known} {entry.error}"


def _of_scene(plan: Plan) -> Iterator[str]:
    """The content of what the parameters of a scene name; an empty string where it is not known."""
    if plan.scene.rpartition(":")[0].endswith(".py"):  # a recipe may read anything
        yield ""
    given = plan.scenes.get(plan.scene, {})
    for name, value in given.items():
        if not isinstance(value, str) or not value:
            continue
        if "://" in value or name in LISTS or name in SERVICES:
            yield ""
        elif is_object(value):
            # The weights of a network are a file of their own; what else code returns is not known.
            known = name == "fit" or (name == "model" and given.get("weights"))
            yield f"{name} {code_of_object(value)}" if known else ""
        else:
            yield _of_path(name, Path(value), alone="base" not in given)
            if name == "canaries":
                yield _of_path("truth", truth_path(Path(value)), alone=True)


def _of_path(name: str, path: Path, *, alone: bool) -> str:
    """The digest of a file or a folder, if a text names one; else the text itself."""
    if not path.is_dir():
        return f"{name} {sha256_of(path) if path.exists() else path}"
    inside = sorted(path.rglob("*"))
    linked = any(p.is_symlink() and p.is_dir() for p in inside)
    if linked or (alone and (path / ADAPTER).exists()):
        return ""
    content = [f"{p.relative_to(path)} {sha256_of(p)}" for p in inside if p.is_file()]
    return "\n".join([name, *content])
