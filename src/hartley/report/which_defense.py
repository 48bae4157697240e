"""Which defense: the choice of a run, its leak matrix, and utility against what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.core.errors import UsageError
from hartley.engine.choice.which_defense import NEGLIGIBLE, which_defense
from hartley.report import figures
from hartley.report.format_numbers import (
    NOTHING,
    count,
    highest,
    metric,
    number,
    percent,
    plain,
    quantity,
)

HEAD = (
    *("Defense", "Term", "Coverage index", "Static attackers", "Attacks on S, N, B"),
    *("Breadth", "Least covered", "Utility"),
)
MARKS = {"static only": "static attacker alone", "not claimed": "not claimed", "open": "open"}
TERMS = ("signal", "noise", "bandwidth")
ANSWERS = {"beats": "Yes", "loses": "No: they cover more", "open": "Open"}


def of_page(document: Mapping[str, Any], drawn: Any = None) -> dict[str, Any] | None:
    """Return what the page shows of a choice; None where the run has none.

    Args:
        document: the run document.
        drawn: marks text as markup; only what ``figures`` drew passes through it. None: no chart
            is drawn.
    """
    try:
        choice = which_defense(_whole(document))
    except UsageError:
        return None
    names = [row["name"] for row in choice["defenses"]]
    return {
        "sentences": list(_sentences(choice)),
        "head": HEAD,
        "rows": [_index(row, choice["defenses"]) for row in choice["defenses"]],
        "matrix_head": ("Attack", "Objective", "Without", *names),
        "matrix": [_matrix(row, names) for row in choice["matrix"]],
        "charts": [] if drawn is None else list(_fronts(choice, drawn)),
        "claim": _claim(choice["bandwidth_claim"]),
        "notes": list(_notes(choice)),
    }


def _whole(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with its rows behind defenses: one of them that is flagged is open."""
    rows = [*document["channels"], *(document.get("defended") or ())]
    return {**document, "channels": rows}


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Return the choice of a run in words; none where it has none."""
    try:
        return list(_sentences(which_defense(_whole(document))))
    except UsageError:
        return []


def _sentences(choice: Mapping[str, Any]) -> Iterator[str]:
    best = choice["choice"]
    yield (
        f"Of {count(len(choice['defenses']), 'defense')} against "
        f"{count(len(choice['relative_to_suite']), 'attack')}, {best['defense']} leaves its worst "
        f"attack least: {best['worst_attack']} reads {_ends(best['worst'])} of the secret, where "
        f"{best['undefended_attack']} reads {percent(best['undefended'])} without a defense."
    )
    if (rival := best["runner_up"]) is not None:
        yield (
            f"Next is {rival['defense']} with {percent(rival['worst'])} "
            f"({rival['worst_attack']}). Within its interval each number could be another one: "
            f"{best['defense']} is the best in {percent(best['share_best'])} of draws."
        )
    weights = best["mixture"]["weights"]
    if len(weights) > 1:
        words = ", ".join(f"{name} {percent(share)}" for name, share in weights.items())
        yield (
            f"A mixture whose draw no attacker sees ({words}) leaves "
            f"{percent(best['mixture']['value'])}: the price of determinism is "
            f"{percent(best['price_of_determinism'])}."
        )
    else:
        yield "No mixture of them leaves less."
    if best["assumed"]:
        yield (
            f"{best['defense']} claims nothing about {count(len(best['assumed']), 'attack')}, of "
            "which the leak without it is taken."
        )
    if len(choice["by_class"]) > 1:
        classes = "; ".join(_of_class(*item) for item in choice["by_class"].items())
        yield f"Class by class: {classes}."
    if choice["next"] and choice["next"][0]["value"] >= NEGLIGIBLE:
        first = choice["next"][0]
        yield (
            f"To measure next: {first['attack']} behind {first['defense']}, "
            f"{number(first['uses'])} more uses, which change the choice with chance "
            f"{percent(first['changes'])}."
        )
    else:
        yield f"No single further measurement would lower the worst leak by {percent(NEGLIGIBLE)}."
    yield "Only the attacks of this run count, and hartley defend reads its trials for intervals."


def _of_class(name: str, row: Mapping[str, Any]) -> str:
    if row["defense"] is None:
        return f"{plain(name)}: no defense of the run claims it"
    left = f"{_ends(row['worst'])} of {percent(row['undefended'])}"
    return f"{plain(name)}: {row['defense']}, {left}"


def _index(row: Mapping[str, Any], defenses: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    index = row["dci_hartley"]
    by_term = index["by_term"]
    gaps = [
        f"{len(index[key])} {words}"
        for key, words in (("open", "open"), ("unclaimed", "not claimed"))
        if index[key]
    ]
    worst = NOTHING if index["worst"] is None else percent(index["worst"])
    return [
        (row["name"], ""),
        (row["term"], ""),
        (_percent(index["value"]), "; ".join([_span(index), *gaps])),
        (_percent(index["static"]), ""),
        (" ".join(f"{t[0].upper()} {percent(by_term[t])}" for t in TERMS if t in by_term), ""),
        (_percent(index["breadth"]), f"at {percent(index['threshold'])} or more"),
        (worst, index["worst_attack"]),
        _utility(row, defenses),
    ]


def _utility(row: Mapping[str, Any], defenses: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    name = varying(defenses)
    if name is None:
        return NOTHING, ""
    point, words = quantity(row["utility"][name]["after"])
    return f"{metric(name)} {point}", words


def varying(defenses: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the first measure of utility that some defense changes, or None."""
    for name, pair in defenses[0]["utility"].items():
        values = {row["utility"][name]["after"]["value"] for row in defenses}
        if len({pair["before"]["value"], *values} - {None}) > 1:
            return str(name)
    return None


