"""Frequency analysis: match signs of the ciphertext with letters or values by their frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import letter_model
from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.decryption.columns import homophones
from hartley.games.decryption.decryption import (
    DecryptionBrief,
    decryption,
    stretches,
    unplanted,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE, Modality.TABULAR),
    paper="doi:10.1145/2810103.2813651",
    adapts=True,
)
def frequency(view: View[DecryptionBrief], rng: Rng) -> Outcome:
    """Match the signs of an item with letters of the language or values of the column, by rank.

    To sort both by frequency is the likeliest matching (Lacharité, Paterson, 2015). An adaptive
    attacker who knows that keys change counts the stretch under each key alone; one who knows how
    many ciphertexts a value has expects that many of them.
    """
    del rng
    published, usual = view.data.x[0].reshape(view.data.x.shape[1], -1)[:, 0], unplanted(view)
    plain = np.empty(len(published), dtype=np.int64)
    for stretch in stretches(view):
        signs, counted = published[stretch], usual[stretch]
        if view.data.modality is Modality.LANGUAGE:
            units = letter_model.fold(signs)
            language = letter_model.learn(view.brief.public.x[0])
            counts = np.bincount(units[counted], minlength=letter_model.SIZE)
            plain[stretch] = letter_model.by_frequency(counts, language)[units]
        else:
            plain[stretch] = _by_rank(signs, counted, _expected(view))
    return Outcome(
        guess=plain[view.brief.question.x],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )


def _expected(view: View[DecryptionBrief]) -> NDArray[Any]:
    """Return values of a column, one for each ciphertext, those of the likeliest first."""
    public, symbols = view.brief.public.x[:, 0], view.brief.symbols
    copies = [d.params["copies"] for d in view.defenses if d.name == "frequency_smoothing"]
    number = homophones(public, symbols, copies[-1]) if copies else np.ones(symbols, np.int64)
    law = np.bincount(public, minlength=symbols) / number
    expected: NDArray[Any] = np.repeat(np.argsort(-law, kind="stable"), number[np.argsort(-law)])
    return expected


def _by_rank(
    signs: NDArray[Any], counted: NDArray[Any], expected: NDArray[Any]
) -> NDArray[np.int64]:
    """Return the value of each record (n,) by the rank of its sign; ranks beyond the last wrap."""
    distinct, place = np.unique(signs, return_inverse=True)
    counts = np.bincount(place[counted], minlength=len(distinct))
    rank = np.empty(len(distinct), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(distinct))
    return np.asarray(expected[rank[place] % len(expected)], dtype=np.int64)
