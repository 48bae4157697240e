"""Trials ↔ Parquet, exactly: columns as they are, everything else as JSON in the schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core import AnswerForm, Applied, Bound, ChannelSpec, Outbreak, Role, Trials
from hartley.core.errors import StoreError
from hartley.core.records import COLUMNS, COSTS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

KEY = b"hartley.trials"
VERSION = 2
_COLUMNS = (
    *("truth", "guess", "reference", "cluster"),
    *(name for name in COLUMNS if name not in COSTS),
)


def trials_to_bytes(trials: Trials) -> bytes:
    """Return trials as one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: _as_arrow(column)
        for name in _COLUMNS
        if (column := getattr(trials, name)) is not None
    }
    columns |= {name: _as_arrow(column) for name, column in trials.costs.items()}
    spec = {f.name: getattr(trials.spec, f.name) for f in fields(ChannelSpec)}
    spec["bounds"] = [_record(b) for b in trials.spec.bounds]
    facts = {
        f.name: getattr(trials, f.name)
        for f in fields(Trials)
        if f.name not in {*_COLUMNS, "spec", "defenses", "costs", "outbreaks"}
    }
    if trials.outbreaks:
        facts["outbreaks"] = [_record(one) for one in trials.outbreaks]
    note = {
        "version": VERSION,
        "spec": spec,
        "defenses": [_record(d) for d in trials.defenses],
        **facts,
    }
    table = pa.table(columns).replace_schema_metadata(
        {KEY: json.dumps(note, default=_plain).encode()}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _as_arrow(column: NDArray[Any]) -> pa.Array:
    """Return a column for Arrow, which imports pandas, where it is installed, to make one itself.

    That takes each worker a fifth of a second.
    """
    import numpy as np
    import pyarrow as pa

    column = np.ascontiguousarray(column)
    if column.ndim != 1 or column.dtype.kind not in "biuf" or not column.dtype.isnative:
        return pa.array(column)
    bits = np.packbits(column, bitorder="little") if column.dtype == bool else column
    kind = pa.from_numpy_dtype(column.dtype)
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(bits)])


def trials_from_bytes(content: bytes, where: str = "trials") -> Trials:
    """Return the trials that ``trials_to_bytes`` wrote.

    Raises:
        StoreError: the bytes are not such a file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
        return _trials(table)
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise StoreError(
            f"{where} must be trials that Hartley wrote, got a damaged or other file: {error}"
        ) from error


def read_trials(path: Path) -> Trials:
    """Return the trials of one file of a run folder.

    Raises:
        StoreError: the file does not exist or is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    return trials_from_bytes(content, str(path))


def _trials(table: pa.Table) -> Trials:
    note = json.loads((table.schema.metadata or {})[KEY])
    if note.pop("version") != VERSION:
        raise ValueError("written by another version of Hartley")
    spec = note.pop("spec")
    spec |= {
        "role": Role(spec["role"]),
        "form": AnswerForm(spec["form"]),
        "levels": tuple(spec["levels"]),
        "judge": tuple(spec["judge"]) if spec.get("judge") else None,
        "bounds": tuple(Bound(b["kind"], b["params"], tuple(b["games"])) for b in spec["bounds"]),
    }
    columns = {
        name: table.column(name).to_numpy() for name in _COLUMNS if name in table.column_names
    }
    costs = {name: table.column(name).to_numpy() for name in COSTS if name in table.column_names}
    defenses = tuple(Applied(d["name"], d["params"]) for d in note.pop("defenses"))
    by_round = {name: tuple(values) for name, values in note.pop("metrics_by_round", {}).items()}
    return Trials(
        spec=ChannelSpec(**spec),
        defenses=defenses,
        notes=tuple(note.pop("notes", ())),
        sources=tuple((name, first) for name, first in note.pop("sources", ())),
        pictures=tuple(note.pop("pictures", ())),
        outbreaks=tuple(
            Outbreak(tuple(one["offspring"]), tuple(one["curve"]), one["population"])
            for one in note.pop("outbreaks", ())
        ),
        metrics_by_round=by_round,
        costs=costs,
        **columns,
        **note,
    )


def _record(one: Applied | Bound | Outbreak) -> dict[str, Any]:
    return {f.name: getattr(one, f.name) for f in fields(one)}


def _plain(value: Any) -> Any:
    """Return numpy scalars and mappings as plain values."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a note must hold plain values, got {type(value).__name__}")
