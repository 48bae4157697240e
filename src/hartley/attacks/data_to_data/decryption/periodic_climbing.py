"""Periodic climbing: search for the repeated shifts of a Vigenère cipher, and for their number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
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

LENGTHS = 3
"""Lengths of the key that are searched further, the likeliest ones."""


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1002/j.1538-7305.1949.tb00928.x",
    adapts=True,
    light={"longest": 4, "kicks": 2},
)
def periodic_climbing(
    view: View[DecryptionBrief],
    rng: Rng,
    *,
    longest: Annotated[int, Range(1, 200), Stronger.MORE] = 24,
    kicks: Annotated[int, Range(0), Stronger.MORE] = 30,
) -> Outcome:
    """Read a message as one shift of the alphabet for each place of a repeated key.

    For each length of the key, shifts begin at the likeliest by single letters and change one at a
    time to those under which runs of four are likelier. The length is chosen by the likelihood of
    the text without the bits of the key, after keys of the likeliest lengths were disturbed and
    climbed again. An adaptive attacker who knows that keys change reads the stretch under each key
    alone.

    Args:
        longest: letters of the longest key that is tried.
        kicks: how often a key is disturbed and climbs again, for each of the likeliest lengths.
    """
    ciphertext, positions = view.data.x[0], view.brief.question.x
    model = ngram_model.learn(view.brief.public.x[0])
    natural = unplanted(view)
    plain = np.empty(len(ciphertext), dtype=np.int64)
    for stretch in stretches(view):
        units = letter_model.fold(ciphertext[stretch])
        text = _Text(units, natural[stretch], model)
        key = _key(text, min(longest, len(stretch)), kicks, rng)
        plain[stretch] = (units - np.resize(key, len(stretch))) % SIZE
    return Outcome(
        guess=plain[positions],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )


@dataclass(frozen=True)
class _Text:
    """A text whose shifts are searched for: (n,) signs, which of them are prose, and a model."""

    units: NDArray[Any]
    natural: NDArray[Any]
    model: NgramModel

    @cached_property
    def prose(self) -> NDArray[Any]:
        """The places of the prose in the text."""
        return np.flatnonzero(self.natural)

    def score(self, keys: NDArray[Any]) -> NDArray[Any]:
        """Return the log-likelihood (k,) of the prose under keys (k, period)."""
        text, place = self.units[self.prose], self.prose % keys.shape[1]
        linked = np.diff(self.prose, prepend=-2) == 1
        plain = (text - keys[:, place]) % SIZE
        return self.model.score(plain, min(ORDER, max(1, len(text))), linked)

    def start(self, period: int) -> NDArray[Any]:
        """Return the key (period,) whose letters are likeliest each by itself."""
        counts = np.zeros((period, SIZE))
        np.add.at(counts, (self.prose % period, self.units[self.prose]), 1.0)
        shifts = np.arange(SIZE)
        one = self.model.logs[0]
        alone = np.stack([counts @ one[(shifts - shift) % SIZE] for shift in shifts], 1)
        start: NDArray[Any] = alone.argmax(1)
        return start

    def climbed(self, key: NDArray[Any]) -> tuple[NDArray[Any], float]:
        """Return a key after the best changes of single letters, and its score."""
        best = float(self.score(key[None])[0])
        for _ in range(PASSES):
            before = best
            for k in range(len(key)):
                keys = np.repeat(key[None], SIZE, 0)
                keys[:, k] = np.arange(SIZE)
                scores = self.score(keys)
                if scores.max() > best:
                    key, best = keys[int(scores.argmax())], float(scores.max())
            if best <= before:
                break
        return key, best


def _paid(end: tuple[NDArray[Any], float]) -> float:
    """Return the score of a key without the bits of the key itself."""
    return end[1] - len(end[0]) * math.log(SIZE)


def _key(text: _Text, longest: int, kicks: int, rng: Rng) -> NDArray[Any]:
    """Return the key (period,) under which a text is likeliest, the key itself being paid for."""
    ends = [text.climbed(text.start(period)) for period in range(1, longest + 1)]
    ends = sorted(ends, key=_paid, reverse=True)[:LENGTHS]
    for place, first in enumerate(ends):
        best = first
        for _ in range(kicks):
            kicked = np.array(best[0])
            some = rng.random(len(kicked)) < max(0.2, 1 / len(kicked))
            kicked[some] = rng.integers(0, SIZE, int(some.sum()))
            best = max(best, text.climbed(kicked), key=_paid)
        ends[place] = best
    return max(ends, key=_paid)[0]
