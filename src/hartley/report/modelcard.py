"""A section of a model card: what was measured of the model, how, and what that does not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.report.findings import class_of
from hartley.report.format_numbers import (
    NOTHING,
    bits,
    level,
    meaning,
    metric,
    number,
    plain,
    sentence,
    share,
    span,
    units,
    usual,
    verdict_words,
)
from hartley.report.markdown import cell, code, points, table
from hartley.report.summary import limited, measured_effects, summary

HEAD = (
    "threat",
    "attack, and what it has",
    "bits per use",
    "share of the secret",
    "usual metric",
    "n",
)


def render(document: Mapping[str, Any]) -> str:
    """Return the section as Markdown, to be copied into a model card."""
    verdict, words = document["verdict"], summary(document)
    _, title, reading = verdict_words(verdict)
    measured = [row for row in document["channels"] if row["status"] == "measured"]
    blocks = [
        "## Privacy and security",
        " ".join(
            cell(part)
            for part in (
                "How much an attacker can learn from this model or do to it, measured by playing "
                "attacks with secrets that the auditor knows.",
                f"{sentence(title)} {sentence(reading)} {sentence(meaning(verdict))}",
                limited(document),
            )
            if part
        ),
        points(words.sentences),
        "### Measurements",
        table(HEAD, map(_row, measured)) if measured else "Nothing was measured.",
        _ends(measured),
        *_protected(document),
        "### What these numbers do not say",
        points(_caveats(measured, words.gaps)),
        "### How to repeat it",
        points(repeated(document)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def repeated(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what identifies the model, the records and the run."""
    scene = document["scene"]
    for name, value in (scene.get("facts") or {}).items():
        yield f"{plain(name)}: {number(value) if isinstance(value, float | int) else value}"
    yield f"scene {scene.get('name')}, digest {code(scene.get('digest'))[:16] or 'none'}"
    yield (
        f"Hartley {document['version']}, run {code(document['id'])}, seed {document.get('seed')}, "
        f"{str(document.get('created') or '')[:10]}"
    )


def _row(row: Mapping[str, Any]) -> list[str]:
    value = row["bits"]
    metrics = [
        f"{metric(k)} {' '.join(usual(k, v))}" for k, v in (row.get("metrics") or {}).items()
    ]
    has = ", ".join(row.get("access") or ()) or "released data alone"
    flags = "".join(f" ⚠ {flag}" for flag in row.get("flags") or ())
    return [
        plain(class_of(row)),
        f"{row['attack']}: {has}{flags}",
        f"{bits(value.get('point'))} {span(value.get('low'), value.get('high'))} "
        f"per {row.get('unit') or 'use'}",
        ", ".join(filter(None, share(row))),
        metrics[0] if metrics else NOTHING,
        f"{number(row.get('n'))} {units(row)}".strip(),
    ]


def _ends(rows: Sequence[Mapping[str, Any]]) -> str:
    levels = dict.fromkeys(level(row["bits"].get("alpha")) for row in rows)
    if not levels:
        return ""
    return (
        f"Point, then certified lower and calibrated upper end, each at {cell(', '.join(levels))}."
    )


def _protected(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what protects the model already, and what was measured of other defenses."""
    deployed = (document.get("plan") or {}).get("deployed") or ()
    effects = list(measured_effects(document))
    if deployed or effects:
        yield "### Defenses"
    if deployed:
        yield cell(f"The measurements are of the model behind {', '.join(deployed)}.")
    if effects:
        yield points(effects)


def _caveats(rows: Sequence[Mapping[str, Any]], gaps: Sequence[str]) -> Iterator[str]:
    attacks = len(dict.fromkeys(row["attack"] for row in rows))
    yield (
        f"They are of the {attacks} attacks that were played; a better attack may read more. "
        "What is certified holds for these attacks, whatever the data are like."
    )
    if any(not row.get("planted", True) for row in rows):
        yield (
            "Where nobody drew the secrets at random, a difference between the two groups of "
            "records that the model did not cause counts as a leak."
        )
    yield from gaps
