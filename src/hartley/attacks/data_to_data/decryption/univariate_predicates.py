"""Univariate predicates: values that occur once in a released table describe one person alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.singling_out import SinglingOutBrief, handed_in, singling_out
from hartley.kit import table_predicates
from hartley.kit.mixed_tables import distinct, numbers_of

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=singling_out,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2211.10459",
)
def univariate_predicates(
    view: View[SinglingOutBrief],
    rng: Rng,
    *,
    predicates: Annotated[int, Range(1), Stronger.MORE] = 2000,
) -> Outcome:
    """Single people out by values that occur once in the release, and by its least and largest.

    Args:
        predicates: how many are handed in at most, drawn at random.
    """
    columns, rows = view.brief.columns, view.data.x
    singled = table_predicates.univariate(rows[distinct(rows)], numbers_of(columns))
    return handed_in(singled[rng.permutation(len(singled))[:predicates]], view.data)
