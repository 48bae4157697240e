"""A user's own table that was released: the table, its release, and others of the population."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Data, Modality, Scene, Stronger, recipe
from hartley.core.errors import UsageError, did_you_mean
from hartley.data.user_releases import CONTROL, ORIGINAL, RELEASED, UserRelease, as_one_form
from hartley.games.decryption.released_tables import LEAST
from hartley.kit.cache import digest
from hartley.kit.mixed_tables import TableColumn
from hartley.kit.releases.table_release import RowOwners, SecretColumn, TableRelease, halves_of
from hartley.kit.table_files import read_columns
from hartley.scenes._user_files import check_there, described

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLE = "hartley assess --release real.csv synthetic.csv --control control.csv"
MOST_SHARED = 0.5
"""Share of the control's rows that may be in the original table too."""
FEW_VALUES = 64
"""Values of a secret column, at most."""


@recipe(modality=Modality.TABULAR)
def own_release(
    *,
    original: Annotated[str, Stronger.NEITHER] = "",
    released: Annotated[str, Stronger.NEITHER] = "",
    control: Annotated[str, Stronger.NEITHER] = "",
    known: Annotated[str, Stronger.NEITHER] = "",
    sensitive: Annotated[str, Stronger.NEITHER] = "",
    row_id: Annotated[str, Stronger.NEITHER] = "",
) -> Scene:
    """A table of your own, what was released of it, and others of the same population.

    Args:
        original: the table that the release was made of: .csv, .parquet, .jsonl …
        released: what was released: a synthetic table, or the rows without names.
        control: others of the same population, whom the release was not made of, with the same
            columns. They were set aside before it was made.
        known: columns that an attacker knows of a person, joined by commas; empty: all but the
            sensitive one.
        sensitive: a column that attackers infer; empty: none, and that game is left out.
        row_id: a column of the original and of the released table that says whose a row is, for
            linkage. No attacker sees it.

    Raises:
        UsageError: a file or a column is not there, or the tables do not go together.
    """
    given = {ORIGINAL: original, RELEASED: released, CONTROL: control}
    for what, path in given.items():
        if not path:
            if what == CONTROL:
                raise UsageError(
                    "--control must be a table, got none: others of the same population, set aside "
                    "before the release was made, without whom a leak cannot be distinguished from "
                    f"what is true of everybody; {EXAMPLE}"
                )
            raise UsageError(f"--release must name {what}, got none; {EXAMPLE}")
    check_there({"release": original})
    check_there({"release": released})
    check_there({"control": control})
    if len({Path(path).resolve() for path in given.values()}) < 3:
        raise UsageError(
            f"--release and --control must be three files, got one of them twice; {EXAMPLE}"
        )
    files = {what: Path(path) for what, path in given.items()}
    raw = {what: read_columns(path, ordered=()) for what, path in files.items()}
    if row_id and row_id in raw[CONTROL]:
        _check_others(files, raw, row_id)
        raw[CONTROL] = {name: column for name, column in raw[CONTROL].items() if name != row_id}
    forms = as_one_form(files, raw, row_id)
    _check_sizes(files, forms)
    shared = _shared(forms)
    if shared > MOST_SHARED:
        raise UsageError(
            f"--control must be others than {original}, got {shared:.0%} of its rows that are in "
            "both"
        )
    names = [column.name for column in forms.columns]
    secret = _place(forms, sensitive) if sensitive else None
    if secret is not None:
        forms = _in_values(forms, secret)
    know = _known(names, known, secret)
    fixed = forms.tables[RELEASED]
    part = TableRelease(
        name=Path(released).name,
        columns=forms.columns,
        publish=lambda *_: fixed,
        rows=bool(row_id),
        known=know,
        halves=halves_of(know) if len(know) > 1 else halves_of(tuple(range(len(names)))),
    )
    owners = (RowOwners(forms.places()),) if row_id else ()
    inferred = () if secret is None else (SecretColumn(secret),)
    return Scene(
        name=Path(released).stem,
        modality=Modality.TABULAR,
        digest=digest(
            [hartley.__version__, *forms.tables.values(), names, known, sensitive, forms.keys]
        ),
        extra={
            "people": _data(Path(original).name, forms.tables[ORIGINAL]),
            "control": _data(Path(control).name, forms.tables[CONTROL]),
        },
        parts=(part, *owners, *inferred),
        facts=_facts(forms, shared, know, sensitive)
        | described({"original": original, "released": released, "control": control}),
    )


