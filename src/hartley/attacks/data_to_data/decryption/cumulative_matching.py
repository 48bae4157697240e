"""Cumulative matching: match ciphertexts and values by frequency and by order at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.column_order import (
    midpoints,
    ordered_counts,
)
from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches, unplanted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="doi:10.1145/2810103.2813651",
    adapts=True,
)
def cumulative_matching(view: View[DecryptionBrief], rng: Rng) -> Outcome:
    """Assign values to the ciphertexts of a column whose order is visible, by Naveed et al.

    The assignment has the least sum of squared differences of shares and of cumulated shares. Where
    there are more ciphertexts than values, each gets the value at its place in the order. An
    adaptive attacker who knows that keys change matches the stretch under each key alone.
    """
    del rng
    published, usual = view.data.x[0].reshape(view.data.x.shape[1], -1)[:, 0], unplanted(view)
    law = np.bincount(view.brief.public.x[:, 0], minlength=view.brief.symbols).astype(np.float64)
    plain = np.empty(len(published), dtype=np.int64)
    for stretch in stretches(view):
        place, counts = ordered_counts(published[stretch], usual[stretch])
        plain[stretch] = _assigned(counts, law)[place]
    return Outcome(
        guess=plain[view.brief.question.x],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )


def _assigned(counts: NDArray[Any], law: NDArray[Any]) -> NDArray[np.int64]:
    """Return the value of each ciphertext, given counts in its order and those of the values."""
    from scipy.optimize import linear_sum_assignment

    if len(counts) > len(law):
        return midpoints(counts, law)
    shares, expected = counts / max(1.0, counts.sum()), law / law.sum()
    cost = (shares[:, None] - expected) ** 2
    cost += (np.cumsum(shares)[:, None] - np.cumsum(expected)) ** 2
    rows, values = linear_sum_assignment(cost)
    assigned = np.zeros(len(counts), dtype=np.int64)
    assigned[rows] = values
    return assigned
