"""Printing for a person: tables on standard output, messages and progress on standard error.

Everything the command prints goes through here, and text of somewhere else (names of plugins,
reasons, records) becomes visible here: it cannot move the cursor, hide, or begin a line of its own.
"""

from __future__ import annotations

import math
import os
import sys
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import IO, Any

from hartley.core.control_characters import one_line, visible, visible_json
from hartley.core.errors import UsageError

Row = Sequence[str]


def whole(_kind: Any, tokens: Sequence[Any]) -> int:
    """Read a whole number from the command line; 1.5 is refused, and is not cut to 1.

    Raises:
        ValueError: it is not a whole number.
    """
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"the value must be a whole number, got {text!r}") from None


def print_json(value: Any) -> None:
    """Print one JSON document and nothing else."""
    import json

    print(visible_json(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)))


def above_zero(flag: str, value: float | None) -> float | None:
    """Return the value of a flag that must be a number above 0.

    Raises:
        UsageError: it is not.
    """
    if value is not None and not 0 < value < math.inf:
        raise UsageError(f"--{flag} must be a finite number above 0, got {value}")
    return value


def say(*lines: object) -> None:
    """Print lines of the result, each argument as one line; without any an empty one."""
    print("\n".join(map(one_line, lines)))


def say_hung(head: str, words: object) -> None:
    """Print words behind a head, folded at the room of a line and hung under their first column."""
    room = min(width(), WIDEST) if lively(sys.stdout) else WIDEST
    folded = textwrap.wrap(
        one_line(words), max(room - len(head), 20), break_long_words=False, break_on_hyphens=False
    )
    print(f"\n{' ' * len(head)}".join([one_line(head) + (folded or [""])[0], *folded[1:]]).rstrip())


def say_text(text: str) -> None:
    """Print a text of several lines that Hartley itself has put together, such as a report."""
    print(visible(text))


def note(*lines: object) -> None:
    """Print lines that are not part of the result, on standard error."""
    print("\n".join(map(one_line, lines)), file=sys.stderr)


def show_progress(words: str) -> None:
    """Write over the last line of standard error, which is a terminal."""
    print(f"\r{one_line(words)}", file=sys.stderr, end="")


LONGEST = 4000
"""Characters of the line that says what is wrong: names and values in it may be of any length."""


def complain(line: str) -> None:
    """Print what is wrong as one line, on standard error."""
    print(f"hartley: {one_line(' '.join(line.split()), LONGEST)}", file=sys.stderr)


def complain_at_length(text: str) -> None:
    """Print a traceback, on standard error."""
    print(visible(text), file=sys.stderr, end="")


def lively(stream: IO[str]) -> bool:
    """Whether a stream is a terminal, where colours and bars make sense."""
    return stream.isatty()


