"""An artifact of JailbreakBench: the share of behaviors that were jailbroken, by each judge.

Read in the artifacts of JailbreakBench of 2024 (``attack-artifacts/<method>/<type>/<model>.json``):
a document with ``parameters`` and a list ``jailbreaks``, one entry for each behavior and prompt.
``jailbroken`` is the judge's answer, ``jailbroken_llama_guard1`` that of another one; null where a
behavior was not tried. Prompts for one behavior are one cluster. The artifact keeps the best prompt
of many that were tried, so that the rate is per behavior and not per query.
"""

from __future__ import annotations

from hartley.importers.outcomes import Collected, Rates, share
from hartley.importers.source import Source

READS = "JailbreakBench artifact (.json)"
JUDGED = "jailbroken"
"""How the names of the judges' fields begin."""


def recognises(source: Source) -> bool:
    """Whether the document has a list of jailbreaks."""
    document = source.document
    return isinstance(document, dict) and isinstance(document.get("jailbreaks"), list)


def read(source: Source) -> Rates:
    """Return one rate for each judge."""
    collected = Collected()
    for number, entry in enumerate(source.document["jailbreaks"], 1):
        if not isinstance(entry, dict):
            raise source.broken(f"jailbreak {number}", "it must be an object")
        key = str(entry.get("goal", entry.get("behavior", number)))
        for name in (name for name in entry if name.startswith(JUDGED)):
            value = share(entry[name])
            if value is None:
                collected.leave_out(f"behaviors without {name}")
            else:
                collected.add(name, value, key)
    groups = collected.groups()
    if not groups:
        raise source.broken(
            "an artifact of JailbreakBench must have `jailbroken`",
            "; ".join(collected.notes()) or "it has no jailbreaks",
        )
    return Rates(
        groups,
        quantity="attack success rate per behavior, as the judge counts it",
        unit="behavior",
        shared="the behavior",
        notes=collected.notes(),
    )
