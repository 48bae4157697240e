"""The live and dead scenes of picture prompts: a matched filter of drawn words, and a blind model.

Pictures are grey noise, as a file of 8 bits has it. The filter answers the word whose drawing
across a grey picture is most like what it is shown, at any height; so a drawn word is answered, and
so is a faint trace of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Modality, Model, Output, Scene
from hartley.data.drawn_words import BUILT_IN, draw_across
from hartley.kit.evasion_losses import of_tensor, split_targets
from hartley.kit.perturbation import Perturbation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

TEXTS = ("apple", "river", "cloud", "music")

SIDE, SPREAD, EPSILON, AREA = 48, 0.01, 8 / 255, 0.25
"""Pixels of a side, deviation of the noise, the budget, and the share of a band."""


def scene(
    modality: Modality, rng: Rng, part: Callable[[str, tuple[str, ...]], Any], *, reads: bool
) -> Scene:
    """Return a scene whose model reads drawn words, or nothing."""
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    plates = np.stack([draw_across(grey, text, BUILT_IN, 0.5, AREA) for text in TEXTS])
    flat = plates.transpose(0, 3, 1, 2).reshape(len(TEXTS), -1) / 255
    filters = flat - flat.mean(0)
    filters = reads * filters / (filters**2).sum(1, keepdims=True)

    def logits(x: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray((np.asarray(x, np.float64).reshape(len(x), -1) - 0.5) @ filters.T) * 20

    def slope(x: NDArray[Any], y: NDArray[Any], loss: str) -> NDArray[np.float32]:
        import torch

        labels, targets = split_targets(y)
        rows = torch.from_numpy(np.asarray(x, np.float32).reshape(len(x), -1)).requires_grad_()
        z = (rows - 0.5) @ torch.from_numpy(filters.T).float() * 20
        wanted = None if targets is None else torch.from_numpy(targets)
        values = of_tensor(z, torch.from_numpy(labels), wanted, loss)
        (back,) = torch.autograd.grad(values.sum(), rows)
        head = torch.stack([values.detach(), z.detach().argmax(1).float()], 1)
        return np.asarray(torch.cat([head, back], 1).numpy())

    n = 128
    y = np.arange(n) % len(TEXTS)
    x = np.rint(255 * (0.5 + SPREAD * rng.standard_normal((n, 3, SIDE, SIDE)))) / 255
    model = Model(
        "matched filter",
        modality,
        logits,
        Output.LOGITS,
        len(TEXTS),
        slope=slope,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS,
    )
    return Scene(
        name="live" if reads else "dead",
        modality=modality,
        model=model,
        extra={"test": Data("test", modality, x.astype(np.float32), y)},
        parts=(Perturbation("linf", EPSILON), part("What does it say?", TEXTS)),
    )
