"""Per-token statistics that every likelihood attack on texts uses: one query, one table.

A training text has high probability at every token. Attacks differ in the tokens they use and in
the reference of a token's log-probability; all start from the same numbers, which ``Model.moments``
returns for all tokens at once.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Model
from hartley.core.errors import NotOffered

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 1e-6
"""Least standard deviation: a near-certain prediction has a spread of almost 0."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Numbers of every token that follows another, in rows padded on the right.

    Attributes:
        log_probs: (n, t−1) natural log-probability of the token, 0 at padding.
        mean: (n, t−1) of the log-probability under the model's law at that place, or None if the
            model has no `moments`.
        spread: (n, t−1) its standard deviation, likewise.
        real: (n, t−1) booleans: False at padding.
    """

    log_probs: NDArray[np.float64]
    mean: NDArray[np.float64] | None
    spread: NDArray[np.float64] | None
    real: NDArray[np.bool_]

    @property
    def calibrated(self) -> NDArray[np.float64]:
        """(n, t−1) log-probabilities less the mean at that place, in standard deviations.

        Raises:
            NotOffered: the model does not return the moments of its law.
        """
        if self.mean is None or self.spread is None:
            raise NotOffered("the model does not offer moments, which this attack needs")
        return np.where(
            self.real, (self.log_probs - self.mean) / np.maximum(self.spread, LEAST), 0.0
        )


def statistics(model: Model, tokens: NDArray[Any], *, moments: bool = False) -> Statistics:
    """Query a language model once about every token of rows (n, t).

    Args:
        model: the model.
        tokens: the rows.
        moments: whether the moments of its law are needed; a model without them is not asked then.

    Raises:
        NotOffered: the model does not return the probabilities of a text, or not its moments.
    """
    real = np.asarray(tokens[:, 1:]) >= 0
    if model.moments is None and not moments:
        return Statistics(likelihoods(model, tokens), None, None, real)
    law = np.asarray(model.calls["moments"](tokens), dtype=np.float64)
    return Statistics(law[..., 0], law[..., 1], law[..., 2], real)


def likelihoods(model: Model, tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Log-probabilities (n, t−1) of the tokens of rows (n, t), 0 at padding.

    Read from ``moments`` where the model has them: every other attack on texts makes the same
    query, so that the network runs once for all of them.

    Raises:
        NotOffered: the model does not return the probabilities of a text.
    """
    if model.moments is not None:
        return np.asarray(model.moments(tokens), dtype=np.float64)[..., 0]
    return np.asarray(model.calls["score"](tokens), dtype=np.float64)


def mean_over_tokens(values: NDArray[Any], real: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean (n,) over the real places of each row; 0 for a row that has none."""
    return np.asarray(np.where(real, values, 0.0).sum(1) / np.maximum(real.sum(1), 1))


def lowest(values: NDArray[Any], real: NDArray[np.bool_], share: float) -> NDArray[np.float64]:
    """Mean (n,) of the smallest values of each row: ``share`` of its real places, at least one."""
    ordered = np.sort(np.where(real, values, np.inf), axis=1)
    counts = np.maximum((real.sum(1) * share).astype(np.int64), 1)
    smallest = np.arange(values.shape[1]) < counts[:, None]
    return mean_over_tokens(np.where(np.isfinite(ordered), ordered, 0.0), smallest)


SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of the tokens that Min-K % uses, in a portrait."""


def portrait(numbers: Statistics, zlib_bytes: NDArray[Any]) -> NDArray[np.float64]:
    """All scores of each text side by side, (n, d), each larger for a member.

    There are 3 + 2·shares; of a model without moments the 2 + shares that need none.

    Args:
        numbers: the statistics of the texts.
        zlib_bytes: (n,) see :func:`compressed`.
    """
    rows = [numbers.log_probs]
    if numbers.mean is not None:
        rows.append(numbers.calibrated)
    columns = [
        *(mean_over_tokens(values, numbers.real) for values in rows),
        np.where(numbers.real, numbers.log_probs, 0.0).sum(1) / zlib_bytes,
        *(lowest(values, numbers.real, share) for values in rows for share in SHARES),
    ]
    return np.stack(columns, 1)


RANKED = "ranked"
"""The role of texts that an attack has put in order, the likeliest members first."""


def claims(texts: Data, guess: NDArray[Any]) -> Data:
    """The loot: the half of the texts that score highest, in descending order."""
    best = np.argsort(-np.asarray(guess), kind="stable")[: len(texts) // 2]
    return Data("claimed members", texts.modality, texts.x[best], role=RANKED)


def compressed(data: Data) -> NDArray[np.int64]:
    """Bytes (n,) that zlib leaves of each text.

    ``facts["zlib"]`` where the scene has measured its texts; else of the token numbers, two
    bytes each.
    """
    measured = data.facts.get("zlib")
    if measured is not None and len(measured) == len(data):
        return np.asarray(measured, dtype=np.int64)
    rows = (row[row >= 0].astype(">u2").tobytes() for row in np.asarray(data.x))
    return np.array([len(zlib.compress(row)) for row in rows], dtype=np.int64)
