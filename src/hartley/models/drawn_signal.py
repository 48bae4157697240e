"""What of a word's meaning reaches a language model when the word is drawn and not written.

The concept of a word is where the language model is, compared with other words, when it is to
answer and the word is written before the question; the signal of an input is the energy of its
state along that concept (arXiv:2411.11195, late edition), as a share of the reference's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError
from hartley.infotheory.semantic_capacity import project
from hartley.models.picture_language import PictureLanguage

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class WordSignals:
    """Signals of words, each as a share of that of its reference.

    Attributes:
        written: (C,) of the word written in another way than the reference.
        drawn: (C,) of its drawings, the mean over them.
    """

    written: NDArray[np.float64]
    drawn: NDArray[np.float64]


def word_signals(
    reader: PictureLanguage,
    question: str,
    *,
    references: NDArray[np.int64],
    written: NDArray[np.int64],
    drawings: NDArray[Any],
    labels: NDArray[Any],
) -> WordSignals:
    """Return the signals of words that are written and of words that are drawn.

    The mean state over the words of the same kind of input is subtracted: that a picture is a
    picture says nothing of its word.

    Args:
        reader: the networks.
        question: what is asked.
        references: (C, 16) tokens in place of a picture: each word, written.
        written: (C, 16) the same words, written in another way.
        drawings: (n, 3, 128, 128) pictures in 0..1 of the words.
        labels: (n,) which word each is; every word is as often drawn.

    Raises:
        UsageError: there are fewer than two words, or words without a drawing.
    """
    import torch

    count = len(references)
    if count < 2 or not np.isin(np.arange(count), labels).all():
        raise UsageError(f"words must be two or more, each drawn at least once, got {count}")
    table = reader.language.embeddings

    def states(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        out = reader.states(table[torch.from_numpy(rows)], question).astype(np.float64)
        return np.asarray(out - out.mean(0))

    clean, again = states(references), states(written)
    pixels = reader.states(reader.vectors(np.array(drawings, np.float32)), question).astype(
        np.float64
    )
    pixels -= pixels.mean(0)
    of_written, of_drawn = np.empty(count), np.empty(count)
    for k, concept in enumerate(clean):
        whole = project(concept[None], concept).signal[0]
        of_written[k] = project(again[k : k + 1], concept).signal[0] / whole
        of_drawn[k] = project(pixels[labels == k], concept).signal.mean() / whole
    return WordSignals(of_written, of_drawn)
