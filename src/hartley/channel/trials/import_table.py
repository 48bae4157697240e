"""Import trials of any tool: a table → ``Trials``.

Columns: ``truth`` and one of ``guess`` (a symbol: whole numbers or words, −1 to abstain) or
``score`` (a real number, larger = more like truth 1). Optional: ``cluster`` or ``run`` (rows of one
cluster are dependent), ``uses`` or ``cost_queries`` (queries spent on the row), ``seconds`` or
``cost_s`` (time spent on it), and the others of ``core.records.COLUMNS``: ``trial``, ``item``,
``split``, ``order``, ``logq``, ``gain``, ``p_null``, ``observed``, ``cost_tokens``, ``cost_money``,
``poison_n``, ``distortion``, ``utility``. A table may have both ``guess`` and ``score`` where the
guess is of two symbols and was cut from the score: the guess is measured as one of as many tries as
there are thresholds, unless ``tries`` or a column ``split`` says how the threshold was chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.trials.compare_symbols import Symbols, binary_symbols, compare_symbols
from hartley.channel.trials.table_doubts import READ, Ignored, hint_of, printable
from hartley.channel.trials.table_numbers import ORDERED, numbers, present
from hartley.channel.trials.validate import optional
from hartley.core import AnswerForm, ChannelSpec, Trials
from hartley.core.errors import BadTable, BadTrials
from hartley.core.records import COLUMNS, COSTS
from hartley.kit.table_files import Column, as_numpy, read_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORDS = ("truth", "guess", "cluster", "run", "item")
"""Columns that are read as text where the file has no types: 007 is not 7."""
SAME = {"uses": "cost_queries", "seconds": "cost_s", "cluster": "run"}
"""Columns with two names: the short one and that of stored trials."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of another tool.

    Attributes:
        trials: its rows.
        ignored: the columns that nothing reads.
    """

    trials: Trials
    ignored: tuple[Ignored, ...]


def read_trials(
    path: str | Path,
    *,
    alpha: float = 0.05,
    tries: int | None = None,
    pieces: int = 1,
    encoding: str | None = None,
) -> Trials:
    """Return the trials of a table; see ``read_table``.

    Raises:
        BadTrials: the file cannot be read or measured; the message says what to do.
    """
    return read_table(path, alpha=alpha, tries=tries, pieces=pieces, encoding=encoding).trials


def read_table(
    path: str | Path,
    *,
    alpha: float = 0.05,
    tries: int | None = None,
    pieces: int = 1,
    encoding: str | None = None,
) -> Table:
    """Read a table of trials.

    The secrets do not count as drawn by the auditor: with clusters they count as shuffled, and
    unequal classes are balanced (``design/measurement.md``).

    Args:
        path: a file of one of ``kit.table_files.SUFFIXES``, or a folder of Parquet files.
        alpha: error level of every bound.
        tries: how many thresholds, scores or attacks were tried on these rows; the bounds of the
            one that is reported then hold at ``alpha / tries``. None: one, or as many as the table
            shows.
        pieces: k of the posteriors that read a score.
        encoding: of a text file; None: UTF-8.

    Raises:
        BadTrials: the file cannot be read or measured; the message says what to do.
    """
    path = Path(path)
    columns = trial_columns(path, encoding)
    return table_of_columns(path, columns, alpha=alpha, tries=tries, pieces=pieces)


def trial_columns(
    path: Path,
    encoding: str | None = None,
    *,
    words: Sequence[str] = (),
    ordered: Sequence[str] = (),
) -> dict[str, Column]:
    """Return the columns of a table of trials, by name.

    Args:
        path: as of ``read_table``.
        encoding: of a text file; None: UTF-8.
        words: further columns that are read as ``WORDS``.
        ordered: further columns of which only the order counts.

    Raises:
        BadTrials: the file cannot be read; the message is one line.
    """
    try:
        return read_columns(path, encoding, words=(*WORDS, *words), ordered=(*ORDERED, *ordered))
    except BadTable as error:
        raise BadTrials(str(error)) from error


def table_of_columns(
    path: Path,
    columns: dict[str, Column],
    *,
    alpha: float = 0.05,
    tries: int | None = None,
    pieces: int = 1,
    notes: tuple[str, ...] = (),
) -> Table:
    """Return the trials of columns that were read already; they are dropped on the way.

    Args:
        path: where they are from, for messages.
        columns: by the name under which they are read.
        alpha, tries, pieces: as of ``read_table``.
        notes: what is assumed of them, one sentence each.

    Raises:
        BadTrials: the columns cannot be measured; the message says what to do.
    """
    import pyarrow as pa

    try:
        table = _table(path, columns, alpha=alpha, tries=tries, pieces=pieces)
        trials = replace(table.trials, notes=(*table.trials.notes, *notes))
        return replace(table, trials=trials)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        # A type that no column of trials has, such as an interval of months, or a value of it that
        # neither Python nor numpy has.
        types = ", ".join(f"`{name}`: {column.values.type}" for name, column in columns.items())
        raise BadTrials(f"{path}: columns must be numbers or text, got {types}") from error
    finally:
        # Of a large table the columns are as much again as the trials.
        columns.clear()
        pa.default_memory_pool().release_unused()


def _table(
    path: Path, columns: dict[str, Column], *, alpha: float, tries: int | None, pieces: int
) -> Table:
    if "truth" not in columns:
        raise BadTrials(
            f"{path}: the table must have a column `truth`, got {_names(columns)}"
            f"{separator_hint(columns)}"
        )
    if not {"guess", "score"} & columns.keys():
        raise BadTrials(
            f"{path}: the table must have a column `guess` or `score`, got {_names(columns)}"
        )
    if columns["truth"].num_rows == 0:
        raise BadTrials(f"{path}: the table must have rows, got 0 rows to measure")
    symbols = _scores(path, columns) if "guess" not in columns else _symbols(path, columns)
    truth, guess, alphabet = symbols.truth, symbols.guess, len(symbols.names)
    measured = symbols.measured
    if len(np.unique(truth)) < 2:
        raise BadTrials(f"{path}: `truth` must have two values or more, got one class only")
    if {"guess", "score"} <= columns.keys():
        thresholds = _thresholds(path, columns, guess, alphabet)
        if tries is None and "split" not in columns:
            tries = thresholds
    for other, name in SAME.items():
        if other in columns and name in columns:
            raise BadTrials(
                f"{path}: `{other}` and `{name}` are two names of one column; keep one of them"
            )
    uses = _total(path, columns, measured, "uses", "cost_queries")
    cluster = columns.get("cluster", columns.get("run"))
    trials = Trials(
        spec=ChannelSpec(
            form=AnswerForm.SYMBOL if "guess" in columns else AnswerForm.SCORE,
            alphabet=alphabet,
            unit="row",
            planted=False,
            clustered=cluster is not None,
            alpha=alpha,
            seconds=_total(path, columns, measured, "seconds", "cost_s"),
            uses=None if uses is None else round(uses),
            tries=1 if tries is None else tries,
            pieces=pieces,
        ),
        truth=truth,
        guess=guess,
        cluster=None if cluster is None else _labels(path, cluster),
        **_optional(path, columns),
        # Without a name: the measurement's seed depends on names, and one table under two names
        # has one measurement.
        scene="table",
        notes=symbols.notes,
    )
    if not measured.all():
        trials = _rows(trials, measured)
    return Table(trials, tuple(_ignored(columns)))


def _scores(path: Path, columns: dict[str, Column]) -> Symbols:
    truth = binary_symbols(path, columns["truth"])
    score = numbers(path, columns["score"])
    return Symbols(truth, score, ("0", "1"), np.ones(len(truth), np.bool_), ())


def _symbols(path: Path, columns: dict[str, Column]) -> Symbols:
    return compare_symbols(path, columns["truth"], columns["guess"])


def _ignored(columns: dict[str, Column]) -> Iterator[Ignored]:
    import pyarrow as pa
    import pyarrow.compute as pc

    clustered = "cluster" in columns or "run" in columns
    for name, column in columns.items():
        if name in READ:
            continue
        kind = column.values.type
        labels = (
            pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_dictionary(kind)
        )
        distinct = len(pc.unique(column.values)) if labels else 0
        hint = hint_of(name, distinct, column.num_rows, labels=labels, clustered=clustered)
        yield Ignored(name, hint)


def _rows(trials: Trials, measured: NDArray[np.bool_]) -> Trials:
    """Return some rows of imported trials."""
    arrays: dict[str, Any] = {
        f.name: column[measured]
        for f in fields(trials)
        if isinstance(column := getattr(trials, f.name), np.ndarray)
    }
    costs = {name: column[measured] for name, column in trials.costs.items()}
    return replace(trials, costs=costs, **arrays)


def _thresholds(path: Path, columns: dict[str, Column], guess: NDArray[Any], alphabet: int) -> int:
    """Return how many thresholds of the score the guess may have been chosen from.

    Raises:
        BadTrials: the guess is not the score cut at a threshold.
    """
    score = numbers(path, columns["score"])
    low, high = score[guess == 0], score[guess == 1]
    is_cut = alphabet == 2 and len(low) + len(high) == len(score) and len(low) and len(high)
    if not is_cut or low.max() >= high.min():
        raise BadTrials(
            f"{path}: the table must have `guess` or `score`, got both, and the guess is not the "
            "score cut at a threshold: they are two channels; use one file for each"
        )
    return len(np.unique(score)) - 1


def _optional(path: Path, columns: dict[str, Column]) -> dict[str, Any]:
    optionals: dict[str, Any] = {"costs": {}}
    for name in COLUMNS:
        if name in columns:
            named = name == "item" and _is_text(columns[name]) and not _is_plain(columns[name])
            values = (
                _labels(path, columns[name]).astype(np.float64)
                if named
                else numbers(path, columns[name], finite=name != "logq")
            )
            try:
                into = optionals["costs"] if name in COSTS else optionals
                into[name] = optional(name, values, len(values))
            except BadTrials as error:
                raise BadTrials(f"{path}: {error}") from error
    return optionals


def _names(columns: dict[str, Column]) -> str:
    return printable(f"columns {', '.join(columns)}") if columns else "no columns"


def separator_hint(columns: dict[str, Column]) -> str:
    """Ask about another separator, where the heading is one name with one in it."""
    heading = next(iter(columns)) if len(columns) == 1 else ""
    names = {"';'": ";", "a tab": "\t", "'|'": "|"}
    marks = [words for words, mark in names.items() if mark in heading]
    if not marks:
        return ""
    return (
        f"; is it separated by {marks[0]}? Columns must be separated by commas, or in a .tsv file "
        "by tabs"
    )


def _labels(path: Path, column: Column) -> NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = present(path, column)
    is_text = _is_text(column)
    if is_text:
        decoded = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
        values = pc.utf8_trim_whitespace(decoded)
    named = _as_numbers(path, column.name, values) if is_text else values
    if named is not None and pa.types.is_floating(named.type):
        odd = [v for v in pc.unique(named).to_pylist() if not v.is_integer()]
        if odd:
            raise BadTrials(
                f"{path}: column `{column.name}` must be whole numbers (or words), got {odd[0]}"
            )
    codes = pc.dictionary_encode(values).indices
    return np.asarray(as_numpy(codes), dtype=np.int64)


def _is_text(column: Column) -> bool:
    import pyarrow as pa

    kind = column.values.type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_plain(column: Column) -> bool:
    """Whether every value of a column of text is a whole number as it is usually written."""
    import pyarrow.compute as pc

    words = pc.utf8_trim_whitespace(pc.cast(pc.unique(column.values), "string"))
    return bool(pc.all(pc.match_substring_regex(words, r"^-?(0|[1-9][0-9]*)$")).as_py())


ABSENT = ("", "nan", "null", "none", "na", "n/a", "#n/a", "<na>")
"""How writers of text leave a number out, in small letters."""


def _as_numbers(path: Path, name: str, values: Any) -> Any:
    """Return the different values of a column of text as floats; None where they are words.

    Raises:
        BadTrials: a value is left out: by nothing, or among numbers by one of ``ABSENT``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pc.unique(values)
    absent = pc.is_in(pc.utf8_lower(words), pa.array(ABSENT))
    try:
        floats = pc.cast(words.filter(pc.invert(absent)), pa.float64())
        left_out = words.filter(absent)
    except pa.ArrowInvalid:
        floats, left_out = None, words.filter(pc.equal(words, ""))
    if len(left_out):
        gone = pc.is_in(values, left_out).to_numpy(zero_copy_only=False)
        raise BadTrials(
            f"{path}: `{name}` must have a value in every row, got {int(gone.sum())} empty or NaN, "
            f"first in row {int(gone.argmax()) + 1}"
        )
    return floats


def _total(
    path: Path, columns: dict[str, Column], measured: NDArray[np.bool_], *names: str
) -> float | None:
    name = next((n for n in names if n in columns), None)
    if name is None:
        return None
    values = numbers(path, columns[name])
    if (values < 0).any() or values.sum() <= 0:
        raise BadTrials(f"{path}: `{name}` must be 0 or more in every row, with a positive total")
    return float(values[measured].sum())
