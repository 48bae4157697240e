"""GitHub Markdown: the verdict and the tables, for a pull request or a step summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hartley.engine.loop.in_words import MEANING
from hartley.report import compared, rings, suspects, which_defense
from hartley.report.findings import class_of
from hartley.report.format_numbers import (
    AXIS_TITLES,
    DEPARTED,
    NOTHING,
    bits,
    figure,
    judged,
    level,
    meaning,
    metric,
    number,
    params,
    played_params,
    quantity,
    sentence,
    share,
    span,
    tuned,
    units,
    usual,
    verdict_words,
)
from hartley.report.markdown import cell, code, points, table
from hartley.report.summary import limited, summary
from hartley.report.table_rows import by_reason, edges
from hartley.report.unplayed import FITS_NOT
from hartley.report.worst_records import explained, head, lines, worst_records


def render(document: Mapping[str, Any]) -> str:
    """Return the run as Markdown."""
    scene, verdict = document["scene"], document["verdict"]
    _, title, words = verdict_words(verdict)
    measured = [c for c in document["channels"] if c["status"] == "measured"]
    failed = [c for c in document["channels"] if c["status"] not in ("measured", "skipped")]
    skipped = [c for c in document["channels"] if c["status"] == "skipped"]
    words_first = summary(document)
    blocks = [
        f"# Hartley: {cell(scene.get('name'))}",
        f"**{cell(title)}.** {cell(sentence(words))} {cell(sentence(meaning(verdict)))}".strip(),
        cell(limited(document)) if limited(document) else "",
        cell(" ".join(words_first.sentences)),
        "\n".join(f"- {cell(reason)}" for reason in verdict.get("reasons") or ()),
        *_departures(verdict),
        cell(sentence(judged(verdict))) if judged(verdict) else "",
        *_compared(verdict),
        *_list("What to do now", words_first.actions),
        *_list("What did not run, and its cure", words_first.gaps),
        *_suspects(document),
        *_worst(document),
        "## Channels",
        table(CHANNEL_HEAD, [_channel(c) for c in measured])
        if measured
        else "Nothing was measured.",
        "Bits are Shannon bits per use: the point, then the certified lower and the calibrated "
        "upper end. The ceiling is proved; the null arm should read 0.",
        *_quantities(measured),
    ]
    if document.get("edges"):
        head = ("chain", "against", "gain in bits", "times", "together", "n victims")
        rows = [
            [
                *(words["path"], words["against"], f"{words['gain']} {words['span']}"),
                *(words["times"], words["family"], e.get("n")),
            ]
            for e, words in zip(document["edges"], edges(document), strict=True)
        ]
        blocks += ["## Chains", table(head, rows)]
        blocks.append(
            "The gain compares the last attack at the end of the chain with the same attack alone, "
            "or after a control whose loot carries nothing of the victim, on the same secrets; "
            "intervals resample victims. Together: whether a chain gains or loses anything, judged "
            "with all chains of the run (Holm)."
        )
    blocks += _rings(document)
    if document.get("defenses"):
        rows = [row for d in document["defenses"] for row in _defense(d)]
        blocks += ["## Defenses", table(DEFENSE_HEAD, rows)]
        blocks.append("Coverage is relative to the attacks that were run.")
        blocks.append(cell(" ".join(which_defense.sentences(document))))
    if failed or skipped:
        rows = [[f"{c['status']}: {c.get('reason')}", 1, c["attack"]] for c in failed]
        fitting = [c for c in skipped if c.get("cause") not in FITS_NOT]
        rows += [list(line.values()) for line in by_reason(fitting)]
        if unfit := len(skipped) - len(fitting):
            rows.append(["does not fit: other data, or no such part in the scene", unfit, NOTHING])
        blocks += ["## Not measured", table(("reason", "attacks", "names"), rows)]
    blocks.append(
        f"Run `{code(document['id'])}`, seed {cell(document.get('seed'))}, "
        f"Hartley {cell(document['version'])}, scene digest `{code(scene.get('digest'))[:16]}`."
    )
    return "\n\n".join(block for block in blocks if block) + "\n"


RECORDS = 10
"""Records that are listed."""


def _rings(document: Mapping[str, Any]) -> list[str]:
    blocks = []
    for one in document.get("loops") or ():
        if not one.get("legs") or one["radius"] is None:
            continue
        blocks.append(cell(f"{rings.sentence(one)} {rings.weakest(one)}"))
        blocks.append(table(rings.GAIN_HEAD, list(rings.gain_rows(one))))
        blocks.append(table(rings.ROUND_HEAD, list(rings.round_rows(one))))
    return ["## The closed loop", cell(MEANING), *blocks] if blocks else []


def _suspects(document: Mapping[str, Any]) -> list[str]:
    if not document.get("suspects"):
        return []
    words = cell(" ".join(suspects.explained(document)))
    listed, planted = suspects.lines(document, RECORDS), list(suspects.planted_lines(document))
    blocks = ["## Suspect records", words, table(suspects.HEAD, list(listed))]
    return [*blocks, table(suspects.PLANTED_HEAD, planted)] if planted else blocks


def _worst(document: Mapping[str, Any]) -> list[str]:
    worst = worst_records(document)
    if worst is None or not worst.records:
        return []
    length = min(RECORDS, len(worst.records))
    words = cell(" ".join(explained(worst, length)))
    return ["## Most exposed records", words, table(head(worst), list(lines(worst, length)))]


def _list(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", points(lines)] if lines else []


def _compared(verdict: Mapping[str, Any]) -> list[str]:
    """Return what changed since the earlier run that the verdict compares with."""
    page = compared.of_verdict(verdict)
    if page is None:
        return []
    return [
        f"## {cell(page['title'])}",
        table(page["head"], page["rows"]),
        *map(cell, page["notes"]),
    ]


def _departures(verdict: Mapping[str, Any]) -> list[str]:
    """Say what was played otherwise than it ships."""
    departures = verdict.get("departures") or ()
    return [f"{DEPARTED}:", "\n".join(f"- {cell(d)}" for d in departures)] if departures else []


def _quantities(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say what the bits of rows are of, at which level their ends hold and what these rest on."""
    by_words: dict[str, list[str]] = {}
    for row in rows:
        bits_of_row = row["bits"]
        if quantity_words := bits_of_row.get("quantity"):
            rests = "; ".join(map(str, row.get("assumptions") or ())) or "nothing"
            ends = f"each end at {level(bits_of_row.get('alpha'))}"
            words = f"{quantity_words}, {ends}. Rests on: {rests}"
            by_words.setdefault(words, []).append(str(row["attack"]))
    return (
        [
            "\n".join(
                f"- {cell(', '.join(dict.fromkeys(names)))}: {cell(words)}."
                for words, names in by_words.items()
            )
        ]
        if by_words
        else []
    )


