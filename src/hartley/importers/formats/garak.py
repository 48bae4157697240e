"""A report of garak: the share of outputs that a detector counts as a hit.

Read in the source of garak 0.16 (``garak/attempt.py``, ``garak/evaluators/base.py``), and checked
on reports of 0.13, 0.14 and 0.17.1. The file has one object a line, with an ``entry_type``. An
``attempt`` is written twice: with ``status`` 1 when its outputs are there, and with 2 when they
were judged. Its ``detector_results`` have, for each detector, one score in 0..1 an output, or null.
A score of at least garak's ``eval_threshold`` is a hit; the report states that number only where it
is whole, and the usual one is 0.5. The lines of type ``eval`` count the hits, which shows whether
another one was used. Outputs of one prompt are one cluster: those of an attempt, and of attempts
that repeat its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hartley.importers.outcomes import Collected, Outcomes, Rates, share
from hartley.importers.source import Source

READS = "garak report (.report.jsonl)"
JUDGED = 2
THRESHOLD = 0.5
HIT = {"attempt_id", "attempt_seq", "detector", "probe", "score"}
"""Fields of a line of ``.hitlog.jsonl``."""
TYPES = ("start_run setup", "init", "attempt", "eval", "digest", "completion", "plugin_cache")


def recognises(source: Source) -> bool:
    """Whether the first line has one of garak's entry types, or is of its log of hits."""
    first = source.first or {}
    return first.get("entry_type") in TYPES or first.keys() >= HIT


def read(source: Source) -> Rates:
    """Return one rate for each probe and detector."""
    if (source.first or {}).keys() >= HIT:
        raise source.broken(
            "a log of hits has no outputs that were not hit",
            "measure the report beside it, whose name ends in .report.jsonl",
        )
    collected, threshold = Collected(), THRESHOLD
    counted: Counter[str] = Counter()
    for number, entry in source.lines():
        kind = entry.get("entry_type")
        if kind == "start_run setup":
            stated = share(entry.get("run.eval_threshold"))
            threshold = THRESHOLD if stated is None else stated
        elif kind == "eval" and isinstance(entry.get("fails"), int):
            # A report that joins several has the counts of each.
            counted[f"{entry.get('probe')} / {entry.get('detector')}"] += entry["fails"]
        elif kind == "attempt" and entry.get("status") == JUDGED:
            _add(source, collected, entry, number)
    scored = collected.groups()
    if not scored:
        reason = (
            "it has counts alone (entry_type eval), whose rows may belong together"
            if counted
            else "it has no attempt with the results of a detector (status 2)"
        )
        raise source.broken("a report of garak must have judged attempts", reason)
    threshold = _threshold(source, scored, counted, threshold)
    return Rates(
        tuple(replace(g, values=(g.values >= threshold).astype(np.float64)) for g in scored),
        quantity=f"share of outputs whose detector score is at least {threshold:g} (a hit)",
        unit="output",
        shared="the prompt",
        notes=collected.notes(),
    )


def _add(source: Source, collected: Collected, entry: dict[str, Any], number: int) -> None:
    results = entry.get("detector_results")
    if not isinstance(results, dict):
        raise source.broken(f"line {number}", "`detector_results` must be an object")
    probe, prompt = str(entry.get("probe_classname")), _texts(entry.get("prompt")) or number
    for detector, scores in results.items():
        if not isinstance(scores, list):
            raise source.broken(f"line {number}", f"the scores of {detector} must be a list")
        for score in scores:
            value = share(score)
            if score is None:
                collected.leave_out("outputs that the detector did not score")
            elif value is None:
                raise source.broken(f"line {number}", f"a score must be in 0..1, got {score!r}")
            else:
                collected.add(f"{probe} / {detector}", value, prompt)


def _texts(prompt: Any) -> tuple[str, ...]:
    """Return the texts of a prompt: of its turns, or of a report before 0.11 the prompt itself."""
    turns = prompt.get("turns") if isinstance(prompt, dict) else None
    turns = turns if isinstance(turns, list) else []
    contents = [turn.get("content") for turn in turns if isinstance(turn, dict)]
    texts = [content.get("text") for content in contents if isinstance(content, dict)]
    plain = [prompt] if isinstance(prompt, str) else texts
    return tuple(text for text in plain if isinstance(text, str) and text)


def _threshold(
    source: Source, scored: tuple[Outcomes, ...], counted: Mapping[str, int], stated: float
) -> float:
    """Return the threshold at which the attempts have the hits that the report counts.

    Raises:
        BadTrials: there is none: attempts are missing, or are there twice.
    """
    known = [(g.name, np.sort(g.values), counted[g.name]) for g in scored if g.name in counted]

    def hits(values: Any, threshold: float) -> int:
        return len(values) - int(np.searchsorted(values, threshold))

    others = {float(value) for _, values, _ in known for value in np.unique(values)}
    for threshold in (stated, *sorted(others)):
        if all(hits(values, threshold) == fails for _, values, fails in known):
            return threshold
    name, values, fails = next(row for row in known if hits(row[1], stated) != row[2])
    raise source.broken(
        "the attempts of a report must have as many hits as it counts",
        f"{name} has {hits(values, stated)} at the threshold {stated:g}, and the report counts "
        f"{fails}; attempts are missing, or are there twice",
    )
