"""Window breaking: exchange words so that the mark's hash reads no whole window of the text.

A mark that hashes some tokens before each token is read in windows; one other token spoils each
window that it is in (arXiv:2301.10226, on attacks). So one word in a few is enough, and the text
says which are cheap: words that say little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.rewording import outcome, word_pairs
from hartley.attacks.data_to_data.watermark._shared.window_cover import cheapest_cover
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LEAST, MOST = 1e-3, 1e3
"""Worth of a window, in costs of the average word: at the ends nothing or nearly all is broken."""


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2301.10226",
    sweep={"window": (2, 3, 5)},
)
def window_breaking(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    window: Annotated[int, Range(1, 32)] = 3,
    choices: Annotated[int, Range(1, 12)] = 4,
    steps: Annotated[int, Range(1, 32), Stronger.MORE] = 8,
) -> Outcome:
    """Exchange the cheapest words that leave the fewest windows whole, as the floor allows.

    A word costs the square of its self-information, −ln P, in the attacker's own texts: words
    that are frequent say little. What is exchanged is the least of costs and windows left (dynamic
    programming), at the largest worth of a window at which the floor holds. No detector and no
    text of the owner is needed. White space becomes single spaces.

    Args:
        window: tokens that the mark's hash reads, the marked one with them; 2 for KGW.
        choices: a word is drawn from this many that fit its place best.
        steps: of the bisection for the worth of a window.
    """
    words = str(view.data.x[0]).split()
    pairs = word_pairs(view.brief.public)
    other = list(words)
    for place, word in enumerate(words):
        left = words[place - 1] if place else ""
        right = words[place + 1] if place + 1 < len(words) else ""
        fitting = pairs.fitting(left, word, right, choices)
        if fitting:
            other[place] = fitting[int(rng.integers(len(fitting)))]
    costs = np.log([pairs.chance("", word) for word in words]) ** 2
    costs = costs / costs.mean()
    costs[[a == b for a, b in zip(words, other, strict=True)]] = np.inf
    sizes = _sizes(view, words)

    def broken(worth: float) -> str:
        out = list(words)
        for place in cheapest_cover(sizes, costs, worth, window):
            out[place] = other[place]
        return " ".join(out)

    brief = view.brief
    whole = broken(MOST)
    if not brief.floor or brief.holds(whole):
        return outcome(whole, "windows broken")
    low, high, best = np.log(LEAST), np.log(MOST), " ".join(words)
    for _ in range(steps):
        middle = (low + high) / 2
        text = broken(float(np.exp(middle)))
        if brief.holds(text):
            low, best = middle, text
        else:
            high = middle
    return outcome(best, "windows broken")


def _sizes(view: View[WatermarkBrief], words: list[str]) -> NDArray[np.int64]:
    """Return how many tokens (n,) each word is; one where nobody knows the vocabulary."""
    model = view.brief.model
    if model is None or model.codec is None:
        return np.ones(len(words), dtype=np.int64)
    rows = np.asarray(model.codec.encode([f" {word}" for word in words]))
    return np.asarray(np.maximum(1, (rows >= 0).sum(1)), dtype=np.int64)
