"""Fixed matchers: which of N candidate records is a rebuilt one? They know no encoder."""

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
    """Holds rebuilt records against candidates."""

    def __call__(
        self, rebuilt: NDArray[Any], rows: NDArray[Any], truth: NDArray[Any]
    ) -> tuple[NDArray[Any], Mapping[str, float]]:
        """Read m rebuilt records.

        Args:
            rebuilt: (m, …) records.
            rows: (N,) numbers of the candidates among the secret records.
            truth: (m,) which candidate each target is, for the usual metrics alone.

        Returns:
            (m,) candidates 0..N−1, −1 where nothing could be read, and the metrics.
        """
        ...


@dataclass(frozen=True, slots=True)
class Texts:
    """Matches token rows by the words they share; order settles ties.

    A shared token counts by ln of how few of the candidates hold it: a full stop identifies nobody.

    Attributes:
        secret: (n, t) token ids of all secret records, −1 at the right.
    """

    secret: NDArray[Any]

    def __call__(
        self, rebuilt: NDArray[Any], rows: NDArray[Any], truth: NDArray[Any]
    ) -> tuple[NDArray[Any], Mapping[str, float]]:
        """See :class:`Matcher`; metrics are ``token_f1`` and ``exact_match`` with the true text.

        Raises:
            RunError: what was rebuilt is no rows of token ids.
        """
        if rebuilt.ndim != 2 or rebuilt.dtype.kind not in "iu":
            raise RunError(f"rebuilt texts are integer (m, t), not {rebuilt.dtype} {rebuilt.shape}")
        theirs = self.secret[rows]
        common = float(max(rebuilt.max(initial=0), theirs.max(initial=0)) + 1)
        alike = _shared(rebuilt, theirs, weighted=True)
        pairs = _shared(_bigrams(rebuilt, common), _bigrams(theirs, common), weighted=True)
        said = np.where(alike.max(1) > 0, (alike + 1e-3 * pairs).argmax(1), -1)
        plain = _shared(rebuilt, theirs, weighted=False)
        m = np.arange(len(rebuilt))
        exact = [
            tuple(a[a >= 0]) == tuple(b[b >= 0])
            for a, b in zip(rebuilt, theirs[truth], strict=True)
        ]
        return said, {
            "token_f1": float(plain[m, truth].mean()),
            "exact_match": float(np.mean(exact)),
        }


def token_f1(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall of tokens, each row of ``a`` with each of ``b``."""
    return _shared(a, b, weighted=False)


@dataclass(frozen=True, slots=True)
class Spectra:
    """Matches spectrograms by the mean and the spread of every band over time.

    Attributes:
        secret: (n, 1, bands, frames) all secret records.
        labels: (n,) an attribute of each (the speaker's language), or None.
        reader: records → attribute, by a model whose weights are not the encoder's; or None.
    """

    secret: NDArray[Any]
    labels: NDArray[Any] | None = None
    reader: Any = None

    def __call__(
        self, rebuilt: NDArray[Any], rows: NDArray[Any], truth: NDArray[Any]
    ) -> tuple[NDArray[Any], Mapping[str, float]]:
        """See :class:`Matcher`; metrics are ``distortion`` and, with a reader, ``attribute``.

        ``distortion`` is the mean square error of the statistics over their variance: 1 is what
        guessing the mean would do.

        Raises:
            RunError: what was rebuilt is no spectrograms.
        """
        if rebuilt.ndim != 4 or rebuilt.shape[1:3] != self.secret.shape[1:3]:
            raise RunError(f"rebuilt clips are (m, 1, bands, frames), not {rebuilt.shape}")
        theirs, ours = statistics(self.secret[rows]), statistics(rebuilt)
        mean, spread = theirs.mean(0), theirs.std(0) + 1e-9
        theirs, ours = (theirs - mean) / spread, (ours - mean) / spread
        said = nearest(ours, theirs, lambda one, all_: ((one - all_) ** 2).sum(1))
        metrics = {"distortion": float(((ours - theirs[truth]) ** 2).mean())}
        if self.reader is not None and self.labels is not None:
            metrics["attribute"] = float(
                (np.asarray(self.reader(rebuilt)) == self.labels[rows[truth]]).mean()
            )
        return said, metrics


def statistics(x: NDArray[Any]) -> NDArray[np.float64]:
    """Mean and standard deviation over time of each band: (n, 2·bands)."""
    flat = np.asarray(x[:, 0], dtype=np.float64)
    return np.concatenate([flat.mean(2), flat.std(2)], 1)


def _shared(a: NDArray[Any], b: NDArray[Any], *, weighted: bool) -> NDArray[np.float64]:
    """F1 of two bags of tokens, (len(a), len(b)); weighted by rarity among the rows of ``b``."""
    names, at = np.unique(np.concatenate([a.reshape(-1), b.reshape(-1)]), return_inverse=True)
    at = at.reshape(-1)
    bags = []
    for part, where in ((a, at[: a.size]), (b, at[a.size :])):
        bag = np.zeros((len(part), len(names)))
        np.add.at(bag, (np.repeat(np.arange(len(part)), part.shape[1]), where), 1)
        bags.append(bag * (names >= 0))
    ours, theirs = bags
    weights = np.ones(len(names))
    if weighted:
        weights = np.log((len(b) + 1) / np.maximum((theirs > 0).sum(0), 1))
    ours, theirs = ours * weights, theirs * weights
    both = np.stack([np.minimum(one, theirs).sum(1) for one in ours])
    total = ours.sum(1)[:, None] + theirs.sum(1)
    return np.asarray(2 * both / np.maximum(total, 1e-12))


def _bigrams(tokens: NDArray[Any], base: float) -> NDArray[np.int64]:
    first, second = tokens[:, :-1].astype(np.int64), tokens[:, 1:].astype(np.int64)
    return np.where(second >= 0, first * int(base) + second, -1)
