"""A scene of a small model in double precision, in whose parameters symbols can be planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import hartley
from hartley.core import Data, Modality, Output, Scene, Settings
from hartley.games.extraction.parameter_extraction import NetworkParameters
from hartley.kit import dense_layers
from hartley.kit.cache import cached, digest
from hartley.models.dense_network import dense_network, owner

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLANTED = 64
"""Parameters that carry a symbol, at most."""


def scene_of(
    name: str,
    modality: Modality,
    parts: Mapping[str, Data],
    *,
    widths: Sequence[int],
    output: Output,
    classes: int,
    bits: int,
    step: float,
    precision: str,
    seed: int,
    target: Callable[[Data], NDArray[Any]] | None = None,
) -> Scene:
    """Return the scene: a model trained once, kept on disk by its content.

    Args:
        name: of the scene.
        modality: of the records.
        parts: ``train``, ``public`` and ``test``.
        widths: units of each hidden layer.
        output: units of the answers.
        classes: number of scores.
        bits: size of a planted symbol.
        step: distance of neighbouring symbols, as a share of the root mean square weight.
        precision: to which answers are rounded.
        seed: of the training.
        target: records → numbers to predict; None for their labels.
    """
    train = parts["train"]
    flat = train.x.reshape(len(train), -1)
    y = train.labels if target is None else target(train)
    recipe = {"dense layers": 1, "x": flat, "y": y, "widths": [*widths], "classes": classes}

    @cache
    def layers() -> dict[str, NDArray[Any]]:
        def fresh() -> dict[str, NDArray[Any]]:
            trained = dense_layers.train(flat, y, widths, classes=classes, seed=seed)
            return dense_layers.named(trained)

        return cached("dense layers", {**recipe, "seed": seed}, fresh, code=dense_layers.train)

    base = dense_layers.from_named(layers())
    fit = owner(widths, modality, output, classes=classes, precision=precision, target=target)
    test = parts["test"]
    scores = dense_layers.forward(base, test.x.reshape(len(test), -1))
    if target is None:
        quality = {"accuracy on test records": float((scores.argmax(1) == test.labels).mean())}
    else:
        error = float(((scores[:, 0] - target(test)) ** 2).mean() / target(test).var())
        quality = {"explained variance on test records": 1 - error}
    return Scene(
        name=name,
        modality=modality,
        digest=digest({"version": hartley.__version__, **recipe, "seed": [seed, bits, precision]}),
        model=dense_network(base, modality, output, precision=precision, name=name),
        train=train,
        fit=fit,
        extra={"public": parts["public"], "test": test},
        parts=(NetworkParameters(layers, PLANTED, 2**bits, step),),
        settings=Settings(seed=seed),
        facts={
            "parameters": sum(weight.size + bias.size for weight, bias in base),
            "hidden units": " + ".join(map(str, widths)) or "none",
            "precision": precision,
            **quality,
        },
    )
