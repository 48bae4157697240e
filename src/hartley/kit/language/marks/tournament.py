"""SynthID-text: a tournament of many layers among the model's tokens.

doi:10.1038/s41586-024-08025-4. Hashes and table are those of
``SynthIDTextWatermarkLogitsProcessor`` in transformers, so that a text of either has the same
numbers under the same keys. Its table has 2¹⁶ coins: a text of 200 tokens reads a tenth of them,
some twice, in different layers. The count here is over distinct coins with their weights, whose law
is exact when the table is drawn by the key; the binomial law of all readings is not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.infotheory.exact_tails import log2_weighted_tail
from hartley.kit.keyed_hash import hashed
from hartley.kit.language.marks.text_mark import (
    NOTHING,
    Evidence,
    Step,
    TextMark,
    drawn,
    firsts,
    grams,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MULTIPLIER = 6364136223846793005
TABLE = 1 << 16
MASK = TABLE - 1


def synthid(layers: int = 30, context: int = 4) -> TextMark:
    """SynthID-text with two contestants a match; without distortion of a text.

    Over keys each token has the model's law; contexts that come again are drawn without the key.

    Args:
        layers: rounds of the tournament.
        context: tokens that the hash reads.
    """

    def choose(step: Step) -> NDArray[np.int64]:
        law = np.array(step.law)
        for key in np.unique(step.keys):
            rows = np.flatnonzero((step.keys == key) & step.fresh)
            if len(rows):
                keys, table = secrets(int(key), layers)
                law[rows] = contested(law[rows], step.context[rows], keys, table)
        return drawn(law, step.draws)

    def evidence(tokens: NDArray[Any], key: int) -> Evidence:
        keys, table = secrets(key, layers)
        return _counted(coins(tokens, keys, context), table)

    return TextMark(
        "synthid",
        context,
        choose,
        evidence,
        facts={"layers": layers, "context": context},
    )


@lru_cache(maxsize=4096)
def secrets(key: int, layers: int) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Return the keys (layers,) and the table (65536,) of coins that one key gives."""
    keys = hashed(key, np.arange(layers)) >> np.uint64(33)
    words = hashed(key + 1, np.arange(TABLE // 64))
    return keys, np.unpackbits(words.view(np.uint8))


def states(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Return the hash of n-grams (…, n) by the linear congruential generator of transformers."""
    state = np.ones(rows.shape[:-1], dtype=np.uint64)
    with np.errstate(over="ignore"):
        for place in range(rows.shape[-1]):
            numbers = rows[..., place].astype(np.uint64)
            state = (state + numbers) * np.uint64(MULTIPLIER) + np.uint64(1)
    return state


def entries(state: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Return which coin of the table each n-gram reads in each layer, (…, layers).

    A table of 2¹⁶ entries reads the lowest 16 bits alone.
    """
    with np.errstate(over="ignore"):
        low = state.astype(np.uint16)[..., None] + keys.astype(np.uint16)
        return np.asarray(low * np.uint16(MULTIPLIER & MASK) + np.uint16(1))


def contested(
    law: NDArray[np.float64],
    context: NDArray[Any],
    keys: NDArray[np.uint64],
    table: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """Return laws (b, v) after all matches: p ← p·(1 + g − E g), layer by layer.

    Args:
        law: probabilities (b, v).
        context: (b, c) tokens before, as the hash reads them.
        keys: (layers,) one for each layer.
        table: (65536,) coins.
    """
    before = states(np.maximum(context, 0))[:, None]
    candidates = np.arange(law.shape[1], dtype=np.uint64)[None]
    with np.errstate(over="ignore"):
        state = (before + candidates) * np.uint64(MULTIPLIER) + np.uint64(1)
    for key in keys:
        coin = table[entries(state, key[None])[..., 0]]
        law = law * (1.0 + coin - (coin * law).sum(1, keepdims=True))
    return law


def coins(tokens: NDArray[Any], keys: NDArray[np.uint64], context: int) -> NDArray[np.uint16]:
    """Return what first contexts of a text (t,) read: entries (n, layers) of the table."""
    rows = grams(tokens, context)
    rows = rows[firsts(rows[:, :-1])]
    return entries(states(rows), keys)


def _counted(read: NDArray[np.uint16], table: NDArray[np.uint8]) -> Evidence:
    if not read.size:
        return NOTHING
    which, weights = np.unique(read, return_counts=True)
    observed = int(weights[table[which] > 0].sum())
    return Evidence(
        units=len(read),
        score=observed / read.size,
        log2_p=log2_weighted_tail(weights, observed, 0.5),
        least_log2_p=-float(len(which)),
    )
