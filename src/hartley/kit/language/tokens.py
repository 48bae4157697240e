"""What every likelihood attack on a text reads: one question, one forward pass, one table.

A text that was trained on is surprising nowhere. Attacks differ in which tokens they listen to and
what they hold a token's log-probability against; all of them start from the same numbers, which
``Model.moments`` gives for every token at once.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Model
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 1e-6
"""A law that is sure of its token has no spread; deviations are raised to this."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of every token that follows another, in rows padded on the right.

    Attributes:
        said: (n, t−1) natural log-probability of the token, 0 at padding.
        mean: (n, t−1) of the log-probability under the model's own law there, or None of a model
            that does not tell it.
        spread: (n, t−1) its standard deviation, likewise.
        real: (n, t−1) booleans: not padding.
        name: of the model.
    """

    said: NDArray[np.float64]
    mean: NDArray[np.float64] | None
    spread: NDArray[np.float64] | None
    real: NDArray[np.bool_]
    name: str = ""

    @property
    def calibrated(self) -> NDArray[np.float64]:
        """(n, t−1) how much likelier the token was than a token usually is there, in deviations.

        Raises:
            UsageError: the model does not tell the moments of its law.
        """
        if self.mean is None or self.spread is None:
            raise UsageError(
                f"the model {self.name!r} must tell the moments of its law, which this attack reads"
            )
        return np.where(self.real, (self.said - self.mean) / np.maximum(self.spread, LEAST), 0.0)


def statistics(model: Model, tokens: NDArray[Any]) -> Statistics:
    """Ask a language model once about every token of rows (n, t).

    Raises:
        UsageError: the model does not say how likely a text is.
    """
    real = np.asarray(tokens[:, 1:]) >= 0
    if model.moments is None:
        return Statistics(likelihoods(model, tokens), None, None, real, model.name)
    told = np.asarray(model.moments(tokens), dtype=np.float64)
    return Statistics(told[..., 0], told[..., 1], told[..., 2], real, model.name)


def likelihoods(model: Model, tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Log-probabilities (n, t−1) of the tokens of rows (n, t), 0 at padding.

    Asked as ``moments`` where the model has them: then it is the same question as that of every
    other attack on texts, and the network runs once for all of them.

    Raises:
        UsageError: the model does not say how likely a text is.
    """
    if model.moments is not None:
        return np.asarray(model.moments(tokens), dtype=np.float64)[..., 0]
    if model.score is None:
        raise UsageError(f"{model.name!r} does not say how likely a text is")
    return np.asarray(model.score(tokens), dtype=np.float64)


def average(values: NDArray[Any], real: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean (n,) over the real places of each row; 0 for a row that has none."""
    return np.asarray(np.where(real, values, 0.0).sum(1) / np.maximum(real.sum(1), 1))


def lowest(values: NDArray[Any], real: NDArray[np.bool_], share: float) -> NDArray[np.float64]:
    """Mean (n,) of the smallest values of each row: ``share`` of its real places, one at least."""
    ordered = np.sort(np.where(real, values, np.inf), axis=1)
    counts = np.maximum((real.sum(1) * share).astype(np.int64), 1)
    kept = np.arange(values.shape[1]) < counts[:, None]
    return average(np.where(np.isfinite(ordered), ordered, 0.0), kept)


SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Parts of a text that Min-K % listens to, in a portrait."""


def portrait(told: Statistics, zlib_bytes: NDArray[Any]) -> NDArray[np.float64]:
    """All scores of each text side by side: (n, 3 + 2·shares), each larger for a member.

    Args:
        told: of the texts.
        zlib_bytes: (n,) see :func:`compressed`.
    """
    plain, calibrated = told.said, told.calibrated
    columns = [
        average(plain, told.real),
        average(calibrated, told.real),
        np.where(told.real, plain, 0.0).sum(1) / zlib_bytes,
        *(lowest(plain, told.real, share) for share in SHARES),
        *(lowest(calibrated, told.real, share) for share in SHARES),
    ]
    return np.stack(columns, 1)


def claims(asked: Data, guess: NDArray[Any]) -> Data:
    """The loot: the half of the texts that score highest."""
    return Data("claimed members", asked.modality, asked.x[guess > np.median(guess)])


def compressed(data: Data) -> NDArray[np.int64]:
    """Bytes (n,) that zlib leaves of each text.

    ``facts["zlib"]`` where the scene has measured its texts; else the token numbers, two bytes
    each, which repeat themselves where the text does.
    """
    measured = data.facts.get("zlib")
    if measured is not None and len(measured) == len(data):
        return np.asarray(measured, dtype=np.int64)
    rows = (row[row >= 0].astype(">u2").tobytes() for row in np.asarray(data.x))
    return np.array([len(zlib.compress(row)) for row in rows], dtype=np.int64)
