"""Rows and trials as tables of texts: what the templates print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hartley.core.control_characters import one_line
from hartley.report.format_numbers import bits, number, params, plain, share, span, units
from hartley.web.addresses import row_path

if TYPE_CHECKING:
    from hartley.core import Trials

PAGE = 100
"""Lines of a page of trials, and of runs."""

ROWS = 1000
"""Rows of a run on one page."""

ORDERS = {
    "plan": "as planned",
    "bits": "most certified bits",
    "share": "largest share",
    "attack": "attack",
}
"""How rows can be sorted."""

LONGEST = 2000
"""Characters of one cell: an answer, or the reason of a failure, may be of any length."""


def cut(text: object) -> str:
    """Return a text of a run as one that a page can hold; empty for none."""
    words = str(text or "")
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def row_line(row: Mapping[str, Any]) -> dict[str, str]:
    """Return one row of a run for the table of all its rows."""
    defenses = "+".join(_defenses(row))
    knows = row.get("knowledge")
    under = [plain(str(row.get("game") or ""))]
    if defenses:
        under.append(f"behind {defenses}" + (f", {knows}" if knows and knows != "none" else ""))
    cells = {
        "id": cut(row["id"]),
        "attack": cut(row["attack"]),
        "under": cut(", ".join(filter(None, under))),
        "status": cut(row["status"]),
        "reason": cut(row.get("reason")),
        "flags": cut("; ".join(map(str, row.get("flags") or ()))),
    }
    value = row.get("bits")
    if row["status"] != "measured" or not value:
        return cells | dict.fromkeys(("point", "span", "share", "one_in", "null", "n", "units"), "")
    return cells | {
        "point": bits(value.get("point")),
        "span": span(value.get("low"), value.get("high")),
        "share": share(row)[0],
        "one_in": share(row)[1],
        "null": bits(value.get("null")),
        "n": number(row.get("n")),
        "units": units(row),
    }


def row_lines(run: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return rows of a run as lines of a table, each with its address."""
    return [row_line(row) | {"href": row_path(run, str(row["id"]))} for row in rows]


def sorted_rows(rows: Sequence[Mapping[str, Any]], order: str) -> list[Mapping[str, Any]]:
    """Return rows in one of ``ORDERS``; those without a measurement are last."""
    if order == "attack":
        return sorted(rows, key=lambda row: (str(row["attack"]), str(row["id"])))
    if order in ("bits", "share"):
        return sorted(rows, key=lambda row: _size(row, order), reverse=True)
    return list(rows)


def _size(row: Mapping[str, Any], order: str) -> float:
    value = row.get("bits") or {}
    if order == "share":
        value = value.get("share") or {}
    low = value.get("low")
    return float(low) if isinstance(low, int | float) else -1.0


def matches(row: Mapping[str, Any], words: str) -> bool:
    """Whether a row has every one of some words in its names."""
    names = (row["id"], row["attack"], row.get("game"), row.get("class"), *_defenses(row))
    text = " ".join(str(name) for name in names if name).casefold()
    return all(word in text for word in words.casefold().split())


def _defenses(row: Mapping[str, Any]) -> list[str]:
    defenses = (row.get("experiment") or {}).get("defenses") or ()
    return [str(one.get("name", one) if isinstance(one, Mapping) else one) for one in defenses]


def experiment(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was played for a row, stage by stage."""
    facts = []
    for stage in (row.get("experiment") or {}).get("stages") or ():
        facts.append(("attack", f"{stage['attack']} ({params(stage.get('params')) or '–'})"))
        facts.append(("game", f"{stage.get('game')} ({params(stage.get('game_params')) or '–'})"))
    return [*facts, ("defenses", " + ".join(_defenses(row)) or "none")]


def trial_lines(trials: Trials, begin: int, which: str, trial: str = "") -> dict[str, Any]:
    """Return one page of the trials of a row.

    Args:
        trials: of the row.
        begin: the first line of the page, from 0.
        which: all, right or wrong: of symbols and ranks, whether the answer is the question's.
        trial: the number of a trial, whose page is returned then, if it is there.

    Returns:
        head, lines, total (of those that match), first (of the page, from 0), whether answers
        are right or wrong at all, and here: the line of the page with that trial, or None.
    """
    import numpy as np

    truth, guess = np.asarray(trials.truth), np.asarray(trials.guess)
    form = str(trials.spec.form)
    right = None
    if form == "symbol":
        right = guess == truth
    elif form == "rank":
        right = guess == 1
    index = np.arange(len(truth))
    if right is not None and which in ("right", "wrong"):
        index = index[right if which == "right" else ~right]
    numbers = index if trials.trial is None else np.asarray(trials.trial)[index]
    place = np.flatnonzero(numbers == int(trial)).tolist() if _is_number(trial) else []
    begin = place[0] if place else begin
    first = max(0, min(begin, max(0, len(index) - 1)) // PAGE * PAGE)
    columns = _columns(trials, form)
    head = ["Trial", *(title for title, _ in columns)]
    if right is not None:
        head.append("Right")
    lines = []
    for one in index[first : first + PAGE].tolist():
        cells = [number(int(one))] if trials.trial is None else [_cell(trials.trial[one])]
        cells += [values(one) for _, values in columns]
        if right is not None:
            cells.append("yes" if bool(right[one]) else "no")
        lines.append(cells)
    return {
        "head": head,
        "lines": lines,
        "total": len(index),
        "first": first,
        "judged": right is not None,
        "here": begin - first if place else None,
    }


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


COSTS = {"cost_queries": "Queries", "cost_s": "Seconds", "cost_tokens": "Tokens"}
ANSWERS = {"score": "Answer (score)", "symbol": "Answer", "rank": "Answer (rank of the secret)"}


def _columns(trials: Trials, form: str) -> list[tuple[str, Any]]:
    """Return (title, function of a trial's place) of each column that the trials have."""

    def of(column: Any) -> Any:
        return lambda place: _cell(column[place])

    columns: list[tuple[str, Any]] = []
    if trials.item is not None:
        columns.append(("About", lambda place: _item(trials, int(trials.item[place]))))
    columns.append(("Question (secret)", of(trials.truth)))
    columns.append((ANSWERS.get(form, "Answer"), of(trials.guess)))
    named = (("Without the attack", "reference"), ("Victim", "cluster"), ("Part", "split"))
    for title, name in (*named, ("Credit", "gain"), ("Seen", "observed")):
        if (column := getattr(trials, name)) is not None:
            columns.append((title, of(column)))
    for name, column in trials.costs.items():
        columns.append((COSTS.get(name, plain(name)), of(column)))
    return columns


def _item(trials: Trials, item: int) -> str:
    """Write which record a trial is about: the name of its data and the number in them."""
    names = [(str(name), int(begin)) for name, begin in trials.sources]
    inside = [(name, item - begin) for name, begin in names if begin <= item]
    return one_line(f"{inside[-1][0]} {inside[-1][1]}" if inside else item, LONGEST)


def _cell(value: Any) -> str:
    plain_value = value.item() if hasattr(value, "item") else value
    if isinstance(plain_value, float) and plain_value == round(plain_value):
        plain_value = round(plain_value) if abs(plain_value) < 1e15 else plain_value
    if isinstance(plain_value, int | float):
        return number(plain_value)
    return one_line(plain_value, LONGEST)
