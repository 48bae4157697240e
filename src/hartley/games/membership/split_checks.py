"""Check the records of a membership game against the model, and members against non-members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, Model, Output
from hartley.core.errors import UsageError
from hartley.kit.once_per_deal import once_per_deal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rounding = Callable[[NDArray[Any]], NDArray[Any]]

LEAST = 20
"""Least number of members, and of non-members: with fewer, every interval is useless."""

ROWS = "row"
"""Fact of records: (n,) the row of each in the user's own data, where rows of it were left out."""


def readable(model: Model, data: Data) -> None:
    """Check that a model can read records, by its declaration and without a query.

    Raises:
        UsageError: the records have another modality, are not an array of numbers, have NaN, or
            have tokens or labels that the model does not know.
    """
    where = f"the records {data.name!r}"
    if data.modality is not model.modality:
        raise UsageError(
            f"{where} must be of modality {model.modality}, which {model.name!r} reads, got "
            f"{data.modality}"
        )
    x = _numbers(data, where)
    if x.dtype.kind == "f" and not np.isfinite(x.sum(dtype=np.float64)):
        raise UsageError(f"{where} must be finite, got NaN or infinity")
    if data.modality is Modality.LANGUAGE:
        if ((x[:, :-1] < 0) & (x[:, 1:] >= 0)).any():
            raise UsageError(f"{where} must be padded on the right with -1, got -1 before a token")
        top = int(x.max(initial=-1))
        if model.classes and top >= model.classes:
            raise UsageError(
                f"{where} must have tokens below {model.classes}, the vocabulary of "
                f"{model.name!r}, got {top}"
            )
    if data.y is not None:
        y = np.asarray(data.y)
        if y.shape != (len(data),) or y.dtype.kind not in "iu":
            raise UsageError(f"{where} must have {len(data)} integer labels, one per record")
        checked = model.output is not Output.EMBEDDINGS and model.classes
        if checked and len(y) and not 0 <= y.min() <= y.max() < model.classes:
            raise UsageError(
                f"{where} must have labels from 0 to {model.classes - 1}, those of {model.name!r}, "
                f"got {y.min() if y.min() < 0 else y.max()}"
            )


def _numbers(data: Data, where: str) -> NDArray[Any]:
    """Return the records as an array, after checks that all of Hartley relies on."""
    for name, array in (("x", data.x), ("y", data.y)):
        if array is not None and not isinstance(array, np.ndarray):
            raise UsageError(f"{name} of {where} must be a numpy array, got {type(array).__name__}")
    x, text = data.x, data.modality is Modality.LANGUAGE
    if x.dtype.kind not in ("iu" if text else "iufb"):
        expected = "integer tokens, from a tokenizer" if text else "numbers"
        raise UsageError(f"{where} must be {expected}, got type {x.dtype}")
    if x.ndim < 2 or (text and x.ndim > 2):
        expected = "(texts, tokens), padded with -1" if text else "(records, ...)"
        raise UsageError(f"{where} must be of shape {expected}, got {x.shape}")
    return x


def twins(first: Data, second: Data) -> float:
    """Return the share of ``second``'s records that are in ``first`` too, in the coarser precision.

    One side may have been saved in single precision, or with a few decimals.
    """
    if np.asarray(first.x).shape[1:] != np.asarray(second.x).shape[1:] or not len(second):
        return 0.0
    inside, outside = (np.asarray(data.x) for data in (first, second))
    if not {inside.dtype.kind, outside.dtype.kind} <= set("biuf"):
        return _shared(inside, outside)
    inside, outside = inside.astype(np.float64), outside.astype(np.float64)
    share = _shared(inside, outside)
    for ways in COARSER:
        saved = (way for way in ways if _is_of(inside, way) != _is_of(outside, way))
        coarser = next(saved, None)
        if coarser is None:
            continue
        rounded = coarser(inside), coarser(outside)
        # A rounding that makes one record of many says nothing about twins.
        if len(set(_keys(rounded[0]))) > 0.99 * len(set(_keys(inside))):
            share = max(share, _shared(*rounded))
    return share


def _shared(first: NDArray[Any], second: NDArray[Any]) -> float:
    first_keys = set(_keys(first))
    return float(np.mean([key in first_keys for key in _keys(second)]))


def _in_type(name: str) -> Rounding:
    def rounded(x: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            return np.asarray(x.astype(name).astype(np.float64))

    return rounded


def _in_decimals(digits: int, name: str) -> Rounding:
    # Adding 0 makes one number of 0 and −0.
    return lambda x: (np.round(x, digits) + 0.0).astype(name).astype(np.float64)


COARSER: tuple[tuple[Rounding, ...], ...] = (
    tuple(_in_type(name) for name in ("float16", "float32")),
    tuple(_in_decimals(digits, "float64") for digits in range(1, 9)),
    tuple(_in_decimals(digits, "float32") for digits in range(1, 7)),
)
"""Ways in which records are rounded when they are saved: number formats, and decimals in each. Of
each kind the coarsest that one side was saved in is the one to compare both in."""


def _is_of(x: NDArray[Any], coarser: Rounding) -> bool:
    """Whether records are the same after rounding; a few say it where they are not."""
    return all(np.array_equal(part, coarser(part), equal_nan=True) for part in (x[:20], x))


@once_per_deal()
def repeats(data: Data) -> float:
    """Return the share of records that are in ``data`` more than once."""
    keys = _keys(data.x)
    count: dict[bytes, int] = {}
    for key in keys:
        count[key] = count.get(key, 0) + 1
    return float(np.mean([count[key] > 1 for key in keys])) if keys else 0.0


def claimed(data: Data, rows: NDArray[Any]) -> Data:
    """Return the loot of a membership attack: the records that it claims as members.

    Args:
        data: the records in question.
        rows: of the claimed members, as booleans or indices.
    """
    y = None if data.y is None else data.y[rows]
    return Data("claimed members", data.modality, data.x[rows], y)


def _keys(x: NDArray[Any]) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(x)]
