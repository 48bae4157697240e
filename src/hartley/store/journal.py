"""The journal of a run: one line per played job, and the header that must not change."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hartley.core.errors import StoreError
from hartley.store.disk import as_store_error

JOURNAL = "hartley.journal/1"


def read_journal(path: Path) -> tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]:
    """Read a journal; an incomplete last line, left by a killed process, is ignored."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    parsed: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            parsed.append(json.loads(line))
        except ValueError as error:
            raise StoreError(f"{path}, line {number} is damaged: {error}") from error
    if not parsed or parsed[0].get("schema") != JOURNAL:
        schema = parsed[0].get("schema") if parsed else None
        raise StoreError(f"{path} must be a journal of schema {JOURNAL!r}, got {schema!r}")
    return parsed[0], {record["job"]: record for record in parsed[1:]}


def mend(path: Path) -> None:
    """Cut off the half line that a killed process left."""
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete != len(content):
        with as_store_error(path), path.open("rb+") as file:
            file.truncate(complete)


def differences(
    old: Mapping[str, Any], old_plan: str, new: Mapping[str, Any], new_plan: str
) -> list[str]:
    """Return what changed between two headers and their plans, one line per change."""
    changes = _changes(old_plan, new_plan)
    for key in ("name", "digest"):
        before, after = old.get("scene", {}).get(key), new["scene"].get(key)
        if before != after:
            cut = 12 if key == "digest" else None
            changes.append(f"scene {key}: {str(before)[:cut]} → {str(after)[:cut]}")
    if old.get("version") != new["version"]:
        changes.append(f"Hartley: {old.get('version')} → {new['version']}")
    return changes


def _changes(old: str, new: str) -> list[str]:
    """Return what differs between two normalised plans, except limits, which measure nothing."""
    before, after = (dict(_flat(tomllib.loads(text))) for text in (old, new))
    return [
        f"{key}: {before.get(key, 'absent')} → {after.get(key, 'absent')}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and not key.startswith("limits.")
    ]


def measured_part(plan: str) -> str:
    """Return the part of a normalised plan that affects measurements, as one string."""
    return json.dumps(
        [pair for pair in _flat(tomllib.loads(plan)) if not pair[0].startswith("limits.")]
    )


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
