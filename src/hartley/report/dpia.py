"""The measured part of a data protection impact assessment (GDPR, Article 35(7)), as Markdown.

What Hartley has measured is filled in; what only the controller knows is left as a question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.report.findings import class_of
from hartley.report.format_numbers import (
    bits,
    count,
    highest,
    low_of_all,
    meaning,
    plain,
    sentence,
    verdict_words,
    widest,
)
from hartley.report.markdown import cell, points, table
from hartley.report.modelcard import repeated
from hartley.report.summary import access_in_words, limited, share_in_words, summary, what_is_read
from hartley.report.worst_records import explained, head, lines, worst_records

TO_FILL = "*To be filled in by the controller:*"
PERSONAL = "model_to_data"
"""The axis whose secrets are about the records, and so about the persons in them."""
HEAD = ("risk", "who could do it", "how far, as measured", "severity for the persons")


def render(document: Mapping[str, Any]) -> str:
    """Return the assessment as Markdown."""
    verdict, words = document["verdict"], summary(document)
    _, title, reading = verdict_words(verdict)
    personal = [row for row in document["channels"] if row.get("axis") == PERSONAL]
    others = [row for row in document["channels"] if row.get("axis") != PERSONAL]
    blocks = [
        f"# Data protection impact assessment: {cell(document['scene'].get('name'))}",
        "The measurements are Hartley's. Whether a risk is acceptable is decided by the "
        "controller; nothing here is legal advice.",
        "## 1. The processing (Article 35(7)(a))",
        points(repeated(document)),
        f"{TO_FILL} the purposes; the categories of data and of persons; who receives the model or "
        "its answers; for how long both are kept.",
        "## 2. Necessity and proportionality (Article 35(7)(b))",
        f"{TO_FILL} the legal basis; why these data are needed; what was left out or shortened.",
        "## 3. Risks to the persons whose data were used (Article 35(7)(c))",
        _risks(personal),
        *_records(document),
        *_unknown(personal),
        *(
            ["Measured beside, and not about the persons in the records:", points(_beside(others))]
            if any(row["status"] == "measured" for row in others)
            else []
        ),
        "## 4. Measures (Article 35(7)(d))",
        points(words.actions) if words.actions else "Nothing that was measured calls for one.",
        f"{TO_FILL} which measures are taken, by whom, until when; organisational measures.",
        "## 5. Outcome",
        cell(f"{sentence(title)} {sentence(reading)} {sentence(meaning(verdict))}"),
        cell(limited(document)) if limited(document) else "",
        points(verdict.get("reasons") or ()),
        f"{TO_FILL} the decision, its date, the opinion of the data protection officer; whether "
        "the supervisory authority must be consulted (Article 36).",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


RECORDS = 10
"""Records that are listed."""


def _records(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield whose records are most exposed: the persons at most risk."""
    worst = worst_records(document)
    if worst is None or not worst.records:
        return
    length = min(RECORDS, len(worst.records))
    yield f"Most exposed records. {cell(' '.join(explained(worst, length)))}"
    yield table(head(worst), list(lines(worst, length)))


def _risks(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write a row for each class: its widest channel, or that none was certified."""
    measured = [row for row in rows if row["status"] == "measured"]
    if not measured:
        return "No attack on the records was measured, so these risks are unknown."
    lines = []
    for cls in dict.fromkeys(class_of(row) for row in measured):
        alike = [row for row in measured if class_of(row) == cls]
        row = widest(alike)
        if row is None:
            lines.append([plain(cls), "", "unknown: every row of it is flagged", "to be filled in"])
            continue
        value, n = row["bits"], len(alike)
        if (value.get("low") or 0.0) > 0:
            far = (
                f"{share_in_words(row)}: {bits(value.get('point'))} bit per "
                f"{row.get('unit') or 'use'}, at least {bits(value.get('low'))} ({row['attack']}"
                f"{_of_all(row, n)})"
            )
        else:
            sound = [other for other in alike if other.get("bits") and not other.get("flags")]
            high = highest(other["bits"] for other in sound)
            most = f"{bits(high)} bit per {row.get('unit') or 'use'}"
            by = row["attack"] if n == 1 else "the largest of their upper ends"
            far = f"none certified by {count(n, 'attack')}, at most {most} ({by})"
        lines.append([what_is_read(row), access_in_words(row), far, "to be filled in"])
    return table(HEAD, lines)


def _of_all(row: Mapping[str, Any], n: int) -> str:
    """Say what the widest of several rows certifies at the level of all of them together."""
    low = low_of_all(row["bits"], n, row["bits"].get("alpha") or 0.05) if n > 1 else None
    return "" if low is None else f"; {bits(low)} at the level of all {n} attacks together"


def _unknown(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield which classes were not measured at all: a risk that is not known is not small."""
    measured = {class_of(row) for row in rows if row["status"] == "measured"}
    absent = dict.fromkeys(class_of(row) for row in rows if class_of(row) not in measured)
    if absent:
        yield cell(f"Not measured, and so unknown: {', '.join(map(plain, absent))}.")


def _beside(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    measured = [row for row in rows if row["status"] == "measured"]
    for cls in dict.fromkeys(class_of(row) for row in measured):
        row = widest([row for row in measured if class_of(row) == cls])
        if row is not None:
            value = f"{bits(row['bits'].get('point'))} bit per {row.get('unit') or 'use'}"
            yield (
                f"{plain(cls)}: {value}, at least {bits(row['bits'].get('low'))} ({row['attack']})"
            )
