"""What of a word's meaning reaches a language model when the word is drawn and not written.

The concept of a word is where the language model is, compared with other words, when it is to
answer and the word is written before the question; the signal of an input is the energy of its
state along that concept (arXiv:2411.11195, late edition), as a share of the reference's own. An
energy is never below 0, whatever the input says: beside it is the same energy along the concepts
of other words, which is what a word that says nothing would have, and the projection with its sign.
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
        written_floor, drawn_floor: (C,) the same energies along the concepts of the other words,
            as shares of the signals of those, the mean over them.
        written_along, drawn_along: (C,) the projections with their sign, as shares of the length
            of the reference.
    """

    written: NDArray[np.float64]
    drawn: NDArray[np.float64]
    written_floor: NDArray[np.float64]
    drawn_floor: NDArray[np.float64]
    written_along: NDArray[np.float64]
    drawn_along: NDArray[np.float64]


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
        UsageError: as ``shares``.
    """
    import torch

    table = reader.language.embeddings

    def states(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        out = reader.states(table[torch.from_numpy(rows)], question).astype(np.float64)
        return np.asarray(out - out.mean(0))

    clean, again = states(references), states(written)
    pixels = reader.states(reader.vectors(np.array(drawings, np.float32)), question).astype(
        np.float64
    )
    pixels -= pixels.mean(0)
    return shares(clean, again, pixels, np.asarray(labels))


def shares(
    clean: NDArray[np.float64],
    written: NDArray[np.float64],
    drawn: NDArray[np.float64],
    labels: NDArray[Any],
) -> WordSignals:
    """Return the signals of words from states, less the mean of each kind of input.

    Args:
        clean: (C, w) of the references.
        written: (C, w) of the words written in another way.
        drawn: (n, w) of drawings.
        labels: (n,) which word each is.

    Raises:
        UsageError: there are fewer than two words, words without a drawing, or words of one state,
            which have no concept.
    """
    count = len(clean)
    if count < 2 or not np.isin(np.arange(count), labels).all():
        raise UsageError(f"words must be two or more, each drawn at least once, got {count}")
    if not (np.linalg.norm(clean, axis=1) > 0).all():
        raise UsageError("words must have different states, got one that is the mean of all")
    # (C, C): a row for each word, a column for each concept.
    energies = {name: np.empty((count, count)) for name in ("written", "drawn")}
    along = {name: np.empty(count) for name in energies}
    for k, concept in enumerate(clean):
        length = float(np.linalg.norm(concept))
        whole = project(concept[None], concept).signal[0]
        energies["written"][:, k] = project(written, concept).signal / whole
        of_drawings = project(drawn, concept).signal / whole
        energies["drawn"][:, k] = np.bincount(labels, of_drawings) / np.bincount(labels)
        along["written"][k] = written[k] @ concept / length**2
        along["drawn"][k] = (drawn[labels == k] @ concept).mean() / length**2
    same = {name: np.diag(table).copy() for name, table in energies.items()}
    floors = {n: (table.sum(1) - same[n]) / (count - 1) for n, table in energies.items()}
    return WordSignals(
        same["written"],
        same["drawn"],
        floors["written"],
        floors["drawn"],
        along["written"],
        along["drawn"],
    )