def _data(name: str, x: NDArray[np.float64]) -> Data:
    return Data(name, Modality.TABULAR, x)


def _facts(
    forms: UserRelease, shared: float, know: tuple[int, ...], sensitive: str
) -> dict[str, Any]:
    names = [column.name for column in forms.columns]
    out = {
        "rows of the original table": len(forms.tables[ORIGINAL]),
        "rows of the release": len(forms.tables[RELEASED]),
        "rows of the control": len(forms.tables[CONTROL]),
        "columns": len(names),
        "known": ", ".join(names[place] for place in know[:12]) + ", …" * (len(know) > 12),
        "control rows that are in the original table": shared,
    }
    return out | ({"sensitive": sensitive} if sensitive else {})


def _check_others(files: dict[str, Path], raw: dict[str, Any], row_id: str) -> None:
    """Raise UsageError where somebody of the control is in the original table."""
    if row_id not in raw[ORIGINAL]:
        return  # said in one line later
    people, others = (
        {str(cell) for cell in raw[what][row_id].values.to_pylist() if cell not in (None, "")}
        for what in (ORIGINAL, CONTROL)
    )
    if both := people & others:
        raise UsageError(
            f"--control must be others than {files[ORIGINAL]}, got {len(both)} {row_id!r} that are "
            f"in both, such as {min(both)[:40]!r}"
        )


def _check_sizes(files: dict[str, Path], forms: UserRelease) -> None:
    for what in (ORIGINAL, CONTROL):
        if len(forms.tables[what]) < LEAST:
            raise UsageError(
                f"{files[what]} must have at least {LEAST} rows, got {len(forms.tables[what])}"
            )
    if len(forms.tables[RELEASED]) < 2:
        raise UsageError(f"{files[RELEASED]} must have at least 2 rows, got 1")


def _shared(forms: UserRelease) -> float:
    """Return the share of the control's rows that are rows of the original table."""
    rows = {row.tobytes() for row in forms.tables[ORIGINAL]}
    return float(np.mean([row.tobytes() in rows for row in forms.tables[CONTROL]]))


def _place(forms: UserRelease, sensitive: str) -> int:
    names = [column.name for column in forms.columns]
    if sensitive not in names:
        raise UsageError(
            f"--sensitive must be a column of the tables, got {sensitive!r}"
            f"{did_you_mean(sensitive, names)}"
        )
    return names.index(sensitive)


def _in_values(forms: UserRelease, place: int) -> UserRelease:
    """Return the tables with the sensitive column as a category, where it is a few numbers."""
    column = forms.columns[place]
    values = np.unique(np.concatenate([table[:, place] for table in forms.tables.values()]))
    if not 2 <= len(values) <= FEW_VALUES:
        raise UsageError(
            f"--sensitive must be a column of 2 to {FEW_VALUES} different values, got "
            f"{len(values):,} in {column.name!r}"
            + "; put its numbers in groups"
            * (len(values) > FEW_VALUES and not column.values)
        )
    if column.values:
        return forms
    tables = {what: table.copy() for what, table in forms.tables.items()}
    for table in tables.values():
        table[:, place] = np.searchsorted(values, table[:, place])
    titles = tuple(f"{value:g}" for value in values)
    columns = list(forms.columns)
    columns[place] = TableColumn(column.name, len(values), titles)
    return UserRelease(tables, tuple(columns), forms.keys)


def _known(names: list[str], known: str, secret: int | None) -> tuple[int, ...]:
    """Return the columns that an attacker knows, without the secret one."""
    chosen = [name.strip() for name in known.split(",") if name.strip()] or names
    for name in chosen:
        if name not in names:
            raise UsageError(
                f"--known must be columns of the tables, got {name!r}{did_you_mean(name, names)}"
            )
    places = tuple(names.index(name) for name in dict.fromkeys(chosen))
    places = tuple(place for place in places if place != secret)
    if not places:
        raise UsageError("--known must be a column besides the sensitive one, got none")
    return places
