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
from hartley.kit.releases.row_overlap import RowOverlap, row_overlap
from hartley.kit.releases.table_release import (
    RowClusters,
    RowOwners,
    SecretColumn,
    TableRelease,
    halves_of,
)
from hartley.kit.table_files import Column, read_columns
from hartley.scenes._user_files import check_there, described

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLE = "hartley assess --release real.csv synthetic.csv --control control.csv"
CHANCE = 1e-3
"""A control is refused where that much agreement has less than this chance."""
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
    cluster: Annotated[str, Stronger.NEITHER] = "",
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
        cluster: a column of the original table and of the control that says which rows belong
            together, a person's or a household's: one row of each is drawn, so that what is drawn
            is independent. Empty: every row is somebody of their own. No attacker sees it.

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
    if cluster and cluster == row_id:
        raise UsageError(f"--cluster must be another column than --row-id, got {cluster!r} twice")
    by_ids = bool(row_id) and row_id in raw[CONTROL]
    if by_ids:
        _check_others(files, raw, row_id)
        raw[CONTROL] = _without(raw[CONTROL], row_id)
    clusters = _clusters(files, raw, cluster) if cluster else None
    raw = {what: _without(table, cluster) for what, table in raw.items()}
    forms = as_one_form(files, raw, row_id)
    _check_sizes(files, forms)
    shared = row_overlap(forms.tables[ORIGINAL], forms.tables[CONTROL])
    _check_rows(original, forms, shared, clusters, cluster or (row_id if by_ids else ""))
    names = [column.name for column in forms.columns]
    secret = _place(forms, sensitive) if sensitive else None
    if secret is not None:
        forms = _in_values(forms, secret)
        names = [column.name for column in forms.columns]
    know = _known(names, known, secret, forms.may_be_missing)
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
    together = () if clusters is None else (clusters,)
    inferred = () if secret is None else (SecretColumn(secret),)
    return Scene(
        name=Path(released).stem,
        modality=Modality.TABULAR,
        digest=digest(
            [hartley.__version__, *forms.tables.values(), names, known, sensitive, forms.keys]
            + ([] if clusters is None else [clusters.people, clusters.control])
        ),
        extra={
            "people": _data(Path(original).name, forms.tables[ORIGINAL]),
            "control": _data(Path(control).name, forms.tables[CONTROL]),
        },
        parts=(part, *owners, *inferred, *together),
        facts=_facts(forms, shared, know, sensitive)
        | _drawn(cluster, clusters)
        | described({"original": original, "released": released, "control": control}),
    )


def _data(name: str, x: NDArray[np.float64]) -> Data:
    return Data(name, Modality.TABULAR, x)


