"""Best-of-N: ask again and again with letters changed at random, until an answer gives the secret.

How the rate of success grows with N is ``infotheory.repeated_tries``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak

if TYPE_CHECKING:
    from hartley.core.parts import Rng

BATCH = 8
"""Samples of each question that are asked at once."""

SCRAMBLED, CAPITAL, NOISE = 0.6, 0.6, 0.06
"""Published chances: of a word whose inner letters are shuffled, of a letter whose case turns, and
of a character that becomes its neighbour in ASCII."""


@attack(
    game=jailbreak,
    access=Access.LABELS,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2412.03556",
    loot=Loot.TEXTS,
    sweep={"strength": (0.2, 0.5, 1.0)},
    light={"samples": 8},
)
def best_of_n(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1, 100_000), Stronger.MORE] = 32,
    strength: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 1.0,
) -> Outcome:
    """Change letters of each question at random; submit what is answered best.

    Args:
        samples: N, asked of each question at most; one whose answer begins as it should is left.
        strength: of the changes: their published chances times this.
    """
    tried = Tried(view)
    for start in range(0, samples, BATCH):
        rows = [i for i in tried.open() for _ in range(min(BATCH, samples - start))]
        if not rows:
            break
        plain = view.brief.question.x
        tried.hold(rows, [[augmented(str(plain[i]), rng, strength)] for i in rows])
    return Outcome(asset=tried.loot())


def augmented(text: str, rng: Rng, strength: float = 1.0) -> str:
    """Return a text with words scrambled, letters in another case and characters shifted."""
    words = [
        _scrambled(word, rng) if rng.random() < SCRAMBLED * strength else word
        for word in text.split(" ")
    ]
    letters = np.array([*" ".join(words)])
    turned = rng.random(len(letters)) < CAPITAL * strength
    letters = np.where(turned, [letter.swapcase()[:1] for letter in letters], letters)
    shifted = rng.random(len(letters)) < NOISE * strength
    for k in np.flatnonzero(shifted):
        code = ord(str(letters[k])) + int(rng.choice((-1, 1)))
        if 32 < code < 127 and letters[k] != " ":
            letters[k] = chr(code)
    return "".join(map(str, letters))


def _scrambled(word: str, rng: Rng) -> str:
    """Return a word of more than three letters with its inner letters shuffled."""
    if len(word) <= 3:
        return word
    inner = [*word[1:-1]]
    rng.shuffle(inner)
    return word[0] + "".join(inner) + word[-1]
