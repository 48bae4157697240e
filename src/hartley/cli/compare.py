"""``hartley compare``: what changed between two runs, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.store_option import Store
from hartley.cli.terminal import bits, note, number, print_json, print_table, quantity, say
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from hartley.engine.result.compare_runs import Side

app = App(name="compare")


@app.default
def compare(
    first: str,
    second: str,
    /,
    *,
    margin: float = 0.01,
    store: Store = Path("runs"),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Compare two runs row by row: does the second leak more than the first?

    Rows are joined by their ids; rows whose parameters differ by attack, game, defenses and
    knowledge. Where both runs dealt the same secrets to the same victims (one plan, one seed) the
    difference is paired. Exit code: 0 no worse, 1 worse, 2 bad input, 3 open: a difference that is
    not settled, a row that failed, is flagged or is only in the first run, or a second attacker
    who was weaker: fewer reference models, a weaker setting, a smaller budget.

    Parameters
    ----------
    first
        The run to compare with, such as that of the last release: a name in the store, its folder,
        its run.json, or latest.
    second
        The run in question.
    margin
        Share of the secret that a row may leak more and still count as no worse.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    json
        Print one JSON document.
    """
    from hartley.cli.find_run import path_of
    from hartley.engine.result.compare_runs import EXIT, compare_runs

    if not 0 <= margin <= 1:
        raise UsageError(f"--margin must be a share in 0..1, got {margin:g}")
    if path_of(first, store).resolve() == path_of(second, store).resolve():
        note(f"{first} is compared with itself")
    comparison = compare_runs(_side(first, store), _side(second, store), margin=margin)
    if json:
        print_json(comparison)
    else:
        print_comparison(comparison)
        say(f"verdict: {comparison['status']}")
        for reason in comparison["reasons"]:
            say(f"  {reason}")
    code: int = EXIT[comparison["status"]]
    return code


def _side(run: str, store: Path) -> Side:
    """Return one run, with its trials where its journal vouches for them."""
    from hartley.cli.find_run import read_with_trials
    from hartley.engine.result.compare_runs import Side

    document, load, doubt = read_with_trials(run, store)
    if doubt:
        note(f"{doubt}: its rows are compared by their intervals alone")
    return Side(document, load)


def print_comparison(comparison: Mapping[str, Any]) -> None:
    """Print what changed between two runs: their rows, those of only one, and utility."""
    _print_rows(comparison)
    for side, words in {
        "only_first": "only in the first",
        "only_second": "new in the second",
    }.items():
        if comparison[side]:
            say(f"{words} run: {', '.join(map(_label, comparison[side]))}")
    for name, pair in comparison["utility"].items():
        say(f"utility: {name} {quantity(pair['first'])} → {quantity(pair['second'])}")


def _print_rows(comparison: Mapping[str, Any]) -> None:
    first, second = comparison["first"], comparison["second"]
    say(f"{first['id']} → {second['id']}")
    for name in ("scene", "digest", "seed", "version"):
        if first[name] != second[name]:
            cut = 12 if name == "digest" else None
            say(f"  {name}: {str(first[name])[:cut]} → {str(second[name])[:cut]}")
    if comparison["rows"]:
        print_table(
            ("attack", "first", "second", "difference", "status", "how"),
            [_line(row) for row in comparison["rows"]],
            drop=(5, 1),
        )
    matched: dict[str, list[str]] = {}
    for row in comparison["rows"]:
        if row["matched"]:
            matched.setdefault(row["matched"], []).append(_label(row))
    for words, names in matched.items():
        say(f"{words} ({', '.join(names)})")


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    between = row["difference"]
    cells = [bits(row[side]) if row[side] else "–" for side in ("first", "second")]
    if between is None:
        return (_label(row), *cells, "–", row["status"], row["reason"])
    words = f"{_signed(between['point'])} {_span(between)}"
    return (_label(row), *cells, words, row["status"], between["how"])


def _label(row: Mapping[str, Any]) -> str:
    added = row["defenses"] and not row["baseline"]
    behind = f" behind {'+'.join(row['defenses'])}, {row['knowledge']}" if added else ""
    return f"{row['attack']}{behind}"


def _span(between: Mapping[str, Any]) -> str:
    return f"[{_signed(between['low'])}, {_signed(between['high'])}]"


def _signed(value: float) -> str:
    text = number(value if abs(value) > 1e-9 else 0.0)  # else round-off
    return text if value <= 0 or text == "0" else f"+{text}"
