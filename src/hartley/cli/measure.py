"""``hartley measure``: the bits per use, or the rate, of results that another tool made."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hartley import __version__
from hartley.cli.terminal import bits, exit_code, number, print_json, quantity, say, share, whole
from hartley.core.errors import UnknownName, UsageError
from hartley.core.taxonomy import AXES, EDITION

if TYPE_CHECKING:
    from hartley.channel.trials.import_table import Table

app = App(name="measure")


@app.default
def measure(
    trials: Path,
    /,
    *,
    truth: str | None = None,
    score: str | None = None,
    guess: str | None = None,
    cluster: str | None = None,
    uses: str | None = None,
    smaller_is_member: Annotated[bool | None, Parameter(negative="--larger-is-member")] = None,
    rate: Annotated[bool, Parameter(negative="")] = False,
    success: str | None = None,
    by: str | None = None,
    only: str | None = None,
    source: Annotated[str | None, Parameter(name="--from")] = None,
    tries: Annotated[int | None, Parameter(converter=whole)] = None,
    pieces: Annotated[int, Parameter(converter=whole)] = 1,
    encoding: str | None = None,
    class_: Annotated[str | None, Parameter(name="--class")] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Measure results of another tool: trials with a secret in bits per use, others as a rate.

    Reads a table (CSV, TSV, JSON, NumPy, Parquet) or what another tool wrote: garak, Inspect,
    lm-eval, promptfoo, PyRIT, JailbreakBench, SACRO-ML, ART, Privacy Meter, LiRA (docs/others.md).
    A table has a column truth (the secret symbol, 0, 1, …), and one of guess (the symbol that was
    received, -1 for none) or score (a real number, larger = more like truth 1); optionally uses,
    cluster (rows of one cluster share a victim), seconds, and more: split, order, logq, gain,
    p_null, observed, trial, item and costs (docs/start.md). Columns of other names are named by
    flags, or not read. Results without a secret, such as jailbreaks, give a rate per attempt.

    Exit code: 0 measured, 2 bad input. A row that is FLAGGED settles no limit of a gate.

    Parameters
    ----------
    trials
        A .csv, .tsv, .jsonl, .npy, .npz or .parquet file, text also as .gz; a folder of Parquet; or
        a file of another tool, which is recognised by its content.
    truth
        The column of the secret, where it is not called truth; or, for an array of scores, the
        .npy file of memberships.
    score
        The column of the score.
    guess
        The column of the guess.
    cluster
        The column of what dependent rows have in common: a victim, a prompt, a document. Of a rate,
        a column that is called prompt, goal or behavior is taken, and said.
    uses
        The column of queries spent on a row.
    smaller_is_member
        A smaller score means truth 1. Of a score that is called loss or perplexity this is assumed,
        and said; --larger-is-member says otherwise.
    rate
        Measure a success rate of a table without a secret, with an exact interval.
    success
        The column of outcomes for --rate, where it is not called success or jailbroken.
    by
        The column of which each value has a rate of its own, such as attack or category.
    only
        The part that is measured, of a file that has several: an attack, a probe, a scorer.
    source
        The format, where the content is of several: table, garak, inspect_ai, lm_eval, promptfoo,
        pyrit, jailbreakbench, sacroml, art_arrays, privacy_meter, lira_arrays or lira_experiments.
    tries
        How many thresholds, scores, attacks or rates were tried on these rows before this one was
        chosen. Every bound pays for all of them: its error level is alpha / tries. A table with a
        guess and the score that it was cut from counts every threshold, unless this says otherwise.
    pieces
        A score is read by posteriors of at most this many monotone pieces: 1, or 2 where secret 1
        has scores in the middle, or at both ends.
    encoding
        Of a text file that is not UTF-8, such as utf-16 or latin-1.
    class_
        The threat class that the trials are of, such as membership: limits on it are about them.
    json
        Print one JSON object, shaped like an entry of channels in a run document, which gate and
        report read; of rates, one object with all of them.
    """
    from hartley.importers.measured import Options, imported
    from hartley.importers.named_columns import Names
    from hartley.importers.outcomes import Rates

    if class_ is not None and class_ not in AXES[EDITION]:
        raise UnknownName("class", class_, AXES[EDITION])
    if tries is not None and tries < 1:
        raise UsageError(f"--tries must be a whole number of 1 or more, got {tries}")
    if pieces not in (1, 2):
        raise UsageError(f"--pieces must be 1 or 2, got {pieces}")
    names = Names(
        truth=truth or "",
        guess=guess or "",
        score=score or "",
        cluster=cluster or "",
        uses=uses or "",
        success=success or "",
        by=by or "",
        smaller=smaller_is_member,
    )
    options = Options(
        names,
        source=source or "",
        only=only or "",
        rate=rate,
        tries=tries,
        pieces=pieces,
        encoding=encoding,
    )
    results = imported(trials, options)
    if isinstance(results, Rates):
        from hartley.cli.print_rates import print_rates

        return print_rates(trials, results, tries=tries or 1, json=json)
    return _print_bits(trials, results, class_, json=json)


def _print_bits(trials: Path, imported: Table, threat_class: str | None, *, json: bool) -> int:
    """Measure a table in bits and print it; return the exit code."""
    from hartley.channel.measure import measure as to_bits
    from hartley.engine.result.document import host, measured, rows_digest
    from hartley.reference.measured_row import MEASURED
    from hartley.report.format_numbers import EXACT, level, units

    table = imported.trials
    label = table.attack or trials.stem
    names = {"game": table.game or None, "class": threat_class or table.cls or None}
    row_facts: dict[str, Any] = {"attack": label, **names, "params": {}}
    row = {**row_facts, **measured(table, to_bits(table))}
    code = exit_code([row])
    if json:
        facts = {"schema": MEASURED, "version": __version__, "host": host([])}
        ignored = [asdict(column) for column in imported.ignored]
        digest = rows_digest(table)
        print_json(facts | row | {"rows_digest": digest, "ignored_columns": ignored})
        return code
    chosen = f" over {table.spec.tries} tries" if table.spec.tries > 1 else ""
    clusters = units(row)
    uses = f"{row['n']} uses {clusters}" if clusters else f"{row['n']} independent uses"
    say(f"{row['attack']}: {uses}, {row['form']} answers")
    at = level(row["bits"]["alpha"])
    say(f"  bits per use     {bits(row['bits'])}  (each end at {at}{chosen}; low is certified)")
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
