"""Runs of version 1, brought up to the words and the ids of version 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OLD_SCHEMA = "hartley.run/1"

_ROW = {
    "moves": "term",
    "wire": "form",
    "usual": "metrics",
    "knows": "knowledge",
    "fresh": "queried",
}
_DEFENSE = {"moves": "term", "acts": "stage"}


def from_version_1(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run document of version 1 as one of version 2.

    In version 1 a row was named after its attack, and rows behind a defense were in ``defenses``
    alone. Each row gets the id ``ATTACK-v1``; fields that version 1 did not record stay absent.
    """
    return {
        **document,
        "schema": "hartley.run/2",
        "channels": [_channel(row) for row in document["channels"]],
        "defenses": [_defense(row) for row in document.get("defenses") or ()],
        "verdict": {
            **document["verdict"],
            "checks": [_check(check) for check in document["verdict"].get("checks") or ()],
        },
    }


def _id(attack: Any) -> str:
    return f"{attack}-v1"


def _renamed(row: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    return {words.get(name, name): value for name, value in row.items()}


def _channel(row: Mapping[str, Any]) -> dict[str, Any]:
    stage = {
        "attack": row.get("attack"),
        "params": row.get("params") or {},
        "game": row.get("game"),
        "game_params": {},
        "slot": None,
    }
    experiment = {"stages": [stage], "defenses": [], "knowledge": "none", "replicate": 0}
    new = {"id": _id(row.get("attack")), "baseline": True, "baseline_id": None, "added": None}
    old = {name: value for name, value in row.items() if name != "stage_of"}
    return {**_renamed(old, _ROW), **new, "experiment": experiment}


def _defense(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_renamed(row, _DEFENSE),
        "residual": {
            _id(attack): {**residual, "attack": attack}
            for attack, residual in (row.get("residual") or {}).items()
        },
        "coverage": {_id(a): share for a, share in (row.get("coverage") or {}).items()},
    }


def _check(check: Mapping[str, Any]) -> dict[str, Any]:
    return {**check, "row": _id(check["attack"])} if "attack" in check else dict(check)