def _matrix(row: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str]]:
    cells = [row["behind"][name] for name in names]
    return [
        (row["attack"], plain(row["class"])),
        (row["objective"] or NOTHING, ""),
        (percent(row["before"]["value"]), _span(row["before"])),
        *((percent(_read(cell)), _state(cell)) for cell in cells),
    ]


def _read(cell: Mapping[str, Any]) -> float:
    """What the stronger attacker reads, as measured; without a measurement what is assumed."""
    played = [cell[k]["value"] for k in ("static", "adaptive") if cell[k] is not None]
    return float(max(played, default=cell["taken"]))


def _state(cell: Mapping[str, Any]) -> str:
    if cell["state"] in {"open", "not claimed"}:
        return MARKS[cell["state"]]
    taken = [cell[k] for k in ("static", "adaptive") if cell[k] is not None]
    # The other attacker may be the stronger one in truth.
    stronger = {**max(taken, key=lambda ends: ends["value"]), "high": highest(taken)}
    marks = [MARKS.get(cell["state"]), None if cell["claimed"] else "not claimed, measured"]
    return "; ".join([_span(stronger), *filter(None, marks)])


def _fronts(choice: Mapping[str, Any], drawn: Any) -> Iterator[dict[str, Any]]:
    """Utility against what is left to the worst attack, and of the leaks in the mean."""
    name = varying(choice["defenses"])
    if name is None:
        return
    rows = [r for r in choice["defenses"] if r["utility"][name]["after"]["value"] is not None]
    undefended = {"value": choice["choice"]["undefended"], "low": None, "high": None}
    yield _front(
        *(name, rows, [row["worst"] for row in rows], undefended, drawn),
        words="of the secret that the worst attack reads",
        prefix="front",
    )
    indexed = [row for row in rows if row["dci_hartley"]["value"] is not None]
    if indexed and len(choice["relative_to_suite"]) > 1:
        whole = {"value": 1.0, "low": None, "high": None}
        yield _front(
            *(name, indexed, [_uncovered(r["dci_hartley"]) for r in indexed], whole, drawn),
            words="of the leaks that is left in the mean, 1 − the coverage index",
            prefix="front-mean",
        )


def _uncovered(index: Mapping[str, Any]) -> dict[str, float | None]:
    ends = {"value": "value", "low": "high", "high": "low"}
    return {end: None if index[other] is None else 1 - index[other] for end, other in ends.items()}


