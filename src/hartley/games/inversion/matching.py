"""Matchers that identify a rebuilt record among N candidates, independently of the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hartley.core.errors import RunError
from hartley.games.inversion.judging import nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Matcher(Protocol):
    """Identifies rebuilt records among candidates."""

    def __call__(
        self, rebuilt: NDArray[Any], rows: NDArray[Any], truth: NDArray[Any]
    ) -> tuple[NDArray[Any], Mapping[str, float]]:
        """Identify m rebuilt records.

        Args:
            rebuilt: (m, …) records.
            rows: (N,) indices of the candidates among the secret records.
            truth: (m,) the true candidate of each target, for metrics only.

        Returns:
            (m,) candidates 0..N−1, −1 for an erasure, and the metrics.
        """
        ...


@dataclass(frozen=True, slots=True)
class Texts:
    """Matches texts by the tokens that they share; order decides ties.

    A shared token is weighted by the logarithm of its rarity among the candidates, so that a full
    stop has almost no weight.

    Attributes:
        secret: (n, t) token ids of all secret records, padded with −1.
    """

    secret: NDArray[Any]

    def __call__(
        self, rebuilt: NDArray[Any], rows: NDArray[Any], truth: NDArray[Any]
    ) -> tuple[NDArray[Any], Mapping[str, float]]:
        """See :class:`Matcher`; metrics are ``token_f1`` and ``exact_match`` with the true text.

        Raises:
            RunError: the rebuilt records are not rows of token ids.
        """
        if rebuilt.ndim != 2 or rebuilt.dtype.kind not in "iu":
            raise RunError(
                f"rebuilt texts must be integers (m, t), got {rebuilt.dtype} {rebuilt.shape}"
            )
        candidates = self.secret[rows]
        common = float(max(rebuilt.max(initial=0), candidates.max(initial=0)) + 1)
        similarity = _shared(rebuilt, candidates, weighted=True)
        pairs = _shared(_bigrams(rebuilt, common), _bigrams(candidates, common), weighted=True)
        guess = np.where(similarity.max(1) > 0, (similarity + 1e-3 * pairs).argmax(1), -1)
        f1 = _shared(rebuilt, candidates, weighted=False)
        m = np.arange(len(rebuilt))
        exact = [
            tuple(a[a >= 0]) == tuple(b[b >= 0])
            for a, b in zip(rebuilt, candidates[truth], strict=True)
        ]
        return guess, {
            "token_f1": float(f1[m, truth].mean()),
            "exact_match": float(np.mean(exact)),
        }


def token_f1(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the F1 of tokens (len(a), len(b)) of each row of ``a`` with each row of ``b``."""
    return _shared(a, b, weighted=False)


@dataclass(frozen=True, slots=True)
class Spectra:
    """Matches spectrograms by the mean and the deviation of every band over time.

    Attributes:
        secret: (n, 1, bands, frames) all secret records.
        labels: (n,) an attribute of each (the speaker's language), or None.
        reader: records → attribute, by a model that is independent of the encoder, or None.
    """

    secret: NDArray[Any]
    labels: NDArray[Any] | None = None
    reader: Any = None

    def __call__(
        self, rebuilt: NDArray[Any], rows: NDArray[Any], truth: NDArray[Any]
    ) -> tuple[NDArray[Any], Mapping[str, float]]:
        """See :class:`Matcher`; metrics are ``distortion`` and, with a reader, ``attribute``.

        ``distortion`` is the mean squared error of the statistics divided by their variance:
        guessing the mean gives 1.

        Raises:
            RunError: the rebuilt records are not spectrograms.
        """
        if rebuilt.ndim != 4 or rebuilt.shape[1:3] != self.secret.shape[1:3]:
            raise RunError(f"rebuilt clips must be (m, 1, bands, frames), got {rebuilt.shape}")
        candidates, guesses = statistics(self.secret[rows]), statistics(rebuilt)
        mean, spread = candidates.mean(0), candidates.std(0) + 1e-9
        candidates, guesses = (candidates - mean) / spread, (guesses - mean) / spread
        guess = nearest(guesses, candidates, lambda one, all_: ((one - all_) ** 2).sum(1))
        metrics = {"distortion": float(((guesses - candidates[truth]) ** 2).mean())}
        if self.reader is not None and self.labels is not None:
            metrics["attribute"] = float(
                (np.asarray(self.reader(rebuilt)) == self.labels[rows[truth]]).mean()
            )
        return guess, metrics


def statistics(x: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean and standard deviation over time of each band: (n, 2·bands)."""
    flat = np.asarray(x[:, 0], dtype=np.float64)
    return np.concatenate([flat.mean(2), flat.std(2)], 1)


def _shared(a: NDArray[Any], b: NDArray[Any], *, weighted: bool) -> NDArray[np.float64]:
    """Return the F1 of bags of tokens (len(a), len(b)), optionally weighted by rarity in ``b``."""
    names, at = np.unique(np.concatenate([a.reshape(-1), b.reshape(-1)]), return_inverse=True)
    at = at.reshape(-1)
    bags = []
    for part, where in ((a, at[: a.size]), (b, at[a.size :])):
        bag = np.zeros((len(part), len(names)))
        np.add.at(bag, (np.repeat(np.arange(len(part)), part.shape[1]), where), 1)
        bags.append(bag * (names >= 0))
    bags_a, bags_b = bags
    weights = np.ones(len(names))
    if weighted:
        weights = np.log((len(b) + 1) / np.maximum((bags_b > 0).sum(0), 1))
    bags_a, bags_b = bags_a * weights, bags_b * weights
    shared = np.stack([np.minimum(bag_a, bags_b).sum(1) for bag_a in bags_a])
    total = bags_a.sum(1)[:, None] + bags_b.sum(1)
    return np.asarray(2 * shared / np.maximum(total, 1e-12))


def _bigrams(tokens: NDArray[Any], base: float) -> NDArray[np.int64]:
    first, second = tokens[:, :-1].astype(np.int64), tokens[:, 1:].astype(np.int64)
    return np.where(second >= 0, first * int(base) + second, -1)
