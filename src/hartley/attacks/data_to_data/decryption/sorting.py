"""Sorting: the smallest ciphertext is the smallest value, and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.column_order import (
    midpoints,
    ordered_counts,
)
from hartley.core import Access, Data, Modality, Outcome, Stronger, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches, unplanted

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="doi:10.1145/2810103.2813651",
    adapts=True,
    sweep={"across": (False, True)},
)
def sorting(
    view: View[DecryptionBrief],
    rng: Rng,
    *,
    across: Annotated[bool, Stronger.NEITHER] = False,
) -> Outcome:
    """Read a column whose order is visible: its k-th smallest ciphertext is the k-th value.

    This needs every value in the column. Where some are missing, or values have several
    ciphertexts, each ciphertext gets the value at its place in the order. An adaptive attacker who
    knows that keys change sorts the stretch under each key alone, or the whole column by size.

    Args:
        across: sort all records together, whatever their keys: a large ciphertext is of a large
            value under most keys.
    """
    del rng
    published, usual = view.data.x[0].reshape(view.data.x.shape[1], -1)[:, 0], unplanted(view)
    law = np.bincount(view.brief.public.x[:, 0], minlength=view.brief.symbols).astype(np.float64)
    plain = np.empty(len(published), dtype=np.int64)
    for stretch in [np.arange(len(published))] if across else stretches(view):
        place, counts = ordered_counts(published[stretch], usual[stretch])
        dense = len(counts) == len(law)
        plain[stretch] = place if dense else midpoints(counts, law)[place]
    return Outcome(
        guess=plain[view.brief.question.x],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )
