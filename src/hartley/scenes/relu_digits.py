"""ReLU digits: a small ReLU network of handwritten digits in double precision; needs no pack."""

from __future__ import annotations

from typing import Annotated, Literal

from hartley.core import Modality, Output, Range, Scene, Stronger, recipe
from hartley.data import vision as data
from hartley.scenes import _assemble_vision
from hartley.scenes._planted_parameters import scene_of

SIZES = {"train": 800, "public": 300, "test": 500}


@recipe(modality=Modality.VISION, extras=("torch", "vision"))
def relu_digits(
    *,
    units: Annotated[int, Range(1, 64)] = 16,
    layers: Annotated[int, Range(1, 2)] = 1,
    bits: Annotated[int, Range(1, 8)] = 4,
    step: Annotated[float, Range(0, 1, open_low=True)] = 0.02,
    precision: Literal["float64", "float32"] = "float64",
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Handwritten digits of 8 × 8 pixels, and a network of a few ReLU units that answers in logits.

    Args:
        units: of each hidden layer.
        layers: hidden layers.
        bits: size of a symbol that a game plants in a parameter.
        step: distance of neighbouring symbols, as a share of the root mean square weight.
        precision: to which answers are rounded; what the bends of a network show is lost in single
            precision.
        seed: of the split and of the training.
    """
    return scene_of(
        "relu_digits",
        Modality.VISION,
        _assemble_vision.deal(data.digits(), SIZES, seed),
        widths=(units,) * layers,
        output=Output.LOGITS,
        classes=10,
        bits=bits,
        step=step,
        precision=precision,
        seed=seed,
    )