def _front(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    left: Sequence[Mapping[str, Any]],
    undefended: Mapping[str, Any],
    drawn: Any,
    *,
    words: str,
    prefix: str,
) -> dict[str, Any]:
    """Utility against what is left: every defense, and those that no other beats in both."""
    points: list[dict[str, Any]] = [
        {
            "name": row["name"],
            "term": row["term"],
            "left": ends,
            "utility": row["utility"][name]["after"],
        }
        for row, ends in zip(rows, left, strict=True)
    ]
    before = rows[0]["utility"][name]["before"]
    if before["value"] is not None:
        points.append({"name": "without", "term": "", "left": undefended, "utility": before})
    front = pareto(points)
    lines = [
        f"{k}: {p['name']}, {percent(p['left']['value'])} left, {metric(name)} "
        f"{' '.join(quantity(p['utility']))}"
        for k, p in enumerate(points, 1)
    ]
    return {
        "title": f"{metric(name)} against the share {words}",
        "label": f"Utility against what is left. {'; '.join(lines)}. Not beaten: "
        f"{', '.join(front)}.",
        "lines": lines,
        "svg": drawn(figures.trade(points, front, metric(name), prefix, f"% {words}")),
    }


def pareto(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the points that no other beats in utility and in what is left."""

    def beats(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        gains = (
            a["utility"]["value"] - b["utility"]["value"],
            b["left"]["value"] - a["left"]["value"],
        )
        return bool(min(gains) >= 0 and max(gains) > 0)

    return [p["name"] for p in points if not any(beats(other, p) for other in points)]


def _notes(choice: Mapping[str, Any]) -> Iterator[str]:
    """What belongs to the matrix in words: harm, collusion, and the declared list."""
    harmed = [row for row in choice["defenses"] if row["raises"]]
    if harmed:
        words = "; ".join(f"{row['name']}: {', '.join(row['raises'])}" for row in harmed)
        yield f"Attacks that read more behind a defense than without it, beyond chance: {words}."
    for row in choice["collusion"]:
        words = ", ".join(
            f"{count(limit['principals'], 'principal')} {percent(limit['at_most'])}"
            for limit in row["limits"]
        )
        yield (
            f"Where principals collude, each with the limit of {row['defense']}, it covers at "
            f"most, of its {count(row['attacks'], 'attack')}: {words}."
        )
    declared = choice["declared"]
    if declared["here"]:
        listed = ", ".join(f"{row['number']} {', '.join(row['parts'])}" for row in declared["here"])
        waiting = ", ".join(row["number"] for row in declared["open"])
        yield (
            f"Of the fifteen declared defenses ({declared['origin']}) this run has {listed}; open "
            f"are {waiting}: {declared['open'][0]['waits']}."
        )


def _claim(claim: Mapping[str, Any]) -> str:
    question = "Does bandwidth beat noise and signal under adaptation?"
    if claim["status"] not in ANSWERS:
        return f"{question} Not measured: {claim['reason']}."
    sides = [
        f"{percent(claim['coverage'][kind]['adaptive'])} ({', '.join(claim[kind])})"
        for kind in ("bandwidth", "others")
    ]
    whole = claim["everywhere"]
    everywhere = (
        ""
        if whole is None
        else f" Over all cells that were played, claimed or not: {' '.join(quantity(whole))}."
    )
    return (
        f"{question} {ANSWERS[claim['status']]}: coverage {' against '.join(sides)}, difference "
        f"{' '.join(quantity(claim['difference']))} attacks; of other attacks and defenses like "
        f"them {' '.join(quantity(claim['beyond']))}.{everywhere}"
    )


def _percent(value: float | None) -> str:
    return NOTHING if value is None else percent(value)


def _ends(value: Mapping[str, Any]) -> str:
    return f"{percent(value['value'])} {_span(value)}"


def _span(value: Mapping[str, Any]) -> str:
    if value["low"] is None or value["high"] is None:
        return "no interval"
    return f"[{percent(value['low'])}, {percent(value['high'])}]"
