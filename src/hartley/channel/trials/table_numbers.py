"""Columns of a table as numbers: the one place where their types are settled.

Times count as numbers where only their order matters, and durations as seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import BadTrials
from hartley.kit.table_files import Column, as_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ORDERED = ("score", "order")
"""Columns of which only the order counts."""
EXACT = 2**53
"""Whole numbers up to it are exact as floats."""


def present(path: Path, column: Column) -> Any:
    """Return the Arrow values of a column; none may be missing.

    Raises:
        BadTrials: a value is empty or NaN.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.values
    if pa.types.is_floating(values.type) and values.type.bit_width == 16:
        values = values.cast(pa.float32())
    floating = pa.types.is_floating(values.type)
    missing = pc.is_null(values, nan_is_null=floating)
    if pc.any(missing).as_py():
        absent = missing.to_numpy(zero_copy_only=False)
        raise BadTrials(
            f"{path}: `{column.name}` must have a value in every row, got {int(absent.sum())} "
            f"empty or NaN, first in row {int(absent.argmax()) + 1}"
        )
    return values


def numbers(path: Path, column: Column, *, finite: bool = True) -> Array:
    """Return (n,) float64 of a column.

    Whole numbers and times of ``ORDERED`` columns keep their order where floats would not: they
    are counted from the least, or replaced by their ranks.

    Raises:
        BadTrials: a value is missing, is not a number, or is infinite where it must not be.
    """
    import pyarrow as pa

    name, values = column.name, present(path, column)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = _parsed(path, name, values)
    kind = values.type
    if pa.types.is_temporal(kind):
        return _times(path, name, values)
    if pa.types.is_decimal(kind):
        return _decimals(name, values)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        value = next(iter(values.to_pylist()), None)
        raise BadTrials(f"{path}: `{name}` must be numbers, got {value!r}")
    plain = as_numpy(values)
    if pa.types.is_integer(kind) and name in ORDERED:
        return in_order(plain)
    array = np.asarray(plain, dtype=np.float64)
    if finite and not np.isfinite(array).all():
        row = int((~np.isfinite(array)).argmax()) + 1
        cure = (
            "; only the order of scores counts: write a finite number beyond all others instead"
            if name in ORDERED
            else ""
        )
        raise BadTrials(f"{path}: `{name}` must be finite, got infinity, first in row {row}{cure}")
    return array


def in_order(whole: NDArray[Any]) -> Array:
    """Return whole numbers as floats of the same order.

    Args:
        whole: (n,) integers of any width.
    """
    if not len(whole):
        return np.zeros(0)
    least, most = int(whole.min()), int(whole.max())
    if max(-least, most) > EXACT:
        # Unsigned words wrap round, so that their difference is right for all pairs.
        whole = whole.astype(np.uint64) - np.array(least, whole.dtype).astype(np.uint64)
        if most - least > EXACT:
            whole = np.unique(whole, return_inverse=True)[1]
    return np.asarray(whole, np.float64)


def _parsed(path: Path, name: str, values: Any) -> Any:
    """Return the numbers that a column of text holds, or the times of an ``ORDERED`` one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(values)
    # Whole numbers first: as floats, long ones would lose their order.
    whole = (pa.int64(), pa.uint64(), pa.decimal128(38, 0))
    for kind in (*whole, pa.float64(), *((pa.timestamp("ns"),) if name in ORDERED else ())):
        try:
            return pc.cast(text, kind)
        except pa.ArrowInvalid:
            continue
    odd = next((v for v in values.to_pylist() if not _is_number(v)), values[0].as_py())
    raise BadTrials(f"{path}: `{name}` must be numbers, got {odd!r}")


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _shown(value: Any) -> str:
    """Write a value for a message: Python has no times as fine as some of Arrow's."""
    try:
        return str(value)
    except (ValueError, OverflowError):
        return "a time that Python cannot write"


def _times(path: Path, name: str, values: Any) -> Array:
    import pyarrow as pa

    kind = values.type
    if pa.types.is_duration(kind) and name not in ORDERED:
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        return np.asarray(values.cast(pa.int64()).to_numpy() / per_second, np.float64)
    if name not in ORDERED or not hasattr(kind, "bit_width") or pa.types.is_interval(kind):
        raise BadTrials(f"{path}: `{name}` must be numbers, got a {kind}: {_shown(values[0])}")
    width = pa.int32() if kind.bit_width == 32 else pa.int64()
    return in_order(as_numpy(values.cast(width)))


def _decimals(name: str, values: Any) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = np.asarray(as_numpy(pc.cast(values, pa.float64())), np.float64)
    if name in ORDERED and values.type.precision > 15:
        # Decimals that floats do not tell apart keep their order as ranks.
        exact = pc.rank(values, "ascending", tiebreaker="dense").to_numpy()
        if exact.max(initial=0) > len(np.unique(array)):
            return np.asarray(exact, np.float64)
    return array
