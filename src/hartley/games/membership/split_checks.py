"""Records held against the model that is to be asked about them, and against one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, Model, Output
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 20
"""Members, and non-members, that a split needs: below that no interval says anything."""


def readable(model: Model, data: Data) -> None:
    """Hold records against what a model declares to read; nothing is asked of it.

    Raises:
        UsageError: another modality, not an array of numbers, NaN, or tokens or labels that the
            model does not know.
    """
    where = f"the records {data.name!r}"
    if data.modality is not model.modality:
        raise UsageError(f"{where} are {data.modality}; the model {model.name!r} reads another "
                         f"modality, {model.modality}")  # fmt: skip
    x = _numbers(data, where)
    if x.dtype.kind == "f" and not np.isfinite(x.sum(dtype=np.float64)):
        raise UsageError(f"{where} hold NaN or infinity")
    if data.modality is Modality.LANGUAGE:
        top = int(x.max(initial=-1))
        if model.classes and top >= model.classes:
            raise UsageError(
                f"{where} are of another vocabulary: token {top}, and the model {model.name!r} "
                f"knows {model.classes} tokens"
            )
    if data.y is not None:
        y = np.asarray(data.y)
        if y.shape != (len(data),) or y.dtype.kind not in "iu":
            raise UsageError(f"{where}: {len(data)} whole-numbered labels are due, one a record")
        known = model.output is not Output.EMBEDDINGS and model.classes
        if known and len(y) and not 0 <= y.min() <= y.max() < model.classes:
            raise UsageError(
                f"{where} carry labels {y.min()}…{y.max()}; the model {model.name!r} knows "
                f"0…{model.classes - 1}"
            )


def _numbers(data: Data, where: str) -> NDArray[Any]:
    """The records, held against what every part of the house takes for granted of them."""
    for name, held in (("x", data.x), ("y", data.y)):
        if held is not None and not isinstance(held, np.ndarray):
            raise UsageError(
                f"{where}: {name} is a {type(held).__name__}; an array of numpy's is due"
            )
    x, text = data.x, data.modality is Modality.LANGUAGE
    if x.dtype.kind not in ("iu" if text else "iufb"):
        due = "tokens are whole numbers, and a tokenizer makes them" if text else "numbers are due"
        raise UsageError(f"{where} are of type {x.dtype}; {due}")
    if x.ndim < 2 or (text and x.ndim > 2):
        due = "(texts, tokens), padded with -1" if text else "(records, ...)"
        raise UsageError(f"{where} are of shape {x.shape}; {due} is due")
    return x


def twins(one: Data, other: Data) -> float:
    """Share of ``other``'s records that stand in ``one`` as well, byte for byte."""
    if np.asarray(one.x).shape[1:] != np.asarray(other.x).shape[1:] or not len(other):
        return 0.0
    known = set(_keys(one.x))
    return float(np.mean([key in known for key in _keys(np.asarray(other.x, one.x.dtype))]))


def repeats(data: Data) -> float:
    """Share of records that stand in ``data`` more than once."""
    keys = _keys(data.x)
    count: dict[bytes, int] = {}
    for key in keys:
        count[key] = count.get(key, 0) + 1
    return float(np.mean([count[key] > 1 for key in keys])) if keys else 0.0


def claimed(data: Data, rows: NDArray[Any]) -> Data:
    """The loot of a membership attack: the records (booleans or numbers) that it calls members."""
    y = None if data.y is None else data.y[rows]
    return Data("claimed members", data.modality, data.x[rows], y)


def _keys(x: NDArray[Any]) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(x)]
