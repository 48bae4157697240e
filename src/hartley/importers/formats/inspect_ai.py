"""A log of Inspect: the mean of a scorer's values over the samples.

Read in the source of inspect_ai 0.3 of August 2026 (``log/_recorders/eval.py``, log version 2), and
checked on logs of 2024, 2025 and of 0.3.285. An ``.eval`` file is a zip archive, whose members are
compressed by deflate or, since 2026, by zstd. ``summaries.json`` has every sample with its scores;
a run that was stopped has only the parts of it, ``_journal/summaries/1.json``, …. A ``.json`` log
has ``samples`` instead. Inspect reads C as 1, P as ½, I and N as 0, and leaves out NaN. The epochs
of one sample are one cluster.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from hartley.importers.outcomes import Collected, Rates
from hartley.importers.source import Source

READS = "Inspect log (.eval, .json)"
START, HEADER, SUMMARIES = "_journal/start.json", "header.json", "summaries.json"
JOURNAL = "_journal/summaries/"
VALUES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def recognises(source: Source) -> bool:
    """Whether the archive has Inspect's members, or the document its fields."""
    if source.is_zip:
        return START in source.members or {HEADER, SUMMARIES} <= source.members.keys()
    document = source.document
    return isinstance(document, dict) and {"eval", "status", "samples"} <= document.keys()


def read(source: Source) -> Rates:
    """Return one rate for each scorer, or for each value of one that has several."""
    collected = Collected()
    for sample in _samples(source):
        if not isinstance(sample, dict):
            raise source.broken("a sample must be an object", f"got {sample!r:.60}")
        key = str(sample.get("id"))
        scores = sample.get("scores") or {}
        if not isinstance(scores, dict):
            raise source.broken(f"the scores of sample {key} must be an object", f"{scores!r:.60}")
        if not scores:
            collected.leave_out("samples without a score")
        for scorer, score in scores.items():
            value = score.get("value") if isinstance(score, dict) else score
            parts = value.items() if isinstance(value, dict) else [("", value)]
            for part, one in parts:
                _add(collected, f"{scorer} / {part}" if part else scorer, one, key)
    groups = collected.groups()
    if not groups:
        raise source.broken(
            "a log of Inspect must have scores in 0..1, or C, P, I and N",
            "; ".join(collected.notes()) or "it has no samples",
        )
    status = _status(source)
    stopped = () if status == "success" else (f"the log's status is {status!r}, not success",)
    return Rates(
        groups,
        quantity="mean value of the scorer (C = 1, P = 0.5, I and N = 0)",
        unit="scored sample",
        shared="the sample (its epochs)",
        notes=(*collected.notes(), *stopped),
    )


def _samples(source: Source) -> Iterator[Any]:
    if not source.is_zip:
        samples = source.document["samples"]
        return iter(samples if isinstance(samples, list) else ())
    if SUMMARIES in source.members:
        names = [SUMMARIES]
    else:
        names = sorted(name for name in source.members if name.startswith(JOURNAL))
    if not names:
        raise source.broken("a log of Inspect must have summaries of its samples", "it has none")
    return _joined(source, names)


def _joined(source: Source, names: list[str]) -> Iterator[Any]:
    for name in names:
        part = source.member_json(name)
        if not isinstance(part, list):
            raise source.broken(f"its member {name}", "it must be a list of samples")
        yield from part


def _status(source: Source) -> str:
    if not source.is_zip:
        return str(source.document["status"])
    if HEADER not in source.members:
        return "started"
    header = source.member_json(HEADER)
    return str(header.get("status")) if isinstance(header, dict) else "unknown"


def _add(collected: Collected, name: str, value: Any, key: str) -> None:
    if isinstance(value, float) and math.isnan(value):
        collected.leave_out(f"samples that {name} did not score (NaN)")
        return
    if isinstance(value, str):
        value = VALUES.get(value, VALUES.get(value.lower(), value))
    collected.add_value(name, value, key)
