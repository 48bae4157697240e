"""Nearest row: a person's row is the released one that is most like what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.assignment import one_to_one
from hartley.core import Access, Modality, Outcome, Stronger, Term, View, attack
from hartley.games.decryption.linkage import LinkageBrief, linkage
from hartley.kit.mixed_tables import GowerTable, numbers_of

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=linkage,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="doi:10.1142/S0218488502001648",
)
def nearest_row(
    view: View[LinkageBrief],
    rng: Rng,
    *,
    assign: Annotated[bool, Stronger.MORE] = True,
) -> Outcome:
    """Find each person's row by Gower's distance in the columns that are known of them.

    Args:
        assign: let no two people have one row, and choose the assignment with the least sum of
            distances.
    """
    del rng
    brief, rows = view.brief, view.data.x[:, list(view.brief.known)]
    kinds = numbers_of([brief.columns[place] for place in brief.known])
    scores = -GowerTable.of(rows, brief.question.x, kinds).distances(brief.question.x)
    if assign:
        scores = one_to_one(scores)
    return Outcome(guess=np.asarray(scores), asset=brief.question)
