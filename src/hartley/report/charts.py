"""The charts of the page, each with its text alternative."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.report import figures
from hartley.report.format_numbers import (
    AXIS_TITLES,
    bits_line,
    number,
    plain,
    quantity,
    span,
)
from hartley.report.table_rows import channel


def axis(name: str, measured: Sequence[Mapping[str, Any]], drawn: Any) -> dict[str, Any]:
    """Return one axis: its rows, and a forest for each class and unit on it.

    Args:
        name: the axis.
        measured: every measured channel.
        drawn: marks text as markup; only what ``figures`` drew passes through it.
    """
    here = [c for c in measured if c.get("axis") == name]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in here:
        groups.setdefault((str(row.get("game")), str(row.get("unit") or "use")), []).append(row)
    charts = []
    for i, ((game, unit), rows) in enumerate(groups.items()):
        label = "; ".join(f"{r['attack']}: {bits_line(r)}" for r in rows)
        charts.append(
            {
                "title": f"{plain(game)}, bits per {unit}",
                "label": f"Bits of {plain(game)}. {label}.",
                "wide": drawn(figures.forest(rows, f"{name}-{i}w")),
                "tall": drawn(figures.forest(rows, f"{name}-{i}n", narrow=True)),
            }
        )
    return {
        "name": name,
        "title": AXIS_TITLES[name],
        "charts": charts,
        "rows": [channel(row) for row in here],
    }


def curves(measured: Sequence[Mapping[str, Any]], drawn: Any) -> Iterator[dict[str, Any]]:
    """Yield a ROC chart for each class that has curves."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in measured:
        curve = row.get("curve") or {}
        if curve.get("fpr") and len(curve["fpr"]) == len(curve.get("tpr") or ()):
            groups.setdefault(str(row.get("game")), []).append(row)
    for i, (game, rows) in enumerate(groups.items()):
        lines = []
        for row in rows:
            auc = (row.get("metrics") or {}).get("auc")
            caption = f"AUC {' '.join(quantity(auc))}" if auc is not None else "no AUC"
            if "n " not in caption:
                caption += f", n {number(row.get('n'))}"
            lines.append(f"{row['attack']}: {caption}")
        yield {
            "title": f"{plain(game)}, true against false positives",
            "lines": lines,
            "label": f"ROC of {plain(game)}. {'; '.join(lines)}.",
            "svg": drawn(figures.roc(rows, f"roc-{i}")),
        }


def defenses(document: Mapping[str, Any], drawn: Any) -> Iterator[dict[str, Any]]:
    """One chart for each row: without a defense, then behind each, by what the attacker knows."""
    units = {c["id"]: c.get("unit") or "use" for c in document["channels"]}
    labels = {c["id"]: c["attack"] for c in document["channels"]}
    rows: dict[str, list[dict[str, Any]]] = {}
    for defense_row in document.get("defenses") or ():
        for row_id, residual in (defense_row.get("residual") or {}).items():
            for key in ("undefended", "static", "adaptive"):
                name = f"{defense_row['name']}, {key}" if key != "undefended" else "without"
                measured = any(row["attack"] == name for row in rows.get(row_id, ()))
                if residual.get(key) is not None and not measured:
                    row = {"attack": name, "bits": residual[key], "n": residual[key].get("n")}
                    rows.setdefault(row_id, []).append(row | {"unit": units.get(row_id, "use")})
    for i, (row_id, attack_rows) in enumerate(rows.items()):
        words = f"{labels.get(row_id, row_id)}, bits per {attack_rows[0]['unit']}"
        caption = "; ".join(f"{row['attack']}: {bits_line(row)}" for row in attack_rows)
        yield {
            "title": words,
            "label": f"Defenses against {words}. {caption}.",
            "svg": drawn(figures.forest(attack_rows, f"defense-{i}", narrow=True)),
        }


def outbreaks(document: Mapping[str, Any], drawn: Any) -> Iterator[dict[str, Any]]:
    """Yield the epidemic curve of each attack: without a defense, then behind each.

    Of the attackers behind a defense, the one who knows it is drawn where they were played.
    """
    every = (*document["channels"], *(document.get("defended") or ()))
    measured = [row for row in every if row["status"] == "measured"]
    attacks: dict[str, list[Mapping[str, Any]]] = {}
    for row in measured:
        if row.get("epidemic"):
            attacks.setdefault(str(row["attack"]), []).append(row)
    for i, (attack, rows) in enumerate(attacks.items()):
        known: dict[str, Mapping[str, Any]] = {}
        for row in sorted(rows, key=lambda row: row.get("knowledge") == "adaptive"):
            known[_behind(row)] = row
        lines = [f"{name}: {_reproduction(row)}" for name, row in known.items()]
        yield {
            "title": f"{attack}, infected agents after each round",
            "lines": lines,
            "label": f"Epidemic curve of {attack}. {'; '.join(lines)}.",
            "svg": drawn(
                figures.outbreak(
                    [(name, row["epidemic"]) for name, row in known.items()], f"outbreak-{i}"
                )
            ),
        }


def _behind(row: Mapping[str, Any]) -> str:
    """Return the defenses that a row was played behind, in words."""
    names = [d["name"] for d in (row.get("experiment") or {}).get("defenses") or ()]
    return " + ".join(names) or "no defense"


def _reproduction(row: Mapping[str, Any]) -> str:
    """Return the reproduction number of a row with its interval, and what was infected in the end.

    Nobody's number is known where nobody was infected early enough to be seen to the end.
    """
    value = (row.get("metrics") or {}).get("reproduction")
    words = "R not known, nobody was infected"
    if value is not None:
        words = f"R {' '.join(quantity(value))}"
        words += "" if "n " in words else f", n {number(value.get('n'))}"
    course = row["epidemic"]
    return (
        f"{words}; infected in the end {number(course['share'][-1])} "
        f"{span(course['low'][-1], course['high'][-1])}, {number(row.get('rounds'))} conversations"
    )
