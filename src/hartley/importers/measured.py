"""From a file of any tool to what can be measured: trials with a secret, or rates without one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from hartley.channel.trials.import_table import Table, table_of_columns, trial_columns
from hartley.core.errors import BadTrials, UsageError
from hartley.importers.named_columns import Names, rates_of_table, renamed, success_column
from hartley.importers.outcomes import Columns, Rates, matching
from hartley.importers.read_results import read_results
from hartley.importers.source import Source
from hartley.kit.table_files import Column
from hartley.kit.text_tables import mixed_values


@dataclass(frozen=True, slots=True)
class Options:
    """What a user says of a file.

    Attributes:
        names: which column is what.
        source: the name of the format; empty: by its content.
        only: the part of the file that is measured, where it has several.
        rate: whether a plain table is measured as a rate.
        tries, pieces: as of ``import_table.read_table``.
        encoding: of a text file; None: UTF-8.
    """

    names: Names = field(default_factory=Names)
    source: str = ""
    only: str = ""
    rate: bool = False
    tries: int | None = None
    pieces: int = 1
    encoding: str | None = None


def imported(path: Path, options: Options) -> Table | Rates:
    """Return the trials of a file that has a secret, or the outcomes of one that has none.

    Raises:
        BadTrials: the file cannot be read or measured; the message says what to do.
        UsageError: an option does not fit the file.
    """
    names, truth_file = options.names, None
    if names.truth.endswith(".npy"):
        truth_file, names = Path(names.truth), replace(names, truth="")
    kind, results = read_results(
        path, source=options.source, truth_file=truth_file, only=options.only
    )
    if truth_file is not None and kind != "lira_arrays":
        raise UsageError(
            f"--truth must name a column of a {kind}, got the file {truth_file}; a file of "
            "memberships comes with an .npy array of scores"
        )
    notes: tuple[str, ...] = ()
    if results is None:
        columns = _plain_columns(path, options, names)
        if options.rate or names.success:
            return rates_of_table(path, columns, names)
        _ask_for_rate(path, columns, names)
    else:
        _check_options(path, kind, results, options, names)
        if isinstance(results, Rates):
            return _part(path, results, options.only)
        import pyarrow as pa

        columns = {name: Column(name, pa.array(values)) for name, values in results.arrays.items()}
        notes = results.notes
    columns, assumed = renamed(path, columns, names)
    return table_of_columns(
        path, columns, tries=options.tries, pieces=options.pieces, notes=(*notes, *assumed)
    )


def _plain_columns(path: Path, options: Options, names: Names) -> dict[str, Column]:
    """Return the columns of a plain table; of a JSON document the fields of its objects."""
    if path.suffix.lower() != ".json":
        return trial_columns(
            path,
            options.encoding,
            words=(names.truth, names.guess, names.cluster),
            ordered=(names.score,),
        )
    records = Source(path).document
    fields = dict.fromkeys(name for record in records for name in record)
    return {
        name: Column(name, mixed_values([record.get(name) for record in records]))
        for name in fields
    }


def _check_options(
    path: Path, kind: str, results: Columns | Rates, options: Options, names: Names
) -> None:
    """Refuse options of plain tables, where the file's own format says what they say."""
    named = {"score": names.score, "guess": names.guess, "cluster": names.cluster}
    named |= {"truth": names.truth, "uses": names.uses, "success": names.success}
    named |= {"encoding": options.encoding or "", "by": names.by}
    if isinstance(results, Columns):
        if options.rate:
            raise UsageError(
                f"--rate is for outcomes without a secret, and {path} says which records were "
                "members; leave it out to measure bits"
            )
    else:
        named["pieces"] = "2" if options.pieces != 1 else ""
        if names.smaller is not None:
            named["smaller-is-member" if names.smaller else "larger-is-member"] = "given"
    flag = next((flag for flag, name in named.items() if name), "")
    if flag:
        raise UsageError(
            f"--{flag} must come with a plain table, got a file of {kind}, which says itself what "
            "its columns are"
        )


def _part(path: Path, rates: Rates, only: str) -> Rates:
    """Return the rates that were asked for, all of them where nothing was."""
    if not only:
        return rates
    names = [group.name for group in rates.groups]
    parts = matching(names, only)
    if not parts:
        raise BadTrials(
            f"{path}: --only must name a rate, or a part of one, got {only!r}; it has "
            f"{', '.join(names)}"
        )
    return replace(rates, groups=tuple(g for g in rates.groups if g.name in parts))


def _ask_for_rate(path: Path, columns: dict[str, Column], names: Names) -> None:
    """Ask for ``--rate``, where a table has outcomes and no secret."""
    outcome = success_column(columns)
    if outcome and not names.truth and not {"truth", "guess", "score"} & columns.keys():
        raise BadTrials(
            f"{path}: the table must have a column `truth`, got a column `{outcome}` without one; "
            "measure it as a success rate with --rate"
        )
