"""Periodic climbing: search for the repeated shifts of a Vigenère cipher, and for their number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import letter_model, ngram_model
from hartley.attacks.data_to_data.decryption._shared.ngram_model import SIZE, NgramModel
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches, unplanted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ORDER = 4
"""Letters of the runs that shifts are judged by."""

PASSES = 6
"""Passes over the letters of the key; most searches end after three."""


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1002/j.1538-7305.1949.tb00928.x",
    adapts=True,
    light={"longest": 4},
)
def periodic_climbing(
    view: View[DecryptionBrief],
    rng: Rng,
    *,
    longest: Annotated[int, Range(1, 200), Stronger.MORE] = 24,
) -> Outcome:
    """Read a message as one shift of the alphabet for each place of a repeated key.

    For each length of the key, shifts begin at the likeliest by single letters and change one at a
    time to those under which runs of four are likelier. The length is chosen by the likelihood of
    the text without the bits of the key. An adaptive attacker who knows that keys change reads the
    stretch under each key alone.

    Args:
        longest: letters of the longest key that is tried.
    """
    del rng
    ciphertext, positions = view.data.x[0], view.brief.question.x
    model = ngram_model.learn(view.brief.public.x[0])
    natural = unplanted(view)
    plain = np.empty(len(ciphertext), dtype=np.int64)
    for stretch in stretches(view):
        units = letter_model.fold(ciphertext[stretch])
        key = _key(units, natural[stretch], model, min(longest, len(stretch)))
        plain[stretch] = (units - np.resize(key, len(stretch))) % SIZE
    return Outcome(
        guess=plain[positions],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )


def _key(
    units: NDArray[Any], natural: NDArray[Any], model: NgramModel, longest: int
) -> NDArray[Any]:
    """Return the key (period,) under which a text is likeliest, the key itself being paid for."""
    ends = [_shifts(units, natural, model, period) for period in range(1, longest + 1)]
    return max(ends, key=lambda end: end[1] - len(end[0]) * math.log(SIZE))[0]


def _shifts(
    units: NDArray[Any], natural: NDArray[Any], model: NgramModel, period: int
) -> tuple[NDArray[Any], float]:
    """Return the key of a length, and the log-likelihood of the text under it."""
    prose = np.flatnonzero(natural)
    text, linked = units[prose], np.diff(prose, prepend=-2) == 1
    place = prose % period
    alphabet = np.arange(SIZE)
    one = model.logs[0]
    counts = np.zeros((period, SIZE))
    np.add.at(counts, (place, text), 1.0)
    # (period, shift): the likelihood of the letters at one place of the key under each shift.
    alone = np.stack([counts @ one[(alphabet - shift) % SIZE] for shift in alphabet], 1)
    key = alone.argmax(1)
    order = min(ORDER, max(1, len(text)))

    def judged(keys: NDArray[Any]) -> NDArray[Any]:
        return model.score((text - keys[:, place]) % SIZE, order, linked)

    best = float(judged(key[None])[0])
    for _ in range(PASSES):
        before = best
        for k in range(period):
            keys = np.repeat(key[None], SIZE, 0)
            keys[:, k] = alphabet
            scores = judged(keys)
            if scores.max() > best:
                key, best = keys[int(scores.argmax())], float(scores.max())
        if best <= before:
            break
    return key, best
