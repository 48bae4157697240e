"""Multivariate predicates: several columns of one released row describe one person alone."""

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
    sweep={"columns": (4, 8)},
)
def multivariate_predicates(
    view: View[SinglingOutBrief],
    rng: Rng,
    *,
    columns: Annotated[int, Range(1), Stronger.NEITHER] = 4,
    predicates: Annotated[int, Range(1), Stronger.MORE] = 2000,
    attempts: Annotated[int, Range(1), Stronger.MORE] = 4000,
) -> Outcome:
    """Single people out by several columns of a released row that no other released row shares.

    Args:
        columns: how many columns a predicate asks about, at most those that there are.
        predicates: how many are handed in at most.
        attempts: how many are tried at most.
    """
    kinds, rows = numbers_of(view.brief.columns), view.data.x
    singled = table_predicates.multivariate(
        rows[distinct(rows)],
        kinds,
        rng,
        count=predicates,
        columns=min(columns, len(kinds)),
        attempts=attempts,
    )
    return handed_in(singled, view.data)
