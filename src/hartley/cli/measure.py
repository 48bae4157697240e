"""``hartley measure``: the bits per use of a table of trials that was made elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.terminal import bits, exit_code, number, print_json, quantity, say, share, whole
from hartley.core.errors import UsageError

app = App(name="measure")


@app.default
def measure(
    trials: Path,
    /,
    *,
    tries: Annotated[int | None, Parameter(converter=whole)] = None,
    pieces: Annotated[int, Parameter(converter=whole)] = 1,
    encoding: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Measure a table of trials in bits per use.

    Columns: truth (the secret symbol, 0, 1, …), and one of guess (the symbol that was received, -1
    for none) or score (a real number, larger = more like truth 1); optionally uses, cluster
    (rows of one cluster share a victim), seconds, and more: split, order, logq, gain, p_null,
    observed, trial, item and costs (docs/start.md). Columns of other names are not read.

    Exit code: 0 measured, 2 bad input, 3 measured, but the row is flagged: it settles no limit.

    Parameters
    ----------
    trials
        A .csv, .tsv, .jsonl, .npy, .npz or .parquet file, text also as .gz; or a folder of Parquet.
    tries
        How many thresholds, scores or attacks were tried on these rows before this one was chosen.
        Every bound pays for all of them: its error level is alpha / tries. A table with a guess
        and the score that it was cut from counts every threshold, unless this says otherwise.
    pieces
        A score is read by posteriors of at most this many monotone pieces: 1, or 2 where secret 1
        has scores in the middle, or at both ends.
    encoding
        Of a text file that is not UTF-8, such as utf-16 or latin-1.
    json
        Print one JSON object, shaped like an entry of channels in a run document.
    """
    from hartley.channel.measure import measure as to_bits
    from hartley.channel.trials.import_table import read_table
    from hartley.engine.result.document import measured
    from hartley.report.format_numbers import EXACT

    if tries is not None and tries < 1:
        raise UsageError(f"--tries must be a whole number of 1 or more, got {tries}")
    if pieces not in (1, 2):
        raise UsageError(f"--pieces must be 1 or 2, got {pieces}")
    imported = read_table(trials, tries=tries, pieces=pieces, encoding=encoding)
    table = imported.trials
    label = table.attack or trials.stem
    names = {"game": table.game or None, "class": table.cls or None}
    row_facts: dict[str, Any] = {"attack": label, **names, "params": {}}
    row = {**row_facts, **measured(table, to_bits(table))}
    code = exit_code([row])
    if json:
        print_json(row | {"ignored_columns": [asdict(column) for column in imported.ignored]})
        return code
    level = 1 - row["bits"]["alpha"]
    chosen = f" over {table.spec.tries} tries" if table.spec.tries > 1 else ""
    say(f"{row['attack']}: {row['n']} uses, {row['clusters']} clusters, {row['form']} answers")
    say(f"  bits per use     {bits(row['bits'])}  (low is certified at {level:.0%}{chosen})")
    say(f"  which is         {row['bits']['quantity']}")
    say(f"  of the secret    {share(row)}")
    say(f"  ceiling          {number(row['ceiling'])}")
    say(f"  null arm         {number(row['bits']['null'])}")
    wide = max([16, *map(len, row["metrics"])])
    for name, value in row["metrics"].items():
        words = f" {EXACT[name]}" if name in EXACT else ""
        say(f"  {name:{wide}} {quantity(value)}{words}")
    say(f"  estimator        {row['estimator']}")
    flags = set(row["flags"])
    for assumption in row["assumptions"]:
        if assumption not in flags:
            say(f"  rests on         {assumption}")
    for flag in row["flags"]:
        say(f"  FLAGGED          {flag}")
    if imported.ignored:
        listed = ", ".join(column.name for column in imported.ignored)
        hints = " ".join(column.hint for column in imported.ignored if column.hint)
        say(f"  ignored columns: {listed}" + (f"; {hints}" if hints else ""))
    return code
