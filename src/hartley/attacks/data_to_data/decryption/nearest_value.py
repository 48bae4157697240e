"""Nearest value: a person has the secret value of the released rows that are most like them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.released_attribute import (
    ReleasedAttributeBrief,
    released_attribute,
)
from hartley.kit.mixed_tables import gower_nearest

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=released_attribute,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2211.10459",
    sweep={"neighbours": (1, 5)},
)
def nearest_value(
    view: View[ReleasedAttributeBrief],
    rng: Rng,
    *,
    neighbours: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Outcome:
    """Infer the value that is most frequent among the released rows nearest to a person.

    Votes are smoothed by the shares of the values in the whole release, which weigh as much as one
    vote.

    Args:
        neighbours: how many released rows vote.
    """
    del rng
    brief, release = view.brief, view.data.x
    columns = [brief.columns[place] for place in brief.known]
    near, _ = gower_nearest(brief.question.x, release[:, list(brief.known)], columns, neighbours)
    codes = np.clip(np.rint(release[:, brief.secret]), 0, brief.values - 1).astype(np.int64)
    shares = (np.bincount(codes, minlength=brief.values) + 0.5) / (len(codes) + brief.values / 2)
    votes = np.tile(shares, (len(near), 1))
    for k in range(near.shape[1]):
        votes[np.arange(len(near)), codes[near[:, k]]] += 1
    guess = votes / votes.sum(1, keepdims=True)
    completed = np.hstack([brief.question.x, guess.argmax(1)[:, None].astype(np.float64)])
    return Outcome(
        guess=guess, asset=Data("completed records", view.data.modality, completed, role="records")
    )
