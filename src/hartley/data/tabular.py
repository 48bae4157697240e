"""Tables with labels: scikit-learn's breast tumours, and the census of 1994 from its pack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import MissingExtra, UsageError
from hartley.kit import cache
from hartley.kit.mixed_tables import TableColumn, distinct

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FIELDS = (
    "age", "workclass", "weight", "education", "education_years", "marital", "occupation",
    "relationship", "race", "sex", "gain", "loss", "hours", "country",
)  # fmt: skip

NUMBERS = ("age", "education_years", "gain", "loss", "hours")

NAMED = ("workclass", "education", "marital", "occupation", "relationship", "race", "sex")
"""Categorical fields. The census weight does not describe a person, and nine in ten were born in
one country: both are left out."""

FAR = 4.0
"""Standardised numbers are cut here: capital gains have a long tail."""


def tumours() -> Data:
    """569 breast tumours (UCI, CC BY 4.0), 30 measures each, as distributed with scikit-learn.

    Returns:
        x float32 (569, 30), each measure with mean 0 and deviation 1, cut at ±4; y 1 = benign.
        ``facts["fields"]``: columns by name of the measure.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ModuleNotFoundError as absent:
        raise MissingExtra("scikit-learn", "tables") from absent
    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    return Data(
        "breast tumours",
        Modality.TABULAR,
        _standard(np.asarray(bunch.data, dtype=np.float64)),
        bunch.target.astype(np.int64),
        facts={"fields": {name: (i,) for i, name in enumerate(names)}},
    )


