"""Randomized smoothing: answer with the shares of classes among noisy copies of the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from hartley.core import Modality, Model, Output, Range, Scene, Term, defense, spawn
from hartley.core.errors import RunError
from hartley.defenses._shared import wrap_answers
from hartley.defenses._shared.keyed_noise import uniform
from hartley.games.jailbreak.evasion import rules_of
from hartley.kit.fleet import Objective
from hartley.models.pipeline import Pipeline
from hartley.models.smoothing import ROWS, Smoothing
from hartley.models.training_defense import trained_for

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BANK = 2048
"""Draws of noise that a record's copies are taken from, by the record and a secret key."""


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("evasion", "blocked_class"),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "graph": "normal noise leaves no graph; link_smoothing flips links",
    },
    paper="arXiv:1902.02918",
    strongest={"sigma": 0.5},
)
def randomized_smoothing(
    scene: Scene,
    rng: Rng,
    *,
    sigma: Annotated[float, Range(0, open_low=True)] = 0.25,
    samples: Annotated[int, Range(2, 100_000)] = 32,
    certify: Annotated[int, Range(100, 1_000_000)] = 1000,
    augment: bool = True,
) -> Scene:
    """Answer with the share of noisy copies of the record that the network gives each class.

    The row carries the certified accuracy: the share of records whose class is right and proved,
    with 99.9 % confidence each, not to change within the budget (of an L∞ budget: within the L2
    ball around it), and the share of proved classes that an attack changed all the same. The
    network is trained on noisy records too, where the owner's pipeline is at hand; a model that
    cannot be trained is smoothed as it is. The same record gets the same copies.

    Args:
        sigma: standard deviation of the noise, in the units of the scene's budget.
        samples: noisy copies for an answer.
        certify: noisy copies for a certificate.
        augment: train on noisy records.

    Raises:
        RunError: the model answers with embeddings.
    """
    if scene.model is not None and scene.model.output is Output.EMBEDDINGS:
        raise RunError(f"{scene.model.name!r} must answer with classes, got embeddings")
    rules = rules_of(scene)
    scale = np.asarray(rules.scale, np.float32)
    if augment and isinstance(scene.training, Pipeline) and scene.train is not None:
        plain = tuple(scale.reshape(-1).tolist())
        scene = trained_for(scene, rng, "randomized_smoothing", Noisy(sigma, plain))
    key = int(rng.integers(2**62))

    def change(model: Model, who: str) -> Model:
        return model.with_(query=_smoothed(model, sigma * scale, samples, spawn(key, who)))

    return wrap_answers.models(scene, change).with_part(Smoothing(sigma, scale, certify))


def _smoothed(
    model: Model, unit: NDArray[Any], samples: int, key: int
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the query of a smoothed model."""
    classes, banks = model.classes, dict[tuple[int, ...], Any]()

    def copies(shape: tuple[int, ...]) -> NDArray[np.float32]:
        if shape not in banks:
            noise = np.random.default_rng(key).standard_normal((BANK, *shape), dtype=np.float32)
            banks[shape] = noise * unit
        bank: NDArray[np.float32] = banks[shape]
        return bank

    def query(x: NDArray[Any]) -> NDArray[Any]:
        records = np.asarray(x, np.float32)
        shares = np.zeros((len(records), classes))
        bank, step = copies(records.shape[1:]), max(1, ROWS // samples)
        for at in range(0, len(records), step):
            part = records[at : at + step]
            picks = (uniform(part, (len(part), samples), key) * BANK).astype(int)
            noisy = (part[:, None] + bank[picks]).reshape(-1, *records.shape[1:])
            answers = np.asarray(model.query(noisy))
            labels = answers if model.output is Output.LABELS else answers.argmax(1)
            rows = np.repeat(np.arange(len(part)), samples)
            np.add.at(shares, (at + rows, labels), 1 / samples)
        if model.output is Output.LABELS:
            return np.asarray(shares.argmax(1))
        return shares if model.output is Output.PROBABILITIES else np.log(shares + 1e-6)

    return query


@dataclass(frozen=True, slots=True)
class Noisy(Objective):
    """Cross-entropy of records with Gaussian noise.

    Attributes:
        sigma: of the noise, in units of scale.
        scale: one number, or one for each entry of a record.
    """

    shaped: ClassVar[bool] = True

    sigma: float
    scale: tuple[float, ...]

    def inputs(
        self, inputs: torch.Tensor, targets: Any, logits: Any, noise: Callable[[int], torch.Tensor]
    ) -> torch.Tensor:
        """Return records with fresh noise."""
        import torch

        del targets, logits
        flat = inputs.flatten(2)
        unit = self.sigma * torch.tensor(self.scale)
        return (flat + unit * noise(flat.shape[2])).reshape(inputs.shape)
