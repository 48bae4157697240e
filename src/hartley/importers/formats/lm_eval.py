"""Samples of lm-evaluation-harness: the mean of a metric over the documents.

Read in the source of lm-eval 0.4.13 (``lm_eval/result_schema.py``, ``evaluator.py``), and checked
on a file that it wrote: ``samples_<task>_<date>.jsonl``, by ``--log_samples``. Each line is one
document under one ``filter``; ``metrics`` lists the names of its metrics, whose values are fields
of the line. Lines of one ``doc_hash`` are one cluster: a document may be in a task several times.
"""

from __future__ import annotations

from hartley.importers.outcomes import Collected, Rates
from hartley.importers.source import Source

READS = "lm-eval samples (samples_*.jsonl)"
TOTALS = {"results", "n-samples", "configs"}
"""Fields of ``results_<date>.json``, which has the mean of each metric alone."""
FIELDS = {"doc_id", "resps", "filtered_resps", "target"}


def recognises(source: Source) -> bool:
    """Whether the first line has the fields of a sample, or the document those of totals."""
    return (source.first or {}).keys() >= FIELDS or _has_totals(source)


def _has_totals(source: Source) -> bool:
    return isinstance(source.document, dict) and source.document.keys() >= TOTALS


def read(source: Source) -> Rates:
    """Return one rate for each metric and filter."""
    if _has_totals(source):
        raise source.broken(
            "totals of lm-eval have no samples",
            "run it with --log_samples and measure samples_<task>_<date>.jsonl",
        )
    collected = Collected()
    for number, sample in source.lines():
        names = sample.get("metrics") or [
            name for name in ("acc", "acc_norm", "exact_match") if name in sample
        ]
        if not isinstance(names, list):
            raise source.broken(f"line {number}", "`metrics` must be a list of names")
        key = str(sample.get("doc_hash", sample.get("doc_id", number)))
        kind = str(sample.get("filter", "none"))
        for name in map(str, names):
            rate = name if kind == "none" else f"{name} / {kind}"
            collected.add_value(rate, sample.get(name), key)
    groups = collected.groups()
    if not groups:
        raise source.broken(
            "samples of lm-eval must have a metric in 0..1",
            "; ".join(collected.notes()) or "there are none",
        )
    return Rates(
        groups,
        quantity="mean of the task's metric (1 = right, as the task counts it)",
        unit="document",
        shared="the document",
        notes=collected.notes(),
    )
