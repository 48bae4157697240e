"""Linear tumours: a linear, logistic or softmax model of breast tumours; needs no pack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Data, Modality, Output, Range, Scene, Stronger, recipe
from hartley.data import tabular as data
from hartley.scenes import _assemble_vision
from hartley.scenes._planted_parameters import scene_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = {"train": 240, "public": 120, "test": 200}

SIZE = "mean_radius"
"""What the linear model predicts, of the other measures."""


@recipe(modality=Modality.TABULAR, extras=("tables", "torch"))
def linear_tumours(
    *,
    kind: Literal["linear", "logistic"] = "logistic",
    bits: Annotated[int, Range(1, 8)] = 4,
    step: Annotated[float, Range(0, 1, open_low=True)] = 0.02,
    precision: Literal["float64", "float32"] = "float64",
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Measures of breast tumours, and a model whose scores are linear in them.

    Args:
        kind: logistic answers with the probabilities of malignant and benign; linear predicts the
            mean radius from the other measures.
        bits: size of a symbol that a game plants in a parameter.
        step: distance of neighbouring symbols, as a share of the root mean square weight.
        precision: to which answers are rounded.
        seed: of the split and of the training.
    """
    table = data.tumours()
    parts = _assemble_vision.deal(table, SIZES, seed)
    (column,) = data.columns(table, SIZE)
    linear = kind == "linear"
    if linear:
        parts = {name: _without(part, column) for name, part in parts.items()}
    return scene_of(
        "linear_tumours",
        Modality.TABULAR,
        parts,
        widths=(),
        output=Output.LOGITS if linear else Output.PROBABILITIES,
        classes=1 if linear else 2,
        target=_sizes if linear else None,
        bits=bits,
        step=step,
        precision=precision,
        seed=seed,
    )


def _without(part: Data, column: int) -> Data:
    """Return records without a column, which becomes the fact ``size``."""
    rest = np.delete(part.x, column, axis=1)
    return Data(part.name, part.modality, rest, part.y, facts={"size": part.x[:, column]})


def _sizes(part: Data) -> NDArray[Any]:
    return np.asarray(part.facts["size"])
