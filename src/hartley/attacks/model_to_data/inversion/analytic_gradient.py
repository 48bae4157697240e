"""Analytic gradient inversion: compute the records from the first dense layer's gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared import gradient_leaks
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.inversion.gradient_inversion import GradientInversionBrief, gradient_inversion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=gradient_inversion,
    access=Access.GRADIENTS | Access.WEIGHTS,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2003.14053",
    adapts=True,
)
def analytic_gradient(
    view: View[GradientInversionBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1), Stronger.MORE] = 150,
) -> Outcome:
    """Compute the records from the gradient of the first dense layer by linear algebra.

    A single record is ∂Wᵀ∂b / ‖∂b‖². Several are separated by the neurons that ReLU sets to 0 for
    each of them (SPEAR, arXiv:2403.03945). In a net with convolutions the same gives the exact
    features that the layer reads, and a search finds a record with these features.

    Args:
        steps: L-BFGS steps from features to records, for a net with convolutions.
    """
    update, net, batch = view.brief.gradient, view.brief.net, view.brief.batch
    public = view.brief.public
    low, high = (0.0, 1.0) if public is None else (float(public.x.min()), float(public.x.max()))
    conv = net.kind == "conv"
    compressed = gradient_leaks.knows(view.defenses, "gradient_compression")
    features = gradient_leaks.inputs(
        update, net, batch, rng, low=0.0 if conv else low, sparse=compressed
    )
    rebuilt: NDArray[Any]
    if conv:
        start = np.full((batch, *net.inputs), (low + high) / 2, np.float32)
        if public is not None:
            start[:] = public.x.mean(0)
        rebuilt = gradient_leaks.records_of(
            net, view.model.calls["weights"](), features, start, limits=(low, high), steps=steps
        )
    else:
        rebuilt = features.reshape(batch, *net.inputs)
    records = np.clip(np.nan_to_num(rebuilt), low, high).astype(np.float32)
    # Of a single record the label shows as well, which who uses the record next wants to know.
    labels = None
    if batch == 1:
        mean = np.full(view.brief.classes, 1 / view.brief.classes)
        labels = gradient_leaks.labels(update, net, batch, mean, view.brief.step)
    return Outcome(asset=Data("rebuilt records", view.model.modality, records, y=labels))
