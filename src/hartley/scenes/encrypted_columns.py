"""Encrypted columns: fields of the US census of 1994 in a database that can still be searched."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, recipe, spawn
from hartley.data import tabular
from hartley.games.decryption import columns
from hartley.kit import protection
from hartley.kit.protection import Protection


@recipe(modality=Modality.TABULAR, packs=("adult",), extras=("crypto",))
def encrypted_columns(
    *,
    field: Literal[
        "education", "age", "hours", "occupation", "marital", "workclass", "relationship", "race"
    ] = "education",
    encryption: Literal["deterministic", "order_preserving", "aes_gcm", "one_time_pad"] = (
        "deterministic"
    ),
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Columns of census records, encrypted value by value; other records are public.

    Args:
        field: of the people: education (16 values), age (74), hours (a week, 96), occupation (15),
            marital (7), workclass (9), relationship (6) or race (5).
        encryption: what the database shows of a value: whether it equals another, its order, or
            nothing.
        seed: of the split into public records and those of the database.
    """
    values, names = tabular.field_values(field)
    order = np.random.default_rng(spawn(seed, "encrypted columns")).permutation(len(values))
    half = len(order) // 2
    public = Data(field, Modality.TABULAR, values[order[:half], None], role="records")
    return Scene(
        name="encrypted_columns",
        modality=Modality.TABULAR,
        parts=(
            columns.census(public, values[order[half:]], len(names), field),
            _protection(encryption, len(names)),
        ),
        facts={"values": len(names), "public records": half},
    )


def _protection(name: str, symbols: int) -> Protection:
    if name == "deterministic":
        return columns.deterministic()
    if name == "order_preserving":
        return columns.order_preserving(symbols)
    if name == "aes_gcm":
        return protection.aes_gcm(Modality.TABULAR)
    return protection.one_time_pad(Modality.TABULAR)
