"""ReLU extraction: recover the parameters of a small ReLU network from where its scores bend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_model.extraction._shared import network_search
from hartley.attacks.model_to_model.extraction._shared.exact_scores import Scores, around, copy_of
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.games.extraction.parameter_extraction import parameter_extraction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=parameter_extraction,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.TABULAR),
    paper="arXiv:2003.04884",
    adapts=True,
    loot=Loot.MODEL,
)
def relu_extraction(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    lines: Annotated[int, Range(1, 10_000), Stronger.MORE] = 150,
) -> Outcome:
    """Recover a network of at most two hidden ReLU layers, their sizes included.

    Scores of such a network are piecewise linear: they bend where a unit goes on. Bends are found
    along random lines; how the slope jumps there gives the weights, and least squares the last
    layer. A network without bends is linear. The search needs scores in double precision, and for
    a second hidden layer at most as many first units as inputs. Where the queries end before, the
    copy is the network as far as it was found.

    Args:
        lines: lines that are searched at most.
    """
    ask, (centre, spread) = Scores(view), around(view)

    def scores(x: NDArray[Any]) -> NDArray[np.float64]:
        return ask(centre + x * spread)

    layers = network_search.searched(ask, scores, len(centre), rng, lines)
    (weight, bias), *others = layers
    weight = weight / spread
    layers = ((weight, bias - weight @ centre), *others)
    return Outcome(asset=copy_of(view.model, layers, "relu_extraction", ask.asked))
