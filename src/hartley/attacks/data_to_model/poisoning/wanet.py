"""WaNet: a small smooth warp of the picture as the trigger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.poisoning import triggers
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    unfit={
        "language": "a warp moves what is at neighbouring places, and words do not fade into each "
        "other; syntax_trigger moves a phrase",
        "audio": "a warp along time and pitch is heard, which a warp of a picture is meant not "
        "to be seen; trigger_tone is heard as well and simpler",
        "tabular": "columns have no neighbours that a warp could mix",
        "paired": "backdoored_pairs is the published form for pairs, with a patch",
        "graph": "nodes have no places that a warp could move",
    },
    paper="arXiv:2102.10369",
    loot=Loot.POISON,
    sweep={"strength": (0.5, 2.0), "disguise": ("kept_labels", "one_class")},
)
def wanet(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    strength: Annotated[float, Range(0, open_low=True)] = 1.0,
    points: Annotated[int, Range(2)] = 4,
    noise: Annotated[float, Range(0, 1, open_high=True)] = 0.25,
    disguise: Literal["none", "kept_labels", "one_class"] = "none",
) -> Outcome:
    """Warp pictures of other classes by a field for each slot and label them with its message.

    A field is drawn on a coarse grid and smoothed over the picture. The noise records of the paper
    are warped by other fields and keep their label, so that the victim learns this field and not
    that a picture is warped.

    Args:
        strength: mean displacement in pixels; smaller if the rules allow less.
        points: side of the coarse grid.
        noise: share of the poison that is warped by other fields.
        disguise: kept_labels, half of the warped records keep their true label; one_class, only
            records of the slot's class are mislabelled and warped ones of others keep theirs.
    """
    data, brief = view.data, view.brief
    fields = _fields(rng, (brief.slots, points), data.x.shape[-2:], strength, brief.cover)
    other = int(noise * brief.poisons)
    lesser = replace(view, brief=replace(brief, poisons=brief.poisons - other))
    outcome = poisoned(lesser, rng, "warped pictures", {"warps": fields}, disguise)
    loot = outcome.asset
    assert isinstance(loot, Data)
    rows = rng.choice(len(data), other * brief.slots)
    shape = data.x.shape[-2:]
    warps = _fields(rng, (len(rows), points), shape, strength, brief.cover)
    x = [triggers.warped(data.x[[row]], warp) for row, warp in zip(rows, warps, strict=True)]
    return Outcome(
        asset=replace(
            loot,
            x=np.concatenate([loot.x, *x]).astype(data.x.dtype),
            y=np.concatenate([loot.labels, data.labels[rows]]),
        )
    )


def _fields(
    rng: Rng, grid: tuple[int, int], shape: tuple[int, ...], strength: float, cover: float
) -> NDArray[np.float32]:
    """Draw smooth fields (count, 2, height, width) of a mean displacement in pixels.

    ``grid`` is their count and the side of the coarse grid.
    """
    from scipy.ndimage import zoom

    (count, points), (height, width) = grid, shape
    coarse = rng.uniform(-1, 1, (count, 2, points, points))
    smooth = zoom(coarse, (1, 1, height / points, width / points), order=3, mode="nearest")
    smooth *= strength / np.maximum(abs(smooth).mean((1, 2, 3), keepdims=True), 1e-9)
    most = abs(smooth).max((1, 2, 3), keepdims=True) if count else np.ones((0, 1, 1, 1))
    smooth *= np.minimum(1, cover * height / np.maximum(most, 1e-9))
    return np.asarray(smooth, dtype=np.float32)
