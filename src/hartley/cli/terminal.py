"""What a person reads: tables on standard output, prose and progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

Row = Sequence[str]


def print_json(value: Any) -> None:
    """Print one JSON document and nothing else."""
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def note(text: str) -> None:
    """Say something that is not the result."""
    print(text, file=sys.stderr)


def lively(stream: IO[str]) -> bool:
    """Whether a person watches a stream, so that colours and bars make sense."""
    return stream.isatty()


def print_table(
    columns: Sequence[str], rows: Sequence[Row], *, numbers: Sequence[int] = ()
) -> None:
    """Print a table: drawn and cut to the width on a terminal, whole and aligned in a pipe.

    Args:
        columns: headings.
        rows: cells, as text.
        numbers: indices of columns that are aligned on the right.
    """
    if lively(sys.stdout):
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for index, name in enumerate(columns):
            table.add_column(
                name,
                justify="right" if index in numbers else "left",
                no_wrap=index < len(columns) - 1 or index in numbers,
                overflow="ellipsis" if index < len(columns) - 1 else "fold",
            )
        for row in rows:
            table.add_row(*(_escaped(cell) for cell in row))
        Console().print(table)
        return
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    for row in (columns, *rows):
        cells = [
            cell.rjust(width) if index in numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def number(value: float | None, digits: int = 3) -> str:
    """Write a number in few digits; a dash where there is none."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    text = f"{value:.{digits}f}" if abs(value) >= 0.5 * 10**-digits else f"{value:.1e}"
    return "0" if text.strip("-0.") == "" else text


def print_channels(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what was measured, one line an attack, and then what was not and why."""
    measured = [row for row in rows if row["status"] == "measured"]
    if measured:
        print_table(
            ("axis", "attack", "bits per use", "ceiling", "usual metric", "n", "s"),
            [_line(row) for row in measured],
            numbers=(3, 5, 6),
        )
    for row in measured:
        for flag in row.get("flags", []):
            print(f"FLAGGED  {row['attack']}: {flag}")
    for row in rows:
        if row["status"] == "failed":
            print(f"FAILED   {row['attack']}: {row['reason']}")
    skipped = [row for row in rows if row["status"] == "skipped"]
    if skipped:
        print(f"not played: {len(skipped)}")
        reasons: dict[str, list[str]] = {}
        for row in skipped:
            reasons.setdefault(row["reason"], []).append(row["attack"])
        for reason, names in reasons.items():
            print(f"  {', '.join(names)}: {reason}")


def print_shields(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what each defence left of each leak, and its price."""
    lines = []
    for row in rows:
        price = ", ".join(
            f"{name} {number(pair['before'])}→{number(pair['after'])}"
            for name, pair in row["utility"].items()
        )
        for attack, left in row["residual"].items():
            share = row["coverage"].get(attack)
            lines.append(
                (
                    row["name"],
                    attack,
                    *(bits(left[kind]) for kind in ("undefended", "static", "adaptive")),
                    "–" if share is None else f"{share['point']:.0%} (≥{share['low']:.0%})",
                    price,
                )
            )
        if not row["residual"]:
            why = row["reason"] or "no attack that it should narrow was played"
            lines.append((row["name"], "–", "–", "–", "–", "–", f"{price} {why}".strip()))
    if lines:
        print_table(
            ("defence", "attack", "bits before", "static", "adaptive", "covered", "utility"), lines
        )


def bits(value: Mapping[str, Any] | None) -> str:
    """Write a point with its interval."""
    if value is None:
        return "–"
    return f"{number(value['point'])} [{number(value['low'])}, {number(value['high'])}]"


def _line(row: Mapping[str, Any]) -> Row:
    axis = (row.get("axis") or "–").replace("_to_", "→")
    return (
        *(axis, str(row["attack"])),
        bits(row["bits"]),
        number(row["ceiling"]),
        _usual(row["usual"]),
        str(row["n"]),
        f"{row['seconds'] or 0:.1f}",
    )


_FIRST = ("tpr_at_fpr_1e2", "exposure", "fidelity", "bit_accuracy", "asr")


def _usual(metrics: Mapping[str, Any]) -> str:
    """The one usual metric that stands in the table: the class's own, else the first."""
    name = next((n for n in _FIRST if n in metrics), next(iter(metrics), None))
    if name is None:
        return "–"
    value = metrics[name]
    plain = value.get("value") if isinstance(value, Mapping) else value
    return f"{name} {number(plain) if isinstance(plain, int | float) else plain}"


def _escaped(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)
