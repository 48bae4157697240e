"""Class inversion by gradient descent on the input, with denoising (Fredrikson et al.)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.class_log_odds import margin_slope
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.inversion.class_inversion import ClassInversionBrief, class_inversion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=class_inversion,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="doi:10.1145/2810103.2813677",
    sweep={"blur": (0.0, 1.0)},
)
def class_gradient_descent(
    view: View[ClassInversionBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1), Stronger.MORE] = 60,
    rate: Annotated[float, Range(0, open_low=True)] = 0.1,
    blur: Annotated[float, Range(0)] = 0.5,
) -> Outcome:
    """Change a grey picture until the model is confident that it is of the class.

    The gradient is that of the log-odds, which does not vanish where the model is very confident or
    very unconfident; the paper uses 1 minus the confidence. The attack needs no records.

    Args:
        steps: number of gradient steps.
        rate: length of a step, as a share of the norm of a picture of ones.
        blur: width in pixels of the Gaussian filter after each step; 0 disables it.
    """
    del rng
    question = view.brief.question
    slots = question.x[:, 0]
    shape = view.brief.shape
    x = np.full((len(slots), *shape), 0.5, np.float32)
    best, best_odds = x.copy(), np.full(len(slots), -np.inf)
    for _ in range(steps):
        slope, odds = margin_slope(view.model, x, slots)
        better = odds > best_odds
        best[better], best_odds[better] = x[better], odds[better]
        norm = np.linalg.norm(slope.reshape(len(x), -1), axis=1).reshape(-1, *[1] * len(shape))
        step = rate * np.sqrt(np.prod(shape)) * slope / np.maximum(norm, 1e-12)
        x = np.clip(_denoised(x + step, blur), 0, 1).astype(np.float32)
    return Outcome(asset=Data("rebuilt classes", view.model.modality, best, y=slots))


def _denoised(x: NDArray[Any], width: float) -> NDArray[Any]:
    if width <= 0:
        return x
    from scipy.ndimage import gaussian_filter

    out: NDArray[Any] = gaussian_filter(x, (0, 0, width, width), mode="nearest")
    return out
