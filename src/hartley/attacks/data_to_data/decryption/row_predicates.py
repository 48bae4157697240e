"""Row predicates: a released row, with some slack in its numbers, describes one person alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

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
    paper="hartley",
    sweep={"slack": (0.0, 0.05, 0.2)},
)
def row_predicates(
    view: View[SinglingOutBrief],
    rng: Rng,
    *,
    slack: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
) -> Outcome:
    """Single people out by whole released rows: every category, and every number ± some slack.

    With no slack it finds rows that were published as they are; a row that was changed a little,
    as by rounding or a mean, is found with some.

    Args:
        slack: half the width of the interval of a number, as a share of its range in the release.
    """
    del rng
    rows = view.data.x[distinct(view.data.x)]
    widths = slack * (rows.max(0) - rows.min(0)) * numbers_of(view.brief.columns)
    return handed_in(table_predicates.whole_rows(rows, np.asarray(widths)), view.data)
