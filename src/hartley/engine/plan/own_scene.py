"""Flags and tables about a user's own model and data → the scene that is made of them.

``[model]`` and ``[data]`` of a plan say the same as the flags of the command line: each names a
parameter of one of the recipes below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hartley import catalog
from hartley.core.errors import UsageError, did_you_mean
from hartley.targets.python_object import is_object

RECIPES = (
    *("own_table", "own_network", "own_texts", "own_chat", "own_records", "own_marks"),
    *("own_release", "own_agent"),
)
"""Scenes that are made of a user's files, in the order in which they are tried."""
SPARING = ("own_table", "own_network")
"""Those whose attackers leave out reference models that would add little."""
POISONABLE = ("own_table", "own_network")
"""Those that are trained on poisoned records where a plan names attacks of poisoning."""
DATA = (
    *("train", "test", "target", "members", "nonmembers", "text_field"),
    *("canaries", "withheld", "sensitive", "records", "clean", "false_alarms"),
    *("items", "marked"),
    *("original", "released", "control", "known", "row_id", "cluster"),
)
"""Settings that a plan writes into ``[data]``; the others are of ``[model]``."""


def own_scene(values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the scene that settings are about, and its parameters.

    Args:
        values: settings by name, as in the recipes.

    Raises:
        UsageError: no recipe takes a setting, or none takes them together.
    """
    parameters = {name: _names(name) for name in RECIPES}
    known = {parameter for names in parameters.values() for parameter in names}
    for name in values:
        if name not in known:
            near = did_you_mean(name, known)
            raise UsageError(f"a model of your own has no setting {name!r}{near}")
    candidates = ("own_network",) if _of_network(values) else RECIPES
    if "records" in values or "clean" in values:
        _check_records(values, parameters["own_records"])
        candidates = ("own_records",)
    elif {"original", "released", "control"} & values.keys():
        candidates = ("own_release",)
    elif "agent" in values:
        candidates = ("own_agent",)
    fitting = [name for name in candidates if values.keys() <= parameters[name]]
    if not fitting:
        # The recipe that takes the most of them is what was meant.
        meant = max(candidates, key=lambda name: len(values.keys() & parameters[name]))
        odd = sorted(values.keys() - parameters[meant])
        # Records are scanned without a model, so that no other flag leads there.
        others = [n for n in RECIPES if odd[0] in parameters[n] and n != "own_records"]
        raise UsageError(
            f"--{odd[0]} is for {', '.join(others)} and does not go with the others, which are for "
            f"{meant} (hartley show {meant}); leave it out"
        )
    for parameter in catalog.load("scene", fitting[0]).parameters:
        name = parameter.name
        if name in values and (mistake := parameter.mistake(values[name])):
            # Said of the flag, not of the recipe, which the user has not named.
            raise UsageError(f"--{name.replace('_', '-')}{mistake.removeprefix(name)}")
    return fitting[0], dict(values)


def _check_records(values: Mapping[str, Any], taken: set[str]) -> None:
    """Refuse what does not go with records that are scanned without a model.

    Raises:
        UsageError: a flag of a model, or a data set that is missing.
    """
    if not values.get("records"):
        raise UsageError("--clean are the trusted records of a scan: give --records as well")
    if odd := [name for name in values if name not in taken]:
        what = ", ".join(f"--{name.replace('_', '-')}" for name in odd)
        raise UsageError(
            f"--records scans a data set before training, without a model, and does not go with "
            f"{what}; to assess a model give its records by --train and --test, and to ask whether "
            "they were trained on, leave --records out"
        )


def _of_network(values: Mapping[str, Any]) -> bool:
    """Whether the model or the records are such as only a network has."""
    model, train = str(values.get("model", "")), str(values.get("train", ""))
    weights = (".pt", ".pth", ".safetensors", ".ckpt")
    # The name of a model at an endpoint may look like a name in a module: llama3:latest.
    return not {"endpoint", "members", "nonmembers", "canaries", "withheld"} & values.keys() and (
        is_object(model)
        or is_object(train)
        or model.lower().endswith(weights)
        or train.lower().endswith((".npz", ".npy"))
    )


def of_plan(model: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the scene of the tables ``[model]`` and ``[data]``; ``model.path`` is ``--model``.

    Raises:
        UsageError: a key that is not of its table, or a value that is a table itself.
    """
    values: dict[str, Any] = {}
    known = {parameter for recipe in RECIPES for parameter in _names(recipe)}
    for table, keys in (("model", model), ("data", data)):
        for key, value in keys.items():
            name = "model" if (table, key) == ("model", "path") else key
            if name not in known:
                near = did_you_mean(name, known)
                raise UsageError(f"unknown key '{table}.{key}'{near}")
            if (name in DATA) != (table == "data") or (table, key) == ("model", "model"):
                where = "data" if name in DATA else "model"
                right = "model.path" if key == "model" else f"{where}.{key}"
                raise UsageError(f"unknown key '{table}.{key}'; did you mean {right}?")
            values[name] = value
    return own_scene(values)


def _names(recipe: str) -> set[str]:
    return {parameter.name for parameter in catalog.load("scene", recipe).parameters}
