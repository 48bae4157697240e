"""How likely each sign of a short substitution is each letter, over all keys: a particle filter.

Gordon, Salmond and Smith 1993 (doi:10.1049/ip-f-2.1993.0015). A particle is a key as far as the
text has been read. A sign that occurs for the first time gets a letter that the key does not use
yet, by the likelihood of runs of letters; the weight of a particle is how likely it made what it
has read. As soon as few particles hold most of the weight they are drawn anew by it. The same
weights say how likely the text is under all keys, and so how likely a key is that a search found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.ngram_model import DENSE, SIZE, NgramModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

FEW: Final = 0.5
"""Effective share of particles below which they are drawn anew."""


def posterior(
    units: NDArray[Any],
    linked: NDArray[Any],
    model: NgramModel,
    particles: int,
    rng: Rng,
    *,
    also: NDArray[Any] | None = None,
) -> NDArray[np.float64]:
    """Return (26 signs, 26 letters) probabilities, given a text, of what each sign stands for.

    Args:
        units: (n,) signs 0..25 of prose.
        linked: (n,) booleans, whether a letter continues the one before it in the message.
        model: of the language.
        particles: keys that are drawn.
        rng: draws letters and particles.
        also: (26,) a key that a search found, which counts by its posterior probability.
    """
    keys = np.full((particles, SIZE), -1)
    weight = np.zeros(particles)
    known, evidence = np.zeros(SIZE, dtype=bool), 0.0
    before = np.zeros(len(units), dtype=np.int64)
    for k, unit in enumerate(units):
        if k and linked[k]:
            before[k] = min(DENSE - 1, before[k - 1] + 1)
        logs = model.logs[before[k]].reshape(-1, SIZE)[_context(keys, units, k, before[k])]
        if known[unit]:
            weight += logs[np.arange(particles), keys[:, unit]]
        else:
            total = np.cumsum(np.where(_free(keys), np.exp(logs), 0), axis=1)
            draw = rng.random(particles) * total[:, -1]
            keys[:, unit] = np.minimum((total <= draw[:, None]).sum(1), SIZE - 1)
            known[unit] = True
            weight += np.log(total[:, -1])
        share = _share(weight)
        if 1 / (share**2).sum() < FEW * particles:
            at = (rng.random() + np.arange(particles)) / particles
            drawn = np.minimum(np.searchsorted(np.cumsum(share), at), particles - 1)
            evidence += float(np.logaddexp.reduce(weight)) - np.log(particles)
            keys, weight = keys[drawn], np.zeros(particles)
    share = _share(weight)
    free = _free(keys)
    out = np.empty((SIZE, SIZE))
    for unit in range(SIZE):
        if known[unit]:
            out[unit] = np.bincount(keys[:, unit], share, SIZE)
        else:
            out[unit] = share @ free / (SIZE - known.sum())
    if also is not None:
        evidence += float(np.logaddexp.reduce(weight)) - np.log(particles)
        score = float(_score(also[None], units, before, model)[0])
        chance = np.exp(min(0.0, score - evidence))
        certain = np.eye(SIZE)[also]
        certain[~known] = (1 - certain[known].sum(0)) / max(1, SIZE - known.sum())
        out = chance * certain + (1 - chance) * out
    return out


def _share(weight: NDArray[Any]) -> NDArray[np.float64]:
    share = np.exp(weight - weight.max())
    return np.asarray(share / share.sum())


def _free(keys: NDArray[Any]) -> NDArray[np.bool_]:
    """Return (p, 26) booleans: letters that no sign of a key stands for."""
    free = np.ones((len(keys), SIZE + 1), dtype=bool)
    free[np.arange(len(keys))[:, None], keys] = False
    return free[:, :SIZE]


def _context(keys: NDArray[Any], units: NDArray[Any], k: int, before: int) -> NDArray[np.int64]:
    """Return (p,) the letters before place k of a run, as one number to base 26."""
    context = np.zeros(len(keys), dtype=np.int64)
    for unit in units[k - before : k]:
        context = context * SIZE + keys[:, unit]
    return context


def _score(
    keys: NDArray[Any], units: NDArray[Any], before: NDArray[Any], model: NgramModel
) -> NDArray[np.float64]:
    """Return (p,) the log-likelihood of all that has been read."""
    plain = keys[:, units]
    total = np.zeros(len(keys))
    for order in range(DENSE):
        at = np.flatnonzero(before[: len(units)] == order)
        code = np.zeros((len(keys), len(at)), dtype=np.int64)
        for back in range(order, -1, -1):
            code = code * SIZE + plain[:, at - back]
        total += model.logs[order][code].sum(1)
    return total
