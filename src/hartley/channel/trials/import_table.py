"""Import trials of any tool: a CSV or Parquet table → ``Trials``.

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

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.trials.table_doubts import (
    READ,
    Ignored,
    hint_of,
    largest_symbol,
    odd_symbol,
    printable,
)
from hartley.channel.trials.validate import optional
from hartley.core import AnswerForm, ChannelSpec, Trials
from hartley.core.errors import BadTrials
from hartley.core.records import COLUMNS, COSTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".csv", ".parquet")
ERASED = ("-1", "−1")
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
    path: str | Path, *, alpha: float = 0.05, tries: int | None = None, pieces: int = 1
) -> Trials:
    """Return the trials of a table; see ``read_table``.

    Raises:
        BadTrials: the file cannot be read or measured; the message says what to do.
    """
    return read_table(path, alpha=alpha, tries=tries, pieces=pieces).trials


def read_table(
    path: str | Path, *, alpha: float = 0.05, tries: int | None = None, pieces: int = 1
) -> Table:
    """Read a table of trials.

    The secrets do not count as drawn by the auditor: with clusters they count as shuffled, and
    unequal classes are balanced (``design/measurement.md``).

    Args:
        path: a ``.csv`` or ``.parquet`` file.
        alpha: error level of every bound.
        tries: how many thresholds, scores or attacks were tried on these rows; the bounds of the
            one that is reported then hold at ``alpha / tries``. None: one, or as many as the table
            shows.
        pieces: k of the posteriors that read a score.

    Raises:
        BadTrials: the file cannot be read or measured; the message says what to do.
    """
    path = Path(path)
    columns = _columns(path)
    if "truth" not in columns:
        raise BadTrials(
            f"{path}: the table must have a column `truth`, got {_names(columns)}"
            f"{_separator(columns)}"
        )
    answers = [name for name in ("guess", "score") if name in columns]
    if not answers:
        raise BadTrials(
            f"{path}: the table must have a column `guess` or `score`, got {_names(columns)}"
        )
    if columns["truth"].num_rows == 0:
        raise BadTrials(f"{path}: the table must have rows, got 0 rows to measure")
    guess: NDArray[Any]
    if answers == ["score"]:
        truth, guess, alphabet = _bits(path, columns), _numbers(path, columns, "score"), 2
    else:
        truth, guess, alphabet = _symbols(path, columns)
    if len(np.unique(truth)) < 2:
        raise BadTrials(f"{path}: `truth` must have two values or more, got one class only")
    if len(answers) == 2:
        thresholds = _thresholds(path, columns, guess, alphabet)
        if tries is None and "split" not in columns:
            tries = thresholds
    for other, name in SAME.items():
        if other in columns and name in columns:
            raise BadTrials(
                f"{path}: `{other}` and `{name}` are two names of one column; keep one of them"
            )
    uses = _total(path, columns, "uses", "cost_queries")
    cluster = columns.get("cluster", columns.get("run"))
    trials = Trials(
        spec=ChannelSpec(
            form=AnswerForm.SCORE if answers == ["score"] else AnswerForm.SYMBOL,
            alphabet=alphabet,
            unit="row",
            planted=False,
            clustered=cluster is not None,
            alpha=alpha,
            seconds=_total(path, columns, "seconds", "cost_s"),
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
    )
    return Table(trials, tuple(_ignored(columns)))


def _ignored(columns: dict[str, _Column]) -> Iterator[Ignored]:
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
        distinct = pc.count_distinct(column.values).as_py() if labels else 0
        hint = hint_of(name, distinct, column.num_rows, labels=labels, clustered=clustered)
        yield Ignored(name, hint)


def _thresholds(path: Path, columns: dict[str, _Column], guess: NDArray[Any], alphabet: int) -> int:
    """Return how many thresholds of the score the guess may have been chosen from.

    Raises:
        BadTrials: the guess is not the score cut at a threshold.
    """
    score = _numbers(path, columns, "score")
    low, high = score[guess == 0], score[guess == 1]
    is_cut = alphabet == 2 and len(low) + len(high) == len(score) and len(low) and len(high)
    if not is_cut or low.max() >= high.min():
        raise BadTrials(
            f"{path}: the table must have `guess` or `score`, got both, and the guess is not the "
            "score cut at a threshold: they are two channels; use one file for each"
        )
    return len(np.unique(score)) - 1


def _optional(path: Path, columns: dict[str, _Column]) -> dict[str, Any]:
    optionals: dict[str, Any] = {"costs": {}}
    for name in COLUMNS:
        if name in columns:
            values = _numbers(path, columns, name, finite=name != "logq")
            try:
                into = optionals["costs"] if name in COSTS else optionals
                into[name] = optional(name, values, len(values))
            except BadTrials as error:
                raise BadTrials(f"{path}: {error}") from error
    return optionals


class _Column:
    """One column of the table: its name and its Arrow values."""

    def __init__(self, name: str, values: Any) -> None:
        self.name, self.values = name, values

    @property
    def num_rows(self) -> int:
        return len(self.values)


def _columns(path: Path) -> dict[str, _Column]:
    if path.suffix.lower() not in SUFFIXES:
        raise BadTrials(
            f"{path}: a table of trials must be a {' or '.join(SUFFIXES)} file, got {path.suffix!r}"
        )
    if path.is_dir():
        raise BadTrials(f"{path}: a table of trials must be a file, got a folder")
    if not path.is_file():
        raise BadTrials(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise BadTrials(f"{path}: the file is empty")
    if path.suffix.lower() == ".csv" and _is_binary(path):
        raise BadTrials(f"{path}: a .csv file must be text, got binary data")
    import pyarrow as pa

    try:
        if path.suffix.lower() == ".csv":
            from pyarrow.csv import read_csv

            table = read_csv(path)
        else:
            from pyarrow.parquet import ParquetFile

            table = ParquetFile(path).read()
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = printable(str(error).strip().splitlines()[0])
        raise BadTrials(f"{path}: cannot be read as {path.suffix[1:]}: {reason}") from error
    names = [name.strip() for name in table.column_names]
    for name in names:
        if names.count(name) > 1:
            raise BadTrials(f"{path}: column names must differ, got two columns `{name}`")
    columns = {
        name: _Column(name, table.column(i).combine_chunks()) for i, name in enumerate(names)
    }
    # What the reader decoded is kept for the next file: of a large table as much as the table.
    del table
    pa.default_memory_pool().release_unused()
    return columns


def _is_binary(path: Path) -> bool:
    """Whether a file begins with bytes that no text has."""
    with path.open("rb") as file:
        head = file.read(4096)
    # Text in UTF-16 has NUL bytes too; its byte order mark says so.
    controls = bytes((*range(9), *range(14, 27)))
    return any(c in head for c in controls) and not head.startswith((b"\xff\xfe", b"\xfe\xff"))


def _names(columns: dict[str, _Column]) -> str:
    return printable(f"columns {', '.join(columns)}") if columns else "no columns"


def _separator(columns: dict[str, _Column]) -> str:
    """Ask about another separator, where the heading is one name with one in it."""
    heading = next(iter(columns)) if len(columns) == 1 else ""
    names = {"';'": ";", "a tab": "\t", "'|'": "|"}
    marks = [words for words, mark in names.items() if mark in heading]
    return f"; is it separated by {marks[0]}? Columns must be separated by commas" if marks else ""


def _whole(path: Path, column: _Column) -> Any:
    """Return the values; none may be missing."""
    import pyarrow.compute as pc

    absent = pc.is_null(column.values, nan_is_null=True).to_numpy(zero_copy_only=False)
    if absent.any():
        hint = "; write -1 to abstain" if column.name == "guess" else ""
        raise BadTrials(
            f"{path}: `{column.name}` must have a value in every row, got {int(absent.sum())} "
            f"empty or NaN, first in row {int(absent.argmax()) + 1}{hint}"
        )
    return column.values


def _numbers(
    path: Path, columns: dict[str, _Column], name: str, *, finite: bool = True
) -> NDArray[np.float64]:
    import pyarrow as pa

    column = columns[name]
    values = _whole(path, column)
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        odd = next((v for v in values.to_pylist() if not _is_number(v)), values[0].as_py())
        raise BadTrials(f"{path}: `{name}` must be numbers, got {odd!r}")
    array = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    if finite and not np.isfinite(array).all():
        row = int((~np.isfinite(array)).argmax()) + 1
        raise BadTrials(f"{path}: `{name}` must be finite, got infinity, first in row {row}")
    return array


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _bits(path: Path, columns: dict[str, _Column]) -> NDArray[np.int64]:
    truth = _numbers(path, columns, "truth")
    odd = truth[(truth != 0) & (truth != 1)]
    if len(odd):
        raise BadTrials(f"{path}: with `score`, `truth` must be 0 or 1, got {odd[0]:g}")
    return truth.astype(np.int64)


def _symbols(
    path: Path, columns: dict[str, _Column]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    secrets, guesses = (
        _whole(path, columns[name]).unique().to_pylist() for name in ("truth", "guess")
    )
    reason = odd_symbol("truth", secrets) or odd_symbol(
        "guess", guesses, largest=largest_symbol(secrets)
    )
    if reason:
        raise BadTrials(f"{path}: {reason}")
    truth = [_symbol(v) for v in _whole(path, columns["truth"]).to_pylist()]
    guess = [_symbol(v) for v in _whole(path, columns["guess"]).to_pylist()]
    known = set(truth)
    if known & set(ERASED):
        raise BadTrials(f"{path}: `truth` must not be -1, which means that the attacker abstains")
    # A guess that is not one of the secrets counts as abstaining.
    code = {name: k for k, name in enumerate(sorted(known))}
    return (
        np.array([code[v] for v in truth], dtype=np.int64),
        np.array([code.get(v, -1) for v in guess], dtype=np.int64),
        len(known),
    )


def _symbol(value: Any) -> str:
    """Return one spelling of a symbol, so that 3, 3.0 and "3" are the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool):
        value = int(value)
    return str(value).strip()


def _labels(path: Path, column: _Column) -> NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = _whole(path, column)
    if pa.types.is_floating(values.type):
        odd = [v for v in values.unique().to_pylist() if not v.is_integer()]
        if odd:
            raise BadTrials(
                f"{path}: column `{column.name}` must be whole numbers (or words), got {odd[0]}"
            )
    codes = pc.dictionary_encode(values).indices
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)


def _total(path: Path, columns: dict[str, _Column], *names: str) -> float | None:
    name = next((n for n in names if n in columns), None)
    if name is None:
        return None
    values = _numbers(path, columns, name)
    if (values < 0).any() or values.sum() <= 0:
        raise BadTrials(f"{path}: `{name}` must be 0 or more in every row, with a positive total")
    return float(values.sum())
