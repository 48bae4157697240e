"""Surrogate descent: train a surrogate of the owner's detector, and descend it by its gradient.

Saberi et al. (arXiv:2310.00076) train a classifier of marked and unmarked pictures and run
projected gradient descent (arXiv:1706.06083) against it: what fools the surrogate fools the
detector where both look at the same pixels. The attacker needs marked pictures of the owner and
pictures of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.data_to_data.watermark._shared import picture_surrogate
from hartley.attacks.data_to_data.watermark._shared.pictures import published, strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="arXiv:2310.00076",
    game_params={"others": 32},
    light={"training": 2, "descents": 2},
)
def surrogate_descent(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    training: Annotated[int, Range(1), Stronger.MORE] = 60,
    descents: Annotated[int, Range(1), Stronger.MORE] = 10,
    reach: Annotated[float, Range(0, 1, open_low=True), Stronger.MORE] = 0.05,
    steps: Annotated[int, Range(1), Stronger.MORE] = 6,
) -> Outcome:
    """Change the picture until the surrogate takes it for unmarked, as far as the floor allows.

    Args:
        training: steps of the surrogate's training.
        descents: gradient steps on the picture.
        reach: root mean square of the change of a pixel, in 0..1, at which the steps end.
        steps: bisections of how much of that change is published.

    Raises:
        MissingExtra: torch is not installed.
    """
    marked = view.data.x[0]
    kinds = [
        [one for one in items.x if one.shape == marked.shape]
        for items in (view.brief.public, view.brief.others)
    ]
    if not all(kinds):
        return published(marked, "untouched")
    network = picture_surrogate.trained(kinds, training, rng)
    start = rng.normal(0, reach / 4, marked.shape)
    change = _descended(marked, network, start, descents, reach)
    evaded = strongest(lambda s: marked + s * change, view.brief.holds, marked, steps)
    return published(evaded, "evaded")


def _descended(
    marked: NDArray[Any], network: Any, first: NDArray[Any], descents: int, reach: float
) -> NDArray[np.float32]:
    """Return a change (3, h, w), as large as ``reach``, that lowers what the surrogate reads."""
    import torch

    start = torch.from_numpy(np.array(marked, np.float32))
    change = torch.from_numpy(np.array(first, np.float32)).requires_grad_()
    for _ in range(descents):
        read = network((start + change - 0.5)[None]).mean()
        (slope,) = torch.autograd.grad(read, change)
        with torch.no_grad():
            change -= (2 * reach / descents) * slope / (slope.square().mean().sqrt() + 1e-12)
            change *= min(1.0, reach / float(change.square().mean().sqrt() + 1e-12))
    out: NDArray[np.float32] = change.detach().numpy()
    return out