def _facts(
    forms: UserRelease,
    shared: RowOverlap,
    know: tuple[int, ...],
    sensitive: str,
) -> dict[str, Any]:
    names = [column.name for column in forms.columns]
    out = {
        "rows of the original table": len(forms.tables[ORIGINAL]),
        "rows of the release": len(forms.tables[RELEASED]),
        "rows of the control": len(forms.tables[CONTROL]),
        "columns": len(names),
        "known": ", ".join(names[place] for place in know[:12]) + ", …" * (len(know) > 12),
        "control rows that are in the original table": shared.share,
        "original rows that occur in it twice": shared.recurring,
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


def _check_rows(
    original: str,
    forms: UserRelease,
    shared: RowOverlap,
    clusters: RowClusters | None,
    ids: str,
) -> None:
    """Raise UsageError where the control shares more rows with the table than chance explains.

    Ids that differ do not show that people do, since they may have been numbered anew.
    """
    people, control = forms.tables[ORIGINAL], forms.tables[CONTROL]
    if clusters is not None:
        # Rows of a cluster are no independent draws.
        people, control = _least(people, clusters.people), _least(control, clusters.control)
        shared = row_overlap(people, control)
    if shared.p >= CHANCE:
        return
    rows = "rows" if clusters is None else f"{ids!r} (one row of each)"
    raise UsageError(
        f"--control must be others than {original}, got {shared.share:.2%} of its {rows} that "
        f"are in both, where {shared.recurring:.2%} of those of {original} occur in it twice; "
        + (f"{ids!r} differs and does not show it; " if ids else "")
        + "leave people of the table out of the control"
        + ("" if ids else ", or name a column that says which rows belong together by --cluster")
    )


def _least(table: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return of each cluster the row that is first in the order of values, the same in a copy."""
    order = np.lexsort((*table.T[::-1], labels))
    _, first = np.unique(labels[order], return_index=True)
    return np.asarray(table[order[first]])


def _drawn(cluster: str, clusters: RowClusters | None) -> dict[str, str]:
    """Say what is drawn, and what intervals are over."""
    drawn = "rows, taken as independent"
    if clusters is not None:
        there, besides = clusters.people.max() + 1, clusters.control.max() + 1
        drawn = f"one row of each {cluster}: {there:,} in the original table, {besides:,} others"
    return {"drawn": drawn, "intervals": "over people who are drawn, of this one release"}


def _without(table: dict[str, Column], name: str) -> dict[str, Column]:
    return {other: column for other, column in table.items() if other != name}


def _clusters(
    files: dict[str, Path], raw: dict[str, dict[str, Column]], cluster: str
) -> RowClusters:
    """Return the clusters of rows.

    Raises:
        UsageError: one is in both tables, or a row is of none.
    """
    labels = {}
    for what in (ORIGINAL, CONTROL):
        if cluster not in raw[what]:
            raise UsageError(
                f"--cluster must be a column of {files[what]}, got "
                f"{cluster!r}{did_you_mean(cluster, raw[what])}"
            )
        cells = raw[what][cluster].values.to_pylist()
        if empty := sum(cell in (None, "") for cell in cells):
            raise UsageError(
                f"--cluster must say whose each row is: {cluster!r} of {files[what]} has {empty} "
                "empty cells"
            )
        labels[what] = [str(cell) for cell in cells]
    if both := set(labels[ORIGINAL]) & set(labels[CONTROL]):
        raise UsageError(
            f"--control must be others than {files[ORIGINAL]}, got {len(both)} {cluster!r} that "
            f"are in both, such as {min(both)[:40]!r}"
        )
    people, control = (
        np.unique(labels[what], return_inverse=True)[1].astype(np.int64).reshape(-1)
        for what in (ORIGINAL, CONTROL)
    )
    return RowClusters(people, control)


def _check_sizes(files: dict[str, Path], forms: UserRelease) -> None:
    for what in (ORIGINAL, CONTROL):
        if len(forms.tables[what]) < LEAST:
            raise UsageError(
                f"{files[what]} must have at least {LEAST} rows, got {len(forms.tables[what])}"
            )
    if len(forms.tables[RELEASED]) < 2:
        raise UsageError(f"{files[RELEASED]} must have at least 2 rows, got 1")


def _place(forms: UserRelease, sensitive: str) -> int:
    names = [column.name for column in forms.columns]
    if sensitive not in names:
        raise UsageError(
            f"--sensitive must be a column of the tables, got {sensitive!r}"
            f"{did_you_mean(sensitive, names)}"
        )
    return names.index(sensitive)


def _in_values(forms: UserRelease, place: int) -> UserRelease:
    """Return the tables with the sensitive column as a category, where it is a few numbers.

    A missing number is a value of its own, as a missing word is.
    """
    column = forms.columns[place]
    # The number that stands for a missing one must not be taken for a value.
    flag = place + 1 if place in forms.may_be_missing else None
    absent = {what: _absent(table, flag) for what, table in forms.tables.items()}
    there = [table[~absent[what], place] for what, table in forms.tables.items()]
    values = np.unique(np.concatenate(there))
    if not 2 <= len(values) <= FEW_VALUES:
        raise UsageError(
            f"--sensitive must be a column of 2 to {FEW_VALUES} different values, got "
            f"{len(values):,} in {column.name!r}"
            + "; put its numbers in groups"
            * (len(values) > FEW_VALUES and not column.values)
        )
    if column.values:
        return forms
    titles = tuple(f"{value:g}" for value in values)
    if flag is not None:
        titles += ("(missing)",)
    columns = list(forms.columns)
    columns[place] = TableColumn(column.name, len(titles), titles)
    tables = {}
    for what, table in forms.tables.items():
        x = table.copy()
        code = np.searchsorted(values, table[:, place])
        x[:, place] = np.where(absent[what], len(values), code)
        tables[what] = x if flag is None else np.delete(x, flag, 1)
    if flag is not None:
        del columns[flag]
    later = tuple(p - 1 if p > place else p for p in forms.may_be_missing if p != place)
    missing = forms.may_be_missing if flag is None else later
    return UserRelease(tables, tuple(columns), forms.keys, missing)


def _absent(table: NDArray[np.float64], flag: int | None) -> NDArray[np.bool_]:
    """Return of which rows (n,) a number is missing."""
    return np.zeros(len(table), bool) if flag is None else table[:, flag] >= 0.5


def _known(
    names: list[str], known: str, secret: int | None, may_be_missing: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the columns that an attacker knows, without the secret one.

    An attacker who knows a number knows where it is missing.
    """
    chosen = [name.strip() for name in known.split(",") if name.strip()] or names
    for name in chosen:
        if name not in names:
            raise UsageError(
                f"--known must be columns of the tables, got {name!r}{did_you_mean(name, names)}"
            )
    wanted = [names.index(name) for name in chosen]
    wanted += [place + 1 for place in wanted if place in may_be_missing]
    places = tuple(place for place in dict.fromkeys(wanted) if place != secret)
    if not places:
        raise UsageError("--known must be a column besides the sensitive one, got none")
    return places