def print_table(
    columns: Sequence[str],
    rows: Sequence[Row],
    *,
    numbers: Sequence[int] = (),
    drop: Sequence[int] = (),
    widest: int | None = None,
    uncut: Collection[int] = (),
) -> None:
    """Print a table: fitted to the width of a terminal, whole and aligned in a pipe.

    Args:
        columns: headings.
        rows: cells, as text; only the last column may be folded.
        numbers: indices of columns that are aligned on the right.
        drop: indices of columns to leave out in a narrow terminal, the first one first.
        widest: columns of a line at most, also in a pipe: what is longer is cut there, so that
            each row stays one line.
        uncut: indices of rows that are whole all the same, such as errors.
    """
    table = [tuple(columns), *(tuple(map(one_line, row)) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    columns_shown = list(range(len(columns)))
    room = width() if lively(sys.stdout) else widest
    if room is not None and widest is not None:
        room = min(room, widest)
    for index in drop:
        needed = sum(widths[i] + 2 for i in columns_shown[:-1]) + min(
            widths[columns_shown[-1]], _LAST
        )
        if room is not None and needed > room:
            columns_shown.remove(index)
    indent = sum(widths[i] + 2 for i in columns_shown[:-1])
    for place, row in enumerate(table):
        cells = [
            row[i].rjust(widths[i]) if i in numbers else row[i].ljust(widths[i])
            for i in columns_shown
        ]
        if room is not None and len("  ".join(cells).rstrip()) > room and indent < room - 16:
            if not lively(sys.stdout):
                most = None if place - 1 in uncut else room - indent
                cells[-1] = one_line(row[columns_shown[-1]], most)
            else:
                folded = textwrap.wrap(row[columns_shown[-1]], room - indent) or [""]
                cells[-1] = f"\n{' ' * indent}".join(folded)
        line = "  ".join(cells).rstrip()
        print(f"\033[1m{line}\033[0m" if place == 0 and _coloured() else line)


WIDEST = 100
"""Columns of a folded line, also in a pipe."""

_LAST = 36
"""Characters that the last column needs at least, when it is folded."""


def width() -> int:
    """Return the columns of the terminal; 80 where it does not say."""
    import shutil

    return shutil.get_terminal_size((80, 24)).columns


def _coloured() -> bool:
    return (
        lively(sys.stdout) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def number(value: float | None, digits: int = 3) -> str:
    """Write a number in few digits, and None as a dash."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    text = f"{value:.{digits}f}" if abs(value) >= 0.5 * 10**-digits else f"{value:.0e}"
    return "0" if text.strip("-0.") == "" else text


UNSETTLED = 3
"""The exit code of rows that were not measured, as ``hartley gate`` has it."""


def exit_code(rows: Iterable[Mapping[str, Any]]) -> int:
    """Return 0 where every row was measured, else 3.

    A flag is printed and changes no code where no limit asks what the row settles: so it is in
    every command.
    """
    return 0 if all(row["status"] == "measured" for row in rows) else UNSETTLED


COLUMNS = (
    *("axis", "attack", "bits per use", "share of the secret"),
    *("ceiling", "usual metric", "n", "seconds"),
)


FITS_NOT = ("modality", "scene")
"""Causes of a row that does not apply to what was attacked."""


def print_channels(
    rows: Sequence[Mapping[str, Any]], *, verbose: bool = True, scan: bool = False
) -> None:
    """Print one line for each measured row, then what was not measured and why.

    Args:
        rows: of the run document.
        verbose: name also the attacks that do not fit the scene; else they are one count.
        scan: they are of a scan of records, to which attacks on a model do not apply.
    """
    measured = [row for row in rows if row["status"] == "measured"]
    if measured:
        print_table(
            COLUMNS,
            [_line(row) for row in measured],
            numbers=(4, 6, 7),
            drop=(4, 7, 3),
        )
    for row in measured:
        for flag in row.get("flags", []):
            say(f"FLAGGED  {row['attack']}: {flag}")
    if unplanted := [row["attack"] for row in measured if not row.get("planted", True)]:
        listed = ", ".join(unplanted)
        say(f"membership was not randomised by Hartley for: {listed} (no certified privacy claim)")
    for row in rows:
        if row["status"] == "failed":
            say(f"FAILED   {row['attack']}: {row['reason']}")
    skipped = [row for row in rows if row["status"] == "skipped"]
    if scan and skipped and not verbose:
        say(f"not played: {len(skipped)} attacks that are not part of a scan (-v names them)")
    else:
        _print_skipped(skipped, verbose=verbose)


LISTED = 10
"""Suspect records that are printed."""


def print_suspects(document: Mapping[str, Any]) -> None:
    """Print what a scan of a data set found, and what poison would pass its detectors."""
    from hartley.report import suspects

    if not document.get("suspects"):
        return
    say("", *suspects.sentences(document))
    if listed := list(suspects.lines(document, LISTED)):
        print_table(suspects.HEAD, listed, numbers=(0, 3), drop=(1,))
        scan = document["suspects"]
        if not any(record["file"] for record in scan["records"]):
            say(f"  {suspects.ROWS}.")
        if scan["flagged"] > len(listed):
            say(f"  {scan['flagged']} are flagged; see hartley report {document['id']}.")
    if planted := list(suspects.planted_lines(document)):
        say("", "poison that Hartley planted into copies:")
        print_table(suspects.PLANTED_HEAD, planted, numbers=(1,), drop=(6,))


def _print_skipped(skipped: Sequence[Mapping[str, Any]], *, verbose: bool) -> None:
    """Print what was not played, each reason once."""
    if not skipped:
        return
    say(f"not played: {len(skipped)}")
    reasons: dict[str, list[str]] = {}
    unfit = 0
    for row in skipped:
        if row.get("cause") in FITS_NOT and not verbose:
            unfit += 1
        else:
            reasons.setdefault(row["reason"], []).append(row["attack"])
    for reason, names in reasons.items():
        say(f"  {reason}: {len(names)} ({', '.join(names)})")
    if unfit:
        say(f"  other data, or a part that the scene does not have: {unfit} (-v names them)")


def print_departures(departures: Sequence[str]) -> None:
    """Print what was played otherwise than it ships."""
    from hartley.report.format_numbers import DEPARTED

    if departures:
        say(f"{DEPARTED.lower()}:")
    for departure in departures:
        say(f"  {departure}")


def print_defenses(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what each defense left of each leak, and what it cost in utility."""
    for row in rows:
        price = ", ".join(
            f"{name} {quantity(pair['before'])} → {quantity(after)}{_records(after)}"
            for name, pair in row["utility"].items()
            for after in (pair["after"],)
        )
        say("", f"behind {row['name']} ({row['term']})" + (f": {price}" if price else ""))
        if row.get("note"):
            say(f"  {row['note']}")
        if row["reason"]:
            say(f"  not measured: {row['reason']}")
        elif not row["residual"]:
            say(f"  no attack was played on a game that it protects ({', '.join(row['protects'])})")
        else:
            _print_residual(row)


def _records(figure: Any) -> str:
    """How many records a figure is of, where it says so."""
    n = figure.get("n") if isinstance(figure, Mapping) else None
    return f", n {n}" if n else ""


def _print_residual(row: Mapping[str, Any]) -> None:
    lines = []
    for row_id, residual in row["residual"].items():
        share = row["coverage"].get(row_id)
        lines.append(
            (
                f"  {residual['attack']}",
                *(bits(residual[kind]) for kind in ("undefended", "static")),
                bits(residual["adaptive"]) + _setting(residual.get("tuned")),
                "–" if share is None else f"{share['point']:.0%} (≥{share['low']:.0%})",
            )
        )
    print_table(
        ("  attack", "without it", "static attacker", "adaptive attacker", "covered"),
        lines,
        drop=(1,),
    )
    reasons: dict[str, list[str]] = {}
    for residual in row["residual"].values():
        if residual["reason"]:
            reasons.setdefault(residual["reason"], []).append(residual["attack"])
    for reason, names in reasons.items():
        say(f"  {reason}: {', '.join(names)}")


def _setting(tuned: Mapping[str, Any] | None) -> str:
    """The setting that an adaptive attacker chose in a sweep."""
    setting = tuned["setting"] if tuned else {}
    return "".join(f" {name}={value}" for name, value in setting.items())


def bits(value: Mapping[str, Any] | None) -> str:
    """Write a point with its interval."""
    if value is None:
        return "–"
    return f"{number(value['point'])} [{number(value['low'])}, {number(value['high'])}]"


def quantity(value: Any) -> str:
    """Write a usual metric, with its interval where it has one."""
    if isinstance(value, Mapping):
        sides = [value.get("low"), value.get("high")]
        if None in sides:
            return number(value.get("value"))
        return f"{number(value['value'])} [{', '.join(map(number, sides))}]"
    return str(value) if isinstance(value, str) else number(value)


def share(row: Mapping[str, Any]) -> str:
    """Write the share of the secret that the bits are, and how many candidates there were."""
    shares = row["bits"].get("share")
    if not shares or shares["low"] is None:
        return "–"
    point, low = shares["point"], shares["low"]
    return f"{point:.0%} (≥{low:.0%}), 1 in {row['alphabet']}"


def _line(row: Mapping[str, Any]) -> Row:
    axis = (row.get("axis") or "–").replace("_to_", "→")
    return (
        *(axis, str(row["attack"])),
        bits(row["bits"]),
        share(row),
        number(row["ceiling"]),
        _usual(row["metrics"]),
        str(row["n"]),
        f"{row['seconds'] or 0:.1f}",
    )


_FIRST = {
    "tpr_at_fpr_1e2": "TPR@1%",
    "exposure": "exposure",
    "fidelity": "fidelity",
    "bit_accuracy": "bit accuracy",
    "asr": "ASR",
    "ber_after": "BER",
}


def _usual(metrics: Mapping[str, Any]) -> str:
    """The one usual metric that the table shows: that of the class, else the first."""
    name = next((n for n in _FIRST if n in metrics), next(iter(metrics), None))
    if name is None:
        return "–"
    words = f"{_FIRST.get(name, name.replace('_', ' '))} {quantity(metrics[name])}"
    ordinary = metrics.get("ordinary_breaches")
    # What the same judge finds in ordinary traffic: no breach rate means anything without it.
    return words if ordinary is None else f"{words}, ordinary {number(ordinary['value'])}"