CHANNEL_HEAD = (
    "axis",
    "class",
    "attack",
    "bits per use",
    "share of the secret",
    "ceiling",
    "null",
    "n",
    "usual metrics",
)
DEFENSE_HEAD = ("defense", "term", "attack", "undefended", "static", "adaptive", "utility")


def _channel(row: Mapping[str, Any]) -> list[str]:
    bits_of_row = row["bits"]
    unit = row.get("unit") or "use"
    metrics = [
        f"{metric(k)} {' '.join(usual(k, v))}" for k, v in (row.get("metrics") or {}).items()
    ]
    name = row["attack"] + (f" ({params(played_params(row))})" if row.get("params") else "")
    flags = "".join(f" ⚠ {flag}" for flag in row.get("flags") or ())
    return [
        AXIS_TITLES.get(row.get("axis", ""), str(row.get("axis"))),
        class_of(row),
        name + flags,
        f"{bits(bits_of_row.get('point'))} "
        f"{span(bits_of_row.get('low'), bits_of_row.get('high'))} per {unit}",
        ", ".join(filter(None, share(row))),
        bits(row.get("ceiling")),
        bits(bits_of_row.get("null")),
        f"{number(row.get('n'))} {units(row)}".strip(),
        "; ".join(metrics) or NOTHING,
    ]


def _defense(row: Mapping[str, Any]) -> Iterable[list[str]]:
    utility = "; ".join(
        f"{metric(name)} {figure(v.get('before'))} → {figure(v.get('after'))}"
        for name, v in (row.get("utility") or {}).items()
    )
    name = row["name"] + (f" ({params(row['params'])})" if row.get("params") else "")
    name += f": {row['note']}" if row.get("note") else ""
    for row_id, residual in (row.get("residual") or {}).items():
        cells = [_residual(residual.get(k)) for k in ("undefended", "static", "adaptive")]
        if cells[2] == NOTHING and residual.get("reason"):
            cells[2] = str(residual["reason"])
        if chosen := tuned(residual.get("tuned")):
            cells[2] += f"; {chosen}"
        yield [
            name,
            str(row.get("term")),
            residual.get("attack", row_id),
            *cells,
            utility or NOTHING,
        ]


def _residual(value: Any) -> str:
    return NOTHING if value is None else " ".join(quantity(value))
