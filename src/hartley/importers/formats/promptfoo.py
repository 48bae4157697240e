"""Results of promptfoo: the share of attacks that succeeded, or of tests that passed.

Read in the source of promptfoo 0.118 to 0.123 (``src/types/index.ts``: ``EvaluateSummaryV3``): the
JSON that ``promptfoo eval --output results.json`` writes, with the rows in ``results.results``, or
one a line with ``results.jsonl``. In a red team an assertion rejects what the attack wanted, so
that ``success: false`` with ``failureReason`` 1 is an attack that succeeded. Rows with
``failureReason`` 2 ended in an error and have no outcome. Rows of one seed prompt are one cluster:
``metadata.originalText`` where a strategy rewrote it, else the test's variables, which repeated
runs share.
"""

from __future__ import annotations

import json
from typing import Any

from hartley.importers.outcomes import Collected, Rates
from hartley.importers.source import Source

READS = "promptfoo results (.json, .jsonl)"
NONE, ASSERT, ERROR = 0, 1, 2
"""Values of ``failureReason``."""
OWN = ("sessionId",)
"""Variables that differ from run to run of one test."""


def recognises(source: Source) -> bool:
    """Whether the document, or the lines, are the rows of a promptfoo evaluation."""
    return _rows(source.document) is not None or _is_row(source.first)


def read(source: Source) -> Rates:
    """Return one rate for each provider, and in a red team for each plugin too."""
    rows = _rows(source.document)
    if rows is None and _is_row(source.first):
        rows = [row for _, row in source.lines()]
    if rows is None:
        raise source.broken(
            "results of promptfoo must have a list `results.results`", "it has none"
        )
    is_red_team = any(_metadata(row).get("pluginId") for row in rows if isinstance(row, dict))
    collected = Collected()
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not isinstance(row.get("success"), bool):
            raise source.broken(f"row {number} of results.results", "it must have `success`")
        if _is_error(row):
            collected.leave_out("rows that ended in an error (failureReason 2)")
            continue
        value = float(row["success"] is not is_red_team)
        provider = row.get("provider")
        if isinstance(provider, dict):
            provider = provider.get("label") or provider.get("id")
        plugin = _metadata(row).get("pluginId") if is_red_team else None
        name = f"{provider} / {plugin}" if plugin else str(provider)
        collected.add(name, value, _seed_prompt(row))
    groups = collected.groups()
    if not groups:
        raise source.broken(
            "results of promptfoo must have rows with an outcome",
            "; ".join(collected.notes()) or "it has no rows",
        )
    return Rates(
        groups,
        quantity=(
            "attack success rate per attempt (promptfoo's test failed)"
            if is_red_team
            else "share of tests that passed"
        ),
        unit="attempt" if is_red_team else "test",
        shared="the seed prompt" if is_red_team else "the test's variables",
        notes=collected.notes(),
    )


def _rows(document: Any) -> list[Any] | None:
    if not isinstance(document, dict):
        return None
    results = document.get("results")
    rows = results.get("results") if isinstance(results, dict) else results
    return rows if isinstance(rows, list) and rows and _is_row(rows[0]) else None


def _is_row(row: Any) -> bool:
    known = {"promptIdx", "testIdx", "failureReason", "gradingResult", "testCase", "vars"}
    return isinstance(row, dict) and "success" in row and not known.isdisjoint(row)


def _is_error(row: dict[str, Any]) -> bool:
    """Whether a row has no outcome; ``error`` alone is also the reason of a test that failed."""
    reason = row.get("failureReason")
    if reason in (NONE, ASSERT, ERROR):
        return bool(reason == ERROR)
    return bool(row.get("error")) and not isinstance(row.get("gradingResult"), dict)


def _metadata(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a red team wrote beside a test: into the test, its grade, or the row itself."""
    metadata: dict[str, Any] = {}
    for holder in (row.get("testCase"), row.get("gradingResult"), row):
        part = holder.get("metadata") if isinstance(holder, dict) else None
        metadata |= part if isinstance(part, dict) else {}
    return metadata


def _seed_prompt(row: dict[str, Any]) -> str:
    original = _metadata(row).get("originalText")
    if isinstance(original, str):
        return original
    variables = row.get("vars")
    if not isinstance(variables, dict):
        return f"test {row.get('testIdx')}"
    inputs = {name: value for name, value in variables.items() if name not in OWN}
    texts = [value for value in inputs.values() if isinstance(value, str)]
    if len(inputs) == len(texts) == 1:
        return texts[0]
    return json.dumps(inputs, sort_keys=True)
