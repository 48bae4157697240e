"""DAWN: a few answers are wrong, which ones and how a key decides; a copy has learnt them.

The owner's model answers one record in some with the label of another class (arXiv:1906.00830).
The same record always gets the same answer, so that asking again shows nothing. A copy that
is trained on the answers is trained on the wrong ones too, and the owner knows what the account was
answered.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.ownership.ownership_mark import Claim, OwnershipMark

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAIN = 2
"""Decimals to which records are rounded first: a change below shows the same answer."""


def dawn(rate: float) -> OwnershipMark:
    """Return the mark that answers a share ``rate`` of records wrongly."""

    def answers(x: NDArray[Any], rows: NDArray[Any], key: int) -> NDArray[Any]:
        out, (chosen, wrong) = np.array(rows), _chosen(_words(x, key), rows, rate)
        here, right = np.flatnonzero(chosen), rows.argmax(1)[chosen]
        out[here, right], out[here, wrong] = rows[here, wrong], rows[here, right]
        return out

    def test(claim: Claim, key: int) -> float:
        if not len(claim.queries):
            return 0.0
        words = _words(claim.queries, key)
        # Records of one draw of the key are one record.
        first = np.sort(np.unique(words, axis=0, return_index=True)[1])
        rows = claim.queries[first]
        honest = claim.honest(rows)
        chosen, wrong = _chosen(words[first], honest, rate)
        labels = claim.suspect(rows).argmax(1)
        different = labels != honest.argmax(1)
        hits = int((labels[chosen] == wrong).sum())
        drawn = (len(rows), int(different.sum()), int(chosen.sum()))
        return log2_tail(hits, *drawn, claim.classes)

    return OwnershipMark("dawn", test, answers=answers, numbers=(rate,))


def log2_tail(hits: int, queries: int, different: int, chosen: int, classes: int) -> float:
    """Return log2 of the chance of as many hits or more by a model that has nothing of the key.

    Such a model differs from the owner's on some of the records that were asked. The key draws
    which records are answered wrongly, all sets of one size alike, and each with another label than
    the right one, all alike. So the differing records among those drawn are hypergeometric, and
    each has the label that was drawn with chance 1/(classes − 1).

    Args:
        hits: records drawn on which the suspect has the wrong label that was drawn.
        queries: records in all.
        different: those on which the suspect differs from the owner's model.
        chosen: those that are drawn.
        classes: number of labels.
    """
    from scipy.stats import binom, hypergeom

    if hits <= 0:
        return 0.0
    among = np.arange(hits, min(different, chosen) + 1)
    weights = hypergeom.logpmf(among, queries, different, chosen)
    tails = binom.logsf(hits - 1, among, 1 / (classes - 1))
    return float(min(0.0, np.logaddexp.reduce(weights + tails) / np.log(2)))


def _words(x: NDArray[Any], key: int) -> NDArray[np.uint64]:
    """Return what the key draws for records: (n, 2) numbers of 64 bits."""
    secret = int(key).to_bytes(8, "big")
    flat = np.asarray(x, np.float64).reshape(len(x), -1).round(GRAIN) + 0.0  # −0 and 0 are one
    return np.array(
        [
            np.frombuffer(blake2b(row.tobytes(), digest_size=16, key=secret).digest(), np.uint64)
            for row in flat
        ],
        np.uint64,
    ).reshape(-1, 2)


def _chosen(
    words: NDArray[np.uint64], honest: NDArray[Any], rate: float
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which records (n,) are answered wrongly, and the wrong labels of these."""
    chosen = words[:, 0] / 2.0**64 < rate
    classes = honest.shape[1]
    shift = 1 + (words[chosen, 1] % np.uint64(classes - 1)).astype(np.int64)
    return chosen, (honest[chosen].argmax(1) + shift) % classes
