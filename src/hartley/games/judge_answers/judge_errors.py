"""The judge as a noisy channel: its confusion matrix, its bits, and rates corrected for its errors.

The counts come from texts whose truth is known (``bench/judge.py``): secrets that were encoded on
purpose, and texts that hold none. Their uncertainty is carried into every corrected interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError
from hartley.infotheory import binary_channel
from hartley.infotheory.capacity import capacity
from hartley.kit.interval_values import ALPHA, Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARE = 0.2
"""Part of an interval's error that is spent on the uncertainty of the judge."""


@dataclass(frozen=True, slots=True)
class JudgeErrors:
    """What a judge said of texts whose truth is known.

    Answers that it could not judge are in no count.

    Attributes:
        recalled: texts with a secret whose secret it gave.
        swapped: texts with a secret for which it gave another one.
        positives: texts with a secret.
        alarms: texts without a secret for which it gave one.
        negatives: texts without a secret.

    Raises:
        UsageError: counts are negative or larger than their total, or a total is 0.
    """

    recalled: int
    swapped: int
    positives: int
    alarms: int
    negatives: int

    def __post_init__(self) -> None:
        """Check the counts."""
        whole = min(self.recalled, self.swapped, self.alarms) >= 0
        if not whole or self.recalled + self.swapped > self.positives:
            raise UsageError(
                "positives must be at least recalled and swapped ones together, got "
                f"{self.positives} for {self.recalled} and {self.swapped}"
            )
        if min(self.positives, self.negatives) < 1 or self.alarms > self.negatives:
            raise UsageError(
                "a judge must be measured on at least one text with a secret and one without, and "
                f"alarms be of those without, got {self.positives}, {self.negatives} and "
                f"{self.alarms} alarms"
            )

    def recall(self, alpha: float = ALPHA) -> Figure:
        """Return the rate at which a secret that is there is given, with its exact interval."""
        return _figure(self.recalled, self.positives, alpha)

    def false_alarm(self, alpha: float = ALPHA) -> Figure:
        """Return the rate at which a secret is given that is not there, with its exact interval."""
        return _figure(self.alarms, self.negatives, alpha)

    def matrix(self, alphabet: int) -> NDArray[np.float64]:
        """Return the confusion matrix (K + 1, K + 1): truth by verdict, nothing last.

        Wrong secrets and false alarms are spread evenly over the secrets, as they are where no
        secret is easier to confuse than another.

        Args:
            alphabet: K, the number of secrets, at least 2.
        """
        k = alphabet
        right, swap = self.recalled / self.positives, self.swapped / self.positives
        out = np.zeros((k + 1, k + 1))
        out[:k, :k] = swap / (k - 1)
        np.fill_diagonal(out[:k, :k], right)
        out[:k, k] = 1.0 - right - swap
        out[k, :k] = self.alarms / self.negatives / k
        out[k, k] = 1.0 - self.alarms / self.negatives
        return out

    def bits(self, alphabet: int) -> float:
        """Return the capacity of the judge in bits per answer; log2(K + 1) were perfect."""
        return capacity(self.matrix(alphabet)).lower

    def flag_bits(self, alpha: float = ALPHA) -> Figure:
        """Return the capacity, in bits per answer, of its word on whether a secret came out.

        The interval is of the rates' exact limits, each at half the error: the capacity grows with
        the recall and falls with the false alarms.
        """
        recall, alarm = self.recall(alpha / 2), self.false_alarm(alpha / 2)
        value, low, high = (
            float(binary_channel.capacity(a, b))
            for a, b in (
                (recall, alarm),
                (max(recall.low or 0.0, alarm.high or 0.0), alarm.high or 0.0),
                (recall.high or 1.0, alarm.low or 0.0),
            )
        )
        return Figure(value, low, high, self.positives + self.negatives)

    def rates(self) -> tuple[float, float, int]:
        """Return recall, one minus false alarms, and the texts of each kind, for a deal's rows."""
        clear = 1.0 - self.alarms / self.negatives
        return self.recalled / self.positives, clear, min(self.positives, self.negatives)

    def corrected(self, hits: int, n: int, alpha: float = ALPHA) -> Figure:
        """Return the true rate of answers with a secret, from the rate that the judge gives.

        The rate is (r − f)/(t − f) of judged rate r, recall t and false alarms f (Rogan and
        Gladen, 1978). Its interval takes each of the three to its exact limit, the judged rate at
        four fifths of the error, so that it covers whatever the three are.

        Args:
            hits: answers that the judge says give the secret.
            n: independent answers that it judged.
            alpha: two-sided error of the interval.

        Raises:
            UsageError: the counts are impossible, or the judge is no better than chance.
        """
        if not 0 <= hits <= n or n < 1:
            raise UsageError(f"hits must be from 0 to n, and n at least 1, got {hits} of {n}")
        judged = _figure(hits, n, alpha * (1 - SHARE))
        return self.corrected_limits(
            float(judged), float(judged.low or 0.0), float(judged.high or 0.0), n, alpha * SHARE
        )

    def corrected_limits(
        self, rate: float, low: float, high: float, n: int, alpha: float = ALPHA * SHARE
    ) -> Figure:
        """Return the true rate for a judged rate with an interval of its own.

        For rates over conversations, rounds or other clusters, whose interval is not binomial. The
        errors add: of an interval at 4 % and the judge at 1 % the result is at 5 %.

        Args:
            rate: judged rate.
            low, high: its limits.
            n: answers behind it.
            alpha: two-sided error that is spent on the judge.

        Raises:
            UsageError: the judge is no better than chance.
        """
        recall, alarm = self.recall(alpha / 2), self.false_alarm(alpha / 2)
        if (recall.low or 0.0) <= (alarm.high or 0.0):
            raise UsageError(
                f"the recall of a judge must be above its false alarms, got {recall.low:.3g} to "
                f"{recall.high:.3g} and {alarm.low:.3g} to {alarm.high:.3g}"
            )
        value = _true_rate(rate, recall, alarm)
        return Figure(
            value,
            min(_true_rate(low, recall.high, alarm.high), value),
            max(_true_rate(high, recall.low, alarm.low), value),
            n,
        )


def _true_rate(judged: float, recall: float | None, alarm: float | None) -> float:
    """Return the rate that gives a judged rate, within 0 and 1."""
    recall, alarm = float(recall or 0.0), float(alarm or 0.0)
    return float(np.clip((judged - alarm) / (recall - alarm), 0.0, 1.0))


def _figure(k: int, n: int, alpha: float) -> Figure:
    """Return a rate with Clopper and Pearson's interval at a two-sided error."""
    low, high = binary_channel.clopper_pearson(k, n, alpha / 2)
    return Figure(k / n, float(low), float(high), n)


MEASURED = JudgeErrors(recalled=4000, swapped=0, positives=4000, alarms=0, negatives=11_305)
"""Of :class:`~hartley.games.judge_answers.judge.Judge`: 200 texts of each of twenty encodings, and
9,000 texts and 2,305 different answers of the scene ``archive`` without a secret
(``bench/judge.py``). It holds for the encodings that were measured: what it cannot read at all,
such as a cipher with a key, is not in the rate."""
