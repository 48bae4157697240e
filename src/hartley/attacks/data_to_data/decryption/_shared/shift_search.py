"""Search for the repeated shifts of a Vigenère cipher, by how likely runs of letters are.

For a given length of the key, pairs of neighbouring letters make a cycle of its shifts: the shifts
likeliest by pairs are found exactly, and others are drawn from their law, by products of 26 × 26
matrices. From there keys climb by runs of four letters. Keys of up to three letters are all tried
by pairs, and the likeliest of them by runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.ngram_model import SIZE, NgramModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ORDER: Final = 4
"""Letters of the runs that shifts are judged by."""

WHOLE: Final = 3
"""Letters of the longest key of which every one is tried by pairs: 26³ = 17,576."""

CLIMBED: Final = 1500
"""Letters that climb at once, in all keys together: a long text needs fewer keys."""

AGREED: Final = 4
"""Disturbed keys that climb back to the same key and end the search."""

PASSES: Final = 6
"""Passes over the letters of the key; most searches end after three."""

LENGTHS: Final = 3
"""Lengths of the key that are searched further, the likeliest ones."""

SCORED: Final = 500_000
"""Letters of texts that are scored by runs of four under short keys, the likeliest by pairs first:
of a text of 250 letters 2,000 of the 17,576 keys of three letters, and of any text at least one."""


@dataclass(frozen=True)
class Text:
    """A text whose shifts are searched for: (n,) signs, which of them are prose, and a model."""

    units: NDArray[Any]
    natural: NDArray[Any]
    model: NgramModel

    @cached_property
    def prose(self) -> NDArray[Any]:
        """The places of the prose in the text."""
        return np.flatnonzero(self.natural)

    @cached_property
    def before(self) -> NDArray[Any]:
        """How many letters of its run are before each one of the prose, 3 meaning 3 or more."""
        count = np.zeros(len(self.prose), dtype=np.int64)
        for k in range(1, len(count)):
            if self.prose[k] == self.prose[k - 1] + 1:
                count[k] = min(ORDER - 1, count[k - 1] + 1)
        return count

    @cached_property
    def logs(self) -> NDArray[Any]:
        """Log-probabilities of a letter after none, one, two and three others, in one array."""
        return np.concatenate(self.model.logs[:ORDER])

    @cached_property
    def runs(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Of each letter: where its run begins in ``logs``, the (n, 4) run, and their factors."""
        back = np.arange(ORDER - 1, -1, -1)
        within = back <= self.before[:, None]
        run = np.maximum(np.arange(len(self.prose))[:, None] - back, 0)
        begin = np.cumsum([0, *(SIZE**order for order in range(1, ORDER))])
        return begin[self.before], run, np.where(within, SIZE**back, 0)

    def score(self, keys: NDArray[Any], among: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the log-likelihood (k,) of the prose under keys (k, period).

        Args:
            keys: shifts of letters.
            among: (n,) booleans, the letters that count; None for all of them.
        """
        begin, run, factor = self.runs
        if among is not None:
            begin, run, factor = begin[among], run[among], factor[among]
        text, place = self.units[self.prose], self.prose % keys.shape[1]
        code = np.tile(begin, (len(keys), 1))
        for j in range(ORDER):
            code += (text[run[:, j]] - keys[:, place[run[:, j]]]) % SIZE * factor[:, j]
        return np.asarray(self.logs[code].sum(1, dtype=np.float64))

    @cached_property
    def pairs(self) -> NDArray[np.float32]:
        """Log-likelihoods (n, 26, 26) of each letter by the shifts of the one before and its own.

        The first of a run has no letter before it, and the same value under each shift of that.
        """
        text, shifts = self.units[self.prose], np.arange(SIZE)
        plain = (text[:, None] - shifts) % SIZE
        one, two = self.model.logs[0], self.model.logs[1].reshape(SIZE, SIZE)
        alone = np.broadcast_to(one[plain][:, None], (len(text), SIZE, SIZE))
        pairs = two[np.roll(plain, 1, axis=0)[:, :, None], plain[:, None]]
        return np.where((self.before == 0)[:, None, None], alone, pairs)

    def links(self, period: int) -> NDArray[np.float64]:
        """Return (period, 26, 26) log-likelihoods of shifts of neighbouring letters of the key."""
        table = np.zeros((period, SIZE**2))
        flat = self.pairs.reshape(-1, SIZE**2)
        for place in range(period):
            table[place] = flat[(self.prose - 1) % period == place].sum(0, dtype=np.float64)
        return table.reshape(period, SIZE, SIZE)

    def drawn(self, period: int, count: int, rng: Rng) -> NDArray[np.int64]:
        """Return keys (count, period) drawn by the likelihood of pairs of letters."""
        table = self.links(period)
        weight = np.exp(table - table.max((1, 2), keepdims=True))
        # after[j][b, a]: how likely the rest of the cycle is from shift b at j back to a at 0.
        after = [np.eye(SIZE)]
        for each in weight[::-1]:
            product = each @ after[-1]
            after.append(product / product.max())
        after = after[::-1]
        begin = np.diag(after[0])
        keys = np.empty((count, period), dtype=np.int64)
        keys[:, 0] = _drawn(np.tile(begin, (count, 1)), rng)
        for j in range(1, period):
            ahead = after[j][:, keys[:, 0]].T
            keys[:, j] = _drawn(weight[j - 1][keys[:, j - 1]] * ahead, rng)
        return keys

    def climbed(self, keys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return keys (k, period) after the best changes of single letters, and their scores."""
        keys, period = np.array(keys), keys.shape[1]
        _, run, factor = self.runs
        place = np.where(factor > 0, self.prose[run] % period, -1)
        for _ in range(PASSES):
            before = keys.copy()
            for k in range(period):
                tried = np.repeat(keys[:, None], SIZE, 1)
                tried[:, :, k] = np.arange(SIZE)
                scores = self.score(tried.reshape(-1, period), (place == k).any(1))
                keys[:, k] = scores.reshape(-1, SIZE).argmax(1)
            if (keys == before).all():
                break
        return keys, self.score(keys)

    def shortlist(self, period: int, starts: int, rng: Rng) -> NDArray[np.int64]:
        """Return keys (k, period), the likeliest first: of all, or of several that are drawn."""
        if period <= WHOLE:
            keys = np.indices((SIZE,) * period).reshape(period, -1).T
            ahead = np.roll(keys, -1, axis=1)
            likely = self.links(period)[np.arange(period), keys, ahead].sum(1)
            keys = keys[np.argsort(-likely, kind="stable")][
                : max(1, SCORED // max(1, len(self.prose)))
            ]
        else:
            keys = np.unique(self.drawn(period, starts, rng), axis=0)
        return np.asarray(keys[np.argsort(-self.score(keys), kind="stable")])

    def best(self, keys: NDArray[Any]) -> tuple[NDArray[Any], float]:
        """Return the likeliest key and its score, of keys (k, period) after they climbed."""
        if keys.shape[1] <= WHOLE:
            return keys[0], float(self.score(keys[:1])[0])
        keys, scores = self.climbed(keys[: self.room])
        at = int(scores.argmax())
        return keys[at], float(scores[at])

    @property
    def room(self) -> int:
        """Keys that climb at once."""
        return max(1, CLIMBED // max(1, len(self.prose)))

    def kicked(
        self, end: tuple[NDArray[Any], float], kicks: int, rng: Rng
    ) -> tuple[NDArray[Any], float]:
        """Return the key and score after some letters of it were drawn anew, and climbed again."""
        key, best = end
        back = 0
        for at in range(0, kicks, self.room):
            keys = np.repeat(key[None], min(self.room, kicks - at), 0)
            some = rng.random(keys.shape) < max(0.2, 1 / len(key))
            keys[some] = rng.integers(0, SIZE, int(some.sum()))
            keys, scores = self.climbed(keys)
            if scores.max() > best:
                key, best, back = keys[int(scores.argmax())], float(scores.max()), 0
            back += int((keys == key).all(1).sum())
            if back >= AGREED:
                break
        return key, best


def _drawn(weight: NDArray[Any], rng: Rng) -> NDArray[np.int64]:
    """Return (n,) one column of each row (n, 26), with chances in proportion to its weights."""
    total = np.cumsum(weight, axis=1)
    at = (total < rng.random(len(weight))[:, None] * total[:, -1:]).sum(1)
    return np.asarray(np.minimum(at, SIZE - 1), dtype=np.int64)


def _paid(end: tuple[NDArray[Any], float]) -> float:
    """Return the score of a key without the bits of the key itself."""
    return end[1] - len(end[0]) * math.log(SIZE)


def likeliest_key(text: Text, longest: int, starts: int, kicks: int, rng: Rng) -> NDArray[Any]:
    """Return the key (period,) under which a text is likeliest, the key itself being paid for."""
    lists = [text.shortlist(period, starts, rng) for period in range(1, longest + 1)]
    lists.sort(key=lambda keys: _paid(text.best(keys[:1])), reverse=True)
    ends = [text.best(keys) for keys in lists[: 2 * text.room]]
    ends = sorted(ends, key=_paid, reverse=True)[:LENGTHS]
    ends = [end if len(end[0]) <= WHOLE else text.kicked(end, kicks, rng) for end in ends]
    return max(ends, key=_paid)[0]
