"""Owned tumours: a net on a table of breast tumours that its owner marks; needs no pack."""

from __future__ import annotations

from typing import Annotated

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import tabular as data
from hartley.kit.fleet import Training
from hartley.kit.nets import dense
from hartley.models.pipeline import CLOSED, Pipeline
from hartley.scenes import _assemble_vision, _owned


@recipe(modality=Modality.TABULAR, extras=("tables", "torch"))
def owned_tumours(
    *,
    mark: _owned.Mark = "radioactive",
    strength: Annotated[float, Range(0, 100), Stronger.NEITHER] = 0.0,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Tumours and nets marked by their owner: DAWN, EWE or radioactive data.

    Thirty measures of breast tumours, and nets that are each marked under a key of their owner.

    Args:
        mark: as of ``owned_digits``.
        strength: as of ``owned_digits``.
        seed: of the split and of the training.
    """
    table = data.tumours()
    sizes = {"train": 160, "holdout": 160, "public": 129, "test": 120}
    parts = _assemble_vision.deal(table, sizes, seed)
    pipeline = Pipeline(
        dense((table.x.shape[1],), 2, (64,)),
        Training(epochs=80, batch=32, lr=3e-3),
        modality=Modality.TABULAR,
        offers=CLOSED,
    )
    how = _owned.mark_of(mark, parts["train"], 2, strength)
    return _owned.scene_of("owned_tumours", parts, pipeline, how, seed=seed)
