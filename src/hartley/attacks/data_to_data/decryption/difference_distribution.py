"""Difference distribution: which differences of ciphertexts are likelier than by chance?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.pair_net import known_words
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.block_distinguishing import (
    WORDS,
    BlockDistinguishingBrief,
    ReducedSpeck,
    block_distinguishing,
    judged,
    pairs,
)
from hartley.kit.cache import cached
from hartley.kit.speck import WORD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

DRAWN: Final = 250_000
"""Pairs that are encrypted at once."""

SMOOTHED: Final = 0.5
"""Pairs that every difference is counted for in advance."""


@attack(
    game=block_distinguishing,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1007/978-3-030-26951-7_6",
    light={"samples": 100_000, "positions": 5},
)
def difference_distribution(
    view: View[BlockDistinguishingBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1000, 10**9), Stronger.MORE] = 10_000_000,
    positions: Annotated[int, Range(1, 10), Stronger.NEITHER] = 9,
) -> Outcome:
    """Score pairs by the likelihood of their difference, without a net and without the values.

    Differences are counted of pairs that the attacker encrypts under keys of their own. The table
    of all 2³² would need more pairs than that; here the bits at each position depend on those at
    the positions before it, as far as ``positions`` reaches. Independent plaintexts have uniform
    differences.

    Args:
        samples: pairs that are counted.
        positions: neighbouring bits of both words that are counted together.
    """
    del rng
    cipher = view.brief.cipher
    recipe = ["differences", cipher.rounds, list(cipher.difference), samples, positions]
    tables = cached(
        "differences", recipe, lambda: {"counts": counted(cipher, samples, positions)}, code=counted
    )
    return judged(view, _log_odds(view.data.x, tables["counts"], positions))


def counted(cipher: ReducedSpeck, samples: int, positions: int) -> NDArray[np.int32]:
    """Return (windows, 4 ** positions) how often bits of the difference occur at each window.

    Args:
        cipher: the algorithm; plaintexts differ by its difference.
        samples: pairs.
        positions: length of a window; there is one from each of 17 − ``positions`` places.
    """
    rng = np.random.default_rng(0)
    counts = np.zeros((WORD + 1 - positions, 4**positions), dtype=np.int32)
    for start in range(0, samples, DRAWN):
        count = min(DRAWN, samples - start)
        keys = rng.integers(0, WORDS, (count, 4), dtype=np.uint16)
        blocks = pairs(cipher, np.ones(count, dtype=np.int64), keys, rng)
        for k, codes in enumerate(_windows(blocks, positions)):
            counts[k] += np.bincount(codes, minlength=4**positions).astype(np.int32)
    return counts


def _windows(blocks: NDArray[Any], positions: int) -> NDArray[np.int64]:
    """Return (windows, n) codes of the difference; the highest position is counted highest."""
    left, right = known_words(blocks)
    both = [(words[:, 0] ^ words[:, 1]).astype(np.int64) for words in (left, right)]
    # A digit of base 4 holds the bits of both words at one position.
    digits = [sum(((word >> k) & 1) << j for j, word in enumerate(both)) for k in range(WORD)]
    whole = sum(digit << (2 * k) for k, digit in enumerate(digits))
    starts = range(WORD + 1 - positions)
    return np.stack([(whole >> (2 * k)) & (4**positions - 1) for k in starts])


def _log_odds(
    blocks: NDArray[Any], counts: NDArray[np.int32], positions: int
) -> NDArray[np.float64]:
    odds = np.zeros(len(blocks))
    for k, (window, codes) in enumerate(zip(counts, _windows(blocks, positions), strict=True)):
        likely = (window + SMOOTHED) / (window + SMOOTHED).sum()
        odds += np.log(likely[codes] * 4.0**positions)
        if k:  # what the window before it has said already
            before = likely.reshape(4, -1).sum(0)
            odds -= np.log(before[codes & (4 ** (positions - 1) - 1)] * 4.0 ** (positions - 1))
    return odds
