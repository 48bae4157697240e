"""Fellegi–Sunter linkage: weigh the agreement of each column by how much it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.assignment import one_to_one
from hartley.attacks.data_to_data.decryption._shared.match_weights import (
    agreements,
    known_rates,
    learnt_rates,
)
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.linkage import LinkageBrief, linkage

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=linkage,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="doi:10.1080/01621459.1969.10501049",
    adapts=True,
)
def fellegi_sunter(
    view: View[LinkageBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1), Stronger.MORE] = 30,
    assign: Annotated[bool, Stronger.MORE] = True,
) -> Outcome:
    """Find each person's row by the sum of log-likelihood ratios of agreeing columns.

    How often a column agrees in true pairs and in others is learnt from the pairs by expectation
    maximisation. An adaptive attacker who knows that cells were randomised takes the rates from the
    mechanism.

    Args:
        steps: of expectation maximisation.
        assign: let no two people have one row, and choose the assignment of the largest sum.
    """
    del rng
    brief, rows = view.brief, view.data.x[:, list(view.brief.known)]
    columns = [brief.columns[place] for place in brief.known]
    local = [d.params for d in view.defenses if d.name == "local_dp"]
    # Behind randomised cells numbers are places in bins, which agree within a bin.
    bins = int(local[-1]["bins"]) if local else 0
    public = rows if brief.public is None else brief.public.x[:, list(brief.known)]
    same = agreements(brief.question.x, rows, columns, bins, public)
    if local:
        epsilon = float(local[-1]["epsilon"]) / len(brief.columns)
        in_pairs, in_others = known_rates(same, columns, bins, epsilon)
    else:
        in_pairs, in_others = learnt_rates(same, steps)
    agree = np.log(in_pairs / in_others)
    differ = np.log((1 - in_pairs) / (1 - in_others))
    scores = np.full(same.shape[:2], differ.sum())
    for column, weight in enumerate(agree - differ):
        scores += weight * same[..., column]
    if assign:
        scores = one_to_one(scores)
    return Outcome(guess=np.asarray(scores), asset=brief.question)
