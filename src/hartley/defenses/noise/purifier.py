"""Purifier: a small network takes noise out of each record before the model reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.games.jailbreak.evasion import rules_of
from hartley.kit.denoiser import trained_denoiser

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("evasion",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={"graph": "noise of graphs is flipped links; jaccard drops links between unlike nodes"},
    paper="arXiv:1705.09064",
    strongest={"sigma": 1.0},
    requires=("model", "train"),
)
def purifier(
    scene: Scene,
    rng: Rng,
    *,
    sigma: Annotated[float, Range(0, open_low=True)] = 0.2,
    width: Annotated[int, Range(1, 4096)] = 256,
    epochs: Annotated[int, Range(0, 10_000)] = 150,
) -> Scene:
    """Train a denoiser on the owner's training records, and ask the model about what it gives back.

    It learns to take out normal noise and signs of the size of the scene's budget. The model itself
    stays as it is. It has the role that diffusion models have for photographs. An attacker who
    knows it has its weights and goes up the slope of both networks together.

    Args:
        sigma: largest standard deviation of the noise that it learns to take out, in the units of
            the scene's budget.
        width: of its hidden layer.
        epochs: passes over the records.
    """
    assert scene.train is not None
    rules = rules_of(scene)
    denoise = trained_denoiser(
        np.asarray(scene.train.x),
        sigma=sigma,
        epsilon=rules.epsilon if rules.norm == "linf" else sigma,
        width=width,
        epochs=epochs,
        scale=rules.scale,
        low=rules.low,
        high=rules.high,
        seed=int(rng.integers(2**62)),
    )

    def change(model: Model, who: str) -> Model:
        del who
        ask = model.query

        def query(x: NDArray[Any]) -> NDArray[Any]:
            return ask(denoise(x))

        return model.with_(query=query)

    return wrap_answers.models(scene, change).with_part(denoise)