def income() -> Data:
    """The census table Adult (UCI, CC BY 4.0): people of 1994, label 1 = income above $50,000.

    Of people with equal values in every used field one is kept: a record must not be
    in the training set and out of it at once.

    Returns:
        x float32 (n, d): numbers standardised and cut at ±4, named fields one-hot ("?", for
        a missing entry, is a value); y (n,). ``facts["fields"]``: columns by field.

    Raises:
        MissingPack: the pack ``adult`` was not fetched yet.
        UsageError: a file of it is not the table.
    """
    from hartley.data.packs import locate

    home = locate("adult")
    arrays = cache.cached("adult", {"version": 2}, lambda: _income(home))
    starts = arrays["starts"]
    spans = zip((*NUMBERS, *NAMED), starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    fields = {name: tuple(range(a, b)) for name, a, b in spans}
    return Data("census 1994", Modality.TABULAR, arrays["x"], arrays["y"], facts={"fields": fields})


PEOPLE = (
    "age", "workclass", "education", "marital", "occupation", "relationship", "race", "sex",
    "gain", "loss", "hours", "country", "income",
)  # fmt: skip
"""Columns of the people of a released table. The census weight describes no person, and the years
of education say what the education does."""


def people() -> tuple[NDArray[np.float64], tuple[TableColumn, ...]]:
    """Return the census table Adult as it is: numbers and categories of 48,842 people.

    Of people with equal values in every column one is kept.

    Returns:
        (n, 13) floats, a category as the place of its value among the sorted values; and columns.

    Raises:
        MissingPack: the pack ``adult`` was not fetched yet.
        UsageError: a file of it is not the table.
    """
    from hartley.data.packs import locate

    home = locate("adult")
    rows = [row for name in ("adult.data", "adult.test") for row in _rows(home, name)]
    places = {name: i for i, name in enumerate((*FIELDS, "income"))}
    parts, columns = [], []
    for name in PEOPLE:
        cells = [row[places[name]].rstrip(".") for row in rows]
        if name in NUMBERS:
            parts.append(np.array([float(cell) for cell in cells]))
            columns.append(TableColumn(name))
            continue
        titles, codes = np.unique(cells, return_inverse=True)
        parts.append(codes.reshape(-1).astype(np.float64))
        columns.append(TableColumn(name, len(titles), tuple(map(str, titles))))
    table = np.stack(parts, 1)
    return table[distinct(table)], tuple(columns)


def measured_tumours() -> tuple[NDArray[np.float64], tuple[TableColumn, ...]]:
    """Return the breast tumours of ``tumours`` as they were measured, and the diagnosis.

    Returns:
        (569, 31) floats, the diagnosis last (0 malignant, 1 benign); and columns.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ModuleNotFoundError as absent:
        raise MissingExtra("scikit-learn", "tables") from absent
    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    table = np.column_stack([np.asarray(bunch.data, np.float64), bunch.target])
    diagnosis = TableColumn("diagnosis", 2, tuple(map(str, bunch.target_names)))
    return table, (*map(TableColumn, names), diagnosis)


def field_values(field: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """One field of all 48,842 people of the census table Adult, as it is in the files.

    Returns:
        Values (n,) in 0..K−1 in the order of the files, and the K words or numbers that they mean:
        numbers ascending, words by the alphabet.

    Raises:
        MissingPack: the pack ``adult`` was not fetched yet.
        UsageError: a file of it is not the table, or it has no such field.
    """
    from hartley.data.packs import locate

    if field not in FIELDS:
        raise UsageError(f"field must be one of {', '.join(FIELDS)}, got {field!r}")
    home, place = locate("adult"), FIELDS.index(field)
    words = [row[place] for name in ("adult.data", "adult.test") for row in _rows(home, name)]
    names, values = np.unique(words, return_inverse=True)
    if field in NUMBERS:
        order = np.argsort([float(name) for name in names], kind="stable")
        names, values = names[order], np.argsort(order)[values]
    return values.reshape(-1).astype(np.int64), tuple(str(name) for name in names)


def _income(home: Path) -> dict[str, NDArray[Any]]:
    rows = [row for name in ("adult.data", "adult.test") for row in _rows(home, name)]
    table = {name: [row[i] for row in rows] for i, name in enumerate(FIELDS)}
    try:
        numbers = np.array([[float(v) for v in table[name]] for name in NUMBERS]).T
    except ValueError as error:
        raise UsageError(f"a field of the pack adult must be a number: {error}") from error
    parts = [_standard(numbers)]
    widths = [1] * len(NUMBERS)
    for name in NAMED:
        values, place = np.unique(table[name], return_inverse=True)
        parts.append(np.eye(len(values), dtype=np.float32)[place.reshape(-1)])
        widths.append(len(values))
    x = np.concatenate(parts, 1)
    _, first = np.unique(x, axis=0, return_index=True)
    first = np.sort(first)
    return {
        "x": x[first],
        "y": np.array([row[-1].startswith(">50K") for row in rows], dtype=np.int64)[first],
        "starts": np.cumsum([0, *widths]),
    }


def _rows(home: Path, name: str) -> list[list[str]]:
    """The rows of one file; its first line may be a remark; empty lines are skipped."""
    path = next(iter(sorted(home.rglob(name))), None)
    if path is None:
        raise UsageError(f"the pack adult must contain {name}, got no such file")
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("|"):
            continue
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != len(FIELDS) + 1:
            raise UsageError(
                f"a row of {name} must have {len(FIELDS) + 1} fields, got {len(fields)}"
            )
        rows.append(fields)
    return rows


def _standard(numbers: NDArray[Any]) -> NDArray[np.float32]:
    spread = np.maximum(numbers.std(0), 1e-9)
    scaled = np.clip((numbers - numbers.mean(0)) / spread, -FAR, FAR)
    return np.asarray(scaled.astype(np.float32))


def columns(table: Data, field: str) -> tuple[int, ...]:
    """The columns of a field of a table.

    Raises:
        UsageError: an unknown field.
    """
    fields = table.facts["fields"]
    if field not in fields:
        raise UsageError(f"field must be one of {', '.join(fields)} in {table.name}, got {field!r}")
    return tuple(fields[field])
