"""Runs of one to six letters: how likely each letter is after those before it.

Probabilities of a longer run fall back on those of the shorter one by Witten and Bell's rule
(doi:10.1109/18.87000): a context leaves as much to them as it has different successors. Up to five
letters they are dense tables; runs of six are looked up among those that occur.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Whole = NDArray[np.int64]

SIZE = 26
DENSE = 5
"""Letters of the longest run that has a dense table: 26⁵ numbers, 48 MB."""

LONGEST = DENSE + 1


@dataclass(frozen=True, slots=True)
class NgramModel:
    """A model of the letters of a language.

    Attributes:
        logs: for each run of 1 … 5 letters, (26^k,) natural log-probabilities of its last letter
            after those before it.
        runs: (r,) the runs of six that occur, as numbers to base 26, ascending.
        counts: (r,) how often they occur.
        contexts: (c,) the runs of five before their last letters, ascending.
        totals: (c,) how often these occur.
        kinds: (c,) how many different letters follow each.
    """

    logs: tuple[Floats, ...]
    runs: Whole
    counts: NDArray[Any]
    contexts: Whole
    totals: NDArray[Any]
    kinds: NDArray[Any]

    def score(self, plain: NDArray[Any], order: int, linked: NDArray[Any]) -> NDArray[Any]:
        """Return the log-likelihood (…,) of texts (…, n) by runs of at most five letters.

        Args:
            plain: letters 0..25.
            order: letters of a run.
            linked: (n,) booleans, whether a letter continues the one before it; a run across a
                break does not count.
        """
        whole = complete(linked, order).astype(np.float32)
        out: NDArray[Any] = self.logs[order - 1][codes(plain, order)] @ whole
        return out

    def score_long(self, plain: NDArray[Any], linked: NDArray[Any]) -> NDArray[np.float64]:
        """Return the log-likelihood (k,) of texts (k, n) by runs of six letters."""
        plain = np.asarray(plain, dtype=np.int64)
        five = np.exp(self.logs[DENSE - 1][codes(plain, DENSE)].astype(np.float64))
        whole = complete(linked, DENSE)
        if plain.shape[1] > DENSE and len(self.runs):
            run = codes(plain, LONGEST)
            at = np.minimum(np.searchsorted(self.runs, run), len(self.runs) - 1)
            count = np.where(self.runs[at] == run, self.counts[at], 0.0)
            context = run // SIZE
            at = np.minimum(np.searchsorted(self.contexts, context), len(self.contexts) - 1)
            known = (self.contexts[at] == context) & complete(linked, LONGEST)
            mixed = (count + self.kinds[at] * five[:, 1:]) / (self.totals[at] + self.kinds[at])
            five[:, 1:] = np.where(known, mixed, five[:, 1:])
        out: NDArray[np.float64] = (np.log(five) * whole).sum(1)
        return out


def codes(plain: NDArray[Any], order: int) -> NDArray[Any]:
    """Return the runs of a length in texts (…, n) as numbers to base 26, (…, n − order + 1)."""
    count = max(0, plain.shape[-1] - order + 1)
    run = plain[..., :count].astype(np.int64 if order > DENSE else np.int32)
    for k in range(1, order):
        run = run * SIZE + plain[..., k : k + count]
    return run


def complete(linked: NDArray[Any], order: int) -> NDArray[np.bool_]:
    """Return (n − order + 1,) booleans: the runs of a length without a break in them."""
    count = max(0, len(linked) - order + 1)
    whole = np.ones(count, dtype=bool)
    for k in range(1, order):
        whole &= linked[k : k + count]
    return whole


def learn(text: NDArray[Any]) -> NgramModel:
    """Return the model of a text (n,) of letters 0..25; the last few are remembered."""
    return _learnt(np.asarray(text, dtype=np.uint8).tobytes())


@lru_cache(maxsize=2)
def _learnt(letters: bytes) -> NgramModel:
    text = np.frombuffer(letters, dtype=np.uint8).astype(np.int64)
    logs: list[Floats] = []
    share = np.full((1, SIZE), 1 / SIZE, dtype=np.float32)
    for order in range(1, DENSE + 1):
        often = np.bincount(codes(text, order), minlength=SIZE**order).astype(np.float32)
        often = often.reshape(-1, SIZE)
        total, kinds = often.sum(1, keepdims=True), (often > 0).sum(1, keepdims=True)
        shorter = share if order == 1 else np.tile(share, (len(often) // len(share), 1))
        mixed = (often + kinds * shorter) / np.maximum(total + kinds, 1)
        share = np.where(total > 0, mixed, shorter).astype(np.float32)
        # A letter that never occurs in the text must not rule a reading out.
        logs.append(np.log(np.maximum(share, 1e-9)).ravel())
    runs, counts = np.unique(codes(text, LONGEST), return_counts=True)
    contexts, first = np.unique(runs // SIZE, return_index=True)
    totals = np.add.reduceat(counts, first) if len(runs) else counts
    kinds = np.diff(np.append(first, len(runs)))
    return NgramModel(
        tuple(logs),
        runs,
        counts.astype(np.float64),
        contexts,
        totals.astype(np.float64),
        kinds.astype(np.float64),
    )
